#include "connection/steps.h"

#include "wsc/clock.h"

/* An average over about as many steps. */
#define WEIGHT 8
/* No step counts for more. */
#define LONGEST_NS 2000000000U

void pywsc_connection_steps_begin(struct pywsc_connection *self, uint64_t now,
                                  bool alone)
{
    self->step.began = now;
    self->step.count = 0;
    self->step.sends = 0;
    self->step.alone = alone;
}

void pywsc_connection_steps_end(struct pywsc_connection *self, uint64_t now)
{
    if (self->step.count > 0 && self->step.began != 0) {
        self->step.several = self->step.sends > self->step.count;
    }
    if (self->step.count > 0 && pywsc_connection_is_timed(self)) {
        uint64_t ns = (now - self->step.began) / self->step.count;
        uint32_t step = ns < LONGEST_NS ? (uint32_t)ns : LONGEST_NS;
        self->step.ns += step / WEIGHT - self->step.ns / WEIGHT;
    }
    self->step.began = 0;
}

/* Output of a message that is alone isn't held: how long its step takes doesn't matter,
 * and the clock costs more than all of this. */
static bool wants_time(const struct pywsc_connection *self)
{
    return self->step.several || self->queue.count > 0 ||
           wsc_conn_input_left(&self->protocol->conn) > 0;
}

void pywsc_connection_next_step(struct pywsc_connection *self)
{
    if (self->step.began == 0) {
        return;
    }
    if (!pywsc_connection_is_timed(self)) {
        if (wants_time(self)) {
            pywsc_connection_steps_begin(self, wsc_clock_ns(), self->step.alone);
        }
    }
    else if (self->step.count > 0 && !pywsc_connection_is_quick(self)) {
        /* Each for itself: it may be quick after this one. */
        uint64_t now = wsc_clock_ns();
        pywsc_connection_steps_end(self, now);
        pywsc_connection_steps_begin(self, now, self->step.alone);
    }
    self->step.count++;
}

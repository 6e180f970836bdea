#include "connection/output.h"

#include "connection/carrier.h"
#include "connection/steps.h"
#include "connection/trace.h"

#include "wsc/clock.h"

/* Within a step, of which the time that this takes is no part: only sending must not
 * keep a connection from being quick. */
int pywsc_connection_write(struct pywsc_connection *self)
{
    if (self->transport == Py_None) {
        return 0;
    }
    if (pywsc_connection_trace(self) < 0) {
        return -1;
    }
    if (self->batch == 0 || !pywsc_connection_is_timed(self) ||
        pywsc_connection_is_quick(self) ||
        !wsc_conn_wants_send(&self->protocol->conn)) {
        return self->carrier->flush(self);
    }
    uint64_t began = wsc_clock_ns();
    int result = self->carrier->flush(self);
    if (pywsc_connection_is_timed(self)) {
        self->step.began += wsc_clock_ns() - began;
    }
    return result;
}

int pywsc_connection_write_before_step(struct pywsc_connection *self)
{
    return self->batch > 0 && pywsc_connection_is_quick(self)
               ? pywsc_connection_trace(self)
               : pywsc_connection_write(self);
}

/* Is more output to be expected, that can leave together with what there is? */
static bool expects_more(const struct pywsc_connection *self)
{
    return !self->step.alone || self->step.several || self->queue.count > 0 ||
           self->step.sends > self->step.count + (self->step.count == 0) ||
           wsc_conn_input_left(&self->protocol->conn) > 0;
}

bool pywsc_connection_may_hold(struct pywsc_connection *self)
{
    return self->batch > 0 && pywsc_connection_is_quick(self) && expects_more(self) &&
           wsc_conn_output_size(&self->protocol->conn) < self->write_high &&
           self->carrier->hold(self);
}

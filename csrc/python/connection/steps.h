/* How long a handler takes. */
#ifndef PYWSC_CONNECTION_STEPS_H
#define PYWSC_CONNECTION_STEPS_H

#include "connection/connection.h"

/* A step is what a task or a listener does when it is given a message, or room for
 * more output, until it waits for the next: so far as it does that in our callback of
 * the loop. Output is held back only while steps are short, so that nothing that is
 * complete waits for the user's code. */
#define PYWSC_SHORT_STEP_NS 30000U

/* Are its steps short? One of which nothing is known yet has few that count as long. */
static inline bool pywsc_connection_is_quick(const struct pywsc_connection *self)
{
    return self->step.ns < PYWSC_SHORT_STEP_NS;
}
#define PYWSC_UNKNOWN_STEP_NS (2 * PYWSC_SHORT_STEP_NS)

/* Steps that are timed only if output may be held in them. */
#define PYWSC_STEP_UNTIMED 1

static inline bool pywsc_connection_is_timed(const struct pywsc_connection *self)
{
    return self->step.began > PYWSC_STEP_UNTIMED;
}

/* A callback in which there may be steps, and the time, or PYWSC_STEP_UNTIMED; at its
 * end the time if they are timed. */
void pywsc_connection_steps_begin(struct pywsc_connection *self, uint64_t now,
                                  bool alone);
void pywsc_connection_steps_end(struct pywsc_connection *self, uint64_t now);
/* Here is one. */
void pywsc_connection_next_step(struct pywsc_connection *self);

#endif

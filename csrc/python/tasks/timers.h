/* The timers of one event loop: a wheel that the loop wakes by one TimerHandle. */
#ifndef PYWSC_TASKS_TIMERS_H
#define PYWSC_TASKS_TIMERS_H

#include "common/state.h"

#include "wsc/timer_wheel.h"

/* Timers fire this much late at most, and share a wake-up of the loop that long. */
#define PYWSC_TIMERS_TICK (1.0 / 128)
/* Loops may fire a little before the time (uvloop counts milliseconds). */
#define PYWSC_TIMERS_EARLY 0.002

struct pywsc_timers;

/* The loop's clock; -1 with an exception. */
double pywsc_timers_time(struct pywsc_timers *self);
/* Let `timer`, which is part of a pywsc_connection, be due at `at` on the loop's clock;
 * at INFINITY it is cancelled. -1 with an exception, never while timers are run. */
int pywsc_timers_set(struct pywsc_timers *self, struct wsc_timer *timer, double at);
/* Runs no Python. */
void pywsc_timers_cancel(struct pywsc_timers *self, struct wsc_timer *timer);
/* Without timers, the loop need not wake: -1 with an exception. */
int pywsc_timers_rest(struct pywsc_timers *self);

int pywsc_timers_init(PyObject *module, struct pywsc_state *state);

#endif

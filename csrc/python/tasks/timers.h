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

/* What the timers of a loop are parts of: objects of one kind, which hold a reference
 * to the timers. */
struct pywsc_timer_owners {
    PyObject *(*owner)(struct wsc_timer *timer); /* borrowed */
    /* The timer is due. -1 with an exception that has to leave the loop's callback. */
    int (*due)(PyObject *owner, double now);
};
/* Say so, before the first one is set. */
void pywsc_timers_serve(struct pywsc_timers *self,
                        const struct pywsc_timer_owners *owners);

/* The loop's clock; -1 with an exception. */
double pywsc_timers_time(struct pywsc_timers *self);
/* Let `timer` be due at `at` on the loop's clock;
 * at INFINITY it is cancelled. -1 with an exception, never while timers are run. */
int pywsc_timers_set(struct pywsc_timers *self, struct wsc_timer *timer, double at);
/* Runs no Python. */
void pywsc_timers_cancel(struct pywsc_timers *self, struct wsc_timer *timer);
/* Seconds that the loop has been held up for in all, as far as it is watched: from the
 * first call on, until a minute after the last one. -1 with an exception, as above. */
double pywsc_timers_held_up(struct pywsc_timers *self, double now);
/* Without timers, the loop need not wake: -1 with an exception. */
int pywsc_timers_rest(struct pywsc_timers *self);

int pywsc_timers_init(PyObject *module, struct pywsc_state *state);

#endif

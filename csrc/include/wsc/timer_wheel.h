/* A hierarchical timer wheel: many timers of which few ever come due.
 *
 * It knows no clock: time is a number of ticks that the caller gives, of any length,
 * counted from anywhere. The timers lie in structs of the caller's, nothing is
 * allocated, and nothing is called: the caller asks for the timers that are due, one by
 * one, and may do anything between two calls: add, move and cancel timers, the one it
 * just got included, and free their owners.
 *
 * Adding and cancelling take constant time. A timer is moved to a finer wheel at most
 * WSC_TIMER_LEVELS - 1 times in its life. Not for several threads at once. */
#ifndef WSC_TIMER_WHEEL_H
#define WSC_TIMER_WHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wsc/api.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 64 slots a wheel, as many wheels as a time has groups of six bits. */
#define WSC_TIMER_BITS   6
#define WSC_TIMER_SLOTS  (1 << WSC_TIMER_BITS)
#define WSC_TIMER_LEVELS 11

/* What wsc_timers_next_time gives when there is no timer. */
#define WSC_TIMERS_NEVER UINT64_MAX

/* Part of its owner, at a fixed address while it is added. All zero is a timer that is
 * not added. */
struct wsc_timer {
    /* Private. */
    struct wsc_timer *next;
    struct wsc_timer **link; /* what points to it; NULL when it is not added */
    uint64_t at;             /* in ticks */
};

/* 5.7 KB. Its timers point into it, so it stays where it is. */
struct wsc_timer_wheel {
    /* Private. */
    uint64_t now;    /* the latest time it was told */
    uint64_t cursor; /* what the slots are relative to; lags behind while timers that
                        are due are taken */
    uint64_t slots_in_use[WSC_TIMER_LEVELS]; /* a bit for each slot */
    uint32_t levels_in_use;                  /* a bit for each wheel */
    struct wsc_timer *slots[WSC_TIMER_LEVELS][WSC_TIMER_SLOTS];
};

/* Start without timers, at the time `now`. */
WSC_API void wsc_timers_init(struct wsc_timer_wheel *wheel, uint64_t now);

/* Is it added? No longer, once wsc_timers_next has given it out. */
static inline bool wsc_timer_is_added(const struct wsc_timer *timer)
{
    return timer->link != NULL;
}

/* Let `timer` be due at `at`; if it is added already it is moved. For a time that has
 * come, it is due one tick after the latest time that the wheel was told: taking the
 * due timers comes to an end whatever is added meanwhile. */
WSC_API void
wsc_timers_add(struct wsc_timer_wheel *wheel, struct wsc_timer *timer, uint64_t at);
/* Does nothing unless it is added. */
WSC_API void wsc_timers_cancel(struct wsc_timer_wheel *wheel, struct wsc_timer *timer);

/* The next timer that is due at `now`, which is thereby no longer added; NULL when
 * there is none. Earlier ones first; those of one tick in any order. A `now` before the
 * one told last counts as that one. */
WSC_API struct wsc_timer *wsc_timers_next(struct wsc_timer_wheel *wheel, uint64_t now);

/* When to call wsc_timers_next again: never later than the first timer is due, and the
 * very tick if few are due around it; WSC_TIMERS_NEVER without timers. */
WSC_API uint64_t wsc_timers_next_time(const struct wsc_timer_wheel *wheel);

#ifdef __cplusplus
}
#endif
#endif

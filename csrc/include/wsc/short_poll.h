/* Short polling: when the next message comes within microseconds, looking again is
 * cheaper than sleeping and being woken. It is tried only while it pays: each time that
 * nothing comes, the next try is put off twice as long. */
#ifndef WSC_SHORT_POLL_H
#define WSC_SHORT_POLL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wsc/api.h"
#include "wsc/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How long a try takes at most, in nanoseconds. */
#define WSC_SHORT_POLL_NS 30000U
/* After that many tries in vain, or more, there is one in WSC_SHORT_POLL_REST. */
#define WSC_SHORT_POLL_REST 64U
/* With more sockets than that at a time, waiting lets more of them come together. */
#define WSC_SHORT_POLL_SOCKETS 2U

/* All zero at first. */
struct wsc_short_poll {
    /* Private. */
    unsigned rest;    /* times to pass over before the next try */
    unsigned penalty; /* the last value of `rest` */
};

/* Nothing is ready any more, after `handled` sockets were: is it worth a try? */
WSC_API bool wsc_short_poll_wanted(struct wsc_short_poll *policy, size_t handled);
/* The outcome of a try. */
WSC_API void wsc_short_poll_note(struct wsc_short_poll *policy, bool found);
/* The try: what wsc_engine_poll gives, as soon as it isn't 0 or after
 * WSC_SHORT_POLL_NS. */
WSC_API size_t wsc_engine_poll_short(struct wsc_engine *engine);

#ifdef __cplusplus
}
#endif
#endif

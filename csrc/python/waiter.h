/* What a task waits on: asyncio's future protocol, without the hop through call_soon.
 *
 * An asyncio task that awaits something with `_asyncio_future_blocking` adds a callback
 * to it, in its context. When the awaited thing has happened and the caller is itself a
 * callback of the loop, that callback can be run directly: the task goes on in the same
 * tick. Everything else (cancellation, a result that came before the callback, a task
 * that is running already) goes through call_soon as with asyncio.Future. */
#ifndef PYWSC_WAITER_H
#define PYWSC_WAITER_H

#include "pywsc.h"

struct pywsc_waiter {
    PyObject_HEAD struct pywsc_state
        *module; /* its state, which the type keeps alive */
    PyObject *loop;
    PyObject *callback; /* the first one; there is hardly ever another */
    PyObject *context;  /* it is called in */
    PyObject *more;     /* list of (callback, context), or NULL */
    PyObject *cancel_message;
    char blocking; /* _asyncio_future_blocking */
    char state;
};

/* A pending waiter, ready to be yielded to a task. */
struct pywsc_waiter *pywsc_waiter_new(struct pywsc_state *state, PyObject *loop);
bool pywsc_waiter_is_pending(const struct pywsc_waiter *self);
/* It has happened: run the callbacks, directly if `in_place`, else by call_soon. Does
 * nothing unless pending. -1 with an exception that has to leave the loop's callback
 * (KeyboardInterrupt, SystemExit); others go to the loop's exception handler. */
int pywsc_waiter_wake(struct pywsc_state *state, struct pywsc_waiter *self,
                      bool in_place);

/* loop.call_soon(object.name). */
int pywsc_call_method_soon(struct pywsc_state *state, PyObject *loop, PyObject *object,
                           enum pywsc_name name);
/* Give the current exception to the loop's exception handler, unless it has to leave
 * the loop's callback: then -1 with it still set. */
int pywsc_report_exception(struct pywsc_state *state, PyObject *loop,
                           const char *message);

#endif

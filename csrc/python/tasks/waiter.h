/* What a task waits on: asyncio's future protocol, without the hop through call_soon.
 *
 * An asyncio task that awaits something with `_asyncio_future_blocking` adds a callback
 * to it, in its context. When the awaited thing has happened and the caller is itself a
 * callback of the loop, that callback can be run directly: the task goes on in the same
 * tick. Everything else (cancellation, a result that came before the callback, a task
 * that is running already) goes through call_soon as with asyncio.Future. */
#ifndef PYWSC_TASKS_WAITER_H
#define PYWSC_TASKS_WAITER_H

#include "common/state.h"

struct pywsc_waiter {
    PyObject_HEAD struct pywsc_state
        *module; /* its state, which the type keeps alive */
    PyObject *loop;
    PyObject *callback; /* the first one; there is hardly ever another */
    PyObject *context;  /* it is called in */
    PyObject *more;     /* list of (callback, context), or NULL */
    PyObject *cancel_message;
    /* Who is told of it in the place of callbacks, or NULL. -1 with an exception. */
    PyObject *owner;
    int (*on_wake)(struct pywsc_waiter *self, bool in_place);
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

/* It is pending, and its task makes a step all the same: cancel() is refused until the
 * end of it, so that the task takes note, as any task that runs. Whether it came to
 * that. */
void pywsc_waiter_begin_step(struct pywsc_waiter *self);
bool pywsc_waiter_end_step(struct pywsc_waiter *self);
/* Like pywsc_waiter_wake, of one that is pending, in the context of its callback. -1
 * with an exception of the callback's. */
int pywsc_waiter_wake_here(struct pywsc_state *state, struct pywsc_waiter *self);

int pywsc_waiter_init(PyObject *module, struct pywsc_state *state);

#endif

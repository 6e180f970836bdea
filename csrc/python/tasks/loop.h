/* What is asked of an event loop of asyncio's, and of the contexts and the task that
 * run in it. */
#ifndef PYWSC_TASKS_LOOP_H
#define PYWSC_TASKS_LOOP_H

#include "common/state.h"

/* loop.call_soon(callback, arg, context=context). -1 with an exception. */
int pywsc_call_soon(struct pywsc_state *state, PyObject *loop, PyObject *callback,
                    PyObject *arg, PyObject *context);
/* Leave a context; an exception that is set stays set. */
void pywsc_exit_context(PyObject *context);
/* Leave the one that is entered, which the loop calls its callback in: a loop that is
 * entered again from there couldn't call that a second time. New reference, NULL if
 * there is none; and back, which takes it. No exception is set before. */
PyObject *pywsc_leave_context(void);
void pywsc_return_to_context(PyObject *context);
/* New reference: the task that runs in this loop, or None. */
PyObject *pywsc_current_task(struct pywsc_state *state, PyObject *loop);
/* Make this task that one, while none is; and none again. -1 with an exception. */
int pywsc_enter_task(struct pywsc_state *state, PyObject *loop, PyObject *task);
int pywsc_leave_task(struct pywsc_state *state, PyObject *loop, PyObject *task);
/* loop.call_soon(object.name). -1 with an exception. */
int pywsc_call_method_soon(struct pywsc_state *state, PyObject *loop, PyObject *object,
                           enum pywsc_name name);
/* Give the current exception to the loop's exception handler, unless it has to leave
 * the loop's callback (pywsc_raised_leaves): then -1 with it still set. */
int pywsc_report_exception(struct pywsc_state *state, PyObject *loop,
                           const char *message);
/* The same where nothing may be raised: what has to leave is raised by the loop. */
void pywsc_settle_exception(struct pywsc_state *state, PyObject *loop,
                            const char *message);

#endif

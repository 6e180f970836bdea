/* The coroutine of a task, which steps another one.
 *
 * A step of an asyncio task costs more than most handlers do in it: methods of what it
 * waits on are looked up, callbacks are made, added and called. As long as the handler
 * waits for nothing but waiters, its task need not hear of each: it is parked on one
 * waiter, and the handler's coroutine is stepped in the task's context and as the
 * current task, as the task does it. What else happens (the coroutine waits on
 * something of another kind, returns or raises, the task is cancelled) the task does
 * itself. */
#ifndef PYWSC_TASKS_STEPPER_H
#define PYWSC_TASKS_STEPPER_H

#include "common/state.h"

int pywsc_stepper_init(PyObject *module, struct pywsc_state *state);

#endif

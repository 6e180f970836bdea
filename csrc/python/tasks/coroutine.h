/* Coroutines written in C: what they share. */
#ifndef PYWSC_TASKS_COROUTINE_H
#define PYWSC_TASKS_COROUTINE_H

#include "common/python.h"

/* What am_send gave, as send() and __next__() give it: the value of a return is in
 * StopIteration. Takes `result`. */
PyObject *pywsc_iterator_result(PySendResult outcome, PyObject *result);
/* coroutine.throw(*args): what it yields next, or NULL with an exception. */
PyObject *
pywsc_coroutine_throw(PyObject *coroutine, PyObject *const *args, Py_ssize_t nargs);
/* The other way around, of what send(), throw() or __next__() gave: `yielded`, or NULL
 * with an exception. */
PySendResult pywsc_send_result(PyObject *yielded, PyObject **result);
/* coroutine.close(); -1 with an exception. */
int pywsc_coroutine_close(PyObject *coroutine);

#endif

/* The exception that is set: as one object, and where it may go. */
#ifndef PYWSC_COMMON_RAISED_H
#define PYWSC_COMMON_RAISED_H

#include <stdbool.h>

#include "common/python.h"

/* Does the exception that is set leave the loop? As with asyncio's own callbacks, only
 * what is raised to end the program does; all others, of whatever class, end at the
 * connection that they are of. */
static inline bool pywsc_raised_leaves(void)
{
    return PyErr_ExceptionMatches(PyExc_KeyboardInterrupt) ||
           PyErr_ExceptionMatches(PyExc_SystemExit);
}

/* Take it, normalized and with its traceback; NULL when none is set. */
static inline PyObject *pywsc_take_raised(void)
{
#if PY_VERSION_HEX >= 0x030C0000
    return PyErr_GetRaisedException();
#else
    PyObject *type;
    PyObject *value;
    PyObject *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (type == NULL) {
        return NULL;
    }
    PyErr_NormalizeException(&type, &value, &traceback);
    if (traceback != NULL) {
        (void)PyException_SetTraceback(value, traceback);
    }
    Py_XDECREF(type);
    Py_XDECREF(traceback);
    return value;
#endif
}

/* Set it again; takes `exception`. NULL: none is set then. */
static inline void pywsc_raise_again(PyObject *exception)
{
#if PY_VERSION_HEX >= 0x030C0000
    PyErr_SetRaisedException(exception);
#else
    if (exception == NULL) {
        PyErr_Clear();
        return;
    }
    PyErr_Restore(Py_NewRef((PyObject *)Py_TYPE(exception)), exception,
                  PyException_GetTraceback(exception));
#endif
}

/* The same after something that had to be done all the same. If that failed (`status` <
 * 0) its exception is reported, as one of `where`; with `exception` NULL it stays. */
static inline void
pywsc_raise_again_after(PyObject *exception, int status, PyObject *where)
{
    if (exception == NULL) {
        return;
    }
    if (status < 0) {
        PyErr_WriteUnraisable(where);
    }
    pywsc_raise_again(exception);
}

/* After one of several steps that are to be done all of them, with its `status`: its
 * exception is kept in *first if it is the first one, else reported as one of `where`.
 */
static inline void pywsc_keep_first(PyObject **first, int status, PyObject *where)
{
    if (status >= 0) {
        return;
    }
    if (*first == NULL) {
        *first = pywsc_take_raised();
    }
    else {
        PyErr_WriteUnraisable(where);
    }
}

/* After the last one of them: 0, or -1 with the exception that was kept. Takes it. */
static inline int pywsc_raise_first(PyObject *first)
{
    if (first == NULL) {
        return 0;
    }
    pywsc_raise_again(first);
    return -1;
}

#endif

/* The exception that is set, as one object. */
#ifndef PYWSC_RAISED_H
#define PYWSC_RAISED_H

#include <Python.h>

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

#endif

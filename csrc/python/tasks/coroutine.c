#include "tasks/coroutine.h"

#include "common/raised.h"

PyObject *pywsc_iterator_result(PySendResult outcome, PyObject *result)
{
    if (outcome != PYGEN_RETURN) {
        return result;
    }
    if (result == Py_None) {
        PyErr_SetNone(PyExc_StopIteration);
    }
    else {
        /* Not PyErr_SetObject: it would take a tuple or exception for arguments. */
        PyObject *stop = PyObject_CallOneArg(PyExc_StopIteration, result);
        if (stop != NULL) {
            PyErr_SetObject(PyExc_StopIteration, stop);
            Py_DECREF(stop);
        }
    }
    Py_DECREF(result);
    return NULL;
}

PySendResult pywsc_send_result(PyObject *yielded, PyObject **result)
{
    *result = yielded;
    if (yielded != NULL) {
        return PYGEN_NEXT;
    }
    if (!PyErr_ExceptionMatches(PyExc_StopIteration)) {
        return PYGEN_ERROR;
    }
    PyObject *stop = pywsc_take_raised();
    *result = PyObject_GetAttrString(stop, "value");
    Py_DECREF(stop);
    return *result == NULL ? PYGEN_ERROR : PYGEN_RETURN;
}

PyObject *
pywsc_coroutine_throw(PyObject *coroutine, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *throw = PyObject_GetAttrString(coroutine, "throw");
    PyObject *result =
        throw == NULL ? NULL : PyObject_Vectorcall(throw, args, (size_t)nargs, NULL);
    Py_XDECREF(throw);
    return result;
}

int pywsc_coroutine_close(PyObject *coroutine)
{
    PyObject *result = PyObject_CallMethod(coroutine, "close", NULL);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

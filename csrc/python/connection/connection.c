#include "connection/connection.h"

#include <string.h>

#include "tasks/loop.h"
#include "values/errors.h"

int pywsc_connection_check_thread(struct pywsc_connection *self)
{
    if (self->protocol == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "__init__() was not called");
        return -1;
    }
    if (self->thread != PyThread_get_thread_ident()) {
        PyErr_SetString(PyExc_RuntimeError,
                        "a connection is used in the thread of its event loop only");
        return -1;
    }
    return 0;
}

void pywsc_connection_fail(struct pywsc_connection *self, enum wsc_close_code code,
                           const char *reason)
{
    if (wsc_conn_fail(&self->protocol->conn, code, reason, strlen(reason)) != WSC_OK) {
        self->protocol->conn.end_expected = true; /* even without a close frame */
    }
}

void pywsc_connection_fail_internally(struct pywsc_connection *self)
{
    pywsc_connection_fail(self, WSC_CLOSE_INTERNAL_ERROR, "internal error");
}

int pywsc_connection_call_in_turn(struct pywsc_connection *self)
{
    if (self->flow.turn_wanted) {
        return 0;
    }
    int result = pywsc_call_method_soon(self->state, self->loop, (PyObject *)self,
                                        PYWSC_NAME_WAKE);
    self->flow.turn_wanted = result == 0;
    return result;
}

int pywsc_connection_hook(struct pywsc_connection *self, enum pywsc_name name,
                          PyObject *arg)
{
    struct pywsc_state *state = self->state;
    if (arg == NULL && PyErr_Occurred()) {
        return -1;
    }
    PyObject *result =
        arg == NULL
            ? PyObject_CallMethodNoArgs((PyObject *)self, state->names[name])
            : PyObject_CallMethodOneArg((PyObject *)self, state->names[name], arg);
    Py_XDECREF(arg);
    return pywsc_connection_hook_done(self, result);
}

int pywsc_connection_hook_done(struct pywsc_connection *self, PyObject *result)
{
    if (result != NULL) {
        Py_DECREF(result);
        return 0;
    }
    pywsc_connection_fail_internally(self);
    return pywsc_report_exception(self->state, self->loop,
                                  "exception in a connection's hook");
}

PyObject *pywsc_connection_close_exception(struct pywsc_connection *self)
{
    PyObject *exception = pywsc_close_exception(self->state, &self->protocol->conn);
    if (exception == NULL) {
        return NULL;
    }
    PyObject *cause = PyException_GetCause(exception);
    if (cause != NULL) {
        Py_DECREF(cause); /* an error of the peer's */
        return exception;
    }
    cause = PyObject_GetAttr((PyObject *)self, self->state->names[PYWSC_NAME_CAUSE]);
    if (cause == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
            Py_CLEAR(exception);
        }
        else {
            PyErr_Clear(); /* not pywscore.asyncio.Connection */
        }
    }
    else if (PyExceptionInstance_Check(cause)) {
        PyException_SetCause(exception, cause);
    }
    else {
        Py_DECREF(cause);
    }
    return exception;
}

#include "engine/transport.h"

#include <errno.h>

#include "common/raised.h"
#include "tasks/loop.h"

#if WSC_HAVE_ENGINE

/* --- the engine's list --- */

void pywsc_transport_note(struct pywsc_transport *self)
{
    struct pywsc_engine *engine = pywsc_transport_engine(self);
    self->next = engine->transports;
    self->noted_at = &engine->transports;
    if (self->next != NULL) {
        self->next->noted_at = &self->next;
    }
    engine->transports = self;
    Py_INCREF(self);
}

void pywsc_transport_let_go(struct pywsc_transport *self)
{
    if (self->noted_at == NULL) {
        return;
    }
    *self->noted_at = self->next;
    if (self->next != NULL) {
        self->next->noted_at = self->noted_at;
    }
    self->next = NULL;
    self->noted_at = NULL;
    Py_DECREF(self);
}

/* --- the end --- */

/* Nobody hears of it without memory for that. */
static void keep_local_address(struct pywsc_transport *self)
{
    uint8_t local[WSC_ADDRESS_SIZE];
    size_t len = wsc_link_address(self->link, false, local);
    Py_XSETREF(self->local,
               PyBytes_FromStringAndSize((const char *)local, (Py_ssize_t)len));
    if (self->local == NULL) {
        PyErr_Clear();
    }
}

enum wsc_status pywsc_transport_send_encrypted(struct pywsc_transport *self)
{
    return pywsc_transport_link(self) == NULL || self->ssl->encrypted.size == 0
               ? WSC_OK
               : wsc_link_write(self->link, &self->ssl->encrypted);
}

void pywsc_transport_say_end(struct pywsc_transport *self)
{
    if (self->ssl != NULL && pywsc_ssl_object_unsent(self->ssl) == 0) {
        pywsc_ssl_object_end(self->ssl, pywsc_transport_state(self));
        (void)pywsc_transport_send_encrypted(self);
    }
}

/* Python may hold a socket object of the descriptor, which has to let go first; and of
 * what isn't IP it has to ask for the names. */
static void detach(struct pywsc_transport *self, struct pywsc_state *state)
{
    PyObject *raised = pywsc_take_raised();
    PyObject *result =
        PyObject_CallMethodNoArgs((PyObject *)self, state->names[PYWSC_NAME_DETACH]);
    if (result == NULL) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    Py_XDECREF(result);
    pywsc_raise_again(raised);
}

int pywsc_transport_finish(struct pywsc_transport *self, int error, bool reset)
{
    struct pywsc_state *state = pywsc_transport_state(self);
    if (pywsc_transport_link(self) == NULL) {
        return 0;
    }
    if (!reset) {
        pywsc_transport_say_end(self);
    }
    if (self->socket != NULL || self->peer_len == 0) {
        detach(self, state);
    }
    struct wsc_link *link = pywsc_transport_link(self);
    if (link == NULL) {
        return 0; /* that was the end already */
    }
    /* First: without memory for that all is as it was, to be tried again. */
    if (pywsc_call_method_soon(state, pywsc_transport_engine(self)->loop,
                               (PyObject *)self, PYWSC_NAME_LOST) < 0) {
        return -1;
    }
    self->closing = true;
    self->error = error;
    (void)wsc_link_tls_failure(link, &self->failure);
    keep_local_address(self);
    Py_BEGIN_CRITICAL_SECTION(self);
    self->link = NULL; /* other threads may ask for its names */
    Py_END_CRITICAL_SECTION();
    if (reset) {
        wsc_link_abort(link);
    }
    else {
        wsc_link_close(link);
    }
    if (self->ssl != NULL) {
        pywsc_ssl_object_close(self->ssl);
    }
    pywsc_transport_let_go(self);
    return 0;
}

/* New reference; NULL with another exception. */
static PyObject *tls_exception(const struct wsc_tls_failure *failure)
{
    PyObject *tls = PyImport_ImportModule("pywscore._tls");
    if (tls == NULL) {
        return NULL;
    }
    PyObject *exception =
        PyObject_CallMethod(tls, "_failure", "szOiz", failure->reason, failure->library,
                            failure->ended ? Py_True : Py_False, failure->verify_code,
                            failure->verify_message);
    Py_DECREF(tls);
    return exception;
}

/* New reference: what ended Python's TLS, taken, as connection_lost() gets it. */
static PyObject *take_failure(struct pywsc_ssl_object *ssl)
{
    PyObject *failure = ssl->failure;
    ssl->failure = NULL;
    if (PyErr_GivenExceptionMatches(failure, PyExc_Exception)) {
        return failure;
    }
    PyErr_SetString(PyExc_RuntimeError, "TLS was ended by what is no Exception");
    PyObject *exception = pywsc_take_raised();
    PyException_SetCause(exception, failure);
    return exception;
}

/* New reference: why the connection was lost, or None. */
static PyObject *lost_exception(struct pywsc_transport *self)
{
    PyObject *exception = NULL;
    if (self->ssl != NULL && self->ssl->failure != NULL) {
        return take_failure(self->ssl);
    }
    if (self->failure.reason != NULL) {
        exception = tls_exception(&self->failure);
    }
    else if (self->error == 0) {
        return Py_NewRef(Py_None);
    }
    else {
        errno = self->error;
        (void)PyErr_SetFromErrno(PyExc_OSError);
    }
    return exception != NULL ? exception : pywsc_take_raised();
}

PyObject *pywsc_transport_lost(struct pywsc_transport *self)
{
    PyObject *connection = self->connection;
    if (connection == NULL) {
        Py_RETURN_NONE;
    }
    self->connection = NULL; /* ours from now on, whatever code the next line runs */
    PyObject *exception = lost_exception(self);
    PyObject *result = PyObject_CallMethodOneArg(
        connection, pywsc_transport_state(self)->names[PYWSC_NAME_CONNECTION_LOST],
        exception);
    Py_DECREF(connection);
    Py_DECREF(exception);
    return result;
}

#endif

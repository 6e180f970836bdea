#include "connection/calls.h"

#include "common/raised.h"
#include "connection/batch.h"
#include "connection/carrier.h"
#include "connection/connection.h"
#include "connection/deadlines.h"
#include "connection/listener.h"
#include "connection/receive.h"
#include "connection/receive_buffer.h"
#include "connection/steps.h"
#include "connection/wake.h"
#include "tasks/loop.h"

#include "wsc/clock.h"

/* --- the transport's calls --- */

/* A call in which there may be steps, in a batch. */
static void begin_call(struct pywsc_connection *self)
{
    if (self->batch == 0) {
        pywsc_connection_steps_begin(self, PYWSC_STEP_UNTIMED, true);
    }
    pywsc_connection_batch_begin(self);
}

/* The end of a call that began a batch. What a handler raised to leave the loop is
 * raised by that: a transport could take it for an error of its own, as uvloop's do. */
static PyObject *end_call(struct pywsc_connection *self, int result)
{
    PyObject *loop = self->loop;
    struct pywsc_state *state = self->state;
    Py_INCREF(loop);
    if (self->batch == 1) {
        pywsc_connection_steps_end(
            self, pywsc_connection_is_timed(self) ? wsc_clock_ns() : 0);
    }
    PyObject *ended = pywsc_connection_batch_end(self, result);
    if (ended == NULL && pywsc_raised_leaves()) {
        pywsc_settle_exception(state, loop, "exception in a connection");
        ended = Py_NewRef(Py_None);
    }
    Py_DECREF(loop);
    return ended;
}

/* Is this not an object of ssl.SSLObject itself, nor None? -1 with an exception. */
static int is_of_subclass(PyObject *ssl_object)
{
    if (ssl_object == Py_None) {
        return 0;
    }
    PyObject *ssl = PyImport_ImportModule("ssl");
    PyObject *type = ssl == NULL ? NULL : PyObject_GetAttrString(ssl, "SSLObject");
    int other = type == NULL ? -1 : !Py_IS_TYPE(ssl_object, (PyTypeObject *)type);
    Py_XDECREF(ssl);
    Py_XDECREF(type);
    return other;
}

/* TLS of asyncio's transports reads into what get_buffer() gave it. In read() of a
 * subclass a loop may run, in which others receive: that has memory of its own. */
static int choose_receive_buffer(struct pywsc_connection *self, PyObject *transport)
{
    PyObject *ssl_object =
        PyObject_CallMethod(transport, "get_extra_info", "s", "ssl_object");
    int other = ssl_object == NULL ? -1 : is_of_subclass(ssl_object);
    Py_XDECREF(ssl_object);
    if (other < 1) {
        return other;
    }
    PyObject *own = PyObject_CallNoArgs((PyObject *)Py_TYPE(self->receive_buffer));
    if (own == NULL) {
        return -1;
    }
    Py_SETREF(self->receive_buffer, own);
    return 0;
}

PyObject *pywsc_connection_made(PyObject *op, PyObject *transport)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    if (pywsc_connection_check_thread(self) < 0) {
        return NULL;
    }
    PyTypeObject *engine_transport = self->state->engine_transport;
    self->carrier =
        engine_transport != NULL && PyObject_TypeCheck(transport, engine_transport)
            ? self->state->engine_carrier
            : &pywsc_transport_carrier;
    if (self->carrier == &pywsc_transport_carrier &&
        choose_receive_buffer(self, transport) < 0) {
        return NULL;
    }
    Py_SETREF(self->transport, Py_NewRef(transport)); /* last: it may run code */
    if (self->carrier->limit(self) < 0) {
        return NULL;
    }
    pywsc_connection_batch_begin(self);
    return pywsc_connection_batch_end(self, 0);
}

PyObject *pywsc_connection_get_buffer(PyObject *op, PyObject *sizehint)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    (void)sizehint;
    if (self->receive_buffer == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "__init__() was not called");
        return NULL;
    }
    return pywsc_receive_buffer_view(
        (struct pywsc_receive_buffer *)self->receive_buffer);
}

PyObject *pywsc_connection_buffer_updated(PyObject *op, PyObject *nbytes)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    Py_ssize_t len = PyLong_AsSsize_t(nbytes);
    if ((len == -1 && PyErr_Occurred()) || pywsc_connection_check_thread(self) < 0) {
        return NULL;
    }
    struct pywsc_receive_buffer *buffer =
        (struct pywsc_receive_buffer *)self->receive_buffer;
    if (len < 0 || len > PyByteArray_GET_SIZE(buffer->bytes)) {
        PyErr_SetString(PyExc_ValueError, "more bytes than the buffer has");
        return NULL;
    }
    begin_call(self);
    PyObject *bytes = pywsc_receive_buffer_lend(buffer);
    const uint8_t *data = (const uint8_t *)PyByteArray_AS_STRING(bytes);
    int result =
        self->ended.tcp ? 0 : pywsc_connection_receive(self, data, (size_t)len);
    pywsc_receive_buffer_return(buffer, bytes);
    return end_call(self, result);
}

PyObject *pywsc_connection_eof_received(PyObject *op, PyObject *unused)
{
    (void)op;
    (void)unused;
    Py_RETURN_NONE; /* the transport closes itself; connection_lost does the rest */
}

/* _on_lost(exc), which gives back what the connection had, places of limits too. Where
 * memory ended in it, some is free now: it is called once more. */
static int call_on_lost(struct pywsc_connection *self, PyObject *exc)
{
    PyObject *name = self->state->names[PYWSC_NAME_ON_LOST];
    PyObject *result = PyObject_CallMethodOneArg((PyObject *)self, name, exc);
    if (result == NULL && PyErr_ExceptionMatches(PyExc_MemoryError)) {
        PyErr_WriteUnraisable((PyObject *)self);
        result = PyObject_CallMethodOneArg((PyObject *)self, name, exc);
    }
    return pywsc_connection_hook_done(self, result);
}

PyObject *pywsc_connection_lost(PyObject *op, PyObject *exc)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    if (pywsc_connection_check_thread(self) < 0) {
        return NULL;
    }
    if (self->ended.tcp) {
        Py_RETURN_NONE;
    }
    /* Whatever is raised, nobody may wait for more, and nothing keep a place. */
    PyObject *first = NULL;
    pywsc_connection_batch_begin(self);
    pywsc_keep_first(&first, pywsc_connection_drain(self), op);
    self->ended.tcp = true;
    pywsc_keep_first(&first, pywsc_deadlines_lost(self), op);
    pywsc_keep_first(&first, call_on_lost(self, exc), op);
    pywsc_keep_first(&first, pywsc_listener_closed(self), op);
    pywsc_keep_first(&first, pywsc_connection_wake_senders(self), op);
    pywsc_keep_first(&first, pywsc_connection_wake_receiver(self, true), op);
    return end_call(self, pywsc_raise_first(first));
}

PyObject *pywsc_connection_pause_writing(PyObject *op, PyObject *unused)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    (void)unused;
    if (pywsc_connection_check_thread(self) < 0) {
        return NULL;
    }
    self->flow.write_paused = true;
    if (pywsc_deadlines_write_paused(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

PyObject *pywsc_connection_resume_writing(PyObject *op, PyObject *unused)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    (void)unused;
    if (pywsc_connection_check_thread(self) < 0) {
        return NULL;
    }
    self->flow.write_paused = false;
    /* What had to wait comes first, and may fill the transport again. */
    if (pywsc_connection_flush(self) < 0) {
        return NULL;
    }
    if (self->flow.write_paused) {
        Py_RETURN_NONE;
    }
    if (pywsc_deadlines_write_resumed(self) < 0) {
        return NULL;
    }
    PyObject *first = NULL;
    begin_call(self);
    pywsc_keep_first(&first, pywsc_connection_wake_senders(self), op);
    if (self->listener != NULL) {
        /* It may have something that comes before its answers to what is read. */
        pywsc_keep_first(&first, pywsc_listener_drained(self), op);
        pywsc_keep_first(&first, pywsc_connection_read_on(self), op);
    }
    return end_call(self, pywsc_raise_first(first));
}

/* The loop's turn is over: the one who receives goes on. */
PyObject *pywsc_connection_wake(PyObject *op, PyObject *unused)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    (void)unused;
    if (pywsc_connection_check_thread(self) < 0) {
        return NULL;
    }
    begin_call(self);
    self->budget = PYWSC_BUDGET;
    self->flow.turn_wanted = false;
    wsc_conn_hold_failure(&self->protocol->conn, false);
    return end_call(self, self->listener != NULL || self->rate != NULL
                              ? pywsc_connection_read_on(self)
                              : pywsc_connection_wake_receiver(self, true));
}

PyObject *pywsc_connection_end_receiving(PyObject *op, PyObject *unused)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    (void)unused;
    if (pywsc_connection_check_thread(self) < 0) {
        return NULL;
    }
    pywsc_connection_batch_begin(self);
    self->ended.receiving = true;
    return pywsc_connection_batch_end(self, pywsc_connection_wake_receiver(self, true));
}

PyObject *pywsc_connection_listen(PyObject *op, PyObject *listener)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    if (pywsc_connection_check_thread(self) < 0) {
        return NULL;
    }
    if (self->listener != NULL || self->receiver != NULL || self->queue.count > 0) {
        PyErr_SetString(PyExc_RuntimeError, "somebody receives already");
        return NULL;
    }
    PyObject *first = NULL;
    pywsc_connection_batch_begin(self);
    self->budget = PYWSC_BUDGET;
    pywsc_keep_first(&first, pywsc_listener_attach(self, listener), op);
    pywsc_keep_first(&first, pywsc_connection_read_on(self), op);
    if (self->ended.tcp) {
        pywsc_keep_first(&first, pywsc_listener_closed(self), op);
    }
    return pywsc_connection_batch_end(self, pywsc_raise_first(first));
}

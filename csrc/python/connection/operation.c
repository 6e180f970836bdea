#include "connection/operation.h"

#include "common/raised.h"
#include "values/errors.h"

/* recv(), send() and their like return one of these: a coroutine in C. It goes to the
 * end at its first step whenever it can; else it hands the task a waiter and looks
 * again when the task is resumed. Cancelling it never loses a message: one is taken
 * only in the step that returns it. */

PyObject *pywsc_operation_new(struct pywsc_connection *connection,
                              enum pywsc_operation_kind kind, PyObject *first,
                              PyObject *text, PyObject *compress)
{
    struct pywsc_state *state = connection->state;
    if (state == NULL) {
        (void)pywsc_connection_check_thread(
            connection); /* not initialized: it raises */
        return NULL;
    }
    struct pywsc_operation *self = (struct pywsc_operation *)pywsc_spares_new(
        &state->spare_operations, state->operation);
    if (self == NULL) {
        return NULL;
    }
    self->connection = (struct pywsc_connection *)Py_NewRef((PyObject *)connection);
    self->first = Py_XNewRef(first);
    self->text = Py_XNewRef(text);
    self->compress = Py_XNewRef(compress);
    self->waiter = NULL;
    self->inner = NULL;
    self->kind = (char)kind;
    self->progress = PYWSC_FRESH;
    self->sent = false;
    self->stream = NULL;
    self->holds = false;
    self->running = false;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

PyObject *pywsc_operation_for_stream(struct pywsc_message_stream *stream,
                                     enum pywsc_operation_kind kind, PyObject *first)
{
    PyObject *operation = pywsc_operation_new(
        (struct pywsc_connection *)stream->connection, kind, first, NULL, NULL);
    if (operation != NULL) {
        ((struct pywsc_operation *)operation)->stream =
            (struct pywsc_message_stream *)Py_NewRef((PyObject *)stream);
    }
    return operation;
}

static struct pywsc_state *state_of(struct pywsc_operation *self)
{
    return self->connection->state;
}

/* It receives no more. */
static void stop_receiving(struct pywsc_operation *self)
{
    struct pywsc_connection *connection = self->connection;
    if (connection->receiver == (PyObject *)self) {
        connection->receiver = NULL;
        if (self->waiter != NULL && connection->receive_waiter == self->waiter) {
            Py_CLEAR(connection->receive_waiter);
        }
    }
    if (self->holds) {
        self->holds = false;
        pywsc_message_stream_release(self->stream);
    }
}

void pywsc_operation_finish(struct pywsc_operation *self)
{
    struct pywsc_connection *connection = self->connection;
    self->progress = PYWSC_FINISHED;
    stop_receiving(self);
    if (self->waiter != NULL && connection->send_waiters != NULL) {
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(connection->send_waiters); i++) {
            if (PyList_GET_ITEM(connection->send_waiters, i) ==
                (PyObject *)self->waiter) {
                if (PyList_SetSlice(connection->send_waiters, i, i + 1, NULL) < 0) {
                    PyErr_Clear();
                }
                break;
            }
        }
    }
    Py_CLEAR(self->waiter);
    Py_CLEAR(self->first);
    Py_CLEAR(self->text);
    Py_CLEAR(self->compress);
}

/* Go on as a coroutine of the stream. 2, or -1. */
static int continue_slowly(struct pywsc_operation *self, enum pywsc_name name)
{
    stop_receiving(self);
    self->inner = PyObject_CallMethodNoArgs((PyObject *)self->stream,
                                            state_of(self)->names[name]);
    return self->inner == NULL ? -1 : 2;
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

static int raise_closed(struct pywsc_operation *self)
{
    struct pywsc_state *state = state_of(self);
    PyObject *exception = pywsc_connection_close_exception(self->connection);
    if (exception == NULL) {
        return -1;
    }
    if (self->kind == PYWSC_NEXT &&
        Py_TYPE(exception) ==
            (PyTypeObject *)state->objects[PYWSC_CONNECTION_CLOSED_OK]) {
        PyErr_SetNone(PyExc_StopAsyncIteration);
    }
    else {
        PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    }
    Py_DECREF(exception);
    return -1;
}

/* --- receiving --- */

/* Has it been closed within this step, by user code? RuntimeError and -1 then. */
static int check_closed(const struct pywsc_operation *self)
{
    if (self->progress == PYWSC_FINISHED) {
        PyErr_SetString(PyExc_RuntimeError, "the coroutine was closed");
        return -1;
    }
    return 0;
}

/* The truth of decode=, before anything is taken: user code runs here. */
static int settle_decode(struct pywsc_operation *self)
{
    PyObject *decode = Py_NewRef(self->first);
    PyObject *truth = decode;
    int status = pywsc_truth_argument(&truth);
    if (status == 0) {
        status = check_closed(self);
    }
    if (status == 0) {
        Py_XSETREF(self->first, Py_XNewRef(truth));
    }
    Py_DECREF(decode);
    return status;
}

/* recv(decode=): text as bytes or binary as str, if asked for. Takes `data`. */
static PyObject *decoded(struct pywsc_operation *self, PyObject *data)
{
    PyObject *decode = self->first;
    if (decode == NULL || self->kind != PYWSC_RECV) {
        return data;
    }
    bool as_text = decode == Py_True;
    PyObject *result = data;
    if (as_text && PyBytes_CheckExact(data)) {
        result =
            PyUnicode_DecodeUTF8(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), NULL);
    }
    else if (!as_text && PyUnicode_CheckExact(data)) {
        result = PyUnicode_AsUTF8String(data);
    }
    if (result != data) {
        Py_DECREF(data);
    }
    return result;
}

static int wait_for_message(struct pywsc_operation *self)
{
    struct pywsc_connection *connection = self->connection;
    struct pywsc_waiter *waiter = pywsc_waiter_new(state_of(self), connection->loop);
    if (waiter == NULL) {
        return -1;
    }
    Py_XSETREF(self->waiter, (struct pywsc_waiter *)Py_NewRef((PyObject *)waiter));
    Py_XSETREF(connection->receive_waiter, waiter);
    return 0;
}

/* Messages are there, but it is the loop's turn: go on in its next round. */
static int wait_for_turn(struct pywsc_operation *self)
{
    struct pywsc_connection *connection = self->connection;
    int result = pywsc_call_method_soon(state_of(self), connection->loop,
                                        (PyObject *)connection, PYWSC_NAME_WAKE);
    return result < 0 ? -1 : wait_for_message(self);
}

/* decoded() failed. 2: a coroutine closes the connection and raises. -1. */
static int receive_failed(struct pywsc_operation *self)
{
    if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        return -1;
    }
    PyObject *exception = pywsc_take_raised();
    stop_receiving(self);
    self->inner = PyObject_CallMethodOneArg(
        (PyObject *)self->connection, state_of(self)->names[PYWSC_NAME_UNDECODABLE],
        exception);
    Py_DECREF(exception);
    return self->inner == NULL ? -1 : 2;
}

/* 1: *result is the message. 0: wait. 2: go the slow way. -1. */
static int step_receive(struct pywsc_operation *self, PyObject **result)
{
    struct pywsc_connection *connection = self->connection;
    bool next = self->kind == PYWSC_NEXT;
    if (self->first != NULL && !PyBool_Check(self->first) && settle_decode(self) < 0) {
        return -1;
    }
    if (self->stream != NULL && !self->holds) {
        if (!pywsc_message_stream_hold(self->stream)) {
            return continue_slowly(self, next ? PYWSC_NAME_NEXT_SLOW
                                              : PYWSC_NAME_RECEIVE_SLOW);
        }
        self->holds = true;
    }
    if (connection->receiver != NULL && connection->receiver != (PyObject *)self) {
        PyErr_SetString(state_of(self)->objects[PYWSC_CONCURRENCY_ERROR],
                        "another task is receiving from this connection already");
        return -1;
    }
    if (connection->listener != NULL) {
        PyErr_SetString(state_of(self)->objects[PYWSC_CONCURRENCY_ERROR],
                        "messages go to the listener");
        return -1;
    }
    connection->receiver = (PyObject *)self;
    if (connection->budget == 0 && connection->queue_count > 0 && !connection->lost) {
        return wait_for_turn(self);
    }
    int got = self->kind == PYWSC_FRAGMENT
                  ? pywsc_connection_take_fragment(connection, result)
                  : pywsc_connection_take(connection, result);
    if (got > 0) {
        connection->budget -= connection->budget > 0;
        pywsc_connection_next_step(connection);
        if (self->stream != NULL) {
            *result = pywsc_message_stream_make(self->stream, *result);
            return *result == NULL ? -1 : 1;
        }
        *result = decoded(self, *result);
        return *result == NULL ? receive_failed(self) : 1;
    }
    if (got < 0) {
        return -1;
    }
    if (connection->lost || connection->receive_ended) {
        return self->stream == NULL
                   ? raise_closed(self)
                   : continue_slowly(self, next ? PYWSC_NAME_NEXT_END
                                                : PYWSC_NAME_RECEIVE_END);
    }
    return wait_for_message(self);
}

/* --- sending --- */

static int wait_for_room(struct pywsc_operation *self)
{
    struct pywsc_connection *connection = self->connection;
    struct pywsc_waiter *waiter = pywsc_waiter_new(state_of(self), connection->loop);
    if (waiter == NULL) {
        return -1;
    }
    PyObject *list = connection->send_waiters == NULL ? PyList_New(0) : NULL;
    if (connection->send_waiters == NULL) {
        connection->send_waiters = Py_XNewRef(list);
    }
    Py_XDECREF(list);
    int result = connection->send_waiters == NULL
                     ? -1
                     : PyList_Append(connection->send_waiters, (PyObject *)waiter);
    Py_XSETREF(self->waiter, waiter);
    return result;
}

/* Go on in the loop's next round. */
static int wait_for_loop(struct pywsc_operation *self)
{
    struct pywsc_state *state = state_of(self);
    struct pywsc_waiter *waiter = pywsc_waiter_new(state, self->connection->loop);
    if (waiter == NULL) {
        return -1;
    }
    Py_XSETREF(self->waiter, waiter);
    return pywsc_call_method_soon(state, self->connection->loop, (PyObject *)waiter,
                                  PYWSC_NAME_WAKE);
}

static int start_slow_send(struct pywsc_operation *self, PyObject *message,
                           PyObject *text, PyObject *compress)
{
    struct pywsc_state *state = state_of(self);
    if (check_closed(self) < 0) {
        return -1;
    }
    PyObject *args[] = {
        (PyObject *)self->connection,
        message,
        text != NULL ? text : Py_None,
        compress != NULL ? compress : Py_None,
    };
    self->inner =
        PyObject_VectorcallMethod(state->names[PYWSC_NAME_SEND_SLOW], args, 4, NULL);
    return self->inner == NULL ? -1 : 2;
}

/* Queue the message. 0; 2: go the slow way; -1. */
static int send_message(struct pywsc_operation *self)
{
    /* References of our own: the truth of an argument is user code, which may do
     * anything to this operation. */
    PyObject *given[] = {Py_NewRef(self->first), Py_XNewRef(self->text),
                         Py_XNewRef(self->compress)};
    PyObject *text = given[1];
    PyObject *compress = given[2];
    int status = pywsc_truth_argument(&text);
    if (status == 0) {
        status = pywsc_truth_argument(&compress);
    }
    if (status == 0) {
        status = pywsc_connection_send(self->connection, given[0], text, compress);
    }
    if (status > 0) {
        status = start_slow_send(self, given[0], text, compress);
    }
    else if (status == 0) {
        self->sent = true;
        Py_CLEAR(self->first);
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(given); i++) {
        Py_XDECREF(given[i]);
    }
    return status;
}

/* 1: done. 0: wait. 2: go the slow way. -1. */
static int step_send(struct pywsc_operation *self)
{
    struct pywsc_connection *connection = self->connection;
    if (self->kind == PYWSC_SEND && !self->sent) {
        int status = send_message(self);
        if (status != 0) {
            return status;
        }
    }
    if (self->progress == PYWSC_FINISHED) {
        return 1; /* closed within the step */
    }
    if (!connection->write_paused) {
        /* A task that only sends must let the loop see the end of the connection. */
        if (self->waiter != NULL || ++connection->sends < PYWSC_BUDGET) {
            return 1;
        }
        connection->sends = 0;
        return wait_for_loop(self);
    }
    if (connection->lost) {
        return self->stream == NULL ? raise_closed(self)
                                    : continue_slowly(self, PYWSC_NAME_SEND_LOST);
    }
    return wait_for_room(self);
}

/* --- a step --- */

static PySendResult step(struct pywsc_operation *self, PyObject **result)
{
    int status;
    if (self->progress == PYWSC_FINISHED) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return PYGEN_ERROR;
    }
    if (self->progress == PYWSC_FRESH &&
        pywsc_connection_check_thread(self->connection) < 0) {
        pywsc_operation_finish(self);
        return PYGEN_ERROR;
    }
    self->progress = PYWSC_RUNNING;
    if (self->kind == PYWSC_SEND || self->kind == PYWSC_DRAIN) {
        status = step_send(self);
        *result = status == 1 ? Py_NewRef(Py_None) : NULL;
    }
    else {
        status = step_receive(self, result);
    }
    if (status == 0) {
        *result = Py_NewRef((PyObject *)self->waiter);
        return PYGEN_NEXT;
    }
    if (status == 2) {
        return PyIter_Send(self->inner, Py_None, result);
    }
    pywsc_operation_finish(self);
    return status < 0 ? PYGEN_ERROR : PYGEN_RETURN;
}

bool pywsc_operation_is_running(const struct pywsc_operation *self)
{
    if (self->running) {
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
    }
    return self->running;
}

PySendResult pywsc_operation_am_send(PyObject *op, PyObject *arg, PyObject **result)
{
    struct pywsc_operation *self = (struct pywsc_operation *)op;
    PySendResult outcome;
    *result = NULL;
    if (pywsc_operation_is_running(self)) {
        return PYGEN_ERROR;
    }
    Py_INCREF(op);
    self->running = true;
    if (self->inner != NULL && self->progress == PYWSC_RUNNING) {
        outcome = PyIter_Send(self->inner, arg, result);
    }
    else {
        outcome = step(self, result);
    }
    self->running = false;
    if (self->inner != NULL && outcome != PYGEN_NEXT &&
        self->progress != PYWSC_FINISHED) {
        pywsc_operation_finish(self);
    }
    Py_DECREF(op);
    return outcome;
}

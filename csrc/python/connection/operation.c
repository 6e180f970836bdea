#include "connection/operation.h"

#include "common/arguments.h"
#include "common/raised.h"
#include "connection/send.h"
#include "connection/steps.h"
#include "connection/take.h"
#include "tasks/loop.h"
#include "tasks/waiter.h"

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

/* Go on as that coroutine (NULL: an exception is set). */
static enum pywsc_outcome go_on_as(struct pywsc_operation *self, PyObject *coroutine)
{
    self->inner = coroutine;
    return coroutine == NULL ? PYWSC_FAILED : PYWSC_SLOWLY;
}

/* Go on as a coroutine of the stream. */
static enum pywsc_outcome
continue_slowly(struct pywsc_operation *self, enum pywsc_name name)
{
    stop_receiving(self);
    return go_on_as(self, PyObject_CallMethodNoArgs((PyObject *)self->stream,
                                                    state_of(self)->names[name]));
}

static enum pywsc_outcome raise_closed(struct pywsc_operation *self)
{
    struct pywsc_state *state = state_of(self);
    PyObject *exception = pywsc_connection_close_exception(self->connection);
    if (exception == NULL) {
        return PYWSC_FAILED;
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
    return PYWSC_FAILED;
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

static enum pywsc_outcome wait_for_message(struct pywsc_operation *self)
{
    struct pywsc_connection *connection = self->connection;
    struct pywsc_waiter *waiter = pywsc_waiter_new(state_of(self), connection->loop);
    if (waiter == NULL) {
        return PYWSC_FAILED;
    }
    Py_XSETREF(self->waiter, (struct pywsc_waiter *)Py_NewRef((PyObject *)waiter));
    Py_XSETREF(connection->receive_waiter, waiter);
    return PYWSC_WAITS;
}

/* Messages are there, but it is the loop's turn: go on in its next round. */
static enum pywsc_outcome wait_for_turn(struct pywsc_operation *self)
{
    struct pywsc_connection *connection = self->connection;
    int result = pywsc_call_method_soon(state_of(self), connection->loop,
                                        (PyObject *)connection, PYWSC_NAME_WAKE);
    return result < 0 ? PYWSC_FAILED : wait_for_message(self);
}

/* decoded() failed: a coroutine closes the connection and raises. */
static enum pywsc_outcome receive_failed(struct pywsc_operation *self)
{
    if (!PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        return PYWSC_FAILED;
    }
    PyObject *exception = pywsc_take_raised();
    stop_receiving(self);
    PyObject *coroutine = PyObject_CallMethodOneArg(
        (PyObject *)self->connection, state_of(self)->names[PYWSC_NAME_UNDECODABLE],
        exception);
    Py_DECREF(exception);
    return go_on_as(self, coroutine);
}

/* Done with the message in *result. */
static enum pywsc_outcome step_receive(struct pywsc_operation *self, PyObject **result)
{
    struct pywsc_connection *connection = self->connection;
    bool next = self->kind == PYWSC_NEXT;
    if (self->first != NULL && !PyBool_Check(self->first) && settle_decode(self) < 0) {
        return PYWSC_FAILED;
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
        return PYWSC_FAILED;
    }
    if (connection->listener != NULL) {
        PyErr_SetString(state_of(self)->objects[PYWSC_CONCURRENCY_ERROR],
                        "messages go to the listener");
        return PYWSC_FAILED;
    }
    connection->receiver = (PyObject *)self;
    if (connection->budget == 0 && connection->queue.count > 0 &&
        !connection->ended.tcp) {
        return wait_for_turn(self);
    }
    enum pywsc_outcome got = self->kind == PYWSC_FRAGMENT
                                 ? pywsc_connection_take_fragment(connection, result)
                                 : pywsc_connection_take(connection, result);
    if (got == PYWSC_DONE) {
        connection->budget -= connection->budget > 0;
        pywsc_connection_next_step(connection);
        if (self->stream != NULL) {
            *result = pywsc_message_stream_make(self->stream, *result);
            return *result == NULL ? PYWSC_FAILED : PYWSC_DONE;
        }
        *result = decoded(self, *result);
        return *result == NULL ? receive_failed(self) : PYWSC_DONE;
    }
    if (got == PYWSC_FAILED) {
        return PYWSC_FAILED;
    }
    if (connection->ended.tcp || connection->ended.receiving) {
        return self->stream == NULL
                   ? raise_closed(self)
                   : continue_slowly(self, next ? PYWSC_NAME_NEXT_END
                                                : PYWSC_NAME_RECEIVE_END);
    }
    return wait_for_message(self);
}

/* --- sending --- */

static enum pywsc_outcome wait_for_room(struct pywsc_operation *self)
{
    struct pywsc_connection *connection = self->connection;
    struct pywsc_waiter *waiter = pywsc_waiter_new(state_of(self), connection->loop);
    if (waiter == NULL) {
        return PYWSC_FAILED;
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
    return result < 0 ? PYWSC_FAILED : PYWSC_WAITS;
}

/* Go on in the loop's next round. */
static enum pywsc_outcome wait_for_loop(struct pywsc_operation *self)
{
    struct pywsc_state *state = state_of(self);
    struct pywsc_waiter *waiter = pywsc_waiter_new(state, self->connection->loop);
    if (waiter == NULL) {
        return PYWSC_FAILED;
    }
    Py_XSETREF(self->waiter, waiter);
    return pywsc_call_method_soon(state, self->connection->loop, (PyObject *)waiter,
                                  PYWSC_NAME_WAKE) < 0
               ? PYWSC_FAILED
               : PYWSC_WAITS;
}

static enum pywsc_outcome start_slow_send(struct pywsc_operation *self,
                                          PyObject *message, PyObject *text,
                                          PyObject *compress)
{
    struct pywsc_state *state = state_of(self);
    if (check_closed(self) < 0) {
        return PYWSC_FAILED;
    }
    PyObject *args[] = {
        (PyObject *)self->connection,
        message,
        text != NULL ? text : Py_None,
        compress != NULL ? compress : Py_None,
    };
    return go_on_as(self, PyObject_VectorcallMethod(state->names[PYWSC_NAME_SEND_SLOW],
                                                    args, 4, NULL));
}

/* Queue the message. */
static enum pywsc_outcome send_message(struct pywsc_operation *self)
{
    /* References of our own: the truth of an argument is user code, which may do
     * anything to this operation. */
    PyObject *given[] = {Py_NewRef(self->first), Py_XNewRef(self->text),
                         Py_XNewRef(self->compress)};
    PyObject *text = given[1];
    PyObject *compress = given[2];
    enum pywsc_outcome outcome = PYWSC_FAILED;
    if (pywsc_truth_argument(&text) == 0 && pywsc_truth_argument(&compress) == 0) {
        outcome = pywsc_connection_send(self->connection, given[0], text, compress);
    }
    if (outcome == PYWSC_SLOWLY) {
        outcome = start_slow_send(self, given[0], text, compress);
    }
    else if (outcome == PYWSC_DONE) {
        self->sent = true;
        Py_CLEAR(self->first);
    }
    for (size_t i = 0; i < Py_ARRAY_LENGTH(given); i++) {
        Py_XDECREF(given[i]);
    }
    return outcome;
}

static enum pywsc_outcome step_send(struct pywsc_operation *self)
{
    struct pywsc_connection *connection = self->connection;
    if (self->kind == PYWSC_SEND && !self->sent) {
        enum pywsc_outcome outcome = send_message(self);
        if (outcome != PYWSC_DONE) {
            return outcome;
        }
    }
    if (self->progress == PYWSC_FINISHED) {
        return PYWSC_DONE; /* closed within the step */
    }
    if (!connection->flow.write_paused) {
        /* A task that only sends must let the loop see the end of the connection. */
        if (self->waiter != NULL || ++connection->sends < PYWSC_BUDGET) {
            return PYWSC_DONE;
        }
        connection->sends = 0;
        return wait_for_loop(self);
    }
    if (connection->ended.tcp) {
        return self->stream == NULL ? raise_closed(self)
                                    : continue_slowly(self, PYWSC_NAME_SEND_LOST);
    }
    return wait_for_room(self);
}

/* --- a step --- */

static PySendResult step(struct pywsc_operation *self, PyObject **result)
{
    enum pywsc_outcome outcome;
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
        outcome = step_send(self);
        *result = outcome == PYWSC_DONE ? Py_NewRef(Py_None) : NULL;
    }
    else {
        outcome = step_receive(self, result);
    }
    if (outcome == PYWSC_WAITS) {
        *result = Py_NewRef((PyObject *)self->waiter);
        return PYGEN_NEXT;
    }
    if (outcome == PYWSC_SLOWLY) {
        return PyIter_Send(self->inner, Py_None, result);
    }
    pywsc_operation_finish(self);
    return outcome == PYWSC_FAILED ? PYGEN_ERROR : PYGEN_RETURN;
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

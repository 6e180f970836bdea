#include "message_stream.h"
#include "raised.h"

/* recv(), send() and their like return one of these: a coroutine in C. It goes to the
 * end at its first step whenever it can; else it hands the task a waiter and looks
 * again when the task is resumed. Cancelling it never loses a message: one is taken
 * only in the step that returns it. */

enum {
    FRESH,
    RUNNING,
    FINISHED,
};

struct operation {
    PyObject_HEAD struct pywsc_connection *connection;
    PyObject *first;
    PyObject *text;
    PyObject *compress;
    struct pywsc_waiter *waiter;         /* what the task waits on */
    struct pywsc_message_stream *stream; /* whose it is, or NULL */
    PyObject *inner;                     /* the coroutine of the slow way */
    char kind;
    char progress;
    bool sent;  /* SEND: queued already, only waiting for room */
    bool holds; /* of a stream: it is the one that receives */
};

static const char *const names[] = {
    [PYWSC_RECV] = "recv",
    [PYWSC_NEXT] = "__anext__",
    [PYWSC_FRAGMENT] = "recv_streaming",
    [PYWSC_SEND] = "send",
    [PYWSC_DRAIN] = "drain",
};

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
    struct operation *self = (struct operation *)pywsc_spares_new(
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
    self->progress = FRESH;
    self->sent = false;
    self->stream = NULL;
    self->holds = false;
    PyObject_GC_Track(self);
    return (PyObject *)self;
}

PyObject *pywsc_operation_for_stream(struct pywsc_message_stream *stream,
                                     enum pywsc_operation_kind kind, PyObject *first)
{
    PyObject *operation = pywsc_operation_new(
        (struct pywsc_connection *)stream->connection, kind, first, NULL, NULL);
    if (operation != NULL) {
        ((struct operation *)operation)->stream =
            (struct pywsc_message_stream *)Py_NewRef((PyObject *)stream);
    }
    return operation;
}

static struct pywsc_state *state_of(struct operation *self)
{
    return self->connection->state;
}

/* It receives no more. */
static void stop_receiving(struct operation *self)
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

/* Whatever happens next, this operation takes no part in it any more. */
static void finish(struct operation *self)
{
    struct pywsc_connection *connection = self->connection;
    self->progress = FINISHED;
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
static int continue_slowly(struct operation *self, enum pywsc_name name)
{
    stop_receiving(self);
    self->inner = PyObject_CallMethodNoArgs((PyObject *)self->stream,
                                            state_of(self)->names[name]);
    return self->inner == NULL ? -1 : 2;
}

static int raise_closed(struct operation *self)
{
    struct pywsc_state *state = state_of(self);
    PyObject *exception =
        pywsc_close_exception(state, &self->connection->protocol->conn);
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

/* recv(decode=): text as bytes or binary as str, if asked for. Takes `data`. */
static PyObject *decoded(struct operation *self, PyObject *data)
{
    PyObject *decode = self->first;
    if (decode == NULL || decode == Py_None || self->kind != PYWSC_RECV) {
        return data;
    }
    int as_text = PyObject_IsTrue(decode);
    PyObject *result = data;
    if (as_text < 0) {
        result = NULL;
    }
    else if (as_text && PyBytes_CheckExact(data)) {
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

static int wait_for_message(struct operation *self)
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
static int wait_for_turn(struct operation *self)
{
    struct pywsc_connection *connection = self->connection;
    int result = pywsc_call_method_soon(state_of(self), connection->loop,
                                        (PyObject *)connection, PYWSC_NAME_WAKE);
    return result < 0 ? -1 : wait_for_message(self);
}

/* 1: *result is the message. 0: wait. 2: go the slow way. -1. */
static int step_receive(struct operation *self, PyObject **result)
{
    struct pywsc_connection *connection = self->connection;
    bool next = self->kind == PYWSC_NEXT;
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
        *result = self->stream != NULL
                      ? pywsc_message_stream_make(self->stream, *result)
                      : decoded(self, *result);
        return *result == NULL ? -1 : 1;
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

static int wait_for_room(struct operation *self)
{
    struct pywsc_connection *connection = self->connection;
    struct pywsc_waiter *waiter = pywsc_waiter_new(state_of(self), connection->loop);
    if (waiter == NULL) {
        return -1;
    }
    Py_XSETREF(self->waiter, waiter);
    if (connection->send_waiters == NULL) {
        connection->send_waiters = PyList_New(0);
    }
    return connection->send_waiters == NULL
               ? -1
               : PyList_Append(connection->send_waiters, (PyObject *)waiter);
}

/* Go on in the loop's next round. */
static int wait_for_loop(struct operation *self)
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

static int start_slow_send(struct operation *self)
{
    struct pywsc_state *state = state_of(self);
    PyObject *args[] = {
        (PyObject *)self->connection,
        self->first,
        self->text != NULL ? self->text : Py_None,
        self->compress != NULL ? self->compress : Py_None,
    };
    self->inner =
        PyObject_VectorcallMethod(state->names[PYWSC_NAME_SEND_SLOW], args, 4, NULL);
    return self->inner == NULL ? -1 : 1;
}

/* 1: done. 0: wait. 2: go the slow way. -1. */
static int step_send(struct operation *self)
{
    struct pywsc_connection *connection = self->connection;
    if (self->kind == PYWSC_SEND && !self->sent) {
        int status =
            pywsc_connection_send(connection, self->first, self->text, self->compress);
        if (status > 0) {
            return start_slow_send(self) < 0 ? -1 : 2;
        }
        if (status < 0) {
            return -1;
        }
        self->sent = true;
        Py_CLEAR(self->first);
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

/* --- the coroutine --- */

static PySendResult step(struct operation *self, PyObject **result)
{
    int status;
    *result = NULL;
    if (self->progress == FINISHED) {
        PyErr_SetString(PyExc_RuntimeError, "cannot reuse already awaited coroutine");
        return PYGEN_ERROR;
    }
    if (self->progress == FRESH &&
        pywsc_connection_check_thread(self->connection) < 0) {
        finish(self);
        return PYGEN_ERROR;
    }
    self->progress = RUNNING;
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
    finish(self);
    return status < 0 ? PYGEN_ERROR : PYGEN_RETURN;
}

static PySendResult operation_am_send(PyObject *op, PyObject *arg, PyObject **result)
{
    struct operation *self = (struct operation *)op;
    PySendResult outcome;
    Py_INCREF(op);
    if (self->inner != NULL && self->progress == RUNNING) {
        outcome = PyIter_Send(self->inner, arg, result);
    }
    else {
        outcome = step(self, result);
    }
    if (self->inner != NULL && outcome != PYGEN_NEXT && self->progress != FINISHED) {
        finish(self);
    }
    Py_DECREF(op);
    return outcome;
}

/* As a generator does it: the value of a return is in StopIteration. */
static PyObject *to_iterator_result(PySendResult outcome, PyObject *result)
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

static PyObject *operation_iternext(PyObject *op)
{
    PyObject *result;
    PySendResult outcome = operation_am_send(op, Py_None, &result);
    return to_iterator_result(outcome, result);
}

static PyObject *operation_send(PyObject *op, PyObject *arg)
{
    PyObject *result;
    PySendResult outcome = operation_am_send(op, arg, &result);
    return to_iterator_result(outcome, result);
}

static PyObject *
throw_into_inner(struct operation *self, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *throw = PyObject_GetAttrString(self->inner, "throw");
    PyObject *result =
        throw == NULL ? NULL : PyObject_Vectorcall(throw, args, (size_t)nargs, NULL);
    Py_XDECREF(throw);
    if (result == NULL) {
        finish(self);
    }
    return result;
}

static PyObject *operation_throw(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    struct operation *self = (struct operation *)op;
    if (nargs < 1 || nargs > 3) {
        PyErr_SetString(PyExc_TypeError, "throw() takes an exception");
        return NULL;
    }
    if (self->inner != NULL && self->progress == RUNNING) {
        return throw_into_inner(self, args, nargs);
    }
    finish(self);
    PyObject *type = args[0];
    if (PyExceptionInstance_Check(type)) {
        PyErr_SetObject((PyObject *)Py_TYPE(type), type);
    }
    else if (PyExceptionClass_Check(type)) {
        PyErr_SetObject(type, nargs > 1 && args[1] != Py_None ? args[1] : NULL);
    }
    else {
        PyErr_SetString(PyExc_TypeError, "exceptions must derive from BaseException");
    }
    return NULL;
}

static PyObject *operation_close(PyObject *op, PyObject *unused)
{
    struct operation *self = (struct operation *)op;
    (void)unused;
    if (self->inner != NULL && self->progress == RUNNING) {
        PyObject *result = PyObject_CallMethod(self->inner, "close", NULL);
        if (result == NULL) {
            return NULL;
        }
        Py_DECREF(result);
    }
    finish(self);
    Py_RETURN_NONE;
}

static PyObject *get_name(PyObject *op, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(names[(int)((struct operation *)op)->kind]);
}

/* The class that the methods are known by. */
static const char *class_name(struct operation *self)
{
    return self->stream == NULL ? "Connection" : Py_TYPE(self->stream)->tp_name;
}

static PyObject *get_qualname(PyObject *op, void *closure)
{
    struct operation *self = (struct operation *)op;
    (void)closure;
    return PyUnicode_FromFormat("%s.%s", class_name(self), names[(int)self->kind]);
}

/* --- life --- */

static int operation_traverse(PyObject *op, visitproc visit, void *arg)
{
    struct operation *self = (struct operation *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT((PyObject *)self->connection);
    Py_VISIT(self->first);
    Py_VISIT(self->text);
    Py_VISIT(self->compress);
    Py_VISIT((PyObject *)self->waiter);
    Py_VISIT((PyObject *)self->stream);
    Py_VISIT(self->inner);
    return 0;
}

static int operation_clear(PyObject *op)
{
    struct operation *self = (struct operation *)op;
    finish(self);
    Py_CLEAR(self->inner);
    return 0;
}

static void operation_finalize(PyObject *op)
{
    struct operation *self = (struct operation *)op;
    if (self->progress != FRESH) {
        return;
    }
    PyObject *raised = pywsc_take_raised();
    if (PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "coroutine '%s.%s' was never awaited",
                         class_name(self), names[(int)self->kind]) < 0) {
        PyErr_WriteUnraisable(op);
    }
    pywsc_raise_again(raised);
}

static void operation_dealloc(PyObject *op)
{
    struct operation *self = (struct operation *)op;
    struct pywsc_state *state = state_of(self);
    if (self->progress == FRESH && PyObject_CallFinalizerFromDealloc(op) < 0) {
        return;
    }
    PyObject_GC_UnTrack(op);
    (void)operation_clear(op);
    Py_CLEAR(self->stream);
    Py_CLEAR(self->connection);
    pywsc_spares_free(&state->spare_operations, op);
}

static PyMethodDef operation_methods[] = {
    {"send", operation_send, METH_O, NULL},
    {"throw", (PyCFunction)(void (*)(void))operation_throw, METH_FASTCALL, NULL},
    {"close", operation_close, METH_NOARGS, NULL},
    {NULL},
};

static PyGetSetDef operation_getset[] = {
    {"__name__", get_name, NULL, NULL, NULL},
    {"__qualname__", get_qualname, NULL, NULL, NULL},
    {NULL},
};

static PyType_Slot operation_slots[] = {
    {Py_tp_dealloc, operation_dealloc},
    {Py_tp_finalize, operation_finalize},
    {Py_tp_traverse, operation_traverse},
    {Py_tp_clear, operation_clear},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, operation_iternext},
    {Py_am_await, PyObject_SelfIter},
    {Py_am_send, operation_am_send},
    {Py_tp_methods, operation_methods},
    {Py_tp_getset, operation_getset},
    {0, NULL},
};

static PyType_Spec operation_spec = {
    .name = "pywscore._core._Operation",
    .basicsize = sizeof(struct operation),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = operation_slots,
};

int pywsc_operation_init(PyObject *module, struct pywsc_state *state)
{
    state->operation =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &operation_spec, NULL);
    return state->operation == NULL ? -1 : 0;
}

#include "connection.h"
#include "engine.h"
#include "listener.h"
#include "raised.h"

#include <string.h>

/* --- the memory that a loop's connections receive into --- */

struct receive_buffer {
    PyObject_HEAD PyObject *bytes; /* bytearray */
    PyObject *view; /* memoryview of it, which keeps it from being resized */
};

static PyObject *
receive_buffer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"size", NULL};
    Py_ssize_t size = 256 * 1024;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|n", keywords, &size)) {
        return NULL;
    }
    if (size < 1) {
        PyErr_SetString(PyExc_ValueError, "size must be positive");
        return NULL;
    }
    struct receive_buffer *self = (struct receive_buffer *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->bytes = PyByteArray_FromStringAndSize(NULL, size);
    self->view = self->bytes == NULL ? NULL : PyMemoryView_FromObject(self->bytes);
    if (self->view == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void receive_buffer_dealloc(PyObject *op)
{
    struct receive_buffer *self = (struct receive_buffer *)op;
    PyTypeObject *type = Py_TYPE(op);
    Py_CLEAR(self->view);
    Py_CLEAR(self->bytes);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyType_Slot receive_buffer_slots[] = {
    {Py_tp_doc, PyDoc_STR("ReceiveBuffer(size=262144)\n--\n\n"
                          "The memory that all connections of a loop receive into.")},
    {Py_tp_new, receive_buffer_new},
    {Py_tp_dealloc, receive_buffer_dealloc},
    {0, NULL},
};

static PyType_Spec receive_buffer_spec = {
    .name = "pywscore._core.ReceiveBuffer",
    .basicsize = sizeof(struct receive_buffer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = receive_buffer_slots,
};

/* --- hooks --- */

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

void pywsc_connection_fail(struct pywsc_connection *self)
{
    static const char reason[] = "internal error";
    if (wsc_conn_fail(&self->protocol->conn, WSC_CLOSE_INTERNAL_ERROR, reason,
                      sizeof(reason) - 1) != WSC_OK) {
        self->protocol->conn.end_expected = true; /* even without a close frame */
    }
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
    pywsc_connection_fail(self);
    return pywsc_report_exception(self->state, self->loop,
                                  "exception in a connection's hook");
}

/* --- batches: what the transport calls --- */

void pywsc_connection_batch_begin(struct pywsc_connection *self)
{
    Py_INCREF((PyObject *)self);
    self->batch++;
}

PyObject *pywsc_connection_batch_end(struct pywsc_connection *self, int result)
{
    PyObject *raised = pywsc_take_raised();
    self->batch--;
    int flushed = pywsc_connection_flush(self);
    if (raised != NULL) {
        if (flushed < 0) {
            PyErr_WriteUnraisable((PyObject *)self);
        }
        pywsc_raise_again(raised);
    }
    Py_DECREF((PyObject *)self);
    if (result < 0 || flushed < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* Our water marks are the transport's. */
static int limit_transport(struct pywsc_connection *self)
{
    if (self->on_engine) {
        struct pywsc_transport *transport = (struct pywsc_transport *)self->transport;
        transport->high = self->write_high;
        transport->low = self->write_low;
        return 0;
    }
    PyObject *result =
        PyObject_CallMethod(self->transport, "set_write_buffer_limits", "nn",
                            (Py_ssize_t)self->write_high, (Py_ssize_t)self->write_low);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static PyObject *connection_made(PyObject *op, PyObject *transport)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    if (pywsc_connection_check_thread(self) < 0) {
        return NULL;
    }
    Py_SETREF(self->transport, Py_NewRef(transport));
    PyTypeObject *engine_transport = self->state->engine_transport;
    self->on_engine =
        engine_transport != NULL && PyObject_TypeCheck(transport, engine_transport);
    if (limit_transport(self) < 0) {
        return NULL;
    }
    pywsc_connection_batch_begin(self);
    return pywsc_connection_batch_end(self, 0);
}

static PyObject *get_buffer(PyObject *op, PyObject *sizehint)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    (void)sizehint;
    if (self->receive_buffer == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "__init__() was not called");
        return NULL;
    }
    return Py_NewRef(((struct receive_buffer *)self->receive_buffer)->view);
}

static PyObject *buffer_updated(PyObject *op, PyObject *nbytes)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    Py_ssize_t len = PyLong_AsSsize_t(nbytes);
    if ((len == -1 && PyErr_Occurred()) || pywsc_connection_check_thread(self) < 0) {
        return NULL;
    }
    PyObject *bytes = ((struct receive_buffer *)self->receive_buffer)->bytes;
    if (len < 0 || len > PyByteArray_GET_SIZE(bytes)) {
        PyErr_SetString(PyExc_ValueError, "more bytes than the buffer has");
        return NULL;
    }
    pywsc_connection_batch_begin(self);
    const uint8_t *data = (const uint8_t *)PyByteArray_AS_STRING(bytes);
    return pywsc_connection_batch_end(
        self, self->lost ? 0 : pywsc_connection_receive(self, data, (size_t)len));
}

static PyObject *eof_received(PyObject *op, PyObject *unused)
{
    (void)op;
    (void)unused;
    Py_RETURN_NONE; /* the transport closes itself; connection_lost does the rest */
}

static PyObject *connection_lost(PyObject *op, PyObject *exc)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    if (pywsc_connection_check_thread(self) < 0) {
        return NULL;
    }
    pywsc_connection_batch_begin(self);
    int result = pywsc_connection_drain(self);
    if (result < 0) {
        /* No memory for what was left: it is lost, but nobody may wait for more. */
        result = pywsc_report_exception(self->state, self->loop,
                                        "exception at the end of a connection");
    }
    self->lost = true;
    result = pywsc_deadlines_lost(self);
    if (result == 0) {
        result = pywsc_connection_hook(self, PYWSC_NAME_ON_LOST, Py_NewRef(exc));
    }
    if (result == 0) {
        result = pywsc_listener_closed(self);
    }
    if (result == 0) {
        result = pywsc_connection_wake_senders(self);
    }
    if (result == 0) {
        result = pywsc_connection_wake_receiver(self, true);
    }
    return pywsc_connection_batch_end(self, result);
}

static PyObject *pause_writing(PyObject *op, PyObject *unused)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    (void)unused;
    if (pywsc_connection_check_thread(self) < 0) {
        return NULL;
    }
    self->write_paused = true;
    if (pywsc_deadlines_write_paused(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *resume_writing(PyObject *op, PyObject *unused)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    (void)unused;
    if (pywsc_connection_check_thread(self) < 0) {
        return NULL;
    }
    self->write_paused = false;
    /* What had to wait comes first, and may fill the transport again. */
    if (pywsc_connection_flush(self) < 0) {
        return NULL;
    }
    if (self->write_paused) {
        Py_RETURN_NONE;
    }
    if (pywsc_deadlines_write_resumed(self) < 0) {
        return NULL;
    }
    pywsc_connection_batch_begin(self);
    int result = pywsc_connection_wake_senders(self);
    if (result == 0 && self->listener != NULL) {
        result = pywsc_connection_read_on(self);
    }
    return pywsc_connection_batch_end(self, result);
}

/* The loop's turn is over: the one who receives goes on. */
static PyObject *wake(PyObject *op, PyObject *unused)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    (void)unused;
    if (pywsc_connection_check_thread(self) < 0) {
        return NULL;
    }
    pywsc_connection_batch_begin(self);
    self->budget = PYWSC_BUDGET;
    self->turn_wanted = false;
    wsc_conn_hold_failure(&self->protocol->conn, false);
    return pywsc_connection_batch_end(
        self, self->listener != NULL ? pywsc_connection_read_on(self)
                                     : pywsc_connection_wake_receiver(self, true));
}

static PyObject *end_receiving(PyObject *op, PyObject *unused)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    (void)unused;
    if (pywsc_connection_check_thread(self) < 0) {
        return NULL;
    }
    pywsc_connection_batch_begin(self);
    self->receive_ended = true;
    return pywsc_connection_batch_end(self, pywsc_connection_wake_receiver(self, true));
}

/* --- the asynchronous methods --- */

static PyObject *
recv(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"decode"};
    PyObject *decode;
    if (nargs > 1) {
        return PyErr_Format(PyExc_TypeError,
                            "recv() takes at most 1 argument (%zd given)", nargs);
    }
    if (pywsc_keywords("recv", args + nargs, kwnames, names, 1, &decode) < 0) {
        return NULL;
    }
    return pywsc_operation_new((struct pywsc_connection *)op, PYWSC_RECV,
                               nargs == 1 ? args[0] : decode, NULL, NULL);
}

static PyObject *anext(PyObject *op)
{
    return pywsc_operation_new((struct pywsc_connection *)op, PYWSC_NEXT, NULL, NULL,
                               NULL);
}

static PyObject *recv_fragment(PyObject *op, PyObject *unused)
{
    (void)unused;
    return pywsc_operation_new((struct pywsc_connection *)op, PYWSC_FRAGMENT, NULL,
                               NULL, NULL);
}

static PyObject *
send(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"message", "text", "compress"};
    PyObject *values[3];
    if (nargs > 3) {
        return PyErr_Format(PyExc_TypeError,
                            "send() takes at most 3 arguments (%zd given)", nargs);
    }
    if (pywsc_keywords("send", args + nargs, kwnames, names, 3, values) < 0) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < nargs; i++) {
        if (values[i] != NULL) {
            return PyErr_Format(PyExc_TypeError, "send() got multiple values for '%s'",
                                names[i]);
        }
        values[i] = args[i];
    }
    if (values[0] == NULL) {
        PyErr_SetString(PyExc_TypeError, "send() needs a message");
        return NULL;
    }
    return pywsc_operation_new((struct pywsc_connection *)op, PYWSC_SEND, values[0],
                               values[1], values[2]);
}

static PyObject *drain(PyObject *op, PyObject *unused)
{
    (void)unused;
    return pywsc_operation_new((struct pywsc_connection *)op, PYWSC_DRAIN, NULL, NULL,
                               NULL);
}

static PyObject *flush(PyObject *op, PyObject *unused)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    (void)unused;
    if (pywsc_connection_check_thread(self) < 0 || pywsc_connection_flush(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *check_thread(PyObject *op, PyObject *unused)
{
    (void)unused;
    if (pywsc_connection_check_thread((struct pywsc_connection *)op) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* Hooks do nothing unless a subclass defines them. */
static PyObject *no_hook(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    (void)op;
    (void)args;
    (void)nargs;
    Py_RETURN_NONE;
}

#define FAST(function) (PyCFunction)(void (*)(void))(function)

static PyMethodDef connection_methods[] = {
    {"connection_made", connection_made, METH_O, NULL},
    {"get_buffer", get_buffer, METH_O, NULL},
    {"buffer_updated", buffer_updated, METH_O, NULL},
    {"eof_received", eof_received, METH_NOARGS, NULL},
    {"connection_lost", connection_lost, METH_O, NULL},
    {"pause_writing", pause_writing, METH_NOARGS, NULL},
    {"resume_writing", resume_writing, METH_NOARGS, NULL},
    {"_wake", wake, METH_NOARGS, NULL},
    {"_end_receiving", end_receiving, METH_NOARGS, NULL},
    {"recv", FAST(recv), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("recv($self, decode=None)\n--\n\n"
               "Receive the next message: str for text, bytes for binary.\n\n"
               "decode: True for str, False for bytes, whatever the message was.\n"
               "ConnectionClosed once the connection is closed and all messages were "
               "received; ConcurrencyError while another task receives. Cancelling it "
               "loses no message.")},
    {"_listen", pywsc_connection_listen, METH_O, NULL},
    {"_recv_fragment", recv_fragment, METH_NOARGS, NULL},
    {"send", FAST(send), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR(
         "send($self, message, text=None, compress=None)\n--\n\n"
         "Send a message: str as text, bytes-like as binary, an iterable or async "
         "iterable of either as fragments.\n\n"
         "text: True or False to send it as text or binary whatever it is.\n"
         "compress: True or False overrides the threshold of the compression that "
         "was agreed.\n"
         "Waits while output is above the high-water mark. ConnectionClosed when "
         "the connection is not open; TypeError for other messages.")},
    {"send_nowait", FAST(pywsc_connection_send_nowait), METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("send_nowait($self, message, *, text=None, compress=None)\n--\n\n"
               "Queue a message at once; whether output is below the high-water mark. "
               "Bounding what is queued otherwise is the caller's.")},
    {"drain", drain, METH_NOARGS,
     PyDoc_STR("drain($self)\n--\n\nWait until output is below the low-water mark.")},
    {"flush", flush, METH_NOARGS,
     PyDoc_STR(
         "flush($self)\n--\n\nHand what the protocol has queued to the transport.")},
    {"_check_thread", check_thread, METH_NOARGS, NULL},
    {"_on_request", FAST(no_hook), METH_FASTCALL, NULL},
    {"_on_response", FAST(no_hook), METH_FASTCALL, NULL},
    {"_on_handshake_failed", FAST(no_hook), METH_FASTCALL, NULL},
    {"_on_pong", FAST(no_hook), METH_FASTCALL, NULL},
    {"_on_listener_failed", FAST(no_hook), METH_FASTCALL, NULL},
    {"_on_closing", FAST(no_hook), METH_FASTCALL, NULL},
    {"_on_lost", FAST(no_hook), METH_FASTCALL, NULL},
    {"_on_open_timeout", FAST(no_hook), METH_FASTCALL, NULL},
    {"_send_keepalive_ping", FAST(no_hook), METH_FASTCALL, NULL},
    {"_start_close", FAST(no_hook), METH_FASTCALL, NULL},
    {"_fail", FAST(no_hook), METH_FASTCALL, NULL},
    {"_abort", FAST(no_hook), METH_FASTCALL, NULL},
    {"_opens_by", pywsc_deadlines_opening, METH_O, NULL},
    {"_has_opened", pywsc_deadlines_opened, METH_NOARGS, NULL},
    {"_closes_within", pywsc_deadlines_closing, METH_O, NULL},
    {"_is_alive", pywsc_deadlines_alive, METH_O, NULL},
    {NULL},
};

/* --- attributes --- */

static PyObject *get_messages_queued(PyObject *op, void *closure)
{
    (void)closure;
    return PyLong_FromSize_t(((struct pywsc_connection *)op)->queue_count);
}

static PyObject *get_messages_sent(PyObject *op, void *closure)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    (void)closure;
    return pywsc_connection_check_thread(self) < 0
               ? NULL
               : PyLong_FromUnsignedLongLong(self->protocol->conn.messages_sent);
}

/* All that the core counts, in the order of _core.pyi. */
static PyObject *get_traffic(PyObject *op, void *closure)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    (void)closure;
    if (pywsc_connection_check_thread(self) < 0) {
        return NULL;
    }
    const struct wsc_conn *conn = &self->protocol->conn;
    return Py_BuildValue(
        "KKKKKKKKn", self->messages_received, (unsigned long long)conn->messages_sent,
        (unsigned long long)conn->bytes_received,
        (unsigned long long)conn->outgoing.consumed,
        (unsigned long long)conn->assembler.compressed_bytes,
        (unsigned long long)conn->assembler.decompressed_bytes,
        (unsigned long long)conn->compressed_sent,
        (unsigned long long)conn->decompressed_sent, (Py_ssize_t)conn->outgoing.size);
}

static PyGetSetDef connection_getset[] = {
    {"messages_queued", get_messages_queued, NULL,
     PyDoc_STR("Messages received and not taken yet."), NULL},
    {"messages_sent", get_messages_sent, NULL,
     PyDoc_STR("Complete messages queued for sending so far."), NULL},
    {"_traffic", get_traffic, NULL, NULL, NULL},
    {"_keepalive", pywsc_deadlines_keepalive, NULL, NULL, NULL},
    {NULL},
};

static PyMemberDef connection_members[] = {
    {"protocol", T_OBJECT_EX, offsetof(struct pywsc_connection, protocol), READONLY,
     "The sans-IO object."},
    {"loop", T_OBJECT_EX, offsetof(struct pywsc_connection, loop), READONLY,
     "The event loop."},
    {"transport", T_OBJECT, offsetof(struct pywsc_connection, transport), READONLY,
     "The asyncio transport; None before connection_made."},
    {"_fragmented_send", T_OBJECT, offsetof(struct pywsc_connection, fragmented_send),
     0, NULL},
    {"write_paused", T_BOOL, offsetof(struct pywsc_connection, write_paused), READONLY,
     "Output is above the high-water mark."},
    {"read_paused", T_BOOL, offsetof(struct pywsc_connection, read_paused), READONLY,
     "Reading stopped because the receive queue is full."},
    {"messages_received", T_ULONGLONG,
     offsetof(struct pywsc_connection, messages_received), READONLY,
     "Complete messages received so far."},
    {"broadcasts_skipped", T_ULONGLONG,
     offsetof(struct pywsc_connection, broadcasts_skipped), READONLY,
     "Messages that broadcast() left out because this peer reads too slowly."},
    {NULL},
};

/* --- life --- */

static int get_marks(PyObject *object, const char *name, size_t *high, size_t *low)
{
    Py_ssize_t values[2];
    if (object == Py_None) {
        *high = SIZE_MAX / 2;
        *low = SIZE_MAX / 4;
        return 0;
    }
    if (!PyTuple_Check(object) || PyTuple_GET_SIZE(object) != 2) {
        PyErr_Format(PyExc_TypeError, "%s must be a pair", name);
        return -1;
    }
    for (Py_ssize_t i = 0; i < 2; i++) {
        PyObject *item = PyTuple_GET_ITEM(object, i);
        values[i] = item == Py_None ? PY_SSIZE_T_MAX / 2
                                    : PyNumber_AsSsize_t(item, PyExc_ValueError);
        if (values[i] == -1 && PyErr_Occurred()) {
            return -1;
        }
    }
    if (values[1] < 0 || values[0] < values[1] || values[0] < 0) {
        PyErr_Format(PyExc_ValueError, "%s must be high >= low >= 0", name);
        return -1;
    }
    *high = (size_t)values[0];
    *low = (size_t)values[1];
    return 0;
}

static int connection_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {
        "protocol",    "loop",          "receive_buffer", "timers",       "max_queue",
        "write_limit", "ping_interval", "ping_timeout",   "idle_timeout", NULL};
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    struct pywsc_state *state = pywsc_type_state(Py_TYPE(op));
    PyObject *protocol;
    PyObject *loop;
    PyObject *receive_buffer;
    PyObject *timers;
    PyObject *max_queue;
    PyObject *write_limit;
    PyObject *clocks[3];
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "O!$OO!O!OOOOO", keywords, state->protocol, &protocol, &loop,
            state->receive_buffer, &receive_buffer, state->timers, &timers, &max_queue,
            &write_limit, &clocks[0], &clocks[1], &clocks[2])) {
        return -1;
    }
    if (self->protocol != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "__init__() was called twice");
        return -1;
    }
    if (!((struct pywsc_protocol *)protocol)->initialized) {
        PyErr_SetString(PyExc_ValueError, "the protocol is not initialized");
        return -1;
    }
    if (get_marks(max_queue, "max_queue", &self->queue_high, &self->queue_low) < 0 ||
        get_marks(write_limit, "write_limit", &self->write_high, &self->write_low) <
            0 ||
        pywsc_deadlines_init(&self->deadlines, timers, clocks) < 0) {
        return -1;
    }
#if defined(Py_GIL_DISABLED) && PY_VERSION_HEX >= 0x030E0000
    PyUnstable_EnableTryIncRef(op); /* for the timers */
#endif
    if (self->queue_high == 0) {
        self->queue_high = 1;
    }
    self->state = state;
    self->has_on_ping = PyObject_HasAttr(op, state->names[PYWSC_NAME_ON_PING]) != 0;
    self->thread = PyThread_get_thread_ident();
    self->loop = Py_NewRef(loop);
    self->receive_buffer = Py_NewRef(receive_buffer);
    self->transport = Py_NewRef(Py_None);
    self->fragmented_send = Py_NewRef(Py_None);
    self->protocol = (struct pywsc_protocol *)Py_NewRef(protocol);
    return 0;
}

static int connection_traverse(PyObject *op, visitproc visit, void *arg)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT((PyObject *)self->protocol);
    Py_VISIT(self->loop);
    Py_VISIT((PyObject *)self->deadlines.timers);
    Py_VISIT(self->transport);
    Py_VISIT(self->receive_buffer);
    Py_VISIT(self->fragmented_send);
    Py_VISIT(self->listener);
    Py_VISIT((PyObject *)self->receive_waiter);
    Py_VISIT(self->send_waiters);
    return 0;
}

/* Not the protocol, loop, timers and receive buffer: methods count on them, and none of
 * them refers back to a connection but through what is cleared here. */
static int connection_clear(PyObject *op)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    if (self->transport != NULL) {
        self->on_engine = false;
        Py_SETREF(self->transport, Py_NewRef(Py_None));
        Py_SETREF(self->fragmented_send, Py_NewRef(Py_None));
    }
    Py_CLEAR(self->listener);
    Py_CLEAR(self->receive_waiter);
    Py_CLEAR(self->send_waiters);
    return 0;
}

#ifdef Py_GIL_DISABLED
/* Garbage that the collector has found is cleared while other threads run: from here on
 * the loop's timers don't give it out. If they just have, it is no garbage any more. */
static void connection_finalize(PyObject *op)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    if (self->deadlines.timers != NULL) {
        pywsc_timers_cancel(self->deadlines.timers, &self->deadlines.timer);
    }
}
#endif

static void connection_dealloc(PyObject *op)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    pywsc_deadlines_fini(&self->deadlines);
    pywsc_connection_clear_queue(self);
    Py_CLEAR(self->transport);
    Py_CLEAR(self->fragmented_send);
    Py_CLEAR(self->listener);
    Py_CLEAR(self->receive_waiter);
    Py_CLEAR(self->send_waiters);
    Py_CLEAR(self->joining);
    Py_CLEAR(self->receive_buffer);
    Py_CLEAR(self->loop);
    Py_CLEAR(self->protocol);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyType_Slot connection_slots[] = {
    {Py_tp_doc, PyDoc_STR("The hot path of an asyncio connection.")},
    {Py_tp_init, connection_init},
    {Py_tp_dealloc, connection_dealloc},
#ifdef Py_GIL_DISABLED
    {Py_tp_finalize, connection_finalize},
#endif
    {Py_tp_traverse, connection_traverse},
    {Py_tp_clear, connection_clear},
    {Py_tp_methods, connection_methods},
    {Py_tp_members, connection_members},
    {Py_tp_getset, connection_getset},
    {Py_am_aiter, PyObject_SelfIter},
    {Py_am_anext, anext},
    {0, NULL},
};

static PyType_Spec connection_spec = {
    .name = "pywscore._core.Connection",
    .basicsize = sizeof(struct pywsc_connection),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = connection_slots,
};

int pywsc_connection_init(PyObject *module, struct pywsc_state *state)
{
    state->receive_buffer = pywsc_add_type(module, &receive_buffer_spec, NULL);
    state->connection = pywsc_add_type(module, &connection_spec, NULL);
    if (state->receive_buffer == NULL || state->connection == NULL) {
        return -1;
    }
    return pywsc_operation_init(module, state);
}

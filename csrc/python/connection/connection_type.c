#include "connection/connection_type.h"

#include "common/arguments.h"
#include "common/coroutine_method.h"
#include "common/docs.h"
#include "connection/batch.h"
#include "connection/calls.h"
#include "connection/carrier.h"
#include "connection/connection.h"
#include "connection/deadlines.h"
#include "connection/operation.h"
#include "connection/operation_coroutine.h"
#include "connection/queue.h"
#include "connection/rate.h"
#include "connection/receive_buffer.h"
#include "connection/send.h"
#include "connection/steps.h"
#include "connection/trace.h"
#include "connection/traffic.h"
#include "connection/untaken.h"
#include "protocol/attributes.h"
#include "protocol/protocol.h"
#include "tasks/timers.h"

/* Connection: what it is made of, and what Python sees of it. */

/* --- the asynchronous methods --- */

static PyObject *
recv(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"decode"};
    PyObject *decode;
    if (pywsc_parameters("recv", args, nargs, kwnames, names, 1, &decode) < 0) {
        return NULL;
    }
    return pywsc_operation_new((struct pywsc_connection *)op, PYWSC_RECV, decode, NULL,
                               NULL);
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
    if (pywsc_parameters("send", args, nargs, kwnames, names, 3, values) < 0) {
        return NULL;
    }
    if (values[0] == NULL) {
        PyErr_SetString(PyExc_TypeError, "send() needs a message");
        return NULL;
    }
    return pywsc_operation_new((struct pywsc_connection *)op, PYWSC_SEND, values[0],
                               values[1], values[2]);
}

static PyObject *
drain(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (pywsc_parameters("drain", args, nargs, kwnames, NULL, 0, NULL) < 0) {
        return NULL;
    }
    return pywsc_operation_new((struct pywsc_connection *)op, PYWSC_DRAIN, NULL, NULL,
                               NULL);
}

static PyObject *flush(PyObject *op, PyObject *unused)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    (void)unused;
    if (pywsc_connection_check_thread(self) < 0) {
        return NULL;
    }
    self->flow.flush_wanted = false;
    if (pywsc_connection_flush(self) < 0) {
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

static PyObject *close_exception(PyObject *op, PyObject *unused)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    (void)unused;
    return pywsc_connection_check_thread(self) < 0
               ? NULL
               : pywsc_connection_close_exception(self);
}

static const struct pywsc_coroutine_method_def coroutine_methods[] = {
    {"recv", recv, PYWSC_DOC_CONNECTION_RECV},
    {"send", send, PYWSC_DOC_CONNECTION_SEND},
    {"drain", drain, PYWSC_DOC_CONNECTION_DRAIN},
    {NULL, NULL, NULL},
};

static PyMethodDef connection_methods[] = {
    {"connection_made", pywsc_connection_made, METH_O,
     PYWSC_DOC_CONNECTION_CONNECTION_MADE},
    {"get_buffer", pywsc_connection_get_buffer, METH_O,
     PYWSC_DOC_CONNECTION_GET_BUFFER},
    {"buffer_updated", pywsc_connection_buffer_updated, METH_O,
     PYWSC_DOC_CONNECTION_BUFFER_UPDATED},
    {"eof_received", pywsc_connection_eof_received, METH_NOARGS,
     PYWSC_DOC_CONNECTION_EOF_RECEIVED},
    {"connection_lost", pywsc_connection_lost, METH_O,
     PYWSC_DOC_CONNECTION_CONNECTION_LOST},
    {"pause_writing", pywsc_connection_pause_writing, METH_NOARGS,
     PYWSC_DOC_CONNECTION_PAUSE_WRITING},
    {"resume_writing", pywsc_connection_resume_writing, METH_NOARGS,
     PYWSC_DOC_CONNECTION_RESUME_WRITING},
    {"_wake", pywsc_connection_wake, METH_NOARGS, NULL},
    {"_end_receiving", pywsc_connection_end_receiving, METH_NOARGS, NULL},
    {"_close_exception", close_exception, METH_NOARGS, NULL},
    {"_listen", pywsc_connection_listen, METH_O, NULL},
    {"_start_trace", pywsc_connection_start_trace, METH_NOARGS, NULL},
    {"_recv_fragment", recv_fragment, METH_NOARGS, NULL},
    {"send_nowait", PYWSC_FUNCTION(pywsc_connection_send_nowait),
     METH_FASTCALL | METH_KEYWORDS, PYWSC_DOC_CONNECTION_SEND_NOWAIT},
    {"flush", flush, METH_NOARGS, PYWSC_DOC_CONNECTION_FLUSH},
    {"_add_traffic", pywsc_traffic_add, METH_O, NULL},
    {"_check_thread", check_thread, METH_NOARGS, NULL},
    {"_on_request", PYWSC_FUNCTION(no_hook), METH_FASTCALL, NULL},
    {"_on_response", PYWSC_FUNCTION(no_hook), METH_FASTCALL, NULL},
    {"_on_handshake_failed", PYWSC_FUNCTION(no_hook), METH_FASTCALL, NULL},
    {"_on_pong", PYWSC_FUNCTION(no_hook), METH_FASTCALL, NULL},
    {"_on_head_received", PYWSC_FUNCTION(no_hook), METH_FASTCALL, NULL},
    {"_on_frames", PYWSC_FUNCTION(no_hook), METH_FASTCALL, NULL},
    {"_on_close_received", PYWSC_FUNCTION(no_hook), METH_FASTCALL, NULL},
    {"_on_listener_failed", PYWSC_FUNCTION(no_hook), METH_FASTCALL, NULL},
    {"_on_closing", PYWSC_FUNCTION(no_hook), METH_FASTCALL, NULL},
    {"_on_output_taken", PYWSC_FUNCTION(no_hook), METH_FASTCALL, NULL},
    {"_on_lost", PYWSC_FUNCTION(no_hook), METH_FASTCALL, NULL},
    {"_on_open_timeout", PYWSC_FUNCTION(no_hook), METH_FASTCALL, NULL},
    {"_send_keepalive_ping", PYWSC_FUNCTION(no_hook), METH_FASTCALL, NULL},
    {"_start_close", PYWSC_FUNCTION(no_hook), METH_FASTCALL, NULL},
    {"_on_no_pong", PYWSC_FUNCTION(no_hook), METH_FASTCALL, NULL},
    {"_abort", PYWSC_FUNCTION(no_hook), METH_FASTCALL, NULL},
    {"_opens_by", pywsc_deadlines_opening, METH_O, NULL},
    {"_has_opened", pywsc_deadlines_opened, METH_NOARGS, NULL},
    {"_closes_within", pywsc_deadlines_closing, METH_O, NULL},
    {"_is_alive", pywsc_deadlines_alive, METH_O, NULL},
    {"_untaken", pywsc_untaken_size, METH_NOARGS, NULL},
    {NULL},
};

/* --- attributes --- */

static PyObject *get_messages_queued(PyObject *op, void *closure)
{
    (void)closure;
    return PyLong_FromSize_t(((struct pywsc_connection *)op)->queue.count);
}

static PyObject *get_messages_sent(PyObject *op, void *closure)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    (void)closure;
    return pywsc_connection_check_thread(self) < 0
               ? NULL
               : PyLong_FromUnsignedLongLong(self->protocol->conn.messages_sent);
}

static PyObject *get_state(PyObject *op, void *closure)
{
    PyObject *protocol = (PyObject *)((struct pywsc_connection *)op)->protocol;
    if (protocol == NULL) {
        PyErr_SetString(PyExc_AttributeError, "__init__() was not called");
        return NULL;
    }
    return pywsc_protocol_get_state(protocol, closure);
}

static PyGetSetDef connection_getset[] = {
    {"state", get_state, NULL, PYWSC_DOC_CONNECTION_STATE, NULL},
    {"messages_queued", get_messages_queued, NULL, PYWSC_DOC_CONNECTION_MESSAGES_QUEUED,
     NULL},
    {"messages_sent", get_messages_sent, NULL, PYWSC_DOC_CONNECTION_MESSAGES_SENT,
     NULL},
    {"_traffic", pywsc_traffic_get, NULL, NULL, NULL},
    {"_keepalive", pywsc_deadlines_keepalive, NULL, NULL, NULL},
    {NULL},
};

static PyMemberDef connection_members[] = {
    {"protocol", T_OBJECT_EX, offsetof(struct pywsc_connection, protocol), READONLY,
     PYWSC_DOC_CONNECTION_PROTOCOL},
    {"loop", T_OBJECT_EX, offsetof(struct pywsc_connection, loop), READONLY,
     PYWSC_DOC_CONNECTION_LOOP},
    {"transport", T_OBJECT, offsetof(struct pywsc_connection, transport), READONLY,
     PYWSC_DOC_CONNECTION_TRANSPORT},
    {"_fragmented_send", T_OBJECT, offsetof(struct pywsc_connection, fragmented_send),
     0, NULL},
    {"_by_loop", T_BOOL, offsetof(struct pywsc_connection, by_loop), 0, NULL},
    {"write_paused", T_BOOL, offsetof(struct pywsc_connection, flow.write_paused),
     READONLY, PYWSC_DOC_CONNECTION_WRITE_PAUSED},
    {"read_paused", T_BOOL, offsetof(struct pywsc_connection, flow.read_paused),
     READONLY, PYWSC_DOC_CONNECTION_READ_PAUSED},
    {"messages_received", T_ULONGLONG,
     offsetof(struct pywsc_connection, messages_received), READONLY,
     PYWSC_DOC_CONNECTION_MESSAGES_RECEIVED},
    {"broadcasts_skipped", T_ULONGLONG,
     offsetof(struct pywsc_connection, broadcasts_skipped), READONLY,
     PYWSC_DOC_CONNECTION_BROADCASTS_SKIPPED},
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
        "write_limit", "ping_interval", "ping_timeout",   "idle_timeout", "rate_limit",
        NULL};
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    struct pywsc_state *state = pywsc_type_state(Py_TYPE(op));
    PyObject *protocol;
    PyObject *loop;
    PyObject *receive_buffer;
    PyObject *timers;
    PyObject *max_queue;
    PyObject *write_limit;
    PyObject *clocks[3];
    PyObject *rate_limit = Py_None;
    struct pywsc_rate *rate;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "O!OO!O!OOOOO|O", keywords, state->protocol, &protocol, &loop,
            state->receive_buffer, &receive_buffer, state->timers, &timers, &max_queue,
            &write_limit, &clocks[0], &clocks[1], &clocks[2], &rate_limit)) {
        return -1;
    }
    if (!((struct pywsc_protocol *)protocol)->initialized) {
        PyErr_SetString(PyExc_ValueError, "the protocol is not initialized");
        return -1;
    }
    size_t marks[4];
    float seconds[3];
    if (get_marks(max_queue, "max_queue", &marks[0], &marks[1]) < 0 ||
        get_marks(write_limit, "write_limit", &marks[2], &marks[3]) < 0 ||
        pywsc_deadlines_read(clocks, seconds) < 0 ||
        pywsc_rate_read(rate_limit, &rate) < 0) {
        return -1;
    }
    /* An option may have run code: it is looked at after them. */
    if (self->protocol != NULL) {
        PyMem_Free(rate);
        PyErr_SetString(PyExc_RuntimeError, "__init__() was called twice");
        return -1;
    }
    if (!pywsc_protocol_take((struct pywsc_protocol *)protocol)) {
        PyMem_Free(rate);
        PyErr_SetString(PyExc_ValueError, "the protocol has a connection already");
        return -1;
    }
#if defined(Py_GIL_DISABLED) && PY_VERSION_HEX >= 0x030E0000
    PyUnstable_EnableTryIncRef(op); /* for the timers */
#endif
    self->queue.high = marks[0] == 0 ? 1 : marks[0];
    self->queue.low = marks[1];
    self->write_high = marks[2];
    self->write_low = marks[3];
    self->rate = rate;
    pywsc_deadlines_init(&self->deadlines, timers, seconds);
    self->state = state;
    self->step.ns = PYWSC_UNKNOWN_STEP_NS;
    self->thread = PyThread_get_thread_ident();
    self->loop = Py_NewRef(loop);
    self->receive_buffer = Py_NewRef(receive_buffer);
    self->transport = Py_NewRef(Py_None);
    self->carrier = &pywsc_transport_carrier;
    self->fragmented_send = Py_NewRef(Py_None);
    self->protocol = (struct pywsc_protocol *)Py_NewRef(protocol);
    self->has_on_ping = PyObject_HasAttr(op, state->names[PYWSC_NAME_ON_PING]) != 0;
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
        self->carrier = &pywsc_transport_carrier;
        Py_SETREF(self->transport, Py_NewRef(Py_None));
        Py_XSETREF(self->fragmented_send, Py_NewRef(Py_None));
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
    PyObject_GC_UnTrack(op);
    pywsc_deadlines_fini(&self->deadlines);
    pywsc_connection_clear_queue(self);
    PyMem_Free(self->rate);
    Py_CLEAR(self->transport);
    Py_CLEAR(self->fragmented_send);
    Py_CLEAR(self->listener);
    Py_CLEAR(self->receive_waiter);
    Py_CLEAR(self->send_waiters);
    Py_CLEAR(self->joining);
    Py_CLEAR(self->receive_buffer);
    Py_CLEAR(self->loop);
    Py_CLEAR(self->protocol);
    pywsc_free(op);
}

static PyType_Slot connection_slots[] = {
    {Py_tp_doc, PYWSC_DOC_CONNECTION},
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
    if (pywsc_receive_buffer_init(module, state) < 0) {
        return -1;
    }
    state->connection = pywsc_add_type(module, &connection_spec, NULL);
    if (state->connection == NULL ||
        pywsc_add_coroutine_methods(state, state->connection, coroutine_methods) < 0) {
        return -1;
    }
    return pywsc_operation_init(module, state);
}

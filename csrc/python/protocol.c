#include "protocol_methods.h"

#include <string.h>

#include "wsc/mask.h"

/* Input, events and output of the sans-IO objects; the rest of their methods is in
 * protocol_send.c and protocol_open.c. */

/* --- input --- */

/* All input has been used, so that `bytes` can be next. */
static void feed_now(struct pywsc_protocol *self, PyObject *bytes)
{
    const uint8_t *data = (const uint8_t *)PyBytes_AS_STRING(bytes);
    enum wsc_status status =
        wsc_conn_feed(&self->conn, data, (size_t)PyBytes_GET_SIZE(bytes));
    bool kept = status == WSC_OK && wsc_conn_input_left(&self->conn) > 0;
    Py_XSETREF(self->input, kept ? Py_NewRef(bytes) : NULL);
}

static bool input_waits(const struct pywsc_protocol *self)
{
    return self->more_input != NULL &&
           self->more_used < PyList_GET_SIZE(self->more_input);
}

int pywsc_protocol_feed(struct pywsc_protocol *self, PyObject *bytes)
{
    if (wsc_conn_input_left(&self->conn) == 0 && !input_waits(self)) {
        feed_now(self, bytes);
        return 0;
    }
    if (self->more_input == NULL) {
        self->more_input = PyList_New(0);
        self->more_used = 0;
        if (self->more_input == NULL) {
            return -1;
        }
    }
    return PyList_Append(self->more_input, bytes);
}

/* The core is done with the input; give it the next. False when there is none. */
static bool feed_next(struct pywsc_protocol *self)
{
    Py_CLEAR(self->input);
    while (input_waits(self)) {
        /* The list keeps its length, for taking from its front is slow; what is taken
         * is let go of at once. */
        PyObject *bytes = Py_NewRef(PyList_GET_ITEM(self->more_input, self->more_used));
        (void)PyList_SetItem(self->more_input, self->more_used, Py_NewRef(Py_None));
        self->more_used++;
        feed_now(self, bytes);
        Py_DECREF(bytes);
        if (self->input != NULL) {
            return true;
        }
    }
    Py_CLEAR(self->more_input);
    return false;
}

int pywsc_protocol_keep_input(struct pywsc_protocol *self)
{
    size_t left = wsc_conn_input_left(&self->conn);
    if (left == 0 || self->input != NULL) {
        return 0;
    }
    const uint8_t *data = self->conn.input;
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)left);
    if (bytes == NULL) {
        return -1;
    }
    wsc_conn_move_input(&self->conn, (const uint8_t *)PyBytes_AS_STRING(bytes));
    self->input = bytes;
    return 0;
}

void pywsc_protocol_eof(struct pywsc_protocol *self)
{
    if (wsc_conn_input_left(&self->conn) > 0 || input_waits(self)) {
        self->eof_pending = true;
        return;
    }
    self->eof_pending = false;
    wsc_conn_feed_eof(&self->conn);
}

enum wsc_status pywsc_protocol_next(struct pywsc_protocol *self, struct wsc_event *out)
{
    for (;;) {
        enum wsc_status status = wsc_conn_next_event(&self->conn, out);
        if (status == WSC_OK) {
            return status;
        }
        if (status < 0) {
            Py_CLEAR(self->input);
            Py_CLEAR(self->more_input);
        }
        else if (wsc_conn_input_left(&self->conn) > 0) {
            return WSC_NEED_DATA; /* the request has to be answered first */
        }
        else if (feed_next(self)) {
            continue;
        }
        if (self->eof_pending) {
            pywsc_protocol_eof(self);
        }
        return WSC_NEED_DATA;
    }
}

/* --- events --- */

PyObject *pywsc_protocol_head_event(struct pywsc_state *state,
                                    struct pywsc_protocol *self,
                                    enum wsc_event_type type)
{
    return type == WSC_EVENT_REQUEST ? pywsc_request_new(state, &self->conn)
                                     : pywsc_response_new(state, &self->conn);
}

static PyObject *event_object(struct pywsc_state *state, struct pywsc_protocol *self,
                              struct wsc_event *event)
{
    switch (event->type) {
    case WSC_EVENT_MESSAGE: {
        bool text = event->message.kind == WSC_PAYLOAD_TEXT;
        PyObject *data = pywsc_message_take(&event->message);
        return data == NULL ? NULL
                            : pywsc_message_event(state, data, text, event->message.fin,
                                                  event->message.compressed);
    }
    case WSC_EVENT_PING:
        return pywsc_ping_event(state, event->data, event->len);
    case WSC_EVENT_PONG:
        return pywsc_pong_event(state, event->data, event->len);
    case WSC_EVENT_CLOSE:
        return pywsc_close_event(state, self->conn.received);
    case WSC_EVENT_REQUEST:
    case WSC_EVENT_RESPONSE:
        break;
    }
    if (event->type == WSC_EVENT_RESPONSE &&
        pywsc_protocol_note_answer(state, self) < 0) {
        return NULL;
    }
    return pywsc_protocol_head_event(state, self, event->type);
}

int pywsc_protocol_note_failure(struct pywsc_state *state, struct pywsc_protocol *self)
{
    if (self->handshake_exception != NULL || wsc_conn_failure(&self->conn) == NULL) {
        return 0;
    }
    /* A client still reads the body of a refusal, which is part of the exception. */
    if (self->config.role == WSC_ROLE_CLIENT && self->conn.error == WSC_OK) {
        return 0;
    }
    self->handshake_exception = pywsc_handshake_exception(state, &self->conn);
    return self->handshake_exception == NULL ? -1 : 0;
}

/* The next event as an object; NULL without an exception when there is none. */
static PyObject *next_event(struct pywsc_protocol *self)
{
    struct pywsc_state *state = pywsc_type_state(Py_TYPE(self));
    struct wsc_event event;
    enum wsc_status status = pywsc_protocol_next(self, &event);
    if (pywsc_protocol_note_failure(state, self) < 0) {
        return NULL;
    }
    return status == WSC_OK ? event_object(state, self, &event) : NULL;
}

int pywsc_protocol_ready(struct pywsc_protocol *self)
{
    if (!self->initialized) {
        PyErr_SetString(PyExc_RuntimeError, "__init__() was not called");
        return -1;
    }
    return 0;
}

static PyObject *protocol_receive_data(PyObject *op, PyObject *data)
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    PyObject *bytes;
    if (pywsc_protocol_ready(self) < 0) {
        return NULL;
    }
    /* Anything but bytes may change behind our back: it is copied. */
    if (PyBytes_CheckExact(data)) {
        bytes = Py_NewRef(data);
    }
    else if (PyBytes_Check(data)) {
        /* Not what __buffer__() of the subclass gives (PEP 688): see pywsc_bytes_get.
         */
        bytes =
            PyBytes_FromStringAndSize(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data));
    }
    else if (PyObject_CheckBuffer(data)) {
        bytes = PyBytes_FromObject(data);
    }
    else {
        return PyErr_Format(PyExc_TypeError, "expected a bytes-like object, got %.100s",
                            Py_TYPE(data)->tp_name);
    }
    if (bytes == NULL) {
        return NULL;
    }
    int result = 0;
    Py_BEGIN_CRITICAL_SECTION(op);
    if (PyBytes_GET_SIZE(bytes) > 0 && self->conn.error == WSC_OK &&
        !self->conn.end_expected && !self->eof_pending) {
        result = pywsc_protocol_feed(self, bytes);
    }
    Py_END_CRITICAL_SECTION();
    Py_DECREF(bytes);
    if (result < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *protocol_receive_eof(PyObject *op, PyObject *unused)
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    (void)unused;
    if (pywsc_protocol_ready(self) < 0) {
        return NULL;
    }
    int result = 0;
    Py_BEGIN_CRITICAL_SECTION(op);
    pywsc_protocol_eof(self);
    result = pywsc_protocol_note_failure(pywsc_type_state(Py_TYPE(op)), self);
    Py_END_CRITICAL_SECTION();
    if (result < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *protocol_next_event(PyObject *op, PyObject *unused)
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    PyObject *event;
    (void)unused;
    if (pywsc_protocol_ready(self) < 0) {
        return NULL;
    }
    Py_BEGIN_CRITICAL_SECTION(op);
    event = next_event(self);
    Py_END_CRITICAL_SECTION();
    if (event == NULL && !PyErr_Occurred()) {
        Py_RETURN_NONE;
    }
    return event;
}

/* --- events(): iterates until more bytes are needed --- */

struct events {
    PyObject_HEAD PyObject *protocol;
};

static PyObject *protocol_events(PyObject *op, PyObject *unused)
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    (void)unused;
    if (pywsc_protocol_ready(self) < 0) {
        return NULL;
    }
    struct pywsc_state *state = pywsc_type_state(Py_TYPE(op));
    struct events *events = PyObject_GC_New(struct events, state->events);
    if (events == NULL) {
        return NULL;
    }
    events->protocol = Py_NewRef(op);
    PyObject_GC_Track(events);
    return (PyObject *)events;
}

static PyObject *events_next(PyObject *op)
{
    PyObject *protocol = ((struct events *)op)->protocol;
    PyObject *event;
    Py_BEGIN_CRITICAL_SECTION(protocol);
    event = next_event((struct pywsc_protocol *)protocol);
    Py_END_CRITICAL_SECTION();
    return event;
}

static int events_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((struct events *)op)->protocol);
    return 0;
}

static void events_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    Py_XDECREF(((struct events *)op)->protocol);
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

static PyType_Slot events_slots[] = {
    {Py_tp_dealloc, events_dealloc},
    {Py_tp_traverse, events_traverse},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, events_next},
    {0, NULL},
};

static PyType_Spec events_spec = {
    .name = "pywscore._core._Events",
    .basicsize = sizeof(struct events),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = events_slots,
};

/* --- output --- */

#define PIECES       16
#define LARGE_OUTPUT ((size_t)128 << 10) /* glibc's own first mark */

/* glibc gives the top of the heap back to the kernel when what is free there passes
 * twice the largest block that was ever mapped on its own and freed. A message and its
 * output come to just that, so each round trip of large messages would cost hundreds of
 * page faults. Freeing a mapped block of twice the size, once, moves the mark. */
static void expect_output(struct pywsc_state *state, size_t size)
{
#ifdef Py_GIL_DISABLED
    /* Objects of free-threaded builds are not in glibc's heap. */
    (void)state;
    (void)size;
#else
    if (size > state->largest_output) {
        state->largest_output = size;
        PyMem_RawFree(PyMem_RawMalloc(2 * size));
    }
#endif
}

/* Move what waits to `out`, which has room for it. */
static void move_output(struct pywsc_protocol *self, uint8_t *out)
{
    static const uint8_t no_mask[4];
    const struct wsc_outgoing *outgoing = &self->conn.outgoing;
    while (outgoing->size > 0) {
        struct wsc_outgoing_piece pieces[PIECES];
        size_t taken = 0;
        size_t count = wsc_outgoing_peek(outgoing, pieces, PIECES);
        for (size_t i = 0; i < count; i++) {
            /* Instead of memcpy, for the reason given in core/conn_send.c. */
            wsc_mask_copy(out + taken, pieces[i].data, pieces[i].len, no_mask, 0);
            taken += pieces[i].len;
        }
        out += taken;
        wsc_conn_sent(&self->conn, taken);
    }
}

/* Taking the output unblocks it: a pong that was held back goes with it (or, without
 * memory for that, with the next output). */
static PyObject *append_pong(struct pywsc_protocol *self, PyObject *output)
{
    const struct wsc_outgoing *outgoing = wsc_conn_outgoing(&self->conn);
    size_t before = (size_t)PyBytes_GET_SIZE(output);
    if (outgoing->size == 0) {
        return output;
    }
    PyObject *both =
        PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(before + outgoing->size));
    if (both == NULL) {
        PyErr_Clear();
        return output;
    }
    uint8_t *out = (uint8_t *)PyBytes_AS_STRING(both);
    memcpy(out, PyBytes_AS_STRING(output), before);
    move_output(self, out + before);
    Py_DECREF(output);
    return both;
}

PyObject *pywsc_protocol_take_output(struct pywsc_protocol *self)
{
    const struct wsc_outgoing *outgoing = wsc_conn_outgoing(&self->conn);
    if (outgoing->size >= LARGE_OUTPUT) {
        expect_output(pywsc_type_state(Py_TYPE(self)), outgoing->size);
    }
    PyObject *result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)outgoing->size);
    if (result == NULL) {
        return NULL;
    }
    if (PyBytes_GET_SIZE(result) == 0) {
        return result;
    }
    move_output(self, (uint8_t *)PyBytes_AS_STRING(result));
    return append_pong(self, result);
}

PyObject *pywsc_protocol_take_buffers(struct pywsc_protocol *self)
{
    const struct wsc_outgoing *outgoing = &self->conn.outgoing;
    PyObject *result = PyList_New(0);
    while (result != NULL && wsc_conn_outgoing(&self->conn)->size > 0) {
        struct wsc_outgoing_piece piece;
        (void)wsc_outgoing_peek(outgoing, &piece, 1);
        PyObject *bytes = piece.ctx != NULL
                              ? Py_NewRef((PyObject *)piece.ctx)
                              : PyBytes_FromStringAndSize((const char *)piece.data,
                                                          (Py_ssize_t)piece.len);
        int added = bytes == NULL ? -1 : PyList_Append(result, bytes);
        Py_XDECREF(bytes);
        if (added == 0) {
            wsc_conn_sent(&self->conn, piece.len);
        }
        else if (PyList_GET_SIZE(result) > 0) {
            PyErr_Clear(); /* what is in the list has been consumed: the rest next time
                            */
            break;
        }
        else {
            Py_CLEAR(result);
        }
    }
    return result;
}

static PyObject *
take(PyObject *op, PyObject *(*take_output)(struct pywsc_protocol *self))
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    PyObject *result;
    if (pywsc_protocol_ready(self) < 0) {
        return NULL;
    }
    Py_BEGIN_CRITICAL_SECTION(op);
    result = take_output(self);
    Py_END_CRITICAL_SECTION();
    return result;
}

static PyObject *protocol_data_to_send(PyObject *op, PyObject *unused)
{
    (void)unused;
    return take(op, pywsc_protocol_take_output);
}

static PyObject *protocol_buffers_to_send(PyObject *op, PyObject *unused)
{
    (void)unused;
    return take(op, pywsc_protocol_take_buffers);
}

/* --- attributes --- */

static PyObject *get_is_server(PyObject *op, void *closure)
{
    (void)closure;
    return PyBool_FromLong(((struct pywsc_protocol *)op)->config.role ==
                           WSC_ROLE_SERVER);
}

static PyObject *get_state_lock_held(PyObject *op)
{
    struct pywsc_state *state = pywsc_type_state(Py_TYPE(op));
    return Py_NewRef(state->states[((struct pywsc_protocol *)op)->conn.state]);
}
PYWSC_PROTOCOL_GETTER(get_state)

/* The received code; 1006 when TCP ended without one; None before. */
static PyObject *get_close_code_lock_held(PyObject *op)
{
    const struct wsc_conn *conn = &((struct pywsc_protocol *)op)->conn;
    if (conn->received != NULL) {
        return PyLong_FromLong(conn->received->code);
    }
    if (conn->state == WSC_CONN_CLOSED) {
        return PyLong_FromLong(WSC_CLOSE_ABNORMAL_CLOSURE);
    }
    Py_RETURN_NONE;
}
PYWSC_PROTOCOL_GETTER(get_close_code)

static PyObject *get_close_reason_lock_held(PyObject *op)
{
    const struct wsc_conn *conn = &((struct pywsc_protocol *)op)->conn;
    if (conn->received != NULL) {
        return PyUnicode_DecodeUTF8(conn->received->reason, conn->received->reason_len,
                                    NULL);
    }
    if (conn->state == WSC_CONN_CLOSED) {
        return PyUnicode_New(0, 0);
    }
    Py_RETURN_NONE;
}
PYWSC_PROTOCOL_GETTER(get_close_reason)

static PyObject *get_close_received_lock_held(PyObject *op)
{
    const struct wsc_conn *conn = &((struct pywsc_protocol *)op)->conn;
    if (conn->received == NULL) {
        Py_RETURN_NONE;
    }
    return pywsc_close_event(pywsc_type_state(Py_TYPE(op)), conn->received);
}
PYWSC_PROTOCOL_GETTER(get_close_received)

static PyObject *get_close_sent_lock_held(PyObject *op)
{
    const struct wsc_conn *conn = &((struct pywsc_protocol *)op)->conn;
    if (conn->sent == NULL) {
        Py_RETURN_NONE;
    }
    return pywsc_close_event(pywsc_type_state(Py_TYPE(op)), conn->sent);
}
PYWSC_PROTOCOL_GETTER(get_close_sent)

static PyObject *get_close_received_then_sent_lock_held(PyObject *op)
{
    const struct wsc_conn *conn = &((struct pywsc_protocol *)op)->conn;
    if (conn->received == NULL || conn->sent == NULL) {
        Py_RETURN_NONE;
    }
    return PyBool_FromLong(conn->close_received_first);
}
PYWSC_PROTOCOL_GETTER(get_close_received_then_sent)

static PyObject *get_close_exception_lock_held(PyObject *op)
{
    return pywsc_close_exception(pywsc_type_state(Py_TYPE(op)),
                                 &((struct pywsc_protocol *)op)->conn);
}
PYWSC_PROTOCOL_GETTER(get_close_exception)

static PyObject *get_close_expected_lock_held(PyObject *op)
{
    return PyBool_FromLong(((struct pywsc_protocol *)op)->conn.end_expected);
}
PYWSC_PROTOCOL_GETTER(get_close_expected)

static PyObject *get_error_lock_held(PyObject *op)
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    if (self->handshake_exception != NULL && self->conn.error == WSC_ERR_HANDSHAKE) {
        return Py_NewRef(self->handshake_exception);
    }
    return pywsc_error(pywsc_type_state(Py_TYPE(op)), &self->conn);
}
PYWSC_PROTOCOL_GETTER(get_error)

static PyObject *get_handshake_exception_lock_held(PyObject *op)
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    return Py_NewRef(self->handshake_exception != NULL ? self->handshake_exception
                                                       : Py_None);
}
PYWSC_PROTOCOL_GETTER(get_handshake_exception)

static PyObject *get_subprotocol_lock_held(PyObject *op)
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    return Py_NewRef(self->subprotocol != NULL ? self->subprotocol : Py_None);
}
PYWSC_PROTOCOL_GETTER(get_subprotocol)

static PyObject *get_compression_lock_held(PyObject *op)
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    if (self->compression == NULL) {
        return pywsc_protocol_agreed_compression(pywsc_type_state(Py_TYPE(op)), self);
    }
    return Py_NewRef(self->compression);
}
PYWSC_PROTOCOL_GETTER(get_compression)

static PyObject *get_max_size(PyObject *op, void *closure)
{
    size_t max_size = ((struct pywsc_protocol *)op)->config.max_size;
    (void)closure;
    if (max_size == WSC_MESSAGE_SIZE_MAX) {
        Py_RETURN_NONE;
    }
    return PyLong_FromSize_t(max_size);
}

static PyGetSetDef protocol_getset[] = {
    {"is_server", get_is_server, NULL, PyDoc_STR("Which end this is."), NULL},
    {"state", get_state, NULL, PyDoc_STR("State of the connection."), NULL},
    {"close_code", get_close_code, NULL,
     PyDoc_STR("Received close code; 1006 if TCP ended without one; None before."),
     NULL},
    {"close_reason", get_close_reason, NULL, PyDoc_STR("Received close reason."), NULL},
    {"close_received", get_close_received, NULL, PyDoc_STR("Received Close, or None."),
     NULL},
    {"close_sent", get_close_sent, NULL, PyDoc_STR("Sent Close, or None."), NULL},
    {"close_received_then_sent", get_close_received_then_sent, NULL,
     PyDoc_STR("Order of the two close frames; None unless there were both."), NULL},
    {"close_exception", get_close_exception, NULL,
     PyDoc_STR("ConnectionClosedOK or ConnectionClosedError for the connection's end."),
     NULL},
    {"close_expected", get_close_expected, NULL,
     PyDoc_STR("Nothing more is to be received: TCP should be ended."), NULL},
    {"error", get_error, NULL,
     PyDoc_STR("What failed the connection from this end, or None."), NULL},
    {"handshake_exception", get_handshake_exception, NULL,
     PyDoc_STR("Why the opening handshake failed, or None."), NULL},
    {"subprotocol", get_subprotocol, NULL, PyDoc_STR("Agreed subprotocol, or None."),
     NULL},
    {"compression", get_compression, NULL,
     PyDoc_STR("Agreed permessage-deflate parameters, or None."), NULL},
    {"max_size", get_max_size, NULL, PyDoc_STR("Limit of a message in bytes, or None."),
     NULL},
    {NULL},
};

static PyMethodDef protocol_methods[] = {
    {"receive_data", protocol_receive_data, METH_O,
     PyDoc_STR(
         "receive_data($self, data, /)\n--\n\n"
         "Give bytes that came from the peer, in any pieces. Never raises for what "
         "the peer sent: see state, error and data_to_send().")},
    {"receive_eof", protocol_receive_eof, METH_NOARGS,
     PyDoc_STR("receive_eof($self)\n--\n\nThe peer ended TCP, or it broke.")},
    {"next_event", protocol_next_event, METH_NOARGS,
     PyDoc_STR("next_event($self)\n--\n\n"
               "The next event, or None while more bytes are needed.")},
    {"events", protocol_events, METH_NOARGS,
     PyDoc_STR(
         "events($self)\n--\n\nIterate over events until more bytes are needed.")},
    {"data_to_send", protocol_data_to_send, METH_NOARGS,
     PyDoc_STR("data_to_send($self)\n--\n\n"
               "Everything to be sent to the peer now; b'' if nothing.")},
    {"buffers_to_send", protocol_buffers_to_send, METH_NOARGS,
     PyDoc_STR("buffers_to_send($self)\n--\n\n"
               "data_to_send() as a list, large payloads by reference.")},
    PYWSC_PROTOCOL_SEND_METHODS,
    {NULL},
};

/* --- life --- */

static PyObject *protocol_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    struct pywsc_state *state = pywsc_type_state(type);
    (void)args;
    (void)kwargs;
    if (type == state->protocol) {
        PyErr_SetString(PyExc_TypeError, "use ServerProtocol or ClientProtocol");
        return NULL;
    }
    return type->tp_alloc(type, 0);
}

static int protocol_traverse(PyObject *op, visitproc visit, void *arg)
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->compression);
    Py_VISIT(self->request);
    Py_VISIT(self->handshake_exception);
    return 0;
}

static int protocol_clear(PyObject *op)
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    Py_CLEAR(self->compression);
    Py_CLEAR(self->request);
    Py_CLEAR(self->handshake_exception);
    return 0;
}

static void protocol_dealloc(PyObject *op)
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    (void)protocol_clear(op);
    if (self->initialized) {
        wsc_conn_fini(&self->conn);
    }
    pywsc_pool_release(self->pool);
    Py_CLEAR(self->input);
    Py_CLEAR(self->more_input);
    Py_CLEAR(self->subprotocol);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyType_Slot protocol_slots[] = {
    {Py_tp_doc, PyDoc_STR("One end of a WebSocket connection, without I/O.")},
    {Py_tp_new, protocol_new},
    {Py_tp_dealloc, protocol_dealloc},
    {Py_tp_traverse, protocol_traverse},
    {Py_tp_clear, protocol_clear},
    {Py_tp_methods, protocol_methods},
    {Py_tp_getset, protocol_getset},
    {0, NULL},
};

static PyType_Spec protocol_spec = {
    .name = "pywscore._core.Protocol",
    .basicsize = sizeof(struct pywsc_protocol),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = protocol_slots,
};

int pywsc_protocol_init(PyObject *module, struct pywsc_state *state)
{
    state->events =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &events_spec, NULL);
    state->protocol = pywsc_add_type(module, &protocol_spec, NULL);
    if (state->events == NULL || state->protocol == NULL) {
        return -1;
    }
    return pywsc_protocol_open_init(module, state);
}

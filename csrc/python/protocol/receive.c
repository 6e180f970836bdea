#include "protocol/receive.h"

#include "common/config.h"
#include "protocol/options.h"
#include "values/errors.h"
#include "values/events.h"
#include "values/heads.h"

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
           (Py_ssize_t)self->more_used < PyList_GET_SIZE(self->more_input);
}

int pywsc_protocol_feed(struct pywsc_protocol *self, PyObject *bytes)
{
    if (wsc_conn_input_left(&self->conn) == 0 && !input_waits(self)) {
        feed_now(self, bytes);
        return 0;
    }
    if (self->more_input == NULL) {
        PyObject *list = PyList_New(0);
        if (list == NULL) {
            return -1;
        }
        /* A collection may have run code that was here before us. */
        if (self->more_input == NULL) {
            self->more_input = list;
            self->more_used = 0;
        }
        else {
            Py_DECREF(list);
        }
    }
    if ((size_t)PyList_GET_SIZE(self->more_input) >= UINT32_MAX) {
        PyErr_NoMemory();
        return -1;
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

bool pywsc_protocol_borrows(const struct pywsc_protocol *self)
{
    return self->input == NULL && wsc_conn_input_left(&self->conn) > 0;
}

int pywsc_protocol_keep_input(struct pywsc_protocol *self)
{
    size_t left = wsc_conn_input_left(&self->conn);
    if (!pywsc_protocol_borrows(self)) {
        return 0;
    }
    const uint8_t *data = wsc_conn_input(&self->conn);
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
    if (self->config->core.role == WSC_ROLE_CLIENT && self->conn.error == WSC_OK) {
        return 0;
    }
    PyObject *exception = pywsc_handshake_exception(state, &self->conn);
    if (exception == NULL) {
        return -1;
    }
    Py_XSETREF(self->handshake_exception, exception);
    return 0;
}

/* The next event as an object; NULL without an exception when there is none. */
static PyObject *next_event(struct pywsc_protocol *self)
{
    struct pywsc_state *state = pywsc_type_state(Py_TYPE(self));
    struct wsc_event event;
    enum wsc_status status = pywsc_protocol_next(self, &event);
    /* First, for it is made of what the core lends until Python code runs. */
    PyObject *object = status == WSC_OK ? event_object(state, self, &event) : NULL;
    bool failed = status == WSC_OK && object == NULL;
    if (failed || pywsc_protocol_note_failure(state, self) < 0) {
        Py_CLEAR(object);
    }
    return object;
}

PyObject *pywsc_protocol_receive_data(PyObject *op, PyObject *data)
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

PyObject *pywsc_protocol_receive_eof(PyObject *op, PyObject *unused)
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

PyObject *pywsc_protocol_next_event(PyObject *op, PyObject *unused)
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

PyObject *pywsc_protocol_events(PyObject *op, PyObject *unused)
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
    if (pywsc_protocol_ready((struct pywsc_protocol *)protocol) < 0) {
        return NULL;
    }
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

int pywsc_protocol_receive_init(PyObject *module, struct pywsc_state *state)
{
    state->events =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &events_spec, NULL);
    return state->events == NULL ? -1 : 0;
}

#include "connection.h"
#include "listener.h"
#include "protocol_methods.h"

#define QUEUE_FIRST_CAP 4
/* What is left of the input when TCP ends may become messages of this size in all. */
#define DRAIN_MAX ((size_t)16 << 20)
/* What an empty item counts in queue_bytes. */
#define ITEM_BYTES 128

/* --- the queue --- */

static size_t item_bytes(PyObject *data)
{
    if (PyBytes_CheckExact(data)) {
        return ITEM_BYTES + (size_t)PyBytes_GET_SIZE(data);
    }
    return ITEM_BYTES +
           (PyUnicode_CheckExact(data)
                ? (size_t)PyUnicode_GET_LENGTH(data) * (size_t)PyUnicode_KIND(data)
                : 0);
}

/* Takes `data` (NULL: an exception is set). */
static int
push_item(struct pywsc_connection *self, PyObject *data, bool fin, bool compressed)
{
    if (data == NULL) {
        return -1;
    }
    if (self->queue_count == self->queue_cap) {
        size_t cap = self->queue_cap == 0 ? QUEUE_FIRST_CAP : self->queue_cap * 2;
        struct pywsc_item *queue = PyMem_New(struct pywsc_item, cap);
        if (queue == NULL) {
            Py_DECREF(data);
            PyErr_NoMemory();
            return -1;
        }
        for (size_t i = 0; i < self->queue_count; i++) {
            queue[i] = self->queue[(self->queue_first + i) % self->queue_cap];
        }
        PyMem_Free(self->queue);
        self->queue = queue;
        self->queue_cap = cap;
        self->queue_first = 0;
    }
    size_t last = self->queue_first + self->queue_count++;
    struct pywsc_item *item =
        &self->queue[last < self->queue_cap ? last : last - self->queue_cap];
    item->data = data;
    item->fin = fin;
    item->compressed = compressed;
    self->queue_bytes += item_bytes(data);
    return 0;
}

static int push(struct pywsc_connection *self, struct wsc_message *message)
{
    bool fin = message->fin;
    bool compressed = message->compressed;
    if (push_item(self, pywsc_message_take(message), fin, compressed) < 0) {
        return -1;
    }
    if (fin) {
        self->messages_received++;
        /* Who wants fragments asks anew for each message. */
        wsc_conn_set_streaming(&self->protocol->conn, false);
    }
    return 0;
}

static struct pywsc_item pop(struct pywsc_connection *self)
{
    struct pywsc_item item = self->queue[self->queue_first];
    self->queue_count--;
    self->queue_bytes -= item_bytes(item.data);
    self->queue_first++;
    if (self->queue_first == self->queue_cap) {
        self->queue_first = 0;
    }
    return item;
}

void pywsc_connection_clear_queue(struct pywsc_connection *self)
{
    while (self->queue_count > 0) {
        Py_DECREF(pop(self).data);
    }
    PyMem_Free(self->queue);
    self->queue = NULL;
    self->queue_cap = 0;
    self->queue_first = 0;
}

/* --- events --- */

static int to_listener(struct pywsc_connection *self, struct wsc_message *message)
{
    self->messages_received++;
    return pywsc_listener_message(self, pywsc_message_take(message));
}

static int dispatch(struct pywsc_connection *self, struct wsc_event *event)
{
    struct pywsc_state *state = self->state;
    switch (event->type) {
    case WSC_EVENT_MESSAGE:
        return self->listener == NULL ? push(self, &event->message)
                                      : to_listener(self, &event->message);
    case WSC_EVENT_PING:
        if (self->control_items) {
            return push_item(self, pywsc_ping_event(state, event->data, event->len),
                             true, false);
        }
        if (!self->has_on_ping) {
            return pywsc_listener_control(self, true, event);
        }
        return pywsc_connection_hook(
            self, PYWSC_NAME_ON_PING,
            PyBytes_FromStringAndSize((const char *)event->data,
                                      (Py_ssize_t)event->len));
    case WSC_EVENT_PONG:
        if (self->control_items) {
            return push_item(self, pywsc_pong_event(state, event->data, event->len),
                             true, false);
        }
        if (pywsc_connection_hook(self, PYWSC_NAME_ON_PONG,
                                  PyBytes_FromStringAndSize((const char *)event->data,
                                                            (Py_ssize_t)event->len)) <
            0) {
            return -1;
        }
        return pywsc_listener_control(self, false, event);
    case WSC_EVENT_REQUEST:
    case WSC_EVENT_RESPONSE:
        break;
    case WSC_EVENT_CLOSE:
        /* Reported with the state, when the answer has been sent; if that is left to
         * the one who receives, there. */
        self->receive_ended |= self->protocol->conn.sent == NULL;
        return 0;
    }
    bool request = event->type == WSC_EVENT_REQUEST;
    int noted = request ? pywsc_protocol_note_failure(state, self->protocol)
                        : pywsc_protocol_note_answer(state, self->protocol);
    if (noted < 0) {
        return -1;
    }
    return pywsc_connection_hook(
        self, request ? PYWSC_NAME_ON_REQUEST : PYWSC_NAME_ON_RESPONSE,
        pywsc_protocol_head_event(state, self->protocol, event->type));
}

static int report_failure(struct pywsc_connection *self)
{
    struct pywsc_protocol *protocol = self->protocol;
    if (pywsc_protocol_note_failure(self->state, protocol) < 0) {
        return -1;
    }
    if (protocol->conn.error != WSC_ERR_HANDSHAKE || self->failure_reported ||
        protocol->handshake_exception == NULL) {
        return 0;
    }
    self->failure_reported = true;
    return pywsc_connection_hook(self, PYWSC_NAME_ON_HANDSHAKE_FAILED,
                                 Py_NewRef(protocol->handshake_exception));
}

static int pause_reading(struct pywsc_connection *self)
{
    if (self->read_paused || self->lost || self->transport == Py_None) {
        return 0;
    }
    self->read_paused = true;
    PyObject *result = PyObject_CallMethodNoArgs(
        self->transport, self->state->names[PYWSC_NAME_PAUSE_READING]);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int resume_reading(struct pywsc_connection *self)
{
    if (!self->read_paused || self->lost) {
        return 0;
    }
    self->read_paused = false;
    PyObject *result = PyObject_CallMethodNoArgs(
        self->transport, self->state->names[PYWSC_NAME_RESUME_READING]);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* After our close frame only the peer's is waited for: it must not stay behind messages
 * that nobody takes. The first which finds the queue full is dropped, and all after it.
 */
static bool is_closing(const struct pywsc_connection *self)
{
    return self->protocol->conn.state >= WSC_CONN_CLOSING;
}

/* Is there room for one message more? A listener can't wait, so who doesn't read what
 * it sends isn't read from. */
static bool has_room(const struct pywsc_connection *self)
{
    if (self->listener != NULL) {
        return self->budget > 0 && !self->write_paused;
    }
    return self->queue_count < self->queue_high &&
           (self->queue_bytes_high == 0 || self->queue_bytes < self->queue_bytes_high);
}

/* Is there room enough to read on? */
static bool is_low(const struct pywsc_connection *self)
{
    return self->queue_count <= self->queue_low &&
           (self->queue_bytes_high == 0 ||
            self->queue_bytes <= self->queue_bytes_high / 2);
}

/* Is there something for the one who receives? */
static bool has_news(const struct pywsc_connection *self)
{
    return self->queue_count > 0 || self->receive_ended;
}

/* Have the loop call _wake() in its next round. */
static int call_in_turn(struct pywsc_connection *self)
{
    if (self->turn_wanted) {
        return 0;
    }
    int result = pywsc_call_method_soon(self->state, self->loop, (PyObject *)self,
                                        PYWSC_NAME_WAKE);
    self->turn_wanted = result == 0;
    return result;
}

/* The listener has had its share: go on in the loop's next round. */
static int want_turn(struct pywsc_connection *self)
{
    return self->listener == NULL || self->budget > 0 || self->lost
               ? 0
               : call_in_turn(self);
}

static int take_events(struct pywsc_connection *self)
{
    struct wsc_event event;
    while (has_room(self) || is_closing(self)) {
        if (pywsc_protocol_next(self->protocol, &event) != WSC_OK) {
            if (wsc_conn_input_left(&self->protocol->conn) > 0) {
                /* The request has to be answered first: TCP keeps what follows it. */
                self->held = true;
                return pause_reading(self);
            }
            return report_failure(self);
        }
        if (event.type == WSC_EVENT_MESSAGE && (self->dropping || !has_room(self))) {
            self->dropping = true; /* for good: no gap between messages */
            pywsc_message_discard(&event.message);
        }
        else if (dispatch(self, &event) < 0) {
            return -1;
        }
    }
    return want_turn(self) < 0 ? -1 : pause_reading(self);
}

int pywsc_connection_pump(struct pywsc_connection *self)
{
    if (self->pumping) {
        return 0; /* what calls us is called by the one who goes on with that */
    }
    self->pumping = true;
    int result = take_events(self);
    self->pumping = false;
    return result;
}

static int pump_and_wake(struct pywsc_connection *self)
{
    if (pywsc_connection_pump(self) < 0) {
        return -1;
    }
    /* The buffer belongs to the next connection as soon as we return, or wake a task.
     */
    if (pywsc_protocol_keep_input(self->protocol) < 0) {
        return -1;
    }
    return has_news(self) ? pywsc_connection_wake_receiver(self, true) : 0;
}

/* Who waits for messages has been able to answer those which came before an error. Who
 * doesn't yet, like a client that is about to get its connection, has one turn. */
static int end_hold(struct pywsc_connection *self, int result)
{
    struct wsc_conn *conn = &self->protocol->conn;
    bool failed = conn->error != WSC_OK && !conn->end_expected;
    if (failed && self->queue_count > 0 && result == 0) {
        result = call_in_turn(self);
        if (result == 0) {
            return 0;
        }
    }
    wsc_conn_hold_failure(conn, false);
    return result;
}

int pywsc_connection_receive(struct pywsc_connection *self, const uint8_t *data,
                             size_t len)
{
    struct wsc_conn *conn = &self->protocol->conn;
    if (wsc_conn_input_left(conn) == 0 && self->protocol->input == NULL) {
        if (wsc_conn_feed(conn, data, len) != WSC_OK) {
            PyErr_SetString(PyExc_RuntimeError, "the receive buffer is in use");
            return -1;
        }
    }
    else if (!conn->end_expected) {
        /* Reading was to be paused, but some transports had this on its way already. */
        PyObject *bytes =
            PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)len);
        int result = bytes == NULL ? -1 : pywsc_protocol_feed(self->protocol, bytes);
        Py_XDECREF(bytes);
        if (result < 0) {
            return -1;
        }
    }
    self->budget = PYWSC_BUDGET;
    self->sends = 0;
    wsc_conn_hold_failure(conn, true);
    return end_hold(self, pump_and_wake(self));
}

int pywsc_connection_drain(struct pywsc_connection *self)
{
    struct wsc_event event;
    size_t size = 0;
    wsc_conn_hold_failure(&self->protocol->conn, false);
    while (size < DRAIN_MAX && pywsc_protocol_next(self->protocol, &event) == WSC_OK) {
        size += event.type == WSC_EVENT_MESSAGE ? event.message.len : 0;
        if (dispatch(self, &event) < 0) {
            return -1;
        }
    }
    Py_CLEAR(self->protocol->input);
    Py_CLEAR(self->protocol->more_input);
    wsc_conn_feed_eof(&self->protocol->conn);
    return report_failure(self);
}

/* --- the one who receives --- */

bool pywsc_connection_may_resume(struct pywsc_connection *self)
{
    PyObject *current = self->state->objects[PYWSC_CURRENT_TASK];
#if PY_VERSION_HEX < 0x030C0000
    /* current_task() is written in Python there: look where it looks. */
    PyObject *task = PyDict_GetItemWithError(current, self->loop);
    if (task == NULL && PyErr_Occurred()) {
        PyErr_Clear();
        return false;
    }
    return task == NULL;
#else
    PyObject *task = PyObject_CallOneArg(current, self->loop);
    if (task == NULL) {
        PyErr_Clear();
        return false;
    }
    Py_DECREF(task);
    return task == Py_None;
#endif
}

int pywsc_connection_wake_receiver(struct pywsc_connection *self, bool in_place)
{
    struct pywsc_waiter *waiter = self->receive_waiter;
    if (waiter == NULL || !pywsc_waiter_is_pending(waiter)) {
        return 0;
    }
    Py_INCREF(waiter);
    int result = pywsc_waiter_wake(self->state, waiter,
                                   in_place && pywsc_connection_may_resume(self));
    Py_DECREF(waiter);
    return result;
}

int pywsc_connection_read_on(struct pywsc_connection *self)
{
    self->held = false;
    if (pywsc_connection_pump(self) < 0) {
        return -1;
    }
    if (has_news(self) && pywsc_connection_wake_receiver(self, true) < 0) {
        return -1;
    }
    return has_room(self) || is_closing(self) ? resume_reading(self) : 0;
}

/* The queue has room again: fill it from input at hand, then read on. */
static int refill(struct pywsc_connection *self)
{
    if (!is_low(self)) {
        return 0;
    }
    if (wsc_conn_input_left(&self->protocol->conn) > 0 ||
        self->protocol->input != NULL) {
        if (pywsc_connection_pump(self) < 0 || pywsc_connection_flush(self) < 0) {
            return -1;
        }
    }
    if (is_low(self) && wsc_conn_input_left(&self->protocol->conn) == 0) {
        return resume_reading(self);
    }
    return 0;
}

int pywsc_connection_deliver_queued(struct pywsc_connection *self)
{
    while (self->queue_count > 0) {
        if (pywsc_listener_message(self, pop(self).data) < 0) {
            return -1;
        }
    }
    return pywsc_connection_read_on(self);
}

/* 1 with *out, whose data is the caller's; 0 when the queue is empty. */
static int next_item(struct pywsc_connection *self, struct pywsc_item *out)
{
    if (self->queue_count == 0 && refill(self) < 0) {
        return -1;
    }
    if (self->queue_count == 0) {
        return 0;
    }
    *out = pop(self);
    if ((self->read_paused || self->protocol->input != NULL) && refill(self) < 0) {
        Py_DECREF(out->data);
        return -1;
    }
    return 1;
}

static PyObject *join(PyObject *fragments)
{
    PyObject *first = PyList_GET_ITEM(fragments, 0);
    PyObject *empty = PyUnicode_CheckExact(first) ? PyUnicode_New(0, 0)
                                                  : PyBytes_FromStringAndSize(NULL, 0);
    PyObject *result = NULL;
    if (empty != NULL) {
        result = PyUnicode_CheckExact(first)
                     ? PyUnicode_Join(empty, fragments)
                     : PyObject_CallMethod(empty, "join", "O", fragments);
    }
    Py_XDECREF(empty);
    return result;
}

/* A fragment that recv() met: put it to the others. */
static int add_fragment(struct pywsc_connection *self, PyObject *data)
{
    if (self->joining == NULL) {
        self->joining = PyList_New(0);
    }
    int result = self->joining == NULL ? -1 : PyList_Append(self->joining, data);
    Py_DECREF(data);
    return result;
}

int pywsc_connection_take(struct pywsc_connection *self, PyObject **out)
{
    for (;;) {
        struct pywsc_item item;
        int got = next_item(self, &item);
        if (got <= 0) {
            return got;
        }
        if (self->in_fragments) {
            /* The rest of a message whose beginning recv_streaming() gave out. */
            self->in_fragments = !item.fin;
            Py_DECREF(item.data);
            continue;
        }
        if (item.fin && self->joining == NULL) {
            *out = item.data;
            return 1;
        }
        if (add_fragment(self, item.data) < 0) {
            return -1;
        }
        if (item.fin) {
            *out = join(self->joining);
            Py_CLEAR(self->joining);
            return *out == NULL ? -1 : 1;
        }
    }
}

int pywsc_connection_take_fragment(struct pywsc_connection *self, PyObject **out)
{
    struct pywsc_item item;
    int got = next_item(self, &item);
    if (got < 0) {
        return got;
    }
    if (got == 0) {
        wsc_conn_set_streaming(&self->protocol->conn, true);
        return 0;
    }
    self->in_fragments = !item.fin;
    *out = pywsc_message_event(self->state, item.data, PyUnicode_CheckExact(item.data),
                               item.fin, item.compressed);
    return *out == NULL ? -1 : 1;
}

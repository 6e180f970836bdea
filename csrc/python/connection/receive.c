#include "connection/receive.h"

#include <assert.h>
#include <math.h>

#include "common/memory.h"
#include "common/raised.h"
#include "connection/listener.h"
#include "connection/queue.h"
#include "connection/rate.h"
#include "connection/trace.h"
#include "connection/wake.h"
#include "protocol/options.h"
#include "protocol/protocol.h"
#include "protocol/receive.h"
#include "tasks/loop.h"
#include "values/events.h"

/* What is left of the input when TCP ends may become messages of this size in all. */
#define DRAIN_MAX ((size_t)16 << 20)

/* --- events --- */

static int take_message(struct pywsc_connection *self, struct wsc_message *message)
{
    if (self->ended.messages) {
        pywsc_message_discard(message);
        return 0;
    }
    if (self->rate != NULL && message->fin && !pywsc_rate_take(self)) {
        pywsc_message_discard(message);
        return 0;
    }
    if (self->listener == NULL) {
        return pywsc_connection_push(self, message);
    }
    self->messages_received++;
    return pywsc_listener_message(self, pywsc_message_take(message));
}

static int take_control(struct pywsc_connection *self, const struct wsc_event *event)
{
    bool is_ping = event->type == WSC_EVENT_PING;
    if (self->control_items) {
        return pywsc_connection_push_item(
            self,
            is_ping ? pywsc_ping_event(self->state, event->data, event->len)
                    : pywsc_pong_event(self->state, event->data, event->len),
            true, false);
    }
    bool has_hook = !is_ping || self->has_on_ping;
    if (!has_hook && !pywsc_listener_hears(self, is_ping)) {
        return 0;
    }
    /* Our own, for the event's is borrowed and the hook may do anything. */
    PyObject *data =
        PyBytes_FromStringAndSize((const char *)event->data, (Py_ssize_t)event->len);
    if (data == NULL) {
        return -1;
    }
    int result = pywsc_connection_trace(self);
    if (has_hook && result == 0) {
        result = pywsc_connection_hook(
            self, is_ping ? PYWSC_NAME_ON_PING : PYWSC_NAME_ON_PONG, Py_NewRef(data));
    }
    if (result == 0) {
        result = pywsc_listener_control(self, is_ping, data);
    }
    Py_DECREF(data);
    return result;
}

static int take_head(struct pywsc_connection *self, enum wsc_event_type type)
{
    struct pywsc_protocol *protocol = self->protocol;
    bool request = type == WSC_EVENT_REQUEST;
    if (self->rate != NULL) {
        pywsc_rate_head_read(self);
    }
    if (!request && pywsc_protocol_note_answer(self->state, protocol) < 0) {
        return -1;
    }
    /* Made of what the core lends until Python code runs, which notes a failure. */
    PyObject *head = pywsc_protocol_head_event(self->state, protocol, type);
    if (head == NULL) {
        return -1;
    }
    if (request && pywsc_protocol_note_failure(self->state, protocol) < 0) {
        Py_DECREF(head);
        return -1;
    }
    if (self->trace.wanted) {
        int told =
            pywsc_connection_hook(self, PYWSC_NAME_ON_HEAD_RECEIVED, Py_NewRef(head));
        /* A log's handler may have ended it. */
        bool waits = !self->ended.tcp && protocol->conn.state == WSC_CONN_CONNECTING;
        if (told < 0 || (request && !waits)) {
            Py_DECREF(head);
            return told;
        }
    }
    return pywsc_connection_hook(
        self, request ? PYWSC_NAME_ON_REQUEST : PYWSC_NAME_ON_RESPONSE, head);
}

static int dispatch(struct pywsc_connection *self, struct wsc_event *event)
{
    switch (event->type) {
    case WSC_EVENT_MESSAGE:
        return take_message(self, &event->message);
    case WSC_EVENT_PING:
    case WSC_EVENT_PONG:
        return take_control(self, event);
    case WSC_EVENT_REQUEST:
    case WSC_EVENT_RESPONSE:
        break;
    case WSC_EVENT_CLOSE:
        /* Reported with the state, when the answer has been sent; if that is left to
         * the one who receives, there. */
        if (self->protocol->conn.sent != NULL) {
            return 0;
        }
        self->ended.receiving = true;
        return pywsc_connection_trace(self) < 0
                   ? -1
                   : pywsc_connection_hook(self, PYWSC_NAME_ON_CLOSE_RECEIVED, NULL);
    }
    return take_head(self, event->type);
}

static int report_failure(struct pywsc_connection *self)
{
    struct pywsc_protocol *protocol = self->protocol;
    if (pywsc_protocol_note_failure(self->state, protocol) < 0) {
        return -1;
    }
    if (protocol->conn.error != WSC_ERR_HANDSHAKE || self->reported.failure ||
        protocol->handshake_exception == NULL) {
        return 0;
    }
    self->reported.failure = true;
    return pywsc_connection_hook(self, PYWSC_NAME_ON_HANDSHAKE_FAILED,
                                 Py_NewRef(protocol->handshake_exception));
}

/* After our close frame only the peer's is waited for: it must not stay behind messages
 * that nobody takes. The first which finds the queue full is dropped, and all after it.
 */
static bool is_closing(const struct pywsc_connection *self)
{
    return self->protocol->conn.state >= WSC_CONN_CLOSING;
}

static int pause_reading(struct pywsc_connection *self)
{
    if (self->flow.read_paused || self->ended.tcp || self->transport == Py_None) {
        return 0;
    }
    self->flow.read_paused = true;
    PyObject *result = PyObject_CallMethodNoArgs(
        self->transport, self->state->names[PYWSC_NAME_PAUSE_READING]);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* Is it stopped by its rate_limit? */
static bool is_slowed(const struct pywsc_connection *self)
{
    return self->deadlines.rate_at < INFINITY && !is_closing(self);
}

int pywsc_connection_resume_reading(struct pywsc_connection *self)
{
    if (!self->flow.read_paused || self->ended.tcp || is_slowed(self)) {
        return 0;
    }
    if (self->rate != NULL && pywsc_rate_read_on(self) < 0) {
        return -1;
    }
    self->flow.read_paused = false;
    PyObject *result = PyObject_CallMethodNoArgs(
        self->transport, self->state->names[PYWSC_NAME_RESUME_READING]);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* Is there room for one message more? A listener can't wait, so who doesn't read what
 * it sends isn't read from. */
static bool has_room(const struct pywsc_connection *self)
{
    if (self->listener != NULL) {
        return self->budget > 0 && !self->flow.write_paused;
    }
    return self->queue.count < self->queue.high &&
           (self->queue.bytes_high == 0 || self->queue.bytes < self->queue.bytes_high);
}

/* Is there something for the one who receives? */
static bool has_news(const struct pywsc_connection *self)
{
    return self->queue.count > 0 || self->ended.receiving;
}

/* The listener has had its share: go on in the loop's next round. */
static int want_turn(struct pywsc_connection *self)
{
    return self->listener == NULL || self->budget > 0 || self->ended.tcp
               ? 0
               : pywsc_connection_call_in_turn(self);
}

static int take_events(struct pywsc_connection *self)
{
    struct wsc_event event;
    while (has_room(self) || is_closing(self)) {
        if (self->rate != NULL && pywsc_rate_is_over(self)) {
            return pywsc_rate_wait(self) < 0 ? -1 : pause_reading(self);
        }
        if (pywsc_protocol_next(self->protocol, &event) != WSC_OK) {
            if (wsc_conn_input_left(&self->protocol->conn) > 0) {
                /* The request has to be answered first: TCP keeps what follows it. */
                self->flow.held = true;
                return pause_reading(self);
            }
            return report_failure(self);
        }
        if (event.type == WSC_EVENT_MESSAGE && !has_room(self)) {
            self->ended.messages = true; /* for good: no gap between messages */
        }
        if (dispatch(self, &event) < 0) {
            return -1;
        }
    }
    return want_turn(self) < 0 ? -1 : pause_reading(self);
}

/* An event could not be given out, which is no fault of the peer's: the connection has
 * failed. What was raised to leave the loop is none of its business: then -1, and it
 * goes on with what is left when it has its turn. */
static int events_failed(struct pywsc_connection *self)
{
    static const char message[] = "exception while receiving";
    if (!pywsc_raised_leaves()) {
        pywsc_connection_fail_internally(self);
        return pywsc_report_exception(self->state, self->loop, message);
    }
    PyObject *raised = pywsc_take_raised();
    int called = self->ended.tcp ? 0 : pywsc_connection_call_in_turn(self);
    pywsc_raise_again_after(raised, called, (PyObject *)self);
    return -1;
}

int pywsc_connection_pump(struct pywsc_connection *self)
{
    if (self->flow.pumping) {
        return 0; /* what calls us is called by the one who goes on with that */
    }
    self->flow.pumping = true;
    int result = self->rate == NULL ? 0 : pywsc_rate_read_on(self);
    if (result == 0) {
        result = take_events(self);
    }
    if (result == 0) {
        result = pywsc_connection_trace(self);
    }
    self->flow.pumping = false;
    return result < 0 ? events_failed(self) : 0;
}

/* --- the scope of lent input ---
 *
 * What comes lies in memory that the next connection's bytes will lie in. A connection
 * reads from there between begin_reading() and end_reading() only, and every way out
 * of that passes the latter. */

static int begin_reading(struct pywsc_connection *self, const uint8_t *data, size_t len)
{
    struct wsc_conn *conn = &self->protocol->conn;
    if (wsc_conn_input_left(conn) == 0 && self->protocol->input == NULL) {
        enum wsc_status fed = wsc_conn_feed(conn, data, len);
        assert(fed == WSC_OK); /* there is no other input */
        (void)fed;
        return 0;
    }
    if (conn->end_expected) {
        return 0;
    }
    /* Reading was to be paused, but some transports had this on its way already; or a
     * loop inside of a callback has it. */
    PyObject *bytes = PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)len);
    int result = bytes == NULL ? -1 : pywsc_protocol_feed(self->protocol, bytes);
    Py_XDECREF(bytes);
    return result < 0 ? events_failed(self) : 0;
}

/* The rest is our own then, or the connection has failed. `result` is that of what was
 * done in the scope; an exception stays set. */
static int end_reading(struct pywsc_connection *self, int result)
{
    PyObject *first = NULL;
    pywsc_keep_first(&first, result, (PyObject *)self);
    if (pywsc_protocol_keep_input(self->protocol) < 0) {
        pywsc_keep_first(&first, events_failed(self), (PyObject *)self);
    }
    assert(!pywsc_protocol_borrows(self->protocol));
    return pywsc_raise_first(first);
}

/* After what has come was looked at. */
static int slow_down(struct pywsc_connection *self)
{
    if (pywsc_rate_settle(self) < 0) {
        return -1;
    }
    return is_slowed(self) ? pause_reading(self) : 0;
}

static int read_lent(struct pywsc_connection *self, const uint8_t *data, size_t len)
{
    int result = begin_reading(self, data, len);
    if (result == 0 && self->rate != NULL) {
        result = pywsc_rate_received(self, len);
    }
    result = result < 0 ? -1 : pywsc_connection_pump(self);
    if (result == 0 && self->rate != NULL) {
        result = slow_down(self);
    }
    return end_reading(self, result);
}

/* Who waits for messages has been able to answer those which came before an error. Who
 * doesn't yet, like a client that is about to get its connection, has one turn. */
static int end_hold(struct pywsc_connection *self, int result)
{
    struct wsc_conn *conn = &self->protocol->conn;
    bool failed = conn->error != WSC_OK && !conn->end_expected;
    if (failed && self->queue.count > 0 && result == 0) {
        result = pywsc_connection_call_in_turn(self);
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
    self->budget = PYWSC_BUDGET;
    self->sends = 0;
    wsc_conn_hold_failure(&self->protocol->conn, true);
    int result = read_lent(self, data, len);
    if (result == 0 && has_news(self)) {
        result = pywsc_connection_wake_receiver(self, true);
    }
    return end_hold(self, result);
}

int pywsc_connection_drain(struct pywsc_connection *self)
{
    struct wsc_event event;
    PyObject *first = NULL;
    size_t size = 0;
    wsc_conn_hold_failure(&self->protocol->conn, false);
    while (size < DRAIN_MAX && pywsc_protocol_next(self->protocol, &event) == WSC_OK) {
        size += event.type == WSC_EVENT_MESSAGE ? event.message.len : 0;
        if (dispatch(self, &event) < 0) {
            pywsc_keep_first(&first, events_failed(self), (PyObject *)self);
        }
    }
    Py_CLEAR(self->protocol->input);
    Py_CLEAR(self->protocol->more_input);
    wsc_conn_feed_eof(&self->protocol->conn);
    pywsc_keep_first(&first, pywsc_connection_trace(self), (PyObject *)self);
    pywsc_keep_first(&first, report_failure(self), (PyObject *)self);
    return pywsc_raise_first(first);
}

int pywsc_connection_read_on(struct pywsc_connection *self)
{
    self->flow.held = false;
    if (pywsc_connection_pump(self) < 0 || pywsc_connection_trace(self) < 0) {
        return -1;
    }
    if (has_news(self) && pywsc_connection_wake_receiver(self, true) < 0) {
        return -1;
    }
    return has_room(self) || is_closing(self) ? pywsc_connection_resume_reading(self)
                                              : 0;
}

#include "common/raised.h"
#include "connection/connection.h"
#include "engine/transport.h"
#include "values/errors.h"

#include <string.h>

#include "wsc/short_poll.h"

/* --- to the transport --- */

static int write_bytes(struct pywsc_connection *self, PyObject *bytes)
{
    if (bytes == NULL) {
        return -1;
    }
    PyObject *result = PyObject_CallMethodOneArg(
        self->transport, self->state->names[PYWSC_NAME_WRITE], bytes);
    Py_DECREF(bytes);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int write_buffers(struct pywsc_connection *self)
{
    PyObject *buffers = pywsc_protocol_take_buffers(self->protocol);
    int result = buffers == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; result == 0 && i < PyList_GET_SIZE(buffers); i++) {
        result = write_bytes(self, Py_NewRef(PyList_GET_ITEM(buffers, i)));
    }
    Py_XDECREF(buffers);
    return result;
}

/* What waits is one object: a frame that many connections get. */
static int write_object(struct pywsc_connection *self, PyObject *bytes, size_t len)
{
    Py_INCREF(bytes);
    wsc_conn_sent(&self->protocol->conn, len);
    return write_bytes(self, bytes);
}

static int write_output(struct pywsc_connection *self)
{
    struct wsc_conn *conn = &self->protocol->conn;
    if (self->on_engine) {
        return pywsc_transport_flush((struct pywsc_transport *)self->transport);
    }
    while (wsc_conn_wants_send(conn) && !self->write_paused && !self->lost) {
        struct wsc_outgoing_piece pieces[2];
        const struct wsc_outgoing *outgoing = wsc_conn_outgoing(conn);
        size_t count = wsc_outgoing_peek(outgoing, pieces, 2);
        int result;
        if (count == 1) {
            result = pieces[0].ctx == NULL
                         ? write_bytes(self, pywsc_protocol_take_output(self->protocol))
                         : write_object(self, pieces[0].ctx, pieces[0].len);
        }
        else {
            result = write_buffers(self);
        }
        if (result < 0) {
            return -1;
        }
    }
    return 0;
}

/* _on_closing(), which ends TCP when it is time: when it can't, TCP ends right here. */
static int call_on_closing(struct pywsc_connection *self)
{
    PyObject *const *names = self->state->names;
    PyObject *result =
        PyObject_CallMethodNoArgs((PyObject *)self, names[PYWSC_NAME_ON_CLOSING]);
    if (result == NULL) {
        PyObject *raised = pywsc_take_raised();
        PyObject *aborted = PyObject_CallMethod(self->transport, "abort", NULL);
        pywsc_raise_again_after(raised, aborted == NULL ? -1 : 0, (PyObject *)self);
        Py_XDECREF(aborted);
    }
    return pywsc_connection_hook_done(self, result);
}

/* Tell the subclass that the connection is closing, and once more that TCP is to end.
 */
static int report_closing(struct pywsc_connection *self)
{
    const struct wsc_conn *conn = &self->protocol->conn;
    bool closing = conn->state >= WSC_CONN_CLOSING && !self->closing_reported;
    bool end = conn->end_expected && !self->end_reported;
    if (self->lost || (!closing && !end)) {
        return 0;
    }
    self->closing_reported = true;
    self->end_reported = conn->end_expected;
    if (call_on_closing(self) < 0) {
        return -1;
    }
    if (!self->read_paused || self->lost) {
        return 0;
    }
    if (pywsc_connection_read_on(self) < 0) {
        return -1;
    }
    return report_closing(self); /* the peer's close frame may have been there */
}

/* Within a step, of which the time that this takes is no part: only sending must not
 * keep a connection from being quick. */
static int write_in_step(struct pywsc_connection *self)
{
    if (!pywsc_connection_is_timed(self) || pywsc_connection_is_quick(self) ||
        !wsc_conn_wants_send(&self->protocol->conn)) {
        return write_output(self);
    }
    uint64_t began = wsc_clock_ns();
    int result = write_output(self);
    if (pywsc_connection_is_timed(self)) {
        self->step_began += wsc_clock_ns() - began;
    }
    return result;
}

int pywsc_connection_flush(struct pywsc_connection *self)
{
    if (self->transport == Py_None) {
        return 0;
    }
    if (self->batch > 0) {
        return write_in_step(self);
    }
    if (write_output(self) < 0) {
        return -1;
    }
    if (self->held && self->protocol->conn.state == WSC_CONN_OPEN) {
        if (pywsc_connection_read_on(self) < 0 || write_output(self) < 0) {
            return -1;
        }
    }
    return report_closing(self);
}

/* Is more output to be expected, that can leave together with what there is? */
static bool expects_more(const struct pywsc_connection *self)
{
    return !self->alone || self->several || self->queue_count > 0 ||
           self->step_sends > self->step_count + (self->step_count == 0) ||
           wsc_conn_input_left(&self->protocol->conn) > 0;
}

/* Have it leave, if the loop is entered again from inside of the batch. False: it may
 * not be held back. */
static bool leaves_inside(struct pywsc_connection *self)
{
    if (self->on_engine) {
        return pywsc_transport_hold((struct pywsc_transport *)self->transport);
    }
    if (!self->flush_wanted && self->transport != Py_None) {
        self->flush_wanted =
            pywsc_call_method_soon(self->state, self->loop, (PyObject *)self,
                                   PYWSC_NAME_FLUSH) == 0;
        if (!self->flush_wanted) {
            PyErr_Clear();
        }
    }
    return self->flush_wanted;
}

/* May output wait for the end of the batch? */
static bool may_hold(struct pywsc_connection *self)
{
    return self->batch > 0 && pywsc_connection_is_quick(self) && expects_more(self) &&
           self->protocol->conn.outgoing.size < self->write_high && leaves_inside(self);
}

int pywsc_connection_flush_message(struct pywsc_connection *self)
{
    self->step_sends++;
    return may_hold(self) ? 0 : pywsc_connection_flush(self);
}

int pywsc_connection_flush_before_step(struct pywsc_connection *self)
{
    return self->batch > 0 && pywsc_connection_is_quick(self)
               ? 0
               : pywsc_connection_flush(self);
}

/* --- messages --- */

/* Is this something that C sends? */
static bool is_plain(PyObject *message)
{
    return PyUnicode_Check(message) || PyBytes_Check(message) ||
           PyByteArray_Check(message) || PyMemoryView_Check(message);
}

/* `text` and `compress_object` are True, False or NULL: no code of the user's runs
 * while the message's bytes are borrowed. 0, or -1 with an exception. */
static int send_plain(struct pywsc_connection *self, PyObject *message, PyObject *text,
                      PyObject *compress_object)
{
    enum wsc_compress compress;
    struct pywsc_bytes bytes;
    if (pywsc_compress_argument(compress_object, &compress) < 0 ||
        pywsc_bytes_get(message, true, &bytes) < 0) {
        return -1;
    }
    bool is_text = text == NULL ? bytes.is_text : text == Py_True;
    if (is_text && pywsc_protocol_check_text(&bytes) < 0) {
        pywsc_bytes_release(&bytes);
        return -1;
    }
    enum wsc_status status = pywsc_protocol_send(
        self->protocol, is_text ? WSC_OPCODE_TEXT : WSC_OPCODE_BINARY, &bytes, true,
        compress);
    pywsc_bytes_release(&bytes);
    if (status != WSC_OK) {
        (void)pywsc_raise(self->state, status);
        return -1;
    }
    return pywsc_connection_flush_message(self);
}

int pywsc_connection_send(struct pywsc_connection *self, PyObject *message,
                          PyObject *text, PyObject *compress)
{
    if (self->protocol->conn.state != WSC_CONN_OPEN ||
        self->fragmented_send != Py_None || !is_plain(message)) {
        return 1;
    }
    return send_plain(self, message, text, compress);
}

PyObject *pywsc_connection_send_nowait(PyObject *op, PyObject *const *args,
                                       Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"text", "compress"};
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    PyObject *keywords[2];
    if (nargs != 1) {
        return PyErr_Format(PyExc_TypeError,
                            "send_nowait() takes exactly one positional argument "
                            "(%zd given)",
                            nargs);
    }
    if (pywsc_connection_check_thread(self) < 0 ||
        pywsc_keywords("send_nowait", args + nargs, kwnames, names, 2, keywords) < 0 ||
        pywsc_truth_argument(&keywords[0]) < 0 ||
        pywsc_truth_argument(&keywords[1]) < 0) {
        return NULL;
    }
    struct pywsc_state *state = self->state;
    if (self->protocol->conn.state != WSC_CONN_OPEN) {
        PyObject *exception = pywsc_connection_close_exception(self);
        if (exception != NULL) {
            PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
            Py_DECREF(exception);
        }
        return NULL;
    }
    if (self->fragmented_send != Py_None) {
        PyErr_SetString(state->objects[PYWSC_CONCURRENCY_ERROR],
                        "a fragmented message is being sent");
        return NULL;
    }
    if (send_plain(self, args[0], keywords[0], keywords[1]) < 0) {
        return NULL;
    }
    return PyBool_FromLong(!self->write_paused &&
                           self->protocol->conn.outgoing.size < self->write_high);
}

int pywsc_connection_wake_senders(struct pywsc_connection *self)
{
    PyObject *waiters = self->send_waiters;
    PyObject *first = NULL;
    self->send_waiters = NULL;
    for (Py_ssize_t i = 0; waiters != NULL && i < PyList_GET_SIZE(waiters); i++) {
        struct pywsc_waiter *waiter =
            (struct pywsc_waiter *)PyList_GET_ITEM(waiters, i);
        bool in_place = pywsc_connection_may_resume(self);
        pywsc_connection_next_step(self);
        pywsc_keep_first(&first, pywsc_connection_resume(self, waiter, in_place),
                         (PyObject *)self);
    }
    Py_XDECREF(waiters);
    return pywsc_raise_first(first);
}

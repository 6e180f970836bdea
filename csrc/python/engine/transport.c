#include "engine/transport.h"

#include <errno.h>

#include "common/raised.h"
#include "connection/connection.h"
#include "connection/receive.h"
#include "connection/steps.h"
#include "tasks/loop.h"

#if WSC_HAVE_ENGINE

/* A link of the engine and its connection: what comes, what leaves, and the end. */

/* --- the engine's list --- */

void pywsc_transport_note(struct pywsc_transport *self)
{
    struct pywsc_engine *engine = pywsc_transport_engine(self);
    self->next = engine->transports;
    self->noted_at = &engine->transports;
    if (self->next != NULL) {
        self->next->noted_at = &self->next;
    }
    engine->transports = self;
    Py_INCREF(self);
}

void pywsc_transport_let_go(struct pywsc_transport *self)
{
    if (self->noted_at == NULL) {
        return;
    }
    *self->noted_at = self->next;
    if (self->next != NULL) {
        self->next->noted_at = self->noted_at;
    }
    self->next = NULL;
    self->noted_at = NULL;
    Py_DECREF(self);
}

/* --- the end --- */

/* Nobody hears of it without memory for that. */
static void keep_local_address(struct pywsc_transport *self)
{
    uint8_t local[WSC_ADDRESS_SIZE];
    size_t len = wsc_link_address(self->link, false, local);
    Py_XSETREF(self->local,
               PyBytes_FromStringAndSize((const char *)local, (Py_ssize_t)len));
    if (self->local == NULL) {
        PyErr_Clear();
    }
}

int pywsc_transport_finish(struct pywsc_transport *self, int error, bool reset)
{
    struct pywsc_state *state = pywsc_transport_state(self);
    if (pywsc_transport_link(self) == NULL) {
        return 0;
    }
    /* Python may hold a socket object of the descriptor; it has to let go first. */
    PyObject *raised = pywsc_take_raised();
    PyObject *result =
        PyObject_CallMethodNoArgs((PyObject *)self, state->names[PYWSC_NAME_DETACH]);
    if (result == NULL) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    Py_XDECREF(result);
    pywsc_raise_again(raised);
    struct wsc_link *link = pywsc_transport_link(self);
    if (link == NULL) {
        return 0; /* that was the end already */
    }
    /* First: without memory for that all is as it was, to be tried again. */
    if (pywsc_call_method_soon(state, pywsc_transport_engine(self)->loop,
                               (PyObject *)self, PYWSC_NAME_LOST) < 0) {
        return -1;
    }
    self->closing = true;
    self->error = error;
    (void)wsc_link_tls_failure(link, &self->failure);
    keep_local_address(self);
    Py_BEGIN_CRITICAL_SECTION(self);
    self->link = NULL; /* other threads may ask for its names */
    Py_END_CRITICAL_SECTION();
    if (reset) {
        wsc_link_abort(link);
    }
    else {
        wsc_link_close(link);
    }
    pywsc_transport_let_go(self);
    return 0;
}

/* New reference; NULL with another exception. */
static PyObject *tls_exception(const struct wsc_tls_failure *failure)
{
    PyObject *tls = PyImport_ImportModule("pywscore._tls");
    if (tls == NULL) {
        return NULL;
    }
    PyObject *exception =
        PyObject_CallMethod(tls, "_failure", "szOiz", failure->reason, failure->library,
                            failure->ended ? Py_True : Py_False, failure->verify_code,
                            failure->verify_message);
    Py_DECREF(tls);
    return exception;
}

/* New reference: why the connection was lost, or None. */
static PyObject *lost_exception(const struct pywsc_transport *self)
{
    PyObject *exception = NULL;
    if (self->failure.reason != NULL) {
        exception = tls_exception(&self->failure);
    }
    else if (self->error == 0) {
        return Py_NewRef(Py_None);
    }
    else {
        errno = self->error;
        (void)PyErr_SetFromErrno(PyExc_OSError);
    }
    return exception != NULL ? exception : pywsc_take_raised();
}

PyObject *pywsc_transport_lost(struct pywsc_transport *self)
{
    PyObject *connection = self->connection;
    if (connection == NULL) {
        Py_RETURN_NONE;
    }
    self->connection = NULL; /* ours from now on, whatever code the next line runs */
    PyObject *exception = lost_exception(self);
    PyObject *result = PyObject_CallMethodOneArg(
        connection, pywsc_transport_state(self)->names[PYWSC_NAME_CONNECTION_LOST],
        exception);
    Py_DECREF(connection);
    Py_DECREF(exception);
    return result;
}

/* --- output --- */

size_t pywsc_transport_output_size(struct pywsc_transport *self)
{
    size_t size = pywsc_transport_link(self) == NULL ? 0 : wsc_link_unsent(self->link);
    return self->connection == NULL
               ? 0
               : size + wsc_conn_output_size(
                            &pywsc_transport_connection(self)->protocol->conn);
}

/* Call pause_writing() or resume_writing(). */
static int set_paused(struct pywsc_transport *self, bool paused)
{
    self->paused = paused;
    PyObject *connection = Py_NewRef(self->connection); /* which may be lost in there */
    PyObject *result = PyObject_CallMethodNoArgs(
        connection,
        pywsc_transport_state(self)
            ->names[paused ? PYWSC_NAME_PAUSE_WRITING : PYWSC_NAME_RESUME_WRITING]);
    Py_DECREF(connection);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

int pywsc_transport_output_left(struct pywsc_transport *self)
{
    if (self->closing) {
        return pywsc_transport_finish(self, 0, false);
    }
    if (self->end_pending && pywsc_transport_link(self) != NULL) {
        self->end_pending = false;
        wsc_link_end(self->link);
    }
    return 0;
}

int pywsc_transport_flush(struct pywsc_transport *self)
{
    if (pywsc_transport_link(self) == NULL || self->connection == NULL) {
        return 0;
    }
    struct wsc_conn *conn = &pywsc_transport_connection(self)->protocol->conn;
    while (!self->blocked && wsc_conn_wants_send(conn)) {
        struct wsc_outgoing *outgoing = wsc_conn_outgoing(conn);
        if (wsc_conn_output_size(conn) == 0) {
            break; /* a pong without memory: it goes with what is next */
        }
        enum wsc_status status = wsc_link_write(self->link, outgoing);
        if (status == WSC_ERR_IO) {
            return pywsc_transport_finish(self, errno, false);
        }
        self->blocked = status == WSC_NEED_SPACE;
    }
    if (!self->blocked) {
        return pywsc_transport_output_left(self);
    }
    return pywsc_transport_output_size(self) > self->high && !self->paused
               ? set_paused(self, true)
               : 0;
}

/* The socket takes bytes again. */
static int go_on_writing(struct pywsc_transport *self)
{
    self->blocked = false;
    if (pywsc_transport_flush(self) < 0) {
        return -1;
    }
    if (self->paused && self->connection != NULL &&
        pywsc_transport_output_size(self) <= self->low) {
        return set_paused(self, false);
    }
    return 0;
}

int pywsc_transport_close(struct pywsc_transport *self)
{
    if (self->closing || pywsc_transport_link(self) == NULL) {
        return 0;
    }
    self->closing = true;
    self->end_pending = false;
    if (!wsc_link_is_open(self->link)) {
        return pywsc_transport_finish(self, 0, false);
    }
    wsc_link_read(self->link, false);
    return pywsc_transport_output_size(self) == 0 ? pywsc_transport_output_left(self)
                                                  : 0;
}

/* --- as a carrier --- */

static struct pywsc_transport *transport_of(const struct pywsc_connection *connection)
{
    return (struct pywsc_transport *)connection->transport;
}

static int flush(struct pywsc_connection *connection)
{
    return pywsc_transport_flush(transport_of(connection));
}

/* Not in a step that may be long. */
static bool hold(struct pywsc_connection *connection)
{
    struct pywsc_transport *self = transport_of(connection);
    struct pywsc_engine *engine = pywsc_transport_engine(self);
    if (pywsc_transport_link(self) == NULL ||
        (engine->current != NULL && !pywsc_connection_is_quick(engine->current))) {
        return false;
    }
    wsc_engine_ring(engine->engine);
    return true;
}

static int limit(struct pywsc_connection *connection)
{
    transport_of(connection)->high = connection->write_high;
    transport_of(connection)->low = connection->write_low;
    return 0;
}

static void prefetch(const struct pywsc_connection *connection)
{
    PYWSC_PREFETCH(transport_of(connection)->link);
}

static PyObject *socket_of(struct pywsc_connection *connection)
{
    return Py_NewRef(connection->transport); /* it has fileno() */
}

const struct pywsc_carrier pywsc_engine_carrier = {
    .flush = flush,
    .hold = hold,
    .limit = limit,
    .prefetch = prefetch,
    .socket = socket_of,
    .counts_output = true,
    .leaves_context = true,
};

/* --- events --- */

static int receive(struct pywsc_transport *self, struct pywsc_connection *connection,
                   const struct wsc_io *io)
{
    int result = pywsc_connection_receive(connection, io->data, io->len);
    if (pywsc_transport_link(self) != NULL) {
        wsc_link_notify(self->link,
                        wsc_conn_receives_large(&connection->protocol->conn));
    }
    return result;
}

/* In a large payload: receive to where it belongs. */
static int receive_large(struct pywsc_transport *self,
                         struct pywsc_connection *connection, struct wsc_io *io)
{
    size_t len = 0;
    uint8_t *space = wsc_conn_receive_space(&connection->protocol->conn, &len);
    if (!wsc_link_receive(self->link, space, len, io)) {
        return 0;
    }
    return pywsc_transport_event(self, io);
}

/* As asyncio's transports: eof_received() may say that the answer is still to come. */
static int receive_end(struct pywsc_transport *self)
{
    self->ended = true;
    PyObject *kept = PyObject_CallMethodNoArgs(
        self->connection, pywsc_transport_state(self)->names[PYWSC_NAME_EOF_RECEIVED]);
    int keep = kept == NULL ? -1 : PyObject_IsTrue(kept);
    Py_XDECREF(kept);
    if (keep > 0) {
        return 0;
    }
    /* An exception is no answer to come; nothing will tell of the end again. */
    PyObject *raised = keep < 0 ? pywsc_take_raised() : NULL;
    int closed = pywsc_transport_close(self);
    pywsc_raise_again_after(raised, closed, (PyObject *)self);
    return keep < 0 ? -1 : closed;
}

int pywsc_transport_event(struct pywsc_transport *self, struct wsc_io *io)
{
    struct pywsc_connection *connection = pywsc_transport_connection(self);
    /* What left before this event may have run code, which ended it. */
    if (connection == NULL || pywsc_transport_link(self) == NULL) {
        return 0;
    }
    switch (io->type) {
    case WSC_IO_DATA:
        return receive(self, connection, io);
    case WSC_IO_READABLE:
        return receive_large(self, connection, io);
    case WSC_IO_WRITABLE:
        return go_on_writing(self);
    case WSC_IO_EOF:
        return receive_end(self);
    case WSC_IO_ERROR:
        return pywsc_transport_finish(self, io->error, false);
    case WSC_IO_ACCEPTED:
        break;
    }
    return 0;
}

#endif

#include "engine/transport_io.h"

#include <errno.h>

#include "common/raised.h"
#include "connection/batch.h"
#include "connection/connection.h"
#include "connection/receive.h"
#include "connection/steps.h"
#include "engine/transport_tls.h"
#include "values/proxy_source.h"

#if WSC_HAVE_ENGINE

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
    if (!self->end_pending) {
        return 0;
    }
    pywsc_transport_say_end(self);
    if (pywsc_transport_take_kept_soon(self) < 0) {
        return -1;
    }
    if (self->ssl != NULL && self->ssl->encrypted.size > 0) {
        self->blocked = true; /* the end comes when that has left */
    }
    else if (pywsc_transport_link(self) != NULL) {
        self->end_pending = false;
        wsc_link_end(self->link);
    }
    return 0;
}

static enum wsc_status write_plain(struct pywsc_transport *self)
{
    struct wsc_conn *conn = &pywsc_transport_connection(self)->protocol->conn;
    while (!self->blocked && wsc_conn_wants_send(conn)) {
        struct wsc_outgoing *outgoing = wsc_conn_outgoing(conn);
        if (wsc_conn_output_size(conn) == 0) {
            break; /* a pong without memory: it goes with what is next */
        }
        enum wsc_status status = wsc_link_write(self->link, outgoing);
        if (status == WSC_ERR_IO) {
            return status;
        }
        self->blocked = status == WSC_NEED_SPACE;
    }
    return WSC_OK;
}

int pywsc_transport_flush(struct pywsc_transport *self)
{
    if (pywsc_transport_link(self) == NULL || self->connection == NULL) {
        return 0;
    }
    if (self->ssl == NULL) {
        if (write_plain(self) == WSC_ERR_IO) {
            return pywsc_transport_finish(self, errno, false);
        }
    }
    else if (pywsc_transport_write_tls(self, pywsc_transport_connection(self)) < 0) {
        return -1;
    }
    else if (self->ssl->busy || self->connection == NULL) {
        return 0;
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
    if (!pywsc_transport_is_open(self)) {
        return pywsc_transport_finish(self, 0, false);
    }
    (void)pywsc_transport_read(self, false);
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

/* Go on after what TLS got, with what waited for that. */
static int resume_tls(struct pywsc_transport *self, bool waited)
{
    struct pywsc_ssl_object *ssl = self->ssl;
    if ((waited || ssl->held) && !ssl->kept) {
        ssl->held = false;
        if (pywsc_transport_read(self, ssl->reads) != WSC_OK) {
            return pywsc_transport_finish(self, errno, false);
        }
    }
    if (waited) {
        return go_on_writing(self);
    }
    return ssl->flush_wanted ? pywsc_transport_flush(self) : 0;
}

/* What TLS has to say of itself, after what it decrypted. `waited`: sending waited for
 * what came. */
static int settle_tls(struct pywsc_transport *self, bool waited)
{
    struct pywsc_ssl_object *ssl = self->ssl;
    if (pywsc_transport_link(self) == NULL || self->connection == NULL) {
        return 0;
    }
    if (ssl->eof && !ssl->kept) {
        ssl->eof = false;
        if (pywsc_transport_eof_tls(self) < 0) {
            return -1;
        }
    }
    if (ssl->failed) {
        return pywsc_transport_tls_failed(self);
    }
    if (ssl->ended) {
        (void)wsc_link_read(self->link, false);
        return self->ended ? 0 : receive_end(self);
    }
    return resume_tls(self, waited);
}

/* An event of a link whose TLS is Python's. */
static int tls_event(struct pywsc_transport *self, const struct wsc_io *io)
{
    if (self->ssl->busy) {
        return pywsc_transport_keep_tls(self, io);
    }
    const struct wsc_io nothing = {.type = WSC_IO_DATA};
    if (io->type == WSC_IO_EOF && self->ssl->kept) { /* which comes first */
        self->ssl->eof = true;
        io = &nothing;
    }
    bool waited = pywsc_ssl_object_wants_read(self->ssl);
    PyObject *first = NULL;
    int result =
        io->type == WSC_IO_EOF
            ? pywsc_transport_eof_tls(self)
            : pywsc_transport_receive_tls(self, pywsc_transport_connection(self), io);
    pywsc_keep_first(&first, result, (PyObject *)self);
    pywsc_keep_first(&first, settle_tls(self, waited), (PyObject *)self);
    return pywsc_raise_first(first);
}

int pywsc_transport_received(struct pywsc_transport *self)
{
    struct pywsc_ssl_object *ssl = self->ssl;
    if (ssl == NULL || self->connection == NULL || pywsc_transport_link(self) == NULL ||
        ssl->busy) {
        return 0;
    }
    if (!ssl->held && !ssl->reads) {
        return 0; /* it comes when reading goes on */
    }
    struct pywsc_connection *connection = pywsc_transport_connection(self);
    const struct wsc_io io = {.type = WSC_IO_DATA};
    pywsc_connection_batch_begin(connection);
    PyObject *ended = pywsc_connection_batch_end(connection, tls_event(self, &io));
    Py_XDECREF(ended);
    return ended == NULL ? -1 : 0;
}

int pywsc_transport_event(struct pywsc_transport *self, struct wsc_io *io)
{
    struct pywsc_connection *connection = pywsc_transport_connection(self);
    /* What left before this event may have run code, which ended it. */
    if (connection == NULL || pywsc_transport_link(self) == NULL) {
        return 0;
    }
    if (self->ssl != NULL && (io->type == WSC_IO_DATA || io->type == WSC_IO_EOF)) {
        return tls_event(self, io);
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
    case WSC_IO_PROXIED:
        return pywsc_connection_hook(connection, PYWSC_NAME_ON_PROXIED,
                                     pywsc_proxy_source(io->source));
    case WSC_IO_ERROR:
        return pywsc_transport_finish(self, io->error, false);
    case WSC_IO_ACCEPTED:
        break;
    }
    return 0;
}

#endif

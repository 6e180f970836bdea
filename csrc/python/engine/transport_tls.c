#include "engine/transport_tls.h"

#include <errno.h>

#include "common/raised.h"
#include "connection/receive.h"
#include "connection/receive_buffer.h"
#include "tasks/loop.h"

#if WSC_HAVE_ENGINE

/* Of a record's size each, to find what a peer said before it went. */
#define LAST_READ  ((size_t)16 << 10)
#define LAST_READS 64

enum wsc_status pywsc_transport_read(struct pywsc_transport *self, bool on)
{
    if (self->ssl != NULL) {
        self->ssl->reads = on;
        on = on || pywsc_ssl_object_wants_read(self->ssl);
    }
    return wsc_link_read(self->link, on);
}

int pywsc_transport_tls_failed(struct pywsc_transport *self)
{
    (void)pywsc_transport_send_encrypted(self);
    return pywsc_transport_finish(self, self->ssl->failure == NULL ? ECONNABORTED : 0,
                                  false);
}

/* The same after a call with this status: the exception that is set stays set. */
static int fail_after(struct pywsc_transport *self, int status)
{
    PyObject *raised = pywsc_take_raised();
    int failed = pywsc_transport_tls_failed(self);
    pywsc_raise_again_after(raised, failed, (PyObject *)self);
    return status < 0 ? status : failed;
}

/* --- receiving --- */

/* Into memory that is the loop's, and lent until it is returned: a new reference to it
 * in *out_bytes, NULL without memory. */
static int decrypt(struct pywsc_transport *self, struct pywsc_connection *connection,
                   const struct wsc_io *io, PyObject **out_bytes, size_t *out_len)
{
    struct pywsc_receive_buffer *buffer =
        (struct pywsc_receive_buffer *)connection->receive_buffer;
    struct pywsc_engine *engine = pywsc_transport_engine(self);
    bool borrowed = engine->borrowed;
    engine->borrowed = true;
    PyObject *view = pywsc_receive_buffer_view(buffer);
    engine->borrowed = borrowed;
    *out_bytes = NULL;
    *out_len = 0;
    if (view == NULL) {
        PyErr_Clear();
        return pywsc_transport_finish(self, ENOBUFS, false);
    }
    *out_bytes = pywsc_receive_buffer_lend(buffer);
    int result =
        pywsc_ssl_object_receive(self->ssl, engine, io->data, io->len, view, out_len);
    Py_DECREF(view);
    return result;
}

static void give_back(struct pywsc_connection *connection, PyObject *bytes)
{
    if (bytes != NULL) {
        pywsc_receive_buffer_return(
            (struct pywsc_receive_buffer *)connection->receive_buffer, bytes);
    }
}

int pywsc_transport_receive_tls(struct pywsc_transport *self,
                                struct pywsc_connection *connection,
                                const struct wsc_io *io)
{
    PyObject *bytes;
    size_t len;
    PyObject *first = NULL;
    pywsc_keep_first(&first, decrypt(self, connection, io, &bytes, &len),
                     (PyObject *)self);
    (void)pywsc_transport_send_encrypted(self);
    if (len > 0 && pywsc_transport_link(self) != NULL && self->connection != NULL) {
        const uint8_t *data = (const uint8_t *)PyByteArray_AS_STRING(bytes);
        pywsc_keep_first(&first, pywsc_connection_receive(connection, data, len),
                         (PyObject *)self);
    }
    give_back(connection, bytes);
    return pywsc_raise_first(first);
}

int pywsc_transport_keep_tls(struct pywsc_transport *self, const struct wsc_io *io)
{
    (void)wsc_link_read(self->link, false);
    self->ssl->held = true;
    self->ssl->eof = io->type == WSC_IO_EOF;
    return self->ssl->eof ? 0 : pywsc_ssl_object_keep(self->ssl, io->data, io->len);
}

int pywsc_transport_take_kept_soon(struct pywsc_transport *self)
{
    return self->ssl == NULL || !(self->ssl->kept || self->ssl->held) ||
                   pywsc_transport_link(self) == NULL
               ? 0
               : pywsc_call_method_soon(pywsc_transport_state(self),
                                        pywsc_transport_engine(self)->loop,
                                        (PyObject *)self, PYWSC_NAME_RECEIVED);
}

int pywsc_transport_eof_tls(struct pywsc_transport *self)
{
    if (self->ssl->open) {
        self->ssl->ended = true;
        return 0;
    }
    return pywsc_ssl_object_eof(self->ssl, pywsc_transport_state(self));
}

/* --- sending --- */

/* The socket takes nothing any more, as errno says. If the peer said why before it
 * went, that is what counts. */
static int lost(struct pywsc_transport *self, struct pywsc_connection *connection)
{
    int error = errno;
    bool gone = error == EPIPE || error == ECONNRESET;
    uint8_t data[LAST_READ];
    (void)wsc_link_read(self->link, gone);
    for (int i = 0; gone && i < LAST_READS && pywsc_transport_link(self) != NULL; i++) {
        struct wsc_io io;
        PyObject *bytes;
        size_t len;
        if (!wsc_link_take_ahead(self->link, &io) &&
            !wsc_link_receive(self->link, data, sizeof(data), &io)) {
            break;
        }
        if (io.type != WSC_IO_DATA) {
            break;
        }
        int result = decrypt(self, connection, &io, &bytes, &len);
        give_back(connection, bytes);
        if (result < 0 || self->ssl->failed) {
            return fail_after(self, result);
        }
    }
    return pywsc_transport_finish(self, error, false);
}

/* One step of what pywsc_transport_write_tls() does. */
static int write_some(struct pywsc_transport *self, struct pywsc_connection *connection)
{
    struct pywsc_ssl_object *ssl = self->ssl;
    enum wsc_status status = pywsc_transport_send_encrypted(self);
    if (status == WSC_OK) {
        int result =
            pywsc_ssl_object_write(ssl, wsc_conn_outgoing(&connection->protocol->conn));
        if (result < 0 || ssl->failed) {
            return fail_after(self, result);
        }
        status = pywsc_transport_send_encrypted(self);
        if (pywsc_transport_take_kept_soon(self) < 0) {
            return -1;
        }
    }
    if (status == WSC_ERR_IO) {
        return lost(self, connection);
    }
    if (ssl->starved && pywsc_transport_link(self) != NULL) {
        (void)pywsc_transport_read(self, ssl->reads);
    }
    self->blocked = status == WSC_NEED_SPACE || !ssl->open || ssl->starved;
    return 0;
}

int pywsc_transport_write_tls(struct pywsc_transport *self,
                              struct pywsc_connection *connection)
{
    const struct wsc_conn *conn = &connection->protocol->conn;
    struct pywsc_ssl_object *ssl = self->ssl;
    int result = 0;
    ssl->flush_wanted = ssl->busy; /* who has called it comes here afterwards */
    Py_INCREF(connection);
    while (result == 0 && !self->blocked && !ssl->busy &&
           pywsc_transport_link(self) != NULL &&
           (wsc_conn_wants_send(conn) || pywsc_ssl_object_unsent(ssl) > 0)) {
        size_t before = wsc_conn_outgoing(&connection->protocol->conn)->size;
        if (before + pywsc_ssl_object_unsent(ssl) == 0) {
            break; /* a pong without memory: it goes with what is next */
        }
        result = write_some(self, connection);
    }
    Py_DECREF(connection);
    return result;
}

#endif

#include "wsc/engine.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "socket.h"
#include "source.h"
#include "tls.h"

enum wsc_status
wsc_link_new(struct wsc_engine *engine, int fd, void *owner, struct wsc_link **out_link)
{
    enum wsc_status status = engine->accepted.fd == fd ? wsc_socket_prepare_accepted(fd)
                                                       : wsc_socket_prepare(fd);
    if (status != WSC_OK) {
        return status;
    }
    struct wsc_link *link = wsc_alloc(engine->allocator, sizeof(*link));
    if (link == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    wsc_source_init(&link->source, engine, fd, owner, false);
    link->tls = NULL;
    link->proxy_header = NULL;
    link->write_waits = false;
    link->end_waits = false;
    link->notifies = false;
    link->plenty = false;
    link->limit = engine->buffer_size;
    link->reading = true;
    if (wsc_source_watch(&link->source, true, false) < 0) {
        wsc_source_free(&link->source);
        return WSC_ERR_IO;
    }
    *out_link = link;
    return WSC_OK;
}

enum wsc_status wsc_link_expect_proxy_header(struct wsc_link *link)
{
    link->proxy_header =
        wsc_alloc(link->source.engine->allocator, sizeof(*link->proxy_header));
    if (link->proxy_header == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    wsc_proxy_header_init(link->proxy_header);
    return WSC_OK;
}

/* What the poller is to wait for; called when something has changed. */
static enum wsc_status watch_tls(struct wsc_link *link)
{
    const struct wsc_tls *tls = link->tls;
    bool over = tls->state >= WSC_TLS_ENDED;
    /* An end that waits to be reported is: the socket may have nothing to say any more,
     * so let its being writable wake us. */
    bool write = wsc_tls_wants_write(tls, link->write_waits) || (link->reading && over);
    bool read = (link->reading && !over) || wsc_tls_wants_read(tls, link->write_waits);
    return wsc_source_watch(&link->source, read, write) < 0 ? WSC_ERR_IO : WSC_OK;
}

enum wsc_status wsc_link_start_tls(struct wsc_link *link,
                                   const struct wsc_tls_context *context,
                                   const char *server_name)
{
    struct wsc_engine *engine = link->source.engine;
    if (engine->tls == NULL && engine->buffer_size >= WSC_TLS_PLAIN_MIN) {
        engine->tls = wsc_tls_shared_new(engine->allocator);
    }
    if (engine->tls == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    engine->tls->out_len = 0;
    link->tls = wsc_tls_new(engine->tls, context, link->source.fd, server_name);
    if (link->tls == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    if (wsc_tls_send(link->tls, link->source.fd) == WSC_ERR_IO) {
        return WSC_ERR_IO;
    }
    return watch_tls(link);
}

bool wsc_link_is_open(const struct wsc_link *link)
{
    return link->tls == NULL || link->tls->state != WSC_TLS_HANDSHAKE;
}

size_t wsc_link_unsent(const struct wsc_link *link)
{
    return link->tls == NULL ? 0 : wsc_tls_unsent(link->tls);
}

bool wsc_link_tls_info(const struct wsc_link *link, struct wsc_tls_info *out_info)
{
    if (link->tls == NULL || !wsc_link_is_open(link)) {
        return false;
    }
    wsc_tls_get_info(link->tls, out_info);
    return true;
}

bool wsc_link_tls_failure(const struct wsc_link *link,
                          struct wsc_tls_failure *out_failure)
{
    return link->tls != NULL && wsc_tls_get_failure(link->tls, out_failure);
}

static void close_socket(struct wsc_link *link)
{
    int fd = link->source.fd;
    wsc_source_free(&link->source);
    (void)close(fd);
}

void wsc_link_close(struct wsc_link *link)
{
    int fd = link->source.fd;
    if (link->tls != NULL && wsc_link_unsent(link) == 0) {
        wsc_tls_end(link->tls);
        (void)wsc_tls_send(link->tls, fd);
    }
    wsc_socket_discard(fd);
    close_socket(link);
}

void wsc_link_forget(struct wsc_link *link)
{
    wsc_source_free(&link->source);
}

void wsc_link_abort(struct wsc_link *link)
{
    struct linger linger = {1, 0};
    (void)setsockopt(link->source.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close_socket(link);
}

enum wsc_status wsc_link_read(struct wsc_link *link, bool on)
{
    link->reading = on;
    if (link->tls != NULL) {
        return watch_tls(link);
    }
    return wsc_source_watch(&link->source, on, link->source.interest.write) < 0
               ? WSC_ERR_IO
               : WSC_OK;
}

bool wsc_link_reads(const struct wsc_link *link)
{
    return link->reading;
}

void wsc_link_end(struct wsc_link *link)
{
    if (link->tls != NULL) {
        wsc_tls_end(link->tls);
        if (wsc_tls_send(link->tls, link->source.fd) == WSC_NEED_SPACE) {
            link->end_waits = true;
            (void)watch_tls(link);
            return;
        }
    }
    (void)shutdown(link->source.fd, SHUT_WR);
}

void wsc_link_notify(struct wsc_link *link, bool on)
{
    link->notifies = on;
}

void wsc_link_limit(struct wsc_link *link, size_t size)
{
    link->limit = size < link->limit ? size : link->limit;
}

int wsc_link_fd(const struct wsc_link *link)
{
    return link->source.fd;
}

/* Where there is what was received ahead and not given out; NULL if there is none. */
static struct wsc_ready *ahead_of(const struct wsc_link *link)
{
    struct wsc_engine *engine = link->source.engine;
    for (size_t at = engine->ready_next; at < engine->ahead_end; at++) {
        if (engine->ready[at].owner == link && engine->ready[at].ahead != NULL) {
            return &engine->ready[at];
        }
    }
    return NULL;
}

/* Its socket takes nothing any more. */
static void lost_tls(struct wsc_link *link)
{
    const struct wsc_ready *ready = ahead_of(link);
    wsc_tls_lost(link->tls, link->source.fd, ready != NULL ? ready->ahead : NULL,
                 ready != NULL ? ready->got : 0);
}

static enum wsc_status write_tls(struct wsc_link *link, struct wsc_outgoing *outgoing)
{
    enum wsc_status status = WSC_NEED_SPACE;
    if (wsc_link_is_open(link)) {
        status = wsc_tls_write(link->tls, link->source.fd, outgoing);
    }
    if (status == WSC_ERR_IO) {
        lost_tls(link);
    }
    if (status == WSC_NEED_SPACE) {
        link->write_waits = true;
        if (watch_tls(link) != WSC_OK) {
            return WSC_ERR_IO;
        }
    }
    return status;
}

enum wsc_status wsc_link_write(struct wsc_link *link, struct wsc_outgoing *outgoing)
{
    if (link->tls != NULL) {
        return write_tls(link, outgoing);
    }
    while (outgoing->size > 0) {
        size_t offered;
        ssize_t sent = wsc_socket_send_outgoing(link->source.fd, outgoing, &offered);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS) {
            return WSC_ERR_IO;
        }
        if (sent > 0) {
            wsc_outgoing_consume(outgoing, (size_t)sent);
        }
        if (sent < 0 || (size_t)sent < offered) {
            return wsc_source_watch(&link->source, link->source.interest.read, true) < 0
                       ? WSC_ERR_IO
                       : WSC_NEED_SPACE;
        }
    }
    return WSC_OK;
}

/* --- events --- */

/* What wsc_socket_receive gave as an event; false if it is none. */
static bool
received(struct wsc_link *link, const uint8_t *data, ssize_t got, struct wsc_io *out)
{
    if (got > 0) {
        out->type = WSC_IO_DATA;
        out->data = data;
        out->len = (size_t)got;
        return true;
    }
    if (got == -EAGAIN || got == -EWOULDBLOCK || got == -EINTR) {
        return false;
    }
    out->type = got == 0 ? WSC_IO_EOF : WSC_IO_ERROR;
    out->error = (int)-got;
    link->reading = false;
    (void)wsc_source_watch(&link->source, false, link->source.interest.write);
    return true;
}

bool wsc_link_receive(struct wsc_link *link, uint8_t *data, size_t size,
                      struct wsc_io *out)
{
    struct wsc_engine *engine = link->source.engine;
    if (!link->reading) {
        return false;
    }
    if (data == NULL) {
        data = engine->buffer;
        size = link->limit;
    }
    ssize_t got = wsc_socket_receive(link->source.fd, data, size);
    link->plenty = got >= (ssize_t)WSC_AHEAD_WINDOW;
    return received(link, data, got, out);
}

/* What belongs to the header is taken, and nothing behind it, which may be for TLS. */
static bool next_of_proxy(struct wsc_link *link, struct wsc_io *out)
{
    struct wsc_engine *engine = link->source.engine;
    struct wsc_proxy_header ahead = *link->proxy_header;
    size_t used = 0;
    ssize_t got = wsc_socket_peek(link->source.fd, engine->buffer, engine->buffer_size);
    if (got > 0 && wsc_proxy_header_feed(&ahead, engine->buffer, (size_t)got, &used,
                                         &engine->source) != WSC_ERR_PROTOCOL) {
        got = wsc_socket_receive(link->source.fd, engine->buffer, used);
    }
    if (got <= 0) {
        return received(link, engine->buffer, got, out);
    }
    enum wsc_status status = wsc_proxy_header_feed(link->proxy_header, engine->buffer,
                                                   (size_t)got, &used, &engine->source);
    if (status == WSC_NEED_DATA) {
        return false;
    }
    if (status != WSC_OK) {
        return received(link, engine->buffer, -EPROTO, out);
    }
    wsc_free(engine->allocator, link->proxy_header);
    link->proxy_header = NULL;
    out->type = WSC_IO_PROXIED;
    out->source = &engine->source;
    return true;
}

static bool next_received(struct wsc_link *link, struct wsc_io *out)
{
    if (link->reading && link->notifies) {
        out->type = WSC_IO_READABLE;
        return true;
    }
    return wsc_link_receive(link, NULL, 0, out);
}

static void tls_failed(struct wsc_link *link, struct wsc_io *out)
{
    out->type = WSC_IO_ERROR;
    out->error = link->tls->error;
    link->write_waits = false;
    link->reading = false;
    (void)wsc_source_watch(&link->source, false, false);
}

static bool tls_ended(struct wsc_link *link, struct wsc_io *out)
{
    if (link->tls->state == WSC_TLS_FAILED) {
        tls_failed(link, out);
        return true;
    }
    if (!link->reading || link->tls->state != WSC_TLS_ENDED) {
        return false;
    }
    out->type = WSC_IO_EOF;
    (void)wsc_link_read(link, false);
    return true;
}

/* Is it the handshake that writing waited for? */
static bool tls_opened(struct wsc_link *link, struct wsc_io *out)
{
    if (!link->write_waits || link->tls->state != WSC_TLS_OPEN ||
        wsc_tls_unsent(link->tls) > 0) {
        return false;
    }
    link->write_waits = false;
    (void)watch_tls(link);
    out->type = WSC_IO_WRITABLE;
    return true;
}

/* What came of receiving `len` bytes of plaintext, in the engine's buffer. An end comes
 * after them. */
static bool
received_tls(struct wsc_link *link, bool was_open, size_t len, struct wsc_io *out)
{
    if (len == 0 && (tls_ended(link, out) || (!was_open && tls_opened(link, out)))) {
        return true;
    }
    (void)watch_tls(link);
    out->type = WSC_IO_DATA;
    out->data = link->source.engine->buffer;
    out->len = len;
    return len > 0;
}

static bool next_received_tls(struct wsc_link *link, struct wsc_io *out)
{
    const struct wsc_engine *engine = link->source.engine;
    bool was_open = wsc_link_is_open(link);
    size_t len = 0;
    if (!link->reading && wsc_tls_wants_read(link->tls, link->write_waits)) {
        wsc_tls_receive_handshake(link->tls, link->source.fd);
    }
    else if (link->reading && link->tls->state < WSC_TLS_ENDED) {
        len = wsc_tls_receive(link->tls, link->source.fd, engine->buffer,
                              engine->buffer_size);
        link->plenty = len >= WSC_AHEAD_WINDOW;
    }
    return received_tls(link, was_open, len, out);
}

/* The socket takes bytes: first those that are encrypted. */
static bool next_writable_tls(struct wsc_link *link, struct wsc_io *out)
{
    link->tls->shared->out_len = 0;
    enum wsc_status status = wsc_tls_send(link->tls, link->source.fd);
    if (status == WSC_ERR_IO) {
        lost_tls(link);
        tls_failed(link, out);
        return true;
    }
    if (status == WSC_OK && link->end_waits) {
        link->end_waits = false;
        (void)shutdown(link->source.fd, SHUT_WR);
    }
    if (status == WSC_OK && link->write_waits &&
        link->tls->state != WSC_TLS_HANDSHAKE) {
        link->write_waits = false;
        (void)watch_tls(link);
        out->type = WSC_IO_WRITABLE;
        return true;
    }
    (void)watch_tls(link);
    return tls_ended(link, out);
}

size_t
wsc_link_receive_ahead(struct wsc_link *link, struct wsc_ready *ready, uint8_t *data)
{
    if (ready->writable || !link->source.interest.read || !link->reading ||
        link->notifies || link->plenty || link->proxy_header != NULL) {
        return 0;
    }
    ready->ahead = data;
    ready->got = wsc_socket_receive(link->source.fd, data, WSC_AHEAD_WINDOW);
    link->plenty = ready->got == (ssize_t)WSC_AHEAD_WINDOW;
    return ready->got > 0 ? (size_t)ready->got : 0;
}

/* Who has stopped reading since then gets it all the same: it can't be put back. */
static bool
next_ahead(struct wsc_link *link, struct wsc_ready *ready, struct wsc_io *out)
{
    const struct wsc_engine *engine = link->source.engine;
    const uint8_t *data = ready->ahead;
    ready->ahead = NULL;
    ready->readable = false;
    if (ready->got == 0 && !link->reading) {
        return false; /* the end is there again when reading goes on */
    }
    if (link->tls == NULL) {
        return received(link, data, ready->got, out);
    }
    bool was_open = wsc_link_is_open(link);
    size_t len = wsc_tls_received(link->tls, link->source.fd, data, ready->got,
                                  engine->buffer, engine->buffer_size);
    return received_tls(link, was_open, len, out);
}

bool wsc_link_take_ahead(struct wsc_link *link, struct wsc_io *out)
{
    struct wsc_ready *ready = ahead_of(link);
    memset(out, 0, sizeof(*out));
    return ready != NULL && next_ahead(link, ready, out);
}

bool wsc_link_next(struct wsc_link *link, struct wsc_ready *ready, struct wsc_io *out)
{
    if (ready->ahead != NULL) {
        return next_ahead(link, ready, out);
    }
    if (ready->readable && !link->source.interest.read) {
        /* An error or the end: nobody reads, so writing has to show it. */
        ready->readable = false;
        ready->writable = link->source.interest.write;
    }
    if (ready->writable) {
        ready->writable = false;
        if (link->tls == NULL) {
            (void)wsc_source_watch(&link->source, link->source.interest.read, false);
            out->type = WSC_IO_WRITABLE;
            return true;
        }
        if (next_writable_tls(link, out)) {
            return true;
        }
    }
    if (!ready->readable) {
        return false;
    }
    ready->readable = false;
    if (link->proxy_header != NULL) {
        return next_of_proxy(link, out);
    }
    return link->tls != NULL ? next_received_tls(link, out) : next_received(link, out);
}

size_t wsc_link_address(const struct wsc_link *link, bool peer,
                        uint8_t out_address[WSC_ADDRESS_SIZE])
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof(address);
    int fd = link->source.fd;
    const struct wsc_accepted *accepted = &link->source.engine->accepted;
    if (peer && accepted->fd == fd) {
        memcpy(out_address, accepted->peer, accepted->peer_len);
        return accepted->peer_len;
    }
    int result = peer ? getpeername(fd, (struct sockaddr *)&address, &len)
                      : getsockname(fd, (struct sockaddr *)&address, &len);
    return result < 0 ? 0 : wsc_socket_internet(&address, len, out_address);
}

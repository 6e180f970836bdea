#define _GNU_SOURCE /* accept4 */
#include "wsc/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "poller.h"
#include "tls.h"

#define ACCEPTS_PER_POLL 64
#define PIECES           64

/* A listener or a link: what a poller's entry points to. */
struct source {
    struct wsc_engine *engine;
    struct source *previous;
    struct source *next;
    void *owner;
    int fd;
    struct wsc_interest interest;
    bool is_listener;
};

struct wsc_listener {
    struct source source; /* first: the two have one address */
};

struct wsc_link {
    struct source source;
    struct wsc_tls *tls; /* NULL without TLS */
    bool reading;
    bool write_waits; /* WSC_NEED_SPACE was said, WSC_IO_WRITABLE was not */
    bool end_waits;   /* shut down once what is encrypted has left */
};

struct wsc_engine {
    const struct wsc_allocator *allocator;
    int poller;
    int spare; /* a descriptor to give up when there are no others; -1 if none */
    struct source *sources;
    uint8_t *buffer;
    size_t buffer_size;
    struct wsc_tls_shared *tls; /* made when first needed */
    size_t ready_count;
    size_t ready_next;
    size_t accepts_left;
    struct wsc_ready ready[WSC_POLLER_BATCH];
};

/* --- sources --- */

static int open_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void source_init(struct source *source, struct wsc_engine *engine, int fd,
                        void *owner, bool is_listener)
{
    memset(source, 0, sizeof(*source));
    source->engine = engine;
    source->fd = fd;
    source->owner = owner;
    source->is_listener = is_listener;
    source->next = engine->sources;
    if (engine->sources != NULL) {
        engine->sources->previous = source;
    }
    engine->sources = source;
}

static int watch(struct source *source, bool read, bool write)
{
    struct wsc_interest interest = {read, write};
    return wsc_poller_set(source->engine->poller, source->fd, source, &source->interest,
                          interest);
}

/* Forget it everywhere, in the events at hand too, and free it. */
static void source_free(struct source *source)
{
    struct wsc_engine *engine = source->engine;
    (void)watch(source, false, false);
    for (size_t i = engine->ready_next; i < engine->ready_count; i++) {
        if (engine->ready[i].owner == source) {
            engine->ready[i].owner = NULL;
        }
    }
    if (source->previous != NULL) {
        source->previous->next = source->next;
    }
    else {
        engine->sources = source->next;
    }
    if (source->next != NULL) {
        source->next->previous = source->previous;
    }
    if (!source->is_listener) {
        wsc_tls_free(((struct wsc_link *)source)->tls);
    }
    wsc_free(engine->allocator, source);
}

static enum wsc_status set_non_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        return WSC_ERR_IO;
    }
    return WSC_OK;
}

/* --- the engine --- */

enum wsc_status wsc_engine_new(const struct wsc_allocator *allocator,
                               size_t receive_size, struct wsc_engine **out_engine)
{
    struct wsc_engine *engine = wsc_alloc_zeroed(allocator, sizeof(*engine));
    if (engine == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    engine->allocator = allocator;
    engine->spare = -1;
    engine->poller = -1;
    engine->buffer_size = receive_size;
    engine->buffer = wsc_alloc(allocator, receive_size);
    if (engine->buffer == NULL) {
        wsc_engine_free(engine);
        return WSC_ERR_NO_MEMORY;
    }
    engine->poller = wsc_poller_new();
    engine->spare = open_spare();
    if (engine->poller < 0 || engine->spare < 0) {
        wsc_engine_free(engine);
        return WSC_ERR_IO;
    }
    *out_engine = engine;
    return WSC_OK;
}

void wsc_engine_free(struct wsc_engine *engine)
{
    if (engine == NULL) {
        return;
    }
    while (engine->sources != NULL) {
        struct source *source = engine->sources;
        int fd = source->is_listener ? -1 : source->fd;
        source_free(source);
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    if (engine->poller >= 0) {
        (void)close(engine->poller);
    }
    if (engine->spare >= 0) {
        (void)close(engine->spare);
    }
    wsc_tls_shared_free(engine->tls);
    wsc_free(engine->allocator, engine->buffer);
    wsc_free(engine->allocator, engine);
}

void wsc_engine_forget(struct wsc_engine *engine)
{
    /* The poller is shared with the parent: closing our descriptor of it changes
     * nothing there, removing sockets from it would. */
    if (engine->poller >= 0) {
        (void)close(engine->poller);
        engine->poller = -1;
    }
    for (struct source *source = engine->sources; source != NULL;
         source = source->next) {
        source->interest.read = false;
        source->interest.write = false;
    }
    engine->ready_count = 0;
    engine->ready_next = 0;
}

int wsc_engine_fd(const struct wsc_engine *engine)
{
    return engine->poller;
}

size_t wsc_engine_poll(struct wsc_engine *engine, int timeout_ms)
{
    while (engine->ready_next < engine->ready_count) {
        if (engine->ready[engine->ready_next].owner != NULL) {
            return engine->ready_count - engine->ready_next;
        }
        engine->ready_next++;
    }
    engine->ready_next = 0;
    engine->ready_count = wsc_poller_wait(engine->poller, timeout_ms, engine->ready);
    engine->accepts_left = ACCEPTS_PER_POLL;
    return engine->ready_count;
}

/* --- events --- */

/* Out of descriptors: take the connection with the spare one and close it, so that the
 * client knows and the backlog does not keep us busy. */
static void refuse_connection(struct wsc_engine *engine, int listener)
{
    if (engine->spare >= 0) {
        (void)close(engine->spare);
        engine->spare = -1;
    }
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        (void)close(fd);
    }
    engine->spare = open_spare();
}

/* Does this errno of accept concern one connection, rather than us? */
static bool is_passing(int error)
{
    return error == ECONNABORTED || error == EINTR || error == EPROTO ||
           error == EPERM || error == ENETDOWN || error == EHOSTUNREACH ||
           error == ENETUNREACH;
}

/* True with *out; false when there is nothing (more) to accept. */
static bool
next_accepted(struct wsc_engine *engine, struct source *source, struct wsc_io *out)
{
    while (engine->accepts_left > 0) {
        engine->accepts_left--;
        int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            out->type = WSC_IO_ACCEPTED;
            out->fd = fd;
            return true;
        }
        if (is_passing(errno)) {
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return false;
        }
        int error = errno;
        if (error == EMFILE || error == ENFILE) {
            refuse_connection(engine, source->fd);
        }
        engine->accepts_left = 0;
        out->type = WSC_IO_ERROR;
        out->error = error;
        return true;
    }
    return false;
}

static bool
next_received(struct wsc_engine *engine, struct wsc_link *link, struct wsc_io *out)
{
    if (!link->reading) {
        return false;
    }
    ssize_t got = recv(link->source.fd, engine->buffer, engine->buffer_size, 0);
    if (got > 0) {
        out->type = WSC_IO_DATA;
        out->data = engine->buffer;
        out->len = (size_t)got;
        return true;
    }
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        return false;
    }
    out->type = got == 0 ? WSC_IO_EOF : WSC_IO_ERROR;
    out->error = got == 0 ? 0 : errno;
    link->reading = false;
    (void)watch(&link->source, false, link->source.interest.write);
    return true;
}

static void tls_failed(struct wsc_link *link, struct wsc_io *out)
{
    out->type = WSC_IO_ERROR;
    out->error = link->tls->error;
    out->message = link->tls->error == 0 ? link->tls->shared->message : NULL;
    link->write_waits = false;
    link->reading = false;
    (void)watch(&link->source, false, false);
}

/* What the poller is to wait for; called when something has changed. */
static enum wsc_status watch_tls(struct wsc_link *link)
{
    bool open = link->tls->state != WSC_TLS_HANDSHAKE;
    bool write = link->tls->left != NULL || (link->write_waits && open);
    /* An end that waits to be reported is: the socket may have nothing to say any more,
     * so let its being writable wake us. */
    write = write || (link->reading && link->tls->state == WSC_TLS_ENDED);
    bool read = link->reading && link->tls->state != WSC_TLS_ENDED;
    return watch(&link->source, read, write) < 0 ? WSC_ERR_IO : WSC_OK;
}

static bool tls_ended(struct wsc_link *link, struct wsc_io *out)
{
    if (!link->reading || link->tls->state != WSC_TLS_ENDED) {
        return false;
    }
    out->type = WSC_IO_EOF;
    (void)wsc_link_read(link, false);
    return true;
}

static bool
next_received_tls(struct wsc_engine *engine, struct wsc_link *link, struct wsc_io *out)
{
    if (!link->reading) {
        return false;
    }
    size_t len = 0;
    if (link->tls->state == WSC_TLS_HANDSHAKE || link->tls->state == WSC_TLS_OPEN) {
        len = wsc_tls_receive(link->tls, link->source.fd, engine->buffer,
                              engine->buffer_size);
    }
    if (link->tls->state == WSC_TLS_FAILED) {
        /* What came in the same read before it is lost with the connection. */
        tls_failed(link, out);
        return true;
    }
    if (len == 0 && tls_ended(link, out)) {
        return true;
    }
    (void)watch_tls(link);
    out->type = WSC_IO_DATA;
    out->data = engine->buffer;
    out->len = len;
    return len > 0;
}

/* The socket takes bytes: first those that are encrypted. */
static bool next_writable_tls(struct wsc_link *link, struct wsc_io *out)
{
    link->tls->shared->out_len = 0;
    enum wsc_status status = wsc_tls_send(link->tls, link->source.fd);
    if (status == WSC_ERR_IO) {
        link->tls->error = errno;
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

static bool
next_of_link(struct wsc_engine *engine, struct wsc_ready *ready, struct wsc_io *out)
{
    struct wsc_link *link = ready->owner;
    if (ready->writable) {
        ready->writable = false;
        if (link->tls != NULL) {
            return next_writable_tls(link, out);
        }
        (void)watch(&link->source, link->source.interest.read, false);
        out->type = WSC_IO_WRITABLE;
        return true;
    }
    engine->ready_next++;
    if (!ready->readable) {
        return false;
    }
    return link->tls != NULL ? next_received_tls(engine, link, out)
                             : next_received(engine, link, out);
}

bool wsc_engine_next(struct wsc_engine *engine, struct wsc_io *out)
{
    while (engine->ready_next < engine->ready_count) {
        struct wsc_ready *ready = &engine->ready[engine->ready_next];
        struct source *source = ready->owner;
        if (source == NULL) {
            engine->ready_next++;
            continue;
        }
        memset(out, 0, sizeof(*out));
        out->owner = source->owner;
        out->fd = -1;
        if (source->is_listener) {
            if (next_accepted(engine, source, out)) {
                return true;
            }
            engine->ready_next++;
            continue;
        }
        if (ready->readable && !source->interest.read) {
            /* An error or the end: nobody reads, so writing has to show it. */
            ready->readable = false;
            ready->writable = source->interest.write;
        }
        if (next_of_link(engine, ready, out)) {
            return true;
        }
    }
    return false;
}

/* --- listeners --- */

enum wsc_status wsc_listener_new(struct wsc_engine *engine, int fd, void *owner,
                                 struct wsc_listener **out_listener)
{
    struct wsc_listener *listener = wsc_alloc(engine->allocator, sizeof(*listener));
    if (listener == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    source_init(&listener->source, engine, fd, owner, true);
    if (watch(&listener->source, true, false) < 0) {
        source_free(&listener->source);
        return WSC_ERR_IO;
    }
    *out_listener = listener;
    return WSC_OK;
}

void wsc_listener_accept(struct wsc_listener *listener, bool on)
{
    (void)watch(&listener->source, on, false);
}

void wsc_listener_close(struct wsc_listener *listener)
{
    source_free(&listener->source);
}

/* --- links --- */

enum wsc_status
wsc_link_new(struct wsc_engine *engine, int fd, void *owner, struct wsc_link **out_link)
{
    enum wsc_status status = set_non_blocking(fd);
    if (status != WSC_OK) {
        return status;
    }
    struct wsc_link *link = wsc_alloc(engine->allocator, sizeof(*link));
    if (link == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
                     sizeof(on)); /* not of Unix sockets */
    source_init(&link->source, engine, fd, owner, false);
    link->tls = NULL;
    link->write_waits = false;
    link->end_waits = false;
    link->reading = true;
    if (watch(&link->source, true, false) < 0) {
        source_free(&link->source);
        return WSC_ERR_IO;
    }
    *out_link = link;
    return WSC_OK;
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
    link->tls = wsc_tls_new(engine->tls, context, server_name);
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
    return link->tls == NULL ? 0 : link->tls->left_end - link->tls->left_start;
}

bool wsc_link_tls_info(const struct wsc_link *link, struct wsc_tls_info *out_info)
{
    if (link->tls == NULL || !wsc_link_is_open(link)) {
        return false;
    }
    wsc_tls_get_info(link->tls, out_info);
    return true;
}

void wsc_link_close(struct wsc_link *link)
{
    int fd = link->source.fd;
    if (link->tls != NULL && wsc_link_unsent(link) == 0) {
        wsc_tls_end(link->tls);
        (void)wsc_tls_send(link->tls, fd);
    }
    source_free(&link->source);
    (void)close(fd);
}

void wsc_link_forget(struct wsc_link *link)
{
    source_free(&link->source);
}

void wsc_link_abort(struct wsc_link *link)
{
    struct linger linger = {1, 0};
    (void)setsockopt(link->source.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    if (link->tls != NULL) {
        link->tls->end_sent = true; /* an abort is not an orderly end */
    }
    wsc_link_close(link);
}

enum wsc_status wsc_link_read(struct wsc_link *link, bool on)
{
    link->reading = on;
    if (link->tls != NULL) {
        return watch_tls(link);
    }
    return watch(&link->source, on, link->source.interest.write) < 0 ? WSC_ERR_IO
                                                                     : WSC_OK;
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

int wsc_link_fd(const struct wsc_link *link)
{
    return link->source.fd;
}

static ssize_t
send_pieces(int fd, const struct wsc_outgoing *outgoing, size_t *out_offered)
{
    struct wsc_outgoing_piece pieces[PIECES];
    struct iovec vectors[PIECES];
    size_t count = wsc_outgoing_peek(outgoing, pieces, PIECES);
    *out_offered = 0;
    if (count == 1) {
        *out_offered = pieces[0].len;
        return send(fd, pieces[0].data, pieces[0].len, MSG_NOSIGNAL);
    }
    for (size_t i = 0; i < count; i++) {
        union {
            const void *read_only;
            void *base;
        } data = {.read_only = pieces[i].data};
        vectors[i].iov_base = data.base;
        vectors[i].iov_len = pieces[i].len;
        *out_offered += pieces[i].len;
    }
    struct msghdr message;
    memset(&message, 0, sizeof(message));
    message.msg_iov = vectors;
    message.msg_iovlen = count;
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static enum wsc_status write_tls(struct wsc_link *link, struct wsc_outgoing *outgoing)
{
    enum wsc_status status = WSC_NEED_SPACE;
    if (wsc_link_is_open(link)) {
        status = wsc_tls_write(link->tls, link->source.fd, outgoing);
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
        ssize_t sent = send_pieces(link->source.fd, outgoing, &offered);
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
            return watch(&link->source, link->source.interest.read, true) < 0
                       ? WSC_ERR_IO
                       : WSC_NEED_SPACE;
        }
    }
    return WSC_OK;
}

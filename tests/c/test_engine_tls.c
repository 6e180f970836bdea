/* TLS in the engine. Both ends in one engine over a socket pair, with each system call
 * and each allocation failing at each index; and against a peer that is OpenSSL on
 * memory, whose records come in pieces and orders that no socket would give. */
#include "test.h"

#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io_shim.h"
#include "tls_certificate.h"
#include "wsc/engine.h"

#define RECEIVE_SIZE ((size_t)128 << 10)
#define MESSAGE      ((size_t)20000)
#define POLLS_MAX    20000
#define SEND_BUFFER  6000 /* less than a record, so that writes are short */

static uint8_t pattern(size_t index)
{
    return (uint8_t)(index * 31 + index / 251);
}

/* --- contexts --- */

struct contexts {
    struct wsc_tls_context *server;
    struct wsc_tls_context *client;
};

static void contexts_fini(struct contexts *contexts)
{
    wsc_tls_context_free(contexts->server);
    wsc_tls_context_free(contexts->client);
}

static bool
contexts_init(struct contexts *contexts, const struct wsc_allocator *allocator)
{
    char message[WSC_TLS_MESSAGE_SIZE];
    const char *file = tls_certificate();
    memset(contexts, 0, sizeof(*contexts));
    enum wsc_status status = wsc_tls_context_new(allocator, true, &contexts->server);
    if (status == WSC_OK) {
        status = wsc_tls_context_new(allocator, false, &contexts->client);
    }
    if (status != WSC_OK) {
        CHECK_INT(status, WSC_ERR_NO_MEMORY);
        contexts_fini(contexts);
        return false;
    }
    CHECK_INT(wsc_tls_context_certificate(contexts->server, file, file, NULL, message),
              WSC_OK);
    CHECK_INT(wsc_tls_context_trust(contexts->client, file, NULL, message), WSC_OK);
    return true;
}

/* --- both ends in one engine --- */

struct end {
    struct wsc_link *link; /* NULL when it is closed */
    struct wsc_outgoing outgoing;
    size_t queued; /* a client's */
    size_t received;
    bool is_client;
    bool ended; /* by the peer */
};

struct session {
    const struct wsc_allocator *allocator;
    struct wsc_engine *engine;
    struct end ends[2]; /* server, client */
    size_t total;
    bool wrong;
    bool no_memory;
    bool resumed;
    int error;
    char message[WSC_TLS_MESSAGE_SIZE];
};

static void drop(struct end *end)
{
    if (end->link != NULL) {
        wsc_link_close(end->link);
        end->link = NULL;
        wsc_outgoing_fini(&end->outgoing);
    }
}

static void failed(struct session *session, struct end *end, int error)
{
    if (session->error == 0) {
        session->error = error;
    }
    drop(end);
}

static void flush(struct session *session, struct end *end)
{
    enum wsc_status status = wsc_link_write(end->link, &end->outgoing);
    if (status == WSC_ERR_IO) {
        failed(session, end, errno);
        return;
    }
    CHECK(status == WSC_NEED_SPACE || end->outgoing.size == 0);
    if (status == WSC_OK && end->ended && wsc_link_unsent(end->link) == 0) {
        drop(end);
    }
}

static void
queue(struct session *session, struct end *end, const uint8_t *data, size_t len)
{
    uint8_t *out;
    if (wsc_outgoing_reserve(&end->outgoing, len, &out) != WSC_OK) {
        session->no_memory = true;
        drop(end);
        return;
    }
    memcpy(out, data, len);
    wsc_outgoing_commit(&end->outgoing, len);
    flush(session, end);
}

/* Messages of odd sizes, until all is queued. */
static void send_more(struct session *session, struct end *end)
{
    uint8_t data[7001];
    while (end->link != NULL && end->queued < session->total &&
           end->outgoing.size == 0) {
        size_t left = session->total - end->queued;
        size_t len = left < sizeof(data) ? left : sizeof(data);
        for (size_t i = 0; i < len; i++) {
            data[i] = pattern(end->queued + i);
        }
        end->queued += len;
        queue(session, end, data, len);
    }
}

static void take(struct session *session, struct end *end, const struct wsc_io *io)
{
    CHECK(wsc_link_is_open(end->link) && io->len > 0);
    if (!end->is_client) {
        queue(session, end, io->data, io->len);
        return;
    }
    for (size_t i = 0; i < io->len; i++) {
        session->wrong |= io->data[i] != pattern(end->received++);
    }
    if (end->received == session->total) {
        struct wsc_tls_info info;
        CHECK(wsc_link_tls_info(end->link, &info));
        CHECK(strcmp(info.version, "TLSv1.3") == 0 && info.certificate_len > 0);
        session->resumed = info.session_reused;
        wsc_tls_info_fini(&info);
        wsc_link_end(end->link);
    }
}

static void handle(struct session *session, const struct wsc_io *io)
{
    struct end *end = io->owner;
    CHECK(end->link != NULL);
    switch (io->type) {
    case WSC_IO_DATA:
        take(session, end, io);
        return;
    case WSC_IO_WRITABLE:
        flush(session, end);
        if (end->is_client) {
            send_more(session, end);
        }
        return;
    case WSC_IO_EOF:
        CHECK(!end->ended);
        end->ended = true;
        if (end->outgoing.size == 0 && wsc_link_unsent(end->link) == 0) {
            drop(end);
        }
        return;
    case WSC_IO_ERROR:
        CHECK(io->error != 0 || io->message != NULL);
        if (io->message != NULL) {
            (void)snprintf(session->message, sizeof(session->message), "%s",
                           io->message);
        }
        failed(session, end, io->error != 0 ? io->error : EPROTO);
        return;
    case WSC_IO_ACCEPTED:
        break;
    }
    CHECK(false && "an event of the other kind");
}

static bool
open_end(struct session *session, size_t i, int fd, const struct contexts *contexts)
{
    struct end *end = &session->ends[i];
    int size = SEND_BUFFER;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    end->is_client = i == 1;
    enum wsc_status status = wsc_link_new(session->engine, fd, end, &end->link);
    if (status != WSC_OK) {
        end->link = NULL;
        (void)close(fd);
    }
    else {
        wsc_outgoing_init(&end->outgoing, session->allocator);
        status =
            wsc_link_start_tls(end->link, i == 0 ? contexts->server : contexts->client,
                               i == 0 ? NULL : "localhost");
    }
    session->no_memory |= status == WSC_ERR_NO_MEMORY;
    if (status == WSC_ERR_IO) {
        session->error = errno;
    }
    if (status != WSC_OK) {
        drop(end);
    }
    return status == WSC_OK;
}

struct outcome {
    bool complete; /* all came back, then the end */
    bool hung;
    bool no_memory;
    bool resumed;
    int error;
    size_t hits;
    size_t polls;
};

static void
run(struct session *session, struct outcome *out, const struct contexts *contexts)
{
    int fds[2];
    struct wsc_io io;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    bool open = open_end(session, 0, fds[0], contexts);
    if (!open_end(session, 1, fds[1], contexts) || !open) {
        return;
    }
    send_more(session, &session->ends[1]);
    while ((session->ends[0].link != NULL || session->ends[1].link != NULL) &&
           ++out->polls < POLLS_MAX) {
        (void)wsc_engine_poll(session->engine, 100);
        while (wsc_engine_next(session->engine, &io)) {
            handle(session, &io);
        }
    }
    out->hung = out->polls >= POLLS_MAX;
}

static struct outcome session(const struct wsc_allocator *allocator,
                              const struct contexts *contexts,
                              const struct io_fault *fault, size_t total)
{
    struct outcome out = {0};
    struct session s = {.allocator = allocator, .total = total};
    io_shim_set(fault);
    if (wsc_engine_new(allocator, RECEIVE_SIZE, &s.engine) == WSC_OK) {
        run(&s, &out, contexts);
        drop(&s.ends[0]);
        drop(&s.ends[1]);
        wsc_engine_free(s.engine);
    }
    else {
        s.no_memory = true;
    }
    out.hits = io_shim_hits();
    out.complete = s.ends[1].received == total && s.error == 0 && !s.no_memory;
    out.no_memory = s.no_memory;
    out.error = s.error;
    out.resumed = s.resumed;
    CHECK(!s.wrong);
    io_shim_set(NULL);
    return out;
}

static const struct wsc_allocator *plain(void)
{
    return wsc_allocator_default();
}

static void both_ends(void)
{
    struct contexts contexts;
    CHECK(contexts_init(&contexts, plain()));
    for (size_t total = 1; total < 400000; total = total * 3 + 11) {
        struct outcome out = session(plain(), &contexts, NULL, total);
        if (!CHECK(out.complete && !out.hung)) {
            printf("%zu bytes: error %d\n", total, out.error);
        }
        /* The client's second visit, and all later ones. */
        CHECK_INT(out.resumed, total > 1);
    }
    contexts_fini(&contexts);
}

/* TLS-9: one recv and one send a message, without a look whether there is more. */
static void system_calls_per_message(void)
{
    size_t first[2] = {0, 0};
    for (size_t messages = 1; messages <= 101; messages += 100) {
        struct contexts contexts;
        CHECK(contexts_init(&contexts, plain()));
        struct session s = {.allocator = plain(), .total = SIZE_MAX};
        struct outcome out = {0};
        struct wsc_io io;
        int fds[2];
        io_shim_set(NULL);
        CHECK(wsc_engine_new(plain(), RECEIVE_SIZE, &s.engine) == WSC_OK);
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
        CHECK(open_end(&s, 0, fds[0], &contexts) && open_end(&s, 1, fds[1], &contexts));
        struct end *client = &s.ends[1];
        while (client->received < 200 * messages && ++out.polls < POLLS_MAX) {
            if (wsc_link_is_open(client->link) && client->received == client->queued) {
                uint8_t data[200];
                for (size_t i = 0; i < sizeof(data); i++) {
                    data[i] = pattern(client->queued++);
                }
                queue(&s, client, data, sizeof(data));
            }
            (void)wsc_engine_poll(s.engine, 100);
            while (wsc_engine_next(s.engine, &io)) {
                handle(&s, &io);
            }
        }
        size_t recvs = io_shim_calls(IO_RECV);
        size_t sends = io_shim_calls(IO_SEND);
        if (messages > 1) {
            /* 100 messages more, there and back. */
            CHECK_INT(recvs - first[0], 200);
            CHECK_INT(sends - first[1], 200);
        }
        first[0] = recvs;
        first[1] = sends;
        CHECK(!s.wrong);
        drop(&s.ends[0]);
        drop(&s.ends[1]);
        wsc_engine_free(s.engine);
        contexts_fini(&contexts);
    }
}

/* --- faults --- */

static void at_every_index(enum io_call call, int error, bool fatal)
{
    struct contexts contexts;
    size_t hits = 0;
    CHECK(contexts_init(&contexts, plain()));
    for (size_t at = 1; at < 5000; at++) {
        struct io_fault fault = {.call = call, .at = at, .error = error};
        struct outcome out = session(plain(), &contexts, &fault, MESSAGE);
        bool ok = CHECK(!out.hung);
        if (out.complete && out.hits == 0) {
            break;
        }
        hits++;
        /* The other end may see it first, and differently. */
        ok &= fatal ? CHECK(out.complete || out.error != 0) : CHECK(out.complete);
        if (!ok) {
            printf("call %d, index %zu, errno %d: error %d\n", (int)call, at, error,
                   out.error);
            break;
        }
    }
    CHECK(hits > 0);
    contexts_fini(&contexts);
}

/* TLS-9 */
static void reads_fail_at_every_index(void)
{
    at_every_index(IO_RECV, EAGAIN, false);
    at_every_index(IO_RECV, EINTR, false);
    at_every_index(IO_RECV, IO_ONE_BYTE, false);
    at_every_index(IO_RECV, ECONNRESET, true);
}

/* TLS-9 */
static void writes_fail_at_every_index(void)
{
    at_every_index(IO_SEND, EAGAIN, false);
    at_every_index(IO_SEND, EINTR, false);
    at_every_index(IO_SEND, ENOBUFS, false);
    at_every_index(IO_SEND, IO_ONE_BYTE, false);
    at_every_index(IO_SEND, ECONNRESET, true);
    at_every_index(IO_SEND, EPIPE, true);
}

static void watching_fails_at_every_index(void)
{
    at_every_index(IO_WATCH, ENOMEM, true);
}

/* TLS-3, TLS-9: sessions of nothing but one-byte reads or writes. */
static void whole_sessions_under_faults(void)
{
    static const struct io_fault faults[] = {
        {IO_RECV, 1, 1, IO_ONE_BYTE}, {IO_SEND, 1, 1, IO_ONE_BYTE},
        {IO_RECV, 1, 2, EAGAIN},      {IO_SEND, 1, 2, EAGAIN},
        {IO_SEND, 1, 2, EINTR},       {IO_RECV, 1, 2, EINTR},
        {IO_SEND, 1, 3, ENOBUFS},     {IO_WAIT, 1, 2, EINTR},
    };
    struct contexts contexts;
    CHECK(contexts_init(&contexts, plain()));
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct outcome out = session(plain(), &contexts, &faults[i], 3000);
        if (!CHECK(out.complete && !out.hung)) {
            printf("fault %zu: error %d\n", i, out.error);
        }
    }
    contexts_fini(&contexts);
}

static bool two_visits(const struct wsc_allocator *allocator)
{
    struct contexts contexts;
    if (!contexts_init(&contexts, allocator)) {
        return false;
    }
    struct outcome first = session(allocator, &contexts, NULL, 3000);
    struct outcome second = {0};
    CHECK(!first.hung && (first.complete || first.no_memory || first.error != 0));
    if (first.complete) {
        second = session(allocator, &contexts, NULL, 3000);
        CHECK(second.complete || second.no_memory || second.error != 0);
    }
    contexts_fini(&contexts);
    return second.complete;
}

static void allocations_fail_at_every_index(void)
{
    test_every_allocation(two_visits);
}

/* --- a peer that is OpenSSL on memory --- */

struct peer {
    struct contexts contexts;
    struct test_allocator allocator;
    struct wsc_engine *engine;
    struct wsc_link *link; /* the engine's end, a server */
    SSL_CTX *ssl_ctx;
    SSL *ssl;
    BIO *in; /* what the engine sent */
    BIO *out;
    int fd;
    uint8_t got[1 << 16]; /* what the engine gave */
    size_t got_len;
    bool ended;
    bool error;
    bool has_message;
};

static void peer_init(struct peer *peer, int version)
{
    int fds[2];
    memset(peer, 0, sizeof(*peer));
    test_allocator_init(&peer->allocator);
    CHECK(contexts_init(&peer->contexts, &peer->allocator.base));
    CHECK(wsc_engine_new(&peer->allocator.base, RECEIVE_SIZE, &peer->engine) == WSC_OK);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    CHECK(wsc_link_new(peer->engine, fds[0], peer, &peer->link) == WSC_OK);
    CHECK(wsc_link_start_tls(peer->link, peer->contexts.server, NULL) == WSC_OK);
    peer->fd = fds[1];
    CHECK(fcntl(peer->fd, F_SETFL, O_NONBLOCK) == 0);
    peer->ssl_ctx = SSL_CTX_new(TLS_client_method());
    (void)SSL_CTX_set_max_proto_version(peer->ssl_ctx, version);
    peer->ssl = SSL_new(peer->ssl_ctx);
    peer->in = BIO_new(BIO_s_mem());
    peer->out = BIO_new(BIO_s_mem());
    SSL_set_bio(peer->ssl, peer->in, peer->out);
    SSL_set_connect_state(peer->ssl);
}

static void peer_fini(struct peer *peer)
{
    if (peer->link != NULL) {
        wsc_link_close(peer->link);
    }
    SSL_free(peer->ssl);
    SSL_CTX_free(peer->ssl_ctx);
    (void)close(peer->fd);
    wsc_engine_free(peer->engine);
    contexts_fini(&peer->contexts);
    CHECK_INT(peer->allocator.live_blocks, 0);
    ERR_clear_error();
}

/* What the engine does with what came. */
static void peer_poll(struct peer *peer)
{
    struct wsc_io io;
    while (peer->link != NULL && wsc_engine_poll(peer->engine, 0) > 0) {
        bool any = false;
        while (peer->link != NULL && wsc_engine_next(peer->engine, &io)) {
            any = true;
            if (io.type == WSC_IO_DATA) {
                if (CHECK(peer->got_len + io.len <= sizeof(peer->got))) {
                    memcpy(peer->got + peer->got_len, io.data, io.len);
                    peer->got_len += io.len;
                }
            }
            else if (io.type == WSC_IO_EOF) {
                peer->ended = true;
            }
            else if (io.type == WSC_IO_ERROR) {
                peer->error = true;
                peer->has_message = io.message != NULL;
                wsc_link_close(peer->link);
                peer->link = NULL;
            }
        }
        if (!any) {
            break;
        }
    }
}

static void peer_send(struct peer *peer, const void *data, size_t len)
{
    CHECK_INT(syscall(SYS_sendto, peer->fd, data, len, MSG_NOSIGNAL, NULL, 0), len);
    peer_poll(peer);
}

/* What OpenSSL has written; at most `size`. */
static size_t peer_take(struct peer *peer, uint8_t *out, size_t size)
{
    int len = BIO_read(peer->out, out, (int)size);
    return len > 0 ? (size_t)len : 0;
}

/* Send what OpenSSL has written in steps. */
static void peer_flush(struct peer *peer, size_t step)
{
    static uint8_t data[1 << 16];
    size_t len = peer_take(peer, data, sizeof(data));
    for (size_t at = 0; at < len && peer->link != NULL; at += step) {
        peer_send(peer, data + at, len - at < step ? len - at : step);
    }
    ssize_t got = syscall(SYS_recvfrom, peer->fd, data, sizeof(data), 0, NULL, NULL);
    if (got > 0) {
        (void)BIO_write(peer->in, data, (int)got);
    }
}

static void peer_handshake(struct peer *peer, size_t step)
{
    for (int i = 0; i < 10 && SSL_do_handshake(peer->ssl) != 1; i++) {
        peer_flush(peer, step);
    }
    CHECK(SSL_is_init_finished(peer->ssl) == 1);
    peer_flush(peer, step);
    CHECK(peer->link != NULL && wsc_link_is_open(peer->link));
}

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

/* TLS-3: the flight and the data of a client, cut once at every byte. */
static void records_are_cut_at_every_byte(void)
{
    static uint8_t data[1 << 12];
    for (int i = 0; i < 2; i++) {
        size_t len = 2;
        for (size_t cut = 1; cut < len; cut++) {
            struct peer peer;
            peer_init(&peer, versions[i]);
            (void)SSL_do_handshake(peer.ssl);
            len = peer_take(&peer, data, sizeof(data));
            if (cut < len) {
                peer_send(&peer, data, cut);
                CHECK(peer.link != NULL && !wsc_link_is_open(peer.link));
                peer_send(&peer, data + cut, len - cut);
            }
            peer_flush(&peer, 1);
            CHECK(BIO_pending(peer.in) > 0);
            if (cut % 16 == 0) {
                peer_handshake(&peer, SIZE_MAX);
            }
            peer_fini(&peer);
        }
    }
}

/* TLS-3: records of one byte, many in one read, and one record in many reads. */
static void records_of_every_size(void)
{
    static const size_t sizes[] = {1, 2, 100, 16384};
    static const size_t steps[] = {1, 5, 6, 1000, 60000};
    static uint8_t data[20000];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = pattern(i);
    }
    for (size_t k = 0; k < 4 * 5 * 2; k++) {
        size_t size = sizes[k % 4];
        size_t step = steps[k / 4 % 5];
        size_t total = size < 100 ? 1000 : sizeof(data);
        struct peer peer;
        peer_init(&peer, versions[k / 20]);
        peer_handshake(&peer, step);
        for (size_t at = 0; at < total; at += size) {
            size_t len = total - at < size ? total - at : size;
            CHECK_INT(SSL_write(peer.ssl, data + at, (int)len), len);
        }
        peer_flush(&peer, step);
        if (!CHECK_BYTES(peer.got, peer.got_len, data, total)) {
            printf("records of %zu in steps of %zu\n", size, step);
        }
        peer_fini(&peer);
    }
}

/* TLS-3: a record comes with the end of the handshake. */
static void data_with_the_handshake(void)
{
    struct peer peer;
    peer_init(&peer, TLS1_3_VERSION);
    (void)SSL_do_handshake(peer.ssl);
    peer_flush(&peer, SIZE_MAX);
    CHECK_INT(SSL_do_handshake(peer.ssl), 1);
    CHECK_INT(SSL_write(peer.ssl, "early bird", 10), 10);
    CHECK_INT(SSL_shutdown(peer.ssl), 0);
    peer_flush(&peer, SIZE_MAX);
    CHECK_BYTES(peer.got, peer.got_len, "early bird", 10);
    CHECK(peer.ended && !peer.error);
    peer_fini(&peer);
}

/* TLS-4: an end is an end; what it means is for the closing handshake to tell. */
static void ends_with_and_without_close_notify(void)
{
    for (int notify = 0; notify < 2; notify++) {
        struct peer peer;
        peer_init(&peer, TLS1_3_VERSION);
        peer_handshake(&peer, SIZE_MAX);
        CHECK_INT(SSL_write(peer.ssl, "data", 4), 4);
        if (notify != 0) {
            CHECK_INT(SSL_shutdown(peer.ssl), 0);
        }
        peer_flush(&peer, SIZE_MAX);
        CHECK_INT(peer.ended, notify);
        (void)shutdown(peer.fd, SHUT_WR);
        peer_poll(&peer);
        CHECK(peer.ended && !peer.error);
        CHECK_BYTES(peer.got, peer.got_len, "data", 4);
        peer_fini(&peer);
    }
}

static void release_nothing(void *owner)
{
    (void)owner;
}

/* Small pieces leave in one record of RFC 8446 §5.2: a head of 5 bytes, the type of the
 * content, a tag of 16. */
static void small_pieces_share_a_record(void)
{
    static const uint8_t data[10] = "0123456789";
    struct peer peer;
    struct wsc_outgoing outgoing;
    uint8_t *out;
    peer_init(&peer, TLS1_3_VERSION);
    peer_handshake(&peer, SIZE_MAX);
    uint8_t none;
    (void)SSL_read(peer.ssl, &none, 1); /* the tickets */
    CHECK_INT(BIO_pending(peer.in), 0);
    wsc_outgoing_init(&outgoing, &peer.allocator.base);
    for (int i = 0; i < 10; i++) {
        CHECK(wsc_outgoing_reserve(&outgoing, sizeof(data), &out) == WSC_OK);
        memcpy(out, data, sizeof(data));
        wsc_outgoing_commit(&outgoing, sizeof(data));
        struct wsc_reference reference = {data, sizeof(data), &peer, release_nothing};
        CHECK(wsc_outgoing_append_reference(&outgoing, data, 0, &reference) == WSC_OK);
    }
    CHECK(wsc_link_write(peer.link, &outgoing) == WSC_OK && outgoing.size == 0);
    peer_flush(&peer, SIZE_MAX);
    CHECK_INT(BIO_pending(peer.in), 20 * sizeof(data) + 5 + 1 + 16);
    uint8_t got[20 * sizeof(data)];
    CHECK_INT(SSL_read(peer.ssl, got, sizeof(got)), sizeof(got));
    for (size_t i = 0; i < 20; i++) {
        CHECK(memcmp(got + i * sizeof(data), data, sizeof(data)) == 0);
    }
    wsc_outgoing_fini(&outgoing);
    peer_fini(&peer);
}

/* TLS-7: an end in the handshake is an error, with a message. */
static void ends_in_the_handshake(void)
{
    struct peer peer;
    for (int begun = 0; begun < 2; begun++) {
        peer_init(&peer, TLS1_3_VERSION);
        (void)SSL_do_handshake(peer.ssl);
        if (begun != 0) {
            peer_flush(&peer, SIZE_MAX);
        }
        (void)shutdown(peer.fd, SHUT_WR);
        peer_poll(&peer);
        CHECK(peer.error && peer.has_message && !peer.ended);
        peer_fini(&peer);
    }
}

/* TLS-4: our end has a close_notify, and an abort has none. */
static void we_end_with_close_notify(void)
{
    for (int abort = 0; abort < 2; abort++) {
        struct peer peer;
        char byte;
        peer_init(&peer, TLS1_3_VERSION);
        peer_handshake(&peer, SIZE_MAX);
        (abort != 0 ? wsc_link_abort : wsc_link_close)(peer.link);
        peer.link = NULL;
        peer_flush(&peer, SIZE_MAX);
        int result = SSL_read(peer.ssl, &byte, 1);
        CHECK_INT(SSL_get_error(peer.ssl, result),
                  abort != 0 ? SSL_ERROR_WANT_READ : SSL_ERROR_ZERO_RETURN);
        peer_fini(&peer);
    }
}

/* TLS-4: a changed byte anywhere is an error, and nothing of the record comes. */
static void records_are_authentic(void)
{
    static uint8_t data[1 << 12];
    for (size_t at = 0, len = 1; at < len; at++) {
        struct peer peer;
        peer_init(&peer, TLS1_3_VERSION);
        peer_handshake(&peer, SIZE_MAX);
        CHECK_INT(SSL_write(peer.ssl, "data", 4), 4);
        len = peer_take(&peer, data, sizeof(data));
        data[at] ^= 0x40;
        peer_send(&peer, data, len);
        (void)shutdown(peer.fd, SHUT_WR);
        peer_poll(&peer);
        CHECK_INT(peer.got_len, 0);
        /* The fourth and fifth byte: what is too long never completes. */
        CHECK(peer.error || ((at == 3 || at == 4) && peer.ended));
        peer_fini(&peer);
    }
}

/* TLS-8: renegotiation is refused, however often it is asked for. */
static void no_renegotiation(void)
{
    struct peer peer;
    char byte;
    peer_init(&peer, TLS1_2_VERSION);
    (void)SSL_set_options(peer.ssl, SSL_OP_ALLOW_CLIENT_RENEGOTIATION |
                                        SSL_OP_LEGACY_SERVER_CONNECT);
    peer_handshake(&peer, SIZE_MAX);
    CHECK_INT(SSL_renegotiate(peer.ssl), 1);
    (void)SSL_do_handshake(peer.ssl);
    peer_flush(&peer, SIZE_MAX);
    ERR_clear_error();
    int result = SSL_read(peer.ssl, &byte, 1);
    /* RFC 5246 §7.2.2: no_renegotiation; OpenSSL's client makes an error of it. */
    CHECK_INT(SSL_get_error(peer.ssl, result), SSL_ERROR_SSL);
    CHECK_INT(ERR_GET_REASON(ERR_peek_error()), SSL_R_NO_RENEGOTIATION);
    CHECK(!peer.error && peer.got_len == 0);
    peer_fini(&peer);
}

/* TLS-8: a peer that has keys updated again and again and reads nothing is cut before
 * its answers take more than 160 KiB (and what holds them at most twice that). */
static void a_flood_of_key_updates_is_bounded(void)
{
    static uint8_t data[1 << 16];
    struct peer peer;
    peer_init(&peer, TLS1_3_VERSION);
    peer_handshake(&peer, SIZE_MAX);
    size_t before = peer.allocator.live_bytes;
    int size = SEND_BUFFER;
    (void)setsockopt(wsc_link_fd(peer.link), SOL_SOCKET, SO_SNDBUF, &size,
                     sizeof(size));
    for (int i = 0; i < 12000 && peer.link != NULL; i++) {
        CHECK_INT(SSL_key_update(peer.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        CHECK_INT(SSL_do_handshake(peer.ssl), 1);
        if (i % 100 == 99) {
            size_t len = peer_take(&peer, data, sizeof(data));
            peer_send(&peer, data, len);
        }
    }
    CHECK(peer.error);
    CHECK(peer.allocator.peak_bytes - before <= ((size_t)320 << 10));
    peer_fini(&peer);
}

/* TLS-8: tickets allow no early data. */
static void no_early_data(void)
{
    struct peer peer;
    char byte;
    peer_init(&peer, TLS1_3_VERSION);
    peer_handshake(&peer, SIZE_MAX);
    (void)SSL_read(peer.ssl, &byte, 1); /* the tickets */
    SSL_SESSION *session = SSL_get1_session(peer.ssl);
    CHECK(SSL_SESSION_is_resumable(session) == 1);
    CHECK_INT(SSL_SESSION_get_max_early_data(session), 0);
    SSL_SESSION_free(session);
    peer_fini(&peer);
}

/* TLS-8 */
static void old_versions_are_refused(void)
{
    struct peer peer;
    peer_init(&peer, TLS1_1_VERSION);
    SSL_set_security_level(peer.ssl, 0);
    (void)SSL_set_min_proto_version(peer.ssl, TLS1_VERSION);
    CHECK(SSL_set_cipher_list(peer.ssl, "ALL:@SECLEVEL=0") == 1);
    (void)SSL_do_handshake(peer.ssl);
    peer_flush(&peer, SIZE_MAX);
    CHECK(peer.error && peer.has_message && peer.link == NULL);
    peer_fini(&peer);
}

/* TLS-2, TLS-6: what is no TLS ends at once, with a message. */
static void not_tls(void)
{
    static const char *const openings[] = {"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                                           "\r\n\r\n\r\n\r\n", "\x16\x03\x01\xff\xff",
                                           "SSH-2.0-OpenSSH_9.2\r\n"};
    for (size_t i = 0; i < sizeof(openings) / sizeof(openings[0]); i++) {
        struct peer peer;
        peer_init(&peer, TLS1_3_VERSION);
        peer_send(&peer, openings[i], strlen(openings[i]));
        if (!CHECK(peer.error && peer.has_message)) {
            printf("opening %zu\n", i);
        }
        CHECK(ERR_peek_error() == 0);
        peer_fini(&peer);
    }
}

/* TLS-6: what others left in the error queue concerns nobody. */
static void errors_of_others(void)
{
    struct peer peer;
    peer_init(&peer, TLS1_3_VERSION);
    for (int i = 0; i < 10 && SSL_do_handshake(peer.ssl) != 1; i++) {
        ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
        peer_flush(&peer, 100);
        ERR_clear_error();
    }
    peer_flush(&peer, SIZE_MAX);
    CHECK(peer.link != NULL && wsc_link_is_open(peer.link));
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
    CHECK_INT(SSL_write(peer.ssl, "data", 4), 4);
    peer_flush(&peer, 3);
    CHECK(!peer.error);
    CHECK_BYTES(peer.got, peer.got_len, "data", 4);
    peer_fini(&peer);
}

/* TLS-7: a link may be closed after every byte of the handshake. */
static void closed_at_every_step_of_the_handshake(void)
{
    static uint8_t data[1 << 12];
    for (size_t cut = 0, len = 1; cut <= len; cut += 7) {
        struct peer peer;
        peer_init(&peer, TLS1_3_VERSION);
        (void)SSL_do_handshake(peer.ssl);
        len = peer_take(&peer, data, sizeof(data));
        if (cut > 0) {
            peer_send(&peer, data, cut < len ? cut : len);
        }
        (cut % 2 != 0 ? wsc_link_abort : wsc_link_close)(peer.link);
        peer.link = NULL;
        peer_fini(&peer);
    }
}

/* --- sessions of clients --- */

/* The newest of the last 64 hosts are kept, and one of TLS 1.3 is used once. */
static void sessions_are_bounded_and_used_once(void)
{
    struct contexts contexts;
    struct test_allocator allocator;
    test_allocator_init(&allocator);
    CHECK(contexts_init(&contexts, &allocator.base));
    wsc_tls_context_verify(contexts.client, WSC_TLS_VERIFY_NONE, false);
    size_t after = 0;
    for (int visit = 0; visit < 200; visit++) {
        struct session s = {.allocator = &allocator.base, .total = 10};
        struct outcome out = {0};
        int fds[2];
        struct wsc_io io;
        char name[32];
        /* 100 hosts, then the last 64 of them, then others. */
        int host = visit < 100 ? visit : visit < 164 ? visit - 64 : visit;
        (void)snprintf(name, sizeof(name), "host%03d.example", host);
        CHECK(wsc_engine_new(&allocator.base, RECEIVE_SIZE, &s.engine) == WSC_OK);
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
        CHECK(open_end(&s, 0, fds[0], &contexts));
        s.ends[1].is_client = true;
        wsc_outgoing_init(&s.ends[1].outgoing, &allocator.base);
        CHECK(wsc_link_new(s.engine, fds[1], &s.ends[1], &s.ends[1].link) == WSC_OK);
        CHECK(wsc_link_start_tls(s.ends[1].link, contexts.client, name) == WSC_OK);
        send_more(&s, &s.ends[1]);
        while ((s.ends[0].link != NULL || s.ends[1].link != NULL) &&
               ++out.polls < POLLS_MAX) {
            (void)wsc_engine_poll(s.engine, 100);
            while (wsc_engine_next(s.engine, &io)) {
                handle(&s, &io);
            }
        }
        CHECK(s.ends[1].received == 10 && s.error == 0);
        if (!CHECK_INT(s.resumed, visit >= 100 && visit < 164)) {
            printf("visit %d\n", visit);
        }
        wsc_engine_free(s.engine);
        after = visit == 99 ? allocator.live_blocks : after;
        CHECK(visit < 100 || allocator.live_blocks <= after);
    }
    contexts_fini(&contexts);
    CHECK_INT(allocator.live_blocks, 0);
}

TEST_MAIN(TEST(both_ends), TEST(system_calls_per_message),
          TEST(reads_fail_at_every_index), TEST(writes_fail_at_every_index),
          TEST(watching_fails_at_every_index), TEST(whole_sessions_under_faults),
          TEST(allocations_fail_at_every_index), TEST(records_are_cut_at_every_byte),
          TEST(records_of_every_size), TEST(data_with_the_handshake),
          TEST(ends_with_and_without_close_notify), TEST(we_end_with_close_notify),
          TEST(ends_in_the_handshake), TEST(small_pieces_share_a_record),
          TEST(records_are_authentic), TEST(no_renegotiation),
          TEST(a_flood_of_key_updates_is_bounded), TEST(no_early_data),
          TEST(old_versions_are_refused), TEST(not_tls), TEST(errors_of_others),
          TEST(closed_at_every_step_of_the_handshake),
          TEST(sessions_are_bounded_and_used_once))

#else

static void no_shim_here(void)
{
    CHECK(true);
}

TEST_MAIN(TEST(no_shim_here))

#endif

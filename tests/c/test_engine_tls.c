/* TLS in the engine, both ends in one engine over a socket pair: with each system call
 * and each allocation failing at each index, and what clients resume. */
#include "test.h"

#ifdef __linux__

#include <errno.h>
#include <openssl/x509_vfy.h>
#include <sys/socket.h>
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
    struct wsc_tls_failure failures[2];
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
    bool failed_so;
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
        failed_so = wsc_link_tls_failure(end->link, &session->failures[end->is_client]);
        CHECK_INT(io->error == 0, failed_so);
        failed(session, end, io->error != 0 ? io->error : EPROTO);
        return;
    case WSC_IO_READABLE:
    case WSC_IO_ACCEPTED:
    case WSC_IO_PROXIED:
        break;
    }
    CHECK(false && "an event of the other kind");
}

static bool
open_end(struct session *session, size_t i, int fd, const struct tls_contexts *contexts)
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

/* Until both ends are closed. */
static void go_on(struct session *session, struct outcome *out)
{
    struct wsc_io io;
    while ((session->ends[0].link != NULL || session->ends[1].link != NULL) &&
           ++out->polls < POLLS_MAX) {
        (void)wsc_engine_poll(session->engine, 100);
        while (wsc_engine_next(session->engine, &io)) {
            handle(session, &io);
        }
    }
    out->hung = out->polls >= POLLS_MAX;
}

static void
run(struct session *session, struct outcome *out, const struct tls_contexts *contexts)
{
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    bool open = open_end(session, 0, fds[0], contexts);
    if (!open_end(session, 1, fds[1], contexts) || !open) {
        return;
    }
    send_more(session, &session->ends[1]);
    go_on(session, out);
}

static struct outcome session(const struct wsc_allocator *allocator,
                              const struct tls_contexts *contexts,
                              const struct io_fault *fault, size_t total)
{
    struct outcome out = {0};
    struct session s = {.allocator = allocator, .total = total};
    io_shim_set(fault);
    enum wsc_status status = wsc_engine_new(allocator, RECEIVE_SIZE, &s.engine);
    if (status == WSC_OK) {
        run(&s, &out, contexts);
        drop(&s.ends[0]);
        drop(&s.ends[1]);
        wsc_engine_free(s.engine);
    }
    else {
        s.no_memory = status == WSC_ERR_NO_MEMORY;
        s.error = errno;
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
    struct tls_contexts contexts;
    CHECK(tls_contexts_init(&contexts, plain()));
    for (size_t total = 1; total < 400000; total = total * 3 + 11) {
        struct outcome out = session(plain(), &contexts, NULL, total);
        if (!CHECK(out.complete && !out.hung)) {
            printf("%zu bytes: error %d\n", total, out.error);
        }
        /* The client's second visit, and all later ones. */
        CHECK_INT(out.resumed, total > 1);
    }
    tls_contexts_fini(&contexts);
}

/* TLS-9: one recv and one send a message, without a look whether there is more. */
static void system_calls_per_message(void)
{
    size_t first[2] = {0, 0};
    for (size_t messages = 1; messages <= 101; messages += 100) {
        struct tls_contexts contexts;
        CHECK(tls_contexts_init(&contexts, plain()));
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
        tls_contexts_fini(&contexts);
    }
}

/* Without another look at the sockets. */
static void what_waited_leaves_with_the_handshake(void)
{
    struct tls_contexts contexts;
    struct session s = {.allocator = plain(), .total = 2};
    const struct end *client = &s.ends[1];
    const uint8_t data[] = {pattern(0), pattern(1)};
    size_t polls = 0;
    struct wsc_io io;
    int fds[2];
    io_shim_set(NULL);
    CHECK(tls_contexts_init(&contexts, plain()));
    CHECK(wsc_engine_new(plain(), RECEIVE_SIZE, &s.engine) == WSC_OK);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    CHECK(open_end(&s, 0, fds[0], &contexts) && open_end(&s, 1, fds[1], &contexts));
    queue(&s, &s.ends[1], data, sizeof(data));
    s.ends[1].queued = sizeof(data);
    CHECK_INT(client->outgoing.size, sizeof(data));
    while (!wsc_link_is_open(client->link) && ++polls < POLLS_MAX) {
        (void)wsc_engine_poll(s.engine, 100);
        while (wsc_engine_next(s.engine, &io)) {
            handle(&s, &io);
        }
    }
    CHECK_INT(client->outgoing.size, 0);
    while (client->received < sizeof(data) && ++polls < POLLS_MAX) {
        (void)wsc_engine_poll(s.engine, 100);
        while (wsc_engine_next(s.engine, &io)) {
            handle(&s, &io);
        }
    }
    CHECK(client->received == sizeof(data) && !s.wrong);
    drop(&s.ends[0]);
    drop(&s.ends[1]);
    wsc_engine_free(s.engine);
    tls_contexts_fini(&contexts);
}

/* --- faults --- */

static void at_every_index(enum io_call call, int error, bool fatal)
{
    struct tls_contexts contexts;
    size_t hits = 0;
    CHECK(tls_contexts_init(&contexts, plain()));
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
    tls_contexts_fini(&contexts);
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
        {IO_WAIT, 1, 2, EINTR},       {IO_SEND, 1, 3, ENOBUFS},
    };
    struct tls_contexts contexts;
    CHECK(tls_contexts_init(&contexts, plain()));
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct outcome out = session(plain(), &contexts, &faults[i], 3000);
        if (!CHECK(out.complete && !out.hung)) {
            printf("fault %zu: error %d\n", i, out.error);
        }
    }
    tls_contexts_fini(&contexts);
}

static bool two_visits(const struct wsc_allocator *allocator)
{
    struct tls_contexts contexts;
    if (!tls_contexts_init(&contexts, allocator)) {
        return false;
    }
    struct outcome first = session(allocator, &contexts, NULL, 3000);
    struct outcome second = {0};
    CHECK(!first.hung && (first.complete || first.no_memory || first.error != 0));
    if (first.complete) {
        second = session(allocator, &contexts, NULL, 3000);
        CHECK(second.complete || second.no_memory || second.error != 0);
    }
    tls_contexts_fini(&contexts);
    return second.complete;
}

static void allocations_fail_at_every_index(void)
{
    test_every_allocation(two_visits);
}

/* --- sessions of clients --- */

static void begin_visit(struct session *s, const struct wsc_allocator *allocator,
                        const struct tls_contexts *contexts, const char *name)
{
    int fds[2];
    struct end *client = &s->ends[1];
    memset(s, 0, sizeof(*s));
    s->allocator = allocator;
    s->total = 10;
    CHECK(wsc_engine_new(allocator, RECEIVE_SIZE, &s->engine) == WSC_OK);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    CHECK(open_end(s, 0, fds[0], contexts));
    client->is_client = true;
    wsc_outgoing_init(&client->outgoing, allocator);
    CHECK(wsc_link_new(s->engine, fds[1], client, &client->link) == WSC_OK);
    CHECK(wsc_link_start_tls(client->link, contexts->client, name) == WSC_OK);
    send_more(s, client);
}

static bool end_visit(struct session *s)
{
    struct outcome out = {0};
    go_on(s, &out);
    CHECK(s->ends[1].received == s->total && s->error == 0 && !out.hung);
    wsc_engine_free(s->engine);
    return s->resumed;
}

/* TLS-8: by default clients verify the chain and, if they have one, the name. */
static void clients_verify_by_default(void)
{
    struct tls_contexts contexts;
    for (int trusting = 0; trusting < 2; trusting++) {
        struct session s;
        struct outcome out = {0};
        CHECK(tls_contexts_init(&contexts, plain()));
        if (trusting == 0) {
            wsc_tls_context_free(contexts.client);
            CHECK_INT(wsc_tls_context_new(plain(), false, &contexts.client), WSC_OK);
        }
        begin_visit(&s, plain(), &contexts, trusting != 0 ? "elsewhere" : "localhost");
        go_on(&s, &out);
        CHECK(s.error == EPROTO && s.ends[1].received == 0 && !out.hung);
        CHECK(s.failures[0].reason != NULL && s.failures[0].verify_code == 0);
        CHECK(strstr(s.failures[0].reason, trusting != 0 ? "alert bad certificate"
                                                         : "alert unknown ca") != NULL);
        CHECK_INT(s.failures[1].verify_code,
                  trusting != 0 ? X509_V_ERR_HOSTNAME_MISMATCH
                                : X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT);
        CHECK(strcmp(s.failures[1].reason, "certificate verify failed") == 0);
        CHECK(s.failures[1].verify_message != NULL && !s.failures[1].ended);
        wsc_engine_free(s.engine);
        tls_contexts_fini(&contexts);
    }
}

/* The newest of the last 64 hosts are kept. */
static void sessions_are_bounded(void)
{
    struct tls_contexts contexts;
    struct test_allocator allocator;
    struct session s;
    size_t after = 0;
    test_allocator_init(&allocator);
    CHECK(tls_contexts_init(&contexts, &allocator.base));
    wsc_tls_context_verify(contexts.client, WSC_TLS_VERIFY_NONE, false);
    for (int visit = 0; visit < 200; visit++) {
        char name[32];
        /* 100 hosts, then the last 64 of them, then others. */
        int host = visit < 100 ? visit : visit < 164 ? visit - 64 : visit;
        (void)snprintf(name, sizeof(name), "host%03d.example", host);
        begin_visit(&s, &allocator.base, &contexts, name);
        if (!CHECK_INT(end_visit(&s), visit >= 100 && visit < 164)) {
            printf("visit %d\n", visit);
        }
        after = visit == 99 ? allocator.live_blocks : after;
        CHECK(visit < 100 || allocator.live_blocks <= after);
    }
    tls_contexts_fini(&contexts);
    CHECK_INT(allocator.live_blocks, 0);
}

/* RFC 8446 §C.4: of two visits that begin together one has the ticket. */
static void sessions_are_used_once(void)
{
    struct tls_contexts contexts;
    struct session one;
    struct session other;
    CHECK(tls_contexts_init(&contexts, plain()));
    begin_visit(&one, plain(), &contexts, "localhost");
    CHECK(!end_visit(&one));
    begin_visit(&one, plain(), &contexts, "localhost");
    begin_visit(&other, plain(), &contexts, "localhost");
    CHECK(end_visit(&one));
    CHECK(!end_visit(&other));
    tls_contexts_fini(&contexts);
}

static void poll_once(struct session *s)
{
    struct wsc_io io;
    (void)wsc_engine_poll(s->engine, 100);
    while (wsc_engine_next(s->engine, &io)) {
        handle(s, &io);
    }
}

/* DED-5: the server sends `total` bytes more, and closes once the socket has taken all.
 * The client reads on then: is all there? */
static bool close_before_it_is_read(const struct tls_contexts *contexts, size_t total)
{
    static uint8_t data[40000];
    struct session s;
    struct end *server = &s.ends[0];
    struct end *client = &s.ends[1];
    begin_visit(&s, plain(), contexts, "localhost");
    client->queued = s.total = 10 + total;
    for (size_t i = 0; i < total; i++) {
        data[i] = pattern(10 + i);
    }
    for (int polls = 0; client->received < 10 && polls < 1000; polls++) {
        poll_once(&s);
    }
    CHECK(client->received == 10 && wsc_link_read(client->link, false) == WSC_OK);
    queue(&s, server, data, total);
    for (int polls = 0; client->link != NULL && polls < 1000; polls++) {
        if (server->link != NULL && server->outgoing.size == 0 &&
            wsc_link_unsent(server->link) == 0) {
            drop(server);
        }
        if (polls == 0) {
            CHECK(wsc_link_read(client->link, true) == WSC_OK);
        }
        poll_once(&s);
    }
    bool all = client->received == s.total && client->link == NULL && !s.wrong;
    drop(server);
    drop(client);
    wsc_engine_free(s.engine);
    return all;
}

static void closing_loses_nothing(void)
{
    struct tls_contexts contexts;
    CHECK(tls_contexts_init(&contexts, plain()));
    for (size_t total = 1000; total < 40000; total += 1000) {
        if (!CHECK(close_before_it_is_read(&contexts, total))) {
            printf("of %zu bytes\n", total);
        }
    }
    tls_contexts_fini(&contexts);
}

TEST_MAIN(TEST(both_ends), TEST(system_calls_per_message),
          TEST(what_waited_leaves_with_the_handshake), TEST(reads_fail_at_every_index),
          TEST(writes_fail_at_every_index), TEST(watching_fails_at_every_index),
          TEST(whole_sessions_under_faults), TEST(allocations_fail_at_every_index),
          TEST(clients_verify_by_default), TEST(sessions_are_bounded),
          TEST(sessions_are_used_once), TEST(closing_loses_nothing))

#else

static void no_shim_here(void)
{
    CHECK(true);
}

TEST_MAIN(TEST(no_shim_here))

#endif

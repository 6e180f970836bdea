/* The engine over real sockets: whole sessions with each system call failing at each
 * index (THREATS, "I/O failure at every index"). */
#include "test.h"

#ifdef __linux__

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "engine_session.h"
#include "wsc/engine.h"

#define RECEIVE_SIZE 4096
#define MESSAGE      ((size_t)20000) /* some reads long */
#define SHORT        ((size_t)3000)
#define SECONDS      5

static double now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* --- an echo server on the engine --- */

struct echo {
    struct wsc_link *link; /* NULL when it is closed */
    struct wsc_outgoing outgoing;
    bool ended; /* by the peer */
};

struct server {
    const struct wsc_allocator *allocator;
    struct wsc_engine *engine;
    struct wsc_acceptor *acceptor;
    struct echo echo;
    bool pausing; /* after an accept that failed */
    bool no_memory;
    int accept_error;
    int error; /* of the link */
    size_t polls;
};

static void drop(struct server *server)
{
    if (server->echo.link != NULL) {
        wsc_link_close(server->echo.link);
        server->echo.link = NULL;
        wsc_outgoing_fini(&server->echo.outgoing);
    }
}

static void write_out(struct server *server)
{
    struct echo *echo = &server->echo;
    enum wsc_status status = wsc_link_write(echo->link, &echo->outgoing);
    if (status == WSC_ERR_IO) {
        server->error = errno;
        drop(server);
        return;
    }
    CHECK(status == WSC_OK ? echo->outgoing.size == 0 : echo->outgoing.size > 0);
    if (status == WSC_OK && echo->ended) {
        drop(server);
    }
}

static void release_block(void *block)
{
    free(block);
}

/* Copied and by reference in turn, so that there are several pieces to send. */
static void echo_data(struct server *server, const struct wsc_io *io)
{
    struct wsc_outgoing *outgoing = &server->echo.outgoing;
    uint8_t *out;
    size_t half = io->len / 2;
    enum wsc_status status = wsc_outgoing_reserve(outgoing, half + 1, &out);
    if (status == WSC_OK) {
        memcpy(out, io->data, half);
        wsc_outgoing_commit(outgoing, half);
        uint8_t *rest = malloc(io->len - half);
        memcpy(rest, io->data + half, io->len - half);
        struct wsc_reference reference = {rest, io->len - half, rest, release_block};
        status = wsc_outgoing_append_reference(outgoing, rest, 0, &reference);
        if (status != WSC_OK) {
            free(rest);
        }
    }
    if (status != WSC_OK) {
        CHECK_INT(status, WSC_ERR_NO_MEMORY);
        server->no_memory = true;
        drop(server);
        return;
    }
    write_out(server);
}

static void check_address(const struct wsc_link *link, bool peer)
{
    struct sockaddr_storage expected = {0};
    socklen_t len = sizeof(expected);
    uint8_t address[WSC_ADDRESS_SIZE];
    int fd = wsc_link_fd(link);
    int result = peer ? getpeername(fd, (struct sockaddr *)&expected, &len)
                      : getsockname(fd, (struct sockaddr *)&expected, &len);
    size_t size = wsc_link_address(link, peer, address);
    bool internet = result == 0 &&
                    (expected.ss_family == AF_INET || expected.ss_family == AF_INET6);
    CHECK_INT(size, internet ? len : 0);
    CHECK(memcmp(address, &expected, size) == 0);
}

static void accepted(struct server *server, int fd)
{
    struct echo *echo = &server->echo;
    int size = 4096;
    CHECK(echo->link == NULL);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    enum wsc_status status = wsc_link_new(server->engine, fd, echo, &echo->link);
    if (status != WSC_OK) {
        server->no_memory = status == WSC_ERR_NO_MEMORY;
        server->error = status == WSC_ERR_IO ? errno : 0;
        CHECK(server->no_memory || server->error != 0);
        echo->link = NULL;
        (void)close(fd);
        return;
    }
    CHECK_INT(wsc_link_fd(echo->link), fd);
    check_address(echo->link, false);
    check_address(echo->link, true);
    wsc_outgoing_init(&echo->outgoing, server->allocator);
}

static void serve_event(struct server *server, const struct wsc_io *io)
{
    if (io->owner == server) {
        if (io->type == WSC_IO_ACCEPTED) {
            accepted(server, io->fd);
            return;
        }
        CHECK_INT(io->type, WSC_IO_ERROR);
        CHECK(io->error != 0);
        server->accept_error = io->error;
        server->pausing = true;
        wsc_acceptor_accept(server->acceptor, false);
        return;
    }
    CHECK(io->owner == &server->echo && server->echo.link != NULL);
    switch (io->type) {
    case WSC_IO_DATA:
        CHECK(io->len > 0);
        echo_data(server, io);
        return;
    case WSC_IO_WRITABLE:
        write_out(server);
        return;
    case WSC_IO_EOF:
        server->echo.ended = true;
        if (server->echo.outgoing.size == 0) {
            drop(server);
        }
        return;
    case WSC_IO_ERROR:
        CHECK(io->error != 0);
        server->error = io->error;
        drop(server);
        return;
    case WSC_IO_READABLE:
    case WSC_IO_ACCEPTED:
    case WSC_IO_PROXIED:
        break;
    }
    CHECK(false && "an event of the other kind");
}

static void serve_once(struct server *server, int timeout_ms)
{
    struct wsc_io io;
    if (server->pausing) {
        server->pausing = false;
        wsc_acceptor_accept(server->acceptor, true);
    }
    server->polls++;
    (void)wsc_engine_poll(server->engine, timeout_ms);
    while (wsc_engine_next(server->engine, &io)) {
        serve_event(server, &io);
    }
}

/* --- a client that sends a pattern and reads it back --- */

struct client {
    int fd;
    size_t sent;
    size_t received;
    bool wrong;
    bool done; /* end-of-file, or an error */
};

static uint8_t pattern(size_t index)
{
    return (uint8_t)(index * 31 + index / 251);
}

/* Past the shim, and without SIGPIPE. */
static ssize_t write_quietly(int fd, const void *data, size_t len)
{
    return syscall(SYS_sendto, fd, data, len, MSG_NOSIGNAL, NULL, 0);
}

static void client_step(struct client *client, size_t total)
{
    uint8_t data[3000];
    size_t len =
        total - client->sent < sizeof(data) ? total - client->sent : sizeof(data);
    for (size_t i = 0; i < len; i++) {
        data[i] = pattern(client->sent + i);
    }
    ssize_t done = len > 0 ? write_quietly(client->fd, data, len) : 0;
    if (done > 0) {
        client->sent += (size_t)done;
        if (client->sent == total) {
            (void)shutdown(client->fd, SHUT_WR);
        }
    }
    done = read(client->fd, data, sizeof(data));
    client->done = done == 0 || (done < 0 && errno != EAGAIN);
    for (ssize_t i = 0; i < done; i++) {
        client->wrong |= data[i] != pattern(client->received++);
    }
}

struct outcome {
    bool complete; /* all came back, then the end */
    bool hung;
    bool no_memory;
    int error;
    int accept_error;
    size_t hits;
};

static void run_session(struct server *server, struct outcome *out, size_t total)
{
    struct sockaddr_in address;
    int listening = listen_on_loopback(&address);
    double end = now() + SECONDS;
    if (wsc_acceptor_new(server->engine, listening, server, &server->acceptor) !=
        WSC_OK) {
        out->error = errno;
        out->no_memory = errno == 0;
        (void)close(listening);
        return;
    }
    struct client client = {.fd = connect_to(&address)};
    while (!client.done && now() < end) {
        client_step(&client, total);
        serve_once(server, 1);
    }
    out->hung = !client.done;
    out->complete = client.received == total && client.sent == total;
    out->error = server->error;
    out->accept_error = server->accept_error;
    out->no_memory |= server->no_memory;
    CHECK(!client.wrong);
    (void)close(client.fd);
    if (server->echo.link != NULL) {
        serve_once(server, 1);
    }
    drop(server);
    wsc_acceptor_close(server->acceptor);
    (void)close(listening);
}

/* One connection from accept to end under a fault. */
static struct outcome session(const struct wsc_allocator *allocator,
                              const struct io_fault *fault, size_t total)
{
    struct outcome out = {0};
    struct server server = {.allocator = allocator};
    size_t before = descriptors();
    io_shim_set(fault);
    errno = 0;
    enum wsc_status status = wsc_engine_new(allocator, RECEIVE_SIZE, &server.engine);
    if (status == WSC_OK) {
        run_session(&server, &out, total);
        /* CTL-8: at most one read and two writes each time that something is ready. */
        CHECK(io_shim_calls(IO_RECV) <= server.polls);
        CHECK(io_shim_calls(IO_SEND) <= 2 * server.polls + io_shim_hits());
        wsc_engine_free(server.engine);
    }
    else {
        out.no_memory = status == WSC_ERR_NO_MEMORY;
        out.error = errno;
        CHECK(out.no_memory || status == WSC_ERR_IO);
    }
    out.hits = io_shim_hits();
    io_shim_set(NULL);
    CHECK_INT(descriptors(), before);
    return out;
}

static const struct wsc_allocator *plain(void)
{
    return wsc_allocator_default();
}

/* --- faults --- */

static struct faulted session_under(const struct io_fault *fault, size_t total)
{
    struct outcome out = session(plain(), fault, total);
    return (struct faulted){
        .complete = out.complete,
        .hung = out.hung,
        .reported = out.error == fault->error,
        .hits = out.hits,
    };
}

static struct faulted long_session(const struct io_fault *fault)
{
    return session_under(fault, MESSAGE);
}

static struct faulted short_session(const struct io_fault *fault)
{
    return session_under(fault, SHORT);
}

/* CTL-8 */
static void reads_fail_at_every_index(void)
{
    at_every_index(long_session, IO_RECV, EAGAIN, false);
    at_every_index(long_session, IO_RECV, EINTR, false);
    at_every_index(long_session, IO_RECV, IO_ONE_BYTE, false);
    at_every_index(long_session, IO_RECV, ECONNRESET, true);
    at_every_index(long_session, IO_RECV, ETIMEDOUT, true);
}

/* CTL-8 */
static void writes_fail_at_every_index(void)
{
    sends_fail_at_every_index(long_session);
}

static void waits_fail_at_every_index(void)
{
    at_every_index(long_session, IO_WAIT, EINTR, false);
}

static void watching_fails_at_every_index(void)
{
    at_every_index(long_session, IO_WATCH, ENOMEM, true);
    at_every_index(long_session, IO_WATCH, ENOSPC, true);
}

/* OVL-1: what concerns one connection is passed over, what concerns us is reported. */
static void accepts_fail_at_every_index(void)
{
    static const int passing[] = {EAGAIN, EINTR, ECONNABORTED, EPROTO};
    static const int short_of[] = {ENOBUFS, ENOMEM};
    for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
        at_every_index(long_session, IO_ACCEPT, passing[i], false);
    }
    for (size_t i = 0; i < sizeof(short_of) / sizeof(short_of[0]); i++) {
        struct io_fault fault = {.call = IO_ACCEPT, .at = 1, .error = short_of[i]};
        struct outcome out = session(plain(), &fault, MESSAGE);
        CHECK(out.complete && out.accept_error == short_of[i]);
    }
    /* With the spare descriptor the client is taken and closed. */
    static const int descriptors_gone[] = {EMFILE, ENFILE};
    for (size_t i = 0; i < 2; i++) {
        struct io_fault fault = {
            .call = IO_ACCEPT, .at = 1, .error = descriptors_gone[i]};
        struct outcome out = session(plain(), &fault, MESSAGE);
        CHECK(!out.hung && !out.complete && out.accept_error == descriptors_gone[i]);
    }
}

/* CTL-8 */
static void whole_sessions_under_faults(void)
{
    under_constant_faults(short_session);
}

static bool small_session(const struct wsc_allocator *allocator)
{
    struct outcome out = session(allocator, NULL, SHORT);
    CHECK(!out.hung);
    CHECK(out.complete || out.no_memory);
    return out.complete;
}

static void allocations_fail_at_every_index(void)
{
    test_every_allocation(small_session);
}

TEST_MAIN(TEST(reads_fail_at_every_index), TEST(writes_fail_at_every_index),
          TEST(waits_fail_at_every_index), TEST(watching_fails_at_every_index),
          TEST(accepts_fail_at_every_index), TEST(whole_sessions_under_faults),
          TEST(allocations_fail_at_every_index))

#else

static void no_shim_here(void)
{
    CHECK(true);
}

TEST_MAIN(TEST(no_shim_here))

#endif

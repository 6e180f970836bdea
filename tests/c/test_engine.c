/* The engine over real sockets: whole sessions with each system call failing at each
 * index (THREATS, "I/O failure at every index"), and what its header promises. */
#include "test.h"

#ifdef __linux__

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "io_shim.h"
#include "wsc/engine.h"

#define RECEIVE_SIZE 4096
#define MESSAGE      ((size_t)20000) /* some reads long */
#define SECONDS      5
#define BLOCK        ((size_t)1 << 20)

static size_t descriptors(void)
{
    size_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (directory != NULL && readdir(directory) != NULL) {
        count++;
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
    return count;
}

static double now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int listen_on_loopback(struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(*address);
    memset(address, 0, sizeof(*address));
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0);
    CHECK(listen(fd, 128) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)address, &len) == 0);
    return fd;
}

static int connect_to(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0);
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    return fd;
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
    struct wsc_listener *listener;
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
        wsc_listener_accept(server->listener, false);
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
        break;
    }
    CHECK(false && "an event of the other kind");
}

static void serve_once(struct server *server, int timeout_ms)
{
    struct wsc_io io;
    if (server->pausing) {
        server->pausing = false;
        wsc_listener_accept(server->listener, true);
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
    if (wsc_listener_new(server->engine, listening, server, &server->listener) !=
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
    wsc_listener_close(server->listener);
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
        CHECK(out.no_memory);
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

/* The fault at every index of a session. `fatal`: the session may end early, with an
 * error; otherwise everything has to arrive all the same. */
static void at_every_index(enum io_call call, int error, bool fatal)
{
    size_t hits = 0;
    for (size_t at = 1;; at++) {
        struct io_fault fault = {.call = call, .at = at, .error = error};
        struct outcome out = session(plain(), &fault, MESSAGE);
        bool ok = CHECK(!out.hung);
        if (out.complete && out.hits == 0) {
            break;
        }
        hits++;
        if (fatal) {
            ok &= CHECK(out.complete || out.error == error);
        }
        else {
            ok &= CHECK(out.complete);
        }
        if (!ok) {
            printf("call %d, index %zu, errno %d\n", (int)call, at, error);
            return;
        }
        if (at > 5000) {
            CHECK(false && "the session does not end");
            return;
        }
    }
    CHECK(hits > 0);
}

/* CTL-8 */
static void reads_fail_at_every_index(void)
{
    at_every_index(IO_RECV, EAGAIN, false);
    at_every_index(IO_RECV, EINTR, false);
    at_every_index(IO_RECV, IO_ONE_BYTE, false);
    at_every_index(IO_RECV, ECONNRESET, true);
    at_every_index(IO_RECV, ETIMEDOUT, true);
}

/* CTL-8 */
static void writes_fail_at_every_index(void)
{
    at_every_index(IO_SEND, EAGAIN, false);
    at_every_index(IO_SEND, EINTR, false);
    at_every_index(IO_SEND, ENOBUFS, false);
    at_every_index(IO_SEND, IO_ONE_BYTE, false);
    at_every_index(IO_SEND, ECONNRESET, true);
    at_every_index(IO_SEND, EPIPE, true);
}

static void waits_fail_at_every_index(void)
{
    at_every_index(IO_WAIT, EINTR, false);
}

static void watching_fails_at_every_index(void)
{
    at_every_index(IO_WATCH, ENOMEM, true);
    at_every_index(IO_WATCH, ENOSPC, true);
}

/* OVL-1: what concerns one connection is passed over, what concerns us is reported. */
static void accepts_fail_at_every_index(void)
{
    static const int passing[] = {EAGAIN, EINTR, ECONNABORTED, EPROTO};
    static const int short_of[] = {ENOBUFS, ENOMEM};
    for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
        at_every_index(IO_ACCEPT, passing[i], false);
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

/* CTL-8: sessions with nothing but one-byte reads or writes, or every other call void.
 */
static void whole_sessions_under_faults(void)
{
    static const struct io_fault faults[] = {
        {IO_RECV, 1, 1, IO_ONE_BYTE}, {IO_SEND, 1, 1, IO_ONE_BYTE},
        {IO_RECV, 1, 2, EAGAIN},      {IO_SEND, 1, 2, EAGAIN},
        {IO_SEND, 1, 2, EINTR},       {IO_RECV, 1, 2, EINTR},
        {IO_SEND, 1, 3, ENOBUFS},     {IO_WAIT, 1, 2, EINTR},
    };
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct outcome out = session(plain(), &faults[i], 3000);
        if (!CHECK(out.complete)) {
            printf("fault %zu\n", i);
        }
    }
}

static bool small_session(const struct wsc_allocator *allocator)
{
    struct outcome out = session(allocator, NULL, 3000);
    CHECK(!out.hung);
    CHECK(out.complete || out.no_memory);
    return out.complete;
}

static void allocations_fail_at_every_index(void)
{
    test_every_allocation(small_session);
}

/* --- promises of the header --- */

struct fixture {
    struct test_allocator allocator;
    struct wsc_engine *engine;
    struct wsc_link *link[2];
    int peer[2];
    size_t descriptors;
};

static void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    test_allocator_init(&f->allocator);
    f->descriptors = descriptors();
    CHECK(wsc_engine_new(&f->allocator.base, RECEIVE_SIZE, &f->engine) == WSC_OK);
    for (int i = 0; i < 2; i++) {
        int fds[2];
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
        f->peer[i] = fds[0];
        CHECK(wsc_link_new(f->engine, fds[1], &f->peer[i], &f->link[i]) == WSC_OK);
        CHECK((fcntl(fds[1], F_GETFL) & O_NONBLOCK) != 0);
    }
}

static void fixture_fini(struct fixture *f)
{
    wsc_engine_free(f->engine);
    (void)close(f->peer[0]);
    (void)close(f->peer[1]);
    CHECK_INT(f->allocator.live_blocks, 0);
    CHECK_INT(descriptors(), f->descriptors);
}

static struct wsc_io next_of(struct wsc_engine *engine)
{
    struct wsc_io io;
    (void)wsc_engine_poll(engine, 100);
    if (!CHECK(wsc_engine_next(engine, &io))) {
        memset(&io, 0, sizeof(io));
    }
    return io;
}

static bool is_quiet(struct wsc_engine *engine)
{
    struct wsc_io io;
    (void)wsc_engine_poll(engine, 0);
    return !wsc_engine_next(engine, &io);
}

/* LIF-1: a link that is ready may be closed by the handling of another. */
static void links_are_closed_between_events(void)
{
    for (int first = 0; first < 2; first++) {
        for (int abort = 0; abort < 2; abort++) {
            struct fixture f;
            struct wsc_io io;
            fixture_init(&f);
            CHECK(write(f.peer[0], "a", 1) == 1 && write(f.peer[1], "b", 1) == 1);
            CHECK_INT(wsc_engine_poll(f.engine, 100), 2);
            CHECK(wsc_engine_next(f.engine, &io));
            int seen = io.owner == &f.peer[1];
            int closed = first == 0 ? seen : !seen;
            (abort != 0 ? wsc_link_abort : wsc_link_close)(f.link[closed]);
            if (closed != seen) {
                CHECK(!wsc_engine_next(f.engine, &io));
            }
            else {
                CHECK(wsc_engine_next(f.engine, &io) && io.owner == &f.peer[!closed]);
                CHECK(!wsc_engine_next(f.engine, &io));
            }
            fixture_fini(&f);
        }
    }
}

/* LIF-1: the same in the event "writable" of a link that is readable too. */
static void a_link_is_closed_while_it_is_writable(void)
{
    struct fixture f;
    struct wsc_io io;
    struct wsc_outgoing outgoing;
    fixture_init(&f);
    wsc_outgoing_init(&outgoing, &f.allocator.base);
    uint8_t *out;
    CHECK(wsc_outgoing_reserve(&outgoing, 1, &out) == WSC_OK);
    *out = 'x';
    wsc_outgoing_commit(&outgoing, 1);
    CHECK(wsc_link_write(f.link[0], &outgoing) == WSC_OK);
    uint8_t *much;
    CHECK(wsc_outgoing_reserve(&outgoing, BLOCK, &much) == WSC_OK);
    memset(much, 'y', BLOCK);
    wsc_outgoing_commit(&outgoing, BLOCK);
    CHECK(wsc_link_write(f.link[0], &outgoing) == WSC_NEED_SPACE);
    CHECK(outgoing.size > 0 && outgoing.size < BLOCK);
    CHECK(is_quiet(f.engine));
    size_t left = outgoing.size;
    CHECK(write(f.peer[0], "data", 4) == 4);
    static uint8_t sink[1 << 20];
    size_t got = 0;
    while (got < BLOCK + 1 - left) {
        ssize_t n = read(f.peer[0], sink, sizeof(sink));
        if (!CHECK(n > 0)) {
            break;
        }
        got += (size_t)n;
    }
    io = next_of(f.engine);
    CHECK_INT(io.type, WSC_IO_WRITABLE);
    wsc_link_close(f.link[0]);
    CHECK(!wsc_engine_next(f.engine, &io));
    wsc_outgoing_fini(&outgoing);
    fixture_fini(&f);
}

/* Fill the socket until it takes no more. */
static void block(struct fixture *f, struct wsc_outgoing *outgoing)
{
    uint8_t *out;
    wsc_outgoing_init(outgoing, &f->allocator.base);
    CHECK(wsc_outgoing_reserve(outgoing, BLOCK, &out) == WSC_OK);
    memset(out, 'y', BLOCK);
    wsc_outgoing_commit(outgoing, BLOCK);
    CHECK(wsc_link_write(f->link[0], outgoing) == WSC_NEED_SPACE);
    CHECK(is_quiet(f->engine));
}

/* Read what has arrived at the peer. */
static void unblock(struct fixture *f)
{
    static uint8_t sink[4096];
    while (recv(f->peer[0], sink, sizeof(sink), MSG_DONTWAIT) > 0) {
    }
}

/* Ready in both ways is one entry and two events; in what order the links come is the
 * system's. */
static void links_are_readable_and_writable_at_once(void)
{
    for (int round = 0; round < 2; round++) {
        struct fixture f;
        struct wsc_io io;
        struct wsc_outgoing outgoing;
        fixture_init(&f);
        block(&f, &outgoing);
        CHECK(write(f.peer[0], "both", 4) == 4 && write(f.peer[1], "one", 3) == 3);
        unblock(&f);
        if (round == 1) { /* and so the other way round */
            CHECK_INT(wsc_engine_poll(f.engine, 100), 2);
        }
        CHECK_INT(wsc_engine_poll(f.engine, 100), 2);
        enum wsc_io_type types[2] = {WSC_IO_ERROR, WSC_IO_ERROR};
        size_t count[2] = {0, 0};
        while (wsc_engine_next(f.engine, &io)) {
            size_t i = io.owner == &f.peer[1];
            types[i] = io.type;
            if (count[i]++ == 0 && i == 0) {
                CHECK_INT(io.type, WSC_IO_WRITABLE);
            }
        }
        CHECK(count[0] == 2 && types[0] == WSC_IO_DATA);
        CHECK(count[1] == 1 && types[1] == WSC_IO_DATA);
        CHECK(is_quiet(f.engine));
        wsc_outgoing_fini(&outgoing);
        fixture_fini(&f);
    }
}

/* The peer is gone while we wait for both: all that the link says in a round is one
 * WRITABLE and one end or error, and when that is handled the poll is quiet. */
static void the_peer_is_gone_while_reading_and_writing(void)
{
    struct fixture f;
    struct wsc_io io;
    struct wsc_outgoing outgoing;
    fixture_init(&f);
    block(&f, &outgoing);
    (void)close(f.peer[0]);
    CHECK_INT(wsc_engine_poll(f.engine, 100), 1);
    CHECK(wsc_engine_next(f.engine, &io));
    CHECK_INT(io.type, WSC_IO_WRITABLE);
    CHECK(wsc_link_write(f.link[0], &outgoing) == WSC_ERR_IO);
    CHECK(wsc_engine_next(f.engine, &io));
    CHECK(io.type == WSC_IO_EOF || io.type == WSC_IO_ERROR);
    CHECK(!wsc_engine_next(f.engine, &io));
    CHECK(is_quiet(f.engine));
    wsc_link_close(f.link[0]);
    wsc_outgoing_fini(&outgoing);
    f.peer[0] = dup(f.peer[1]);
    fixture_fini(&f);
}

/* A poll before all events were taken gives the rest, and what is done does not count.
 */
static void polls_go_on_with_what_is_left(void)
{
    struct fixture f;
    struct wsc_io io;
    fixture_init(&f);
    CHECK(write(f.peer[0], "a", 1) == 1 && write(f.peer[1], "b", 1) == 1);
    CHECK_INT(wsc_engine_poll(f.engine, 100), 2);
    CHECK(wsc_engine_next(f.engine, &io));
    CHECK_INT(wsc_engine_poll(f.engine, 0), 1);
    CHECK(wsc_engine_next(f.engine, &io));
    CHECK_INT(wsc_engine_poll(f.engine, 0), 0);
    CHECK(!wsc_engine_next(f.engine, &io));
    fixture_fini(&f);
}

static void reading_stops_and_goes_on(void)
{
    struct fixture f;
    fixture_init(&f);
    wsc_link_read(f.link[0], false);
    CHECK(write(f.peer[0], "data", 4) == 4);
    CHECK(is_quiet(f.engine));
    wsc_link_read(f.link[0], true);
    struct wsc_io io = next_of(f.engine);
    CHECK_INT(io.type, WSC_IO_DATA);
    CHECK_BYTES(io.data, io.len, "data", 4);
    /* Data before the end, and the end once. */
    CHECK(write(f.peer[0], "last", 4) == 4 && shutdown(f.peer[0], SHUT_WR) == 0);
    io = next_of(f.engine);
    CHECK_BYTES(io.data, io.len, "last", 4);
    io = next_of(f.engine);
    CHECK_INT(io.type, WSC_IO_EOF);
    CHECK(is_quiet(f.engine));
    /* A ready link that stops reading gives nothing more in this round either. */
    CHECK(write(f.peer[1], "data", 4) == 4);
    CHECK_INT(wsc_engine_poll(f.engine, 100), 1);
    wsc_link_read(f.link[1], false);
    CHECK(!wsc_engine_next(f.engine, &io));
    fixture_fini(&f);
}

static void our_side_ends(void)
{
    struct fixture f;
    char byte;
    fixture_init(&f);
    wsc_link_end(f.link[0]);
    CHECK_INT(read(f.peer[0], &byte, 1), 0);
    CHECK(write(f.peer[0], "x", 1) == 1);
    struct wsc_io io = next_of(f.engine);
    CHECK_INT(io.type, WSC_IO_DATA);
    fixture_fini(&f);
}

/* A peer that is gone while we only wait to write: one event, not a spinning poll. */
static void the_peer_is_gone_while_writing(void)
{
    struct fixture f;
    struct wsc_outgoing outgoing;
    uint8_t *much;
    fixture_init(&f);
    wsc_outgoing_init(&outgoing, &f.allocator.base);
    wsc_link_read(f.link[0], false);
    CHECK(wsc_outgoing_reserve(&outgoing, 1 << 20, &much) == WSC_OK);
    memset(much, 'y', 1 << 20);
    wsc_outgoing_commit(&outgoing, 1 << 20);
    CHECK(wsc_link_write(f.link[0], &outgoing) == WSC_NEED_SPACE);
    (void)close(f.peer[0]);
    struct wsc_io io = next_of(f.engine);
    CHECK_INT(io.type, WSC_IO_WRITABLE);
    CHECK(wsc_link_write(f.link[0], &outgoing) == WSC_ERR_IO);
    CHECK(errno == EPIPE || errno == ECONNRESET);
    wsc_link_close(f.link[0]);
    CHECK_INT(wsc_engine_poll(f.engine, 0), 0);
    wsc_outgoing_fini(&outgoing);
    f.peer[0] = dup(f.peer[1]);
    fixture_fini(&f);
}

/* An aborted link sends a reset (TCP), and what waits in the kernel is thrown away. */
static void an_abort_resets(void)
{
    struct sockaddr_in address;
    struct wsc_engine *engine;
    struct wsc_listener *listener;
    struct wsc_link *link;
    int owner;
    size_t before = descriptors();
    int listening = listen_on_loopback(&address);
    CHECK(wsc_engine_new(plain(), RECEIVE_SIZE, &engine) == WSC_OK);
    CHECK(wsc_listener_new(engine, listening, &owner, &listener) == WSC_OK);
    int client = connect_to(&address);
    struct wsc_io io = next_of(engine);
    CHECK_INT(io.type, WSC_IO_ACCEPTED);
    CHECK(wsc_link_new(engine, io.fd, &owner, &link) == WSC_OK);
    wsc_link_abort(link);
    char byte;
    struct pollfd wait = {.fd = client, .events = POLLIN};
    CHECK_INT(poll(&wait, 1, 1000), 1);
    CHECK(read(client, &byte, 1) < 0 && errno == ECONNRESET);
    (void)close(client);
    wsc_engine_free(engine); /* with the listener */
    (void)close(listening);
    CHECK_INT(descriptors(), before);
}

/* SLW-7: a crowd at the door does not keep those inside waiting. */
static void accepts_have_a_budget(void)
{
    enum { CROWD = 100 };
    struct sockaddr_in address;
    struct wsc_engine *engine;
    struct wsc_listener *listener;
    int clients[CROWD];
    int owner;
    size_t before = descriptors();
    int listening = listen_on_loopback(&address);
    CHECK(wsc_engine_new(plain(), RECEIVE_SIZE, &engine) == WSC_OK);
    CHECK(wsc_listener_new(engine, listening, &owner, &listener) == WSC_OK);
    for (int i = 0; i < CROWD; i++) {
        clients[i] = connect_to(&address);
    }
    int total = 0;
    for (int round = 0; round < 10 && total < CROWD; round++) {
        struct wsc_io io;
        int count = 0;
        (void)wsc_engine_poll(engine, 100);
        while (wsc_engine_next(engine, &io)) {
            CHECK_INT(io.type, WSC_IO_ACCEPTED);
            (void)close(io.fd);
            count++;
        }
        CHECK(count > 0 && count <= 64);
        total += count;
    }
    CHECK_INT(total, CROWD);
    for (int i = 0; i < CROWD; i++) {
        (void)close(clients[i]);
    }
    wsc_listener_close(listener);
    wsc_engine_free(engine);
    (void)close(listening);
    CHECK_INT(descriptors(), before);
}

/* OVL-1: really no descriptor left. The client is taken and closed; afterwards a new
 * one is served. */
static void descriptors_run_out(void)
{
    struct sockaddr_in address;
    struct wsc_engine *engine;
    struct wsc_listener *listener;
    struct rlimit old;
    int owner;
    int filled[64];
    int count = 0;
    size_t before = descriptors();
    int listening = listen_on_loopback(&address);
    CHECK(wsc_engine_new(plain(), RECEIVE_SIZE, &engine) == WSC_OK);
    CHECK(wsc_listener_new(engine, listening, &owner, &listener) == WSC_OK);
    int client = connect_to(&address);
    CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
    struct rlimit small = {.rlim_cur = 40, .rlim_max = old.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &small) == 0);
    while (count < 64 && (filled[count] = dup(listening)) >= 0) {
        count++;
    }
    struct wsc_io io = next_of(engine);
    CHECK_INT(io.type, WSC_IO_ERROR);
    CHECK_INT(io.error, EMFILE);
    CHECK(!wsc_engine_next(engine, &io));
    char byte;
    CHECK_INT(fcntl(client, F_SETFL, 0), 0);
    CHECK_INT(read(client, &byte, 1), 0);
    CHECK_INT(wsc_engine_poll(engine, 0), 0); /* nothing to spin on */
    while (count > 0) {
        (void)close(filled[--count]);
    }
    CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
    (void)close(client);
    client = connect_to(&address);
    io = next_of(engine);
    CHECK_INT(io.type, WSC_IO_ACCEPTED);
    (void)close(io.fd);
    (void)close(client);
    wsc_engine_free(engine);
    (void)close(listening);
    CHECK_INT(descriptors(), before);
}

/* LIF-5 */
static void a_child_forgets(void)
{
    struct fixture f;
    fixture_init(&f);
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        /* A kqueue is not handed down: this may get its number. */
        int other = dup(f.peer[0]);
        wsc_engine_forget(f.engine);
        CHECK_INT(wsc_engine_fd(f.engine), -1);
        CHECK_INT(wsc_engine_poll(f.engine, 0), 0);
        wsc_engine_free(f.engine);
        _exit(fcntl(other, F_GETFD) < 0);
    }
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child && status == 0);
    for (int i = 0; i < 2; i++) {
        CHECK(write(f.peer[i], "data", 4) == 4);
        struct wsc_io io = next_of(f.engine);
        CHECK_INT(io.type, WSC_IO_DATA);
        CHECK(io.owner == &f.peer[i]);
        /* and we have not been shut down */
        char byte;
        CHECK(recv(f.peer[i], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN);
    }
    fixture_fini(&f);
}

TEST_MAIN(TEST(reads_fail_at_every_index), TEST(writes_fail_at_every_index),
          TEST(waits_fail_at_every_index), TEST(watching_fails_at_every_index),
          TEST(accepts_fail_at_every_index), TEST(whole_sessions_under_faults),
          TEST(allocations_fail_at_every_index), TEST(links_are_closed_between_events),
          TEST(a_link_is_closed_while_it_is_writable),
          TEST(polls_go_on_with_what_is_left),
          TEST(links_are_readable_and_writable_at_once),
          TEST(the_peer_is_gone_while_reading_and_writing),
          TEST(reading_stops_and_goes_on), TEST(our_side_ends),
          TEST(the_peer_is_gone_while_writing), TEST(an_abort_resets),
          TEST(accepts_have_a_budget), TEST(descriptors_run_out), TEST(a_child_forgets))

#else

static void no_shim_here(void)
{
    CHECK(true);
}

TEST_MAIN(TEST(no_shim_here))

#endif

/* The engine over real sockets: what its header promises. */
#include "test.h"

#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine_session.h"
#include "wsc/engine.h"

#define RECEIVE_SIZE 4096
#define BLOCK        ((size_t)1 << 20)

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
    struct wsc_acceptor *acceptor;
    struct wsc_link *link;
    int owner;
    size_t before = descriptors();
    int listening = listen_on_loopback(&address);
    CHECK(wsc_engine_new(wsc_allocator_default(), RECEIVE_SIZE, &engine) == WSC_OK);
    CHECK(wsc_acceptor_new(engine, listening, &owner, &acceptor) == WSC_OK);
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
    wsc_engine_free(engine); /* with the acceptor */
    (void)close(listening);
    CHECK_INT(descriptors(), before);
}

static void it_listens(void)
{
    static const char *const addresses[] = {"127.0.0.1", "::1", "0.0.0.0"};
    struct wsc_engine *engine;
    struct wsc_acceptor *acceptor;
    int owner;
    size_t before = descriptors();
    CHECK(wsc_engine_new(wsc_allocator_default(), RECEIVE_SIZE, &engine) == WSC_OK);
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        uint16_t port = 0;
        int listening;
        int again;
        enum wsc_status status = wsc_socket_listen(addresses[i], &port, &listening);
        if (i == 1 && status == WSC_ERR_IO) {
            continue; /* no IPv6 here */
        }
        CHECK(status == WSC_OK && port != 0);
        CHECK(wsc_socket_listen(addresses[i], &port, &again) == WSC_ERR_IO &&
              errno == EADDRINUSE);
        CHECK(wsc_acceptor_new(engine, listening, &owner, &acceptor) == WSC_OK);
        if (i != 1) {
            struct sockaddr_in address = {.sin_family = AF_INET};
            address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            address.sin_port = htons(port);
            int client = connect_to(&address);
            struct wsc_io io = next_of(engine);
            CHECK_INT(io.type, WSC_IO_ACCEPTED);
            wsc_io_refuse(&io);
            (void)close(client);
        }
        wsc_acceptor_close(acceptor);
        (void)close(listening);
    }
    uint16_t port = 0;
    int none;
    CHECK(wsc_socket_listen("localhost", &port, &none) == WSC_ERR_INVALID_ARGUMENT);
    CHECK(wsc_socket_listen("", &port, &none) == WSC_ERR_INVALID_ARGUMENT);
    wsc_engine_free(engine);
    CHECK_INT(descriptors(), before);
}

/* SLW-7: a crowd at the door does not keep those inside waiting. */
static void accepts_have_a_budget(void)
{
    enum { CROWD = 100 };
    struct sockaddr_in address;
    struct wsc_engine *engine;
    struct wsc_acceptor *acceptor;
    int clients[CROWD];
    int owner;
    size_t before = descriptors();
    int listening = listen_on_loopback(&address);
    CHECK(wsc_engine_new(wsc_allocator_default(), RECEIVE_SIZE, &engine) == WSC_OK);
    CHECK(wsc_acceptor_new(engine, listening, &owner, &acceptor) == WSC_OK);
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
    wsc_acceptor_close(acceptor);
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
    struct wsc_acceptor *acceptor;
    struct rlimit old;
    int owner;
    int filled[64];
    int count = 0;
    size_t before = descriptors();
    int listening = listen_on_loopback(&address);
    CHECK(wsc_engine_new(wsc_allocator_default(), RECEIVE_SIZE, &engine) == WSC_OK);
    CHECK(wsc_acceptor_new(engine, listening, &owner, &acceptor) == WSC_OK);
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

static bool shows_readable(const struct wsc_engine *engine)
{
    struct pollfd shown = {.fd = wsc_engine_fd(engine), .events = POLLIN};
    return poll(&shown, 1, 0) == 1;
}

/* HLD-1: until it is looked at, and it is no socket. */
static void it_rings(void)
{
    struct fixture f;
    fixture_init(&f);
    CHECK(!shows_readable(f.engine));
    for (int i = 0; i < 3; i++) {
        wsc_engine_ring(f.engine);
        wsc_engine_ring(f.engine);
        CHECK(shows_readable(f.engine) && shows_readable(f.engine));
        CHECK_INT(wsc_engine_poll(f.engine, 0), 0);
        CHECK(!shows_readable(f.engine));
    }
    CHECK(write(f.peer[0], "a", 1) == 1);
    wsc_engine_ring(f.engine);
    struct wsc_io io = next_of(f.engine);
    CHECK(io.owner == &f.peer[0]);
    CHECK(is_quiet(f.engine) && !shows_readable(f.engine));
    fixture_fini(&f);
}

TEST_MAIN(TEST(links_are_closed_between_events),
          TEST(a_link_is_closed_while_it_is_writable),
          TEST(polls_go_on_with_what_is_left),
          TEST(links_are_readable_and_writable_at_once),
          TEST(the_peer_is_gone_while_reading_and_writing),
          TEST(reading_stops_and_goes_on), TEST(our_side_ends),
          TEST(the_peer_is_gone_while_writing), TEST(an_abort_resets), TEST(it_listens),
          TEST(accepts_have_a_budget), TEST(descriptors_run_out), TEST(a_child_forgets),
          TEST(it_rings))

#else

static void no_shim_here(void)
{
    CHECK(true);
}

TEST_MAIN(TEST(no_shim_here))

#endif

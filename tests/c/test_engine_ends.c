/* How sockets end: what the peer has taken, and what it sees (END-1). */
#include "test.h"

#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine_session.h"
#include "wsc/engine.h"

#define RECEIVE_SIZE 4096
#define FLOOD        ((size_t)1 << 20)

struct fixture {
    struct wsc_engine *engine;
    struct wsc_link *link;
    int client;
    int owner;
};

/* A link over TCP, and a client that blocks. */
static void fixture_init(struct fixture *f)
{
    struct sockaddr_in address;
    int listening = listen_on_loopback(&address);
    f->client = connect_to(&address);
    int fd = accept(listening, NULL, NULL);
    CHECK(fcntl(f->client, F_SETFL, 0) == 0);
    CHECK(wsc_engine_new(wsc_allocator_default(), RECEIVE_SIZE, &f->engine) == WSC_OK);
    CHECK(wsc_link_new(f->engine, fd, &f->owner, &f->link) == WSC_OK);
    (void)close(listening);
}

static void fixture_fini(struct fixture *f)
{
    wsc_engine_free(f->engine);
    (void)close(f->client);
}

/* As much as the kernel takes. */
static size_t fill(int fd)
{
    static const uint8_t zeros[RECEIVE_SIZE];
    size_t size = 0;
    ssize_t sent = 0;
    while (sent >= 0) {
        size += (size_t)sent;
        sent = send(fd, zeros, sizeof(zeros), MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    CHECK(errno == EAGAIN);
    return size;
}

/* To the end, which is 0, or an errno. */
static int read_all(int fd, size_t *out_size)
{
    uint8_t data[RECEIVE_SIZE];
    ssize_t got;
    *out_size = 0;
    while ((got = recv(fd, data, sizeof(data), 0)) > 0) {
        *out_size += (size_t)got;
    }
    return got == 0 ? 0 : errno;
}

static bool becomes(int fd, size_t untaken)
{
    for (int i = 0; i < 100 && wsc_socket_untaken(fd) != untaken; i++) {
        (void)poll(NULL, 0, 10);
    }
    return wsc_socket_untaken(fd) == untaken;
}

static void what_the_peer_takes_shows(void)
{
    struct fixture f;
    uint64_t before;
    uint64_t after;
    size_t size;
    fixture_init(&f);
    int fd = wsc_link_fd(f.link);
    CHECK_INT(wsc_socket_untaken(fd), 0);
    CHECK(wsc_socket_taken(fd, &before));
    size_t sent = fill(fd);
    CHECK(wsc_socket_untaken(fd) > 0 && wsc_socket_untaken(fd) <= sent);
    wsc_link_end(f.link);
    CHECK(read_all(f.client, &size) == 0 && size == sent);
    CHECK(becomes(fd, 0));
    CHECK(wsc_socket_taken(fd, &after));
    CHECK(after - before >= sent && after - before <= sent + 1); /* the FIN */
    fixture_fini(&f);
}

static void other_sockets_tell_less(void)
{
    uint64_t taken = 1;
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
    CHECK(!wsc_socket_taken(fds[0], &taken) && taken == 0);
    CHECK_INT(wsc_socket_untaken(fds[0]), 0);
    CHECK(write(fds[0], "data", 4) == 4);
    CHECK(wsc_socket_untaken(fds[0]) >= 4);
    (void)close(fds[0]);
    (void)close(fds[1]);
    CHECK_INT(wsc_socket_untaken(-1), 0);
    CHECK(!wsc_socket_taken(-1, &taken));
}

/* What was sent arrives, whatever the peer has sent that nobody read. */
static void unread_input_makes_no_reset(void)
{
    struct fixture f;
    size_t size;
    fixture_init(&f);
    wsc_link_read(f.link, false);
    size_t sent = fill(wsc_link_fd(f.link));
    CHECK(send(f.client, "unread", 6, 0) == 6);
    wsc_link_close(f.link);
    CHECK(read_all(f.client, &size) == 0 && size == sent);
    fixture_fini(&f);
}

/* There is an end to what is read for that. */
static void a_flood_is_reset(void)
{
    struct fixture f;
    size_t size;
    int room = (int)FLOOD;
    fixture_init(&f);
    int fd = wsc_link_fd(f.link);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) == 0 ||
          setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)) == 0);
    wsc_link_read(f.link, false);
    size_t flood = 0;
    for (int i = 0; i < 20; i++) {
        flood += fill(f.client);
        (void)poll(NULL, 0, 5);
    }
    CHECK(flood > FLOOD / 2);
    wsc_link_close(f.link);
    CHECK_INT(read_all(f.client, &size), ECONNRESET);
    fixture_fini(&f);
}

TEST_MAIN(TEST(what_the_peer_takes_shows), TEST(other_sockets_tell_less),
          TEST(unread_input_makes_no_reset), TEST(a_flood_is_reset))

#else

static void linux_only(void)
{
    CHECK(true);
}

TEST_MAIN(TEST(linux_only))

#endif

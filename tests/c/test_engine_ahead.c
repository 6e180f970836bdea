/* What the engine receives ahead (csrc/engine/source.h): several sockets in a row, and
 * nothing is lost when something happens in between. */
#include "test.h"

#ifdef __linux__

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wsc/engine.h"

#define RECEIVE_SIZE ((size_t)64 << 10)
#define LINKS_MAX    100

struct fixture {
    struct test_allocator allocator;
    struct wsc_engine *engine;
    size_t count;
    struct wsc_link *link[LINKS_MAX];
    int peer[LINKS_MAX];
};

/* Two ends of a TCP connection: a reset is an error there. */
static void tcp_pair(int fds[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(listening, (const struct sockaddr *)&address, len) == 0);
    CHECK(listen(listening, 1) == 0);
    CHECK(getsockname(listening, (struct sockaddr *)&address, &len) == 0);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(fds[0], (const struct sockaddr *)&address, len) == 0);
    fds[1] = accept(listening, NULL, NULL);
    CHECK(fds[1] >= 0);
    (void)close(listening);
}

static void fixture_init(struct fixture *f, size_t count, bool tcp)
{
    memset(f, 0, sizeof(*f));
    test_allocator_init(&f->allocator);
    CHECK(wsc_engine_new(&f->allocator.base, RECEIVE_SIZE, &f->engine) == WSC_OK);
    f->count = count;
    for (size_t i = 0; i < count; i++) {
        int fds[2];
        if (tcp) {
            tcp_pair(fds);
        }
        else {
            CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
        }
        f->peer[i] = fds[0];
        CHECK(wsc_link_new(f->engine, fds[1], &f->peer[i], &f->link[i]) == WSC_OK);
    }
}

static void fixture_fini(struct fixture *f)
{
    wsc_engine_free(f->engine);
    for (size_t i = 0; i < f->count; i++) {
        (void)close(f->peer[i]);
    }
    CHECK_INT(f->allocator.live_blocks, 0);
}

static void say(const struct fixture *f, size_t link, const char *text)
{
    CHECK(write(f->peer[link], text, strlen(text)) == (ssize_t)strlen(text));
}

static size_t link_of(const struct fixture *f, const struct wsc_io *io)
{
    return (size_t)((const int *)io->owner - f->peer);
}

static bool is_data(const struct wsc_io *io, const char *text)
{
    return io->type == WSC_IO_DATA && io->len == strlen(text) &&
           memcmp(io->data, text, io->len) == 0;
}

/* The first event of two sockets that are ready: which it was. */
static size_t first_of_two(struct fixture *f)
{
    struct wsc_io io;
    CHECK_INT(wsc_engine_poll(f->engine, 1000), 2);
    CHECK(!wsc_engine_has_received(f->engine));
    CHECK(wsc_engine_next(f->engine, &io));
    return link_of(f, &io);
}

/* Both of two links have said something, and the first event was taken: the link whose
 * event is next. */
static size_t two_say_one(struct fixture *f)
{
    fixture_init(f, 2, false);
    say(f, 0, "one");
    say(f, 1, "one");
    return 1 - first_of_two(f);
}

/* What is said after the first event comes after what was said before it. */
static void several_sockets_are_received_in_a_row(void)
{
    struct fixture f;
    struct wsc_io io;
    size_t second = two_say_one(&f);
    CHECK(wsc_engine_has_received(f.engine));
    say(&f, second, "two");
    CHECK(wsc_engine_next(f.engine, &io) && link_of(&f, &io) == second);
    CHECK(is_data(&io, "one"));
    CHECK(!wsc_engine_has_received(f.engine));
    CHECK(!wsc_engine_next(f.engine, &io));
    CHECK_INT(wsc_engine_poll(f.engine, 1000), 1);
    say(&f, second, "three");
    CHECK(wsc_engine_next(f.engine, &io));
    CHECK(is_data(&io, "twothree"));
    fixture_fini(&f);
}

static void who_stops_reading_gets_what_was_received(void)
{
    struct fixture f;
    struct wsc_io io;
    size_t second = two_say_one(&f);
    CHECK(wsc_link_read(f.link[second], false) == WSC_OK);
    say(&f, second, "two");
    CHECK(wsc_engine_next(f.engine, &io) && is_data(&io, "one"));
    CHECK(!wsc_engine_next(f.engine, &io));
    CHECK_INT(wsc_engine_poll(f.engine, 0), 0);
    CHECK(wsc_link_read(f.link[second], true) == WSC_OK);
    CHECK_INT(wsc_engine_poll(f.engine, 1000), 1);
    CHECK(wsc_engine_next(f.engine, &io) && is_data(&io, "two"));
    fixture_fini(&f);
}

/* Not before reading goes on: it would overtake what is kept for later. */
static void the_end_comes_when_reading_goes_on(void)
{
    struct fixture f;
    struct wsc_io io;
    fixture_init(&f, 2, false);
    CHECK(shutdown(f.peer[0], SHUT_WR) == 0 && shutdown(f.peer[1], SHUT_WR) == 0);
    size_t second = 1 - first_of_two(&f);
    CHECK(wsc_link_read(f.link[second], false) == WSC_OK);
    CHECK(!wsc_engine_next(f.engine, &io));
    CHECK(wsc_link_read(f.link[second], true) == WSC_OK);
    CHECK_INT(wsc_engine_poll(f.engine, 1000), 1);
    CHECK(wsc_engine_next(f.engine, &io) && link_of(&f, &io) == second);
    CHECK_INT(io.type, WSC_IO_EOF);
    fixture_fini(&f);
}

/* recv() says it once only. */
static void an_error_is_reported_to_who_stops_reading(void)
{
    struct fixture f;
    struct wsc_io io;
    struct linger reset = {1, 0};
    fixture_init(&f, 2, true);
    for (size_t i = 0; i < 2; i++) {
        CHECK(setsockopt(f.peer[i], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) == 0);
        (void)close(f.peer[i]);
        f.peer[i] = -1;
    }
    size_t second = 1 - first_of_two(&f);
    CHECK(wsc_link_read(f.link[second], false) == WSC_OK);
    CHECK(wsc_engine_next(f.engine, &io) && link_of(&f, &io) == second);
    CHECK_INT(io.type, WSC_IO_ERROR);
    CHECK_INT(io.error, ECONNRESET);
    fixture_fini(&f);
}

/* LIF-1 */
static void what_was_received_ends_with_its_link(void)
{
    struct fixture f;
    struct wsc_io io;
    size_t second = two_say_one(&f);
    CHECK(wsc_engine_has_received(f.engine));
    wsc_link_close(f.link[second]);
    CHECK(!wsc_engine_has_received(f.engine));
    CHECK(!wsc_engine_next(f.engine, &io));
    fixture_fini(&f);
}

/* In the middle of it: what the child has not been given stays the parent's. */
static void a_child_forgets_what_was_received(void)
{
    struct fixture f;
    struct wsc_io io;
    (void)two_say_one(&f);
    wsc_engine_forget(f.engine);
    CHECK(!wsc_engine_has_received(f.engine));
    CHECK(!wsc_engine_next(f.engine, &io));
    fixture_fini(&f);
}

/* Every link says `len` bytes of its own; all come, in order and once. */
static void receive_all(size_t count, size_t len)
{
    static uint8_t data[LINKS_MAX + (1 << 16)];
    size_t got[LINKS_MAX] = {0};
    size_t left = count * len;
    struct fixture f;
    fixture_init(&f, count, false);
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 31 + i / 251);
    }
    for (size_t i = 0; i < count; i++) {
        CHECK(write(f.peer[i], data + i, len) == (ssize_t)len);
    }
    while (left > 0) {
        struct wsc_io io;
        if (!CHECK(wsc_engine_poll(f.engine, 1000) > 0)) {
            break;
        }
        while (wsc_engine_next(f.engine, &io)) {
            size_t link = link_of(&f, &io);
            CHECK_INT(io.type, WSC_IO_DATA);
            CHECK(memcmp(io.data, data + link + got[link], io.len) == 0);
            got[link] += io.len;
            left -= io.len;
        }
    }
    for (size_t i = 0; i < count; i++) {
        CHECK_INT(got[i], len);
    }
    fixture_fini(&f);
}

/* By one recv(), as far as the receive buffer goes. */
static void one_socket_has_the_whole_buffer(void)
{
    static uint8_t data[50000];
    struct fixture f;
    struct wsc_io io;
    fixture_init(&f, 1, false);
    CHECK(write(f.peer[0], data, sizeof(data)) == sizeof(data));
    CHECK_INT(wsc_engine_poll(f.engine, 1000), 1);
    CHECK(wsc_engine_next(f.engine, &io));
    CHECK_INT(io.len, sizeof(data));
    fixture_fini(&f);
}

/* Whoever fills a window has the whole buffer then, as long as that brings as much. */
static void plenty_comes_by_few_calls(void)
{
    static const uint8_t data[50000];
    static const size_t lens[] = {16384, 33616, 16384};
    struct fixture f;
    struct wsc_io io;
    fixture_init(&f, 2, false);
    for (size_t i = 0; i < 3; i++) {
        if (i != 1) {
            CHECK(write(f.peer[0], data, sizeof(data)) == sizeof(data));
        }
        say(&f, 1, "one");
        CHECK_INT(wsc_engine_poll(f.engine, 1000), 2);
        for (int k = 0; k < 2; k++) {
            CHECK(wsc_engine_next(f.engine, &io));
            CHECK_INT(io.len, link_of(&f, &io) == 0 ? lens[i] : 3);
        }
        if (i == 1) { /* nothing more: the next is ahead again */
            say(&f, 0, "two");
            CHECK_INT(wsc_engine_poll(f.engine, 1000), 1);
            CHECK(wsc_engine_next(f.engine, &io) && is_data(&io, "two"));
        }
    }
    fixture_fini(&f);
}

static void all_that_is_ready_comes(void)
{
    receive_all(2, 16383);
    receive_all(2, 16384); /* a window of it, and nothing behind */
    receive_all(2, 16385);
    receive_all(3, 50000); /* more than is received ahead of one */
    receive_all(20, 8192); /* than there is memory for */
    receive_all(100, 256); /* than there are entries for */
}

TEST_MAIN(TEST(several_sockets_are_received_in_a_row),
          TEST(who_stops_reading_gets_what_was_received),
          TEST(the_end_comes_when_reading_goes_on),
          TEST(an_error_is_reported_to_who_stops_reading),
          TEST(what_was_received_ends_with_its_link),
          TEST(a_child_forgets_what_was_received),
          TEST(one_socket_has_the_whole_buffer), TEST(plenty_comes_by_few_calls),
          TEST(all_that_is_ready_comes))

#else

static void no_engine_tests_here(void)
{
    CHECK(true);
}

TEST_MAIN(TEST(no_engine_tests_here))

#endif

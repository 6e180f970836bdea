/* Links whose first bytes are a header of the PROXY protocol. */
#include "test.h"

#ifdef __linux__

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine_session.h"
#include "wsc/engine.h"

#define HEADER "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"
#define BEHIND "GET / HTTP/1.1\r\n"
#define LINKS  2 /* of several sockets the engine receives ahead */

struct fixture {
    struct test_allocator allocator;
    struct wsc_engine *engine;
    struct wsc_link *link[LINKS];
    int peer[LINKS];
    size_t descriptors;
};

static void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    test_allocator_init(&f->allocator);
    f->descriptors = descriptors();
    CHECK(wsc_engine_new(&f->allocator.base, 4096, &f->engine) == WSC_OK);
    for (int i = 0; i < LINKS; i++) {
        int fds[2];
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
        f->peer[i] = fds[0];
        CHECK(wsc_link_new(f->engine, fds[1], &f->peer[i], &f->link[i]) == WSC_OK);
        CHECK(wsc_link_expect_proxy_header(f->link[i]) == WSC_OK);
    }
}

static void fixture_fini(struct fixture *f)
{
    wsc_engine_free(f->engine);
    for (int i = 0; i < LINKS; i++) {
        (void)close(f->peer[i]);
    }
    CHECK_INT(f->allocator.live_blocks, 0);
    CHECK_INT(descriptors(), f->descriptors);
}

static bool next_of(struct wsc_engine *engine, struct wsc_io *out)
{
    (void)wsc_engine_poll(engine, 0);
    return wsc_engine_next(engine, out);
}

static void send_to(const struct fixture *f, const char *text, size_t len)
{
    for (int i = 0; i < LINKS; i++) {
        CHECK(write(f->peer[i], text, len) == (ssize_t)len);
    }
}

/* Both links say so, and then give what is behind the header. */
static void expect_header_and_rest(const struct fixture *f)
{
    struct wsc_io io;
    for (int i = 0; i < LINKS; i++) {
        if (!CHECK(next_of(f->engine, &io)) || !CHECK_INT(io.type, WSC_IO_PROXIED)) {
            return;
        }
        CHECK_INT(io.source->family, WSC_PROXY_IPV4);
        CHECK_INT(io.source->port, 56324);
        CHECK_BYTES(io.source->address, io.source->len, "\xc0\0\x02\x01", 4);
    }
    send_to(f, BEHIND, sizeof(BEHIND) - 1);
    for (int i = 0; i < LINKS; i++) {
        if (CHECK(next_of(f->engine, &io)) && CHECK_INT(io.type, WSC_IO_DATA)) {
            CHECK_BYTES(io.data, io.len, BEHIND BEHIND, 2 * (sizeof(BEHIND) - 1));
        }
    }
    CHECK(!next_of(f->engine, &io));
}

/* FWD-4 */
static void a_header_in_pieces(void)
{
    for (size_t split = 0; split < sizeof(HEADER) - 1; split++) {
        struct fixture f;
        struct wsc_io io;
        fixture_init(&f);
        if (split > 0) {
            send_to(&f, HEADER, split);
            CHECK(!next_of(f.engine, &io));
            CHECK_INT(wsc_engine_poll(f.engine, 0), 0); /* nothing is left to spin on */
        }
        send_to(&f, &(HEADER BEHIND)[split], sizeof(HEADER BEHIND) - 1 - split);
        expect_header_and_rest(&f);
        fixture_fini(&f);
    }
}

/* FWD-5 */
static void no_header(void)
{
    struct fixture f;
    struct wsc_io io;
    fixture_init(&f);
    send_to(&f, BEHIND, sizeof(BEHIND) - 1);
    for (int i = 0; i < LINKS; i++) {
        CHECK(next_of(f.engine, &io));
        CHECK_INT(io.type, WSC_IO_ERROR);
        CHECK_INT(io.error, EPROTO);
    }
    CHECK(!next_of(f.engine, &io));
    fixture_fini(&f);
}

/* Also in the middle, which is no error: so do those who look whether we are there. */
static void the_peer_ends_before(void)
{
    struct fixture f;
    struct wsc_io io;
    fixture_init(&f);
    CHECK(write(f.peer[0], HEADER, 9) == 9);
    CHECK(!next_of(f.engine, &io));
    for (int i = 0; i < LINKS; i++) {
        CHECK(shutdown(f.peer[i], SHUT_WR) == 0);
        CHECK(next_of(f.engine, &io));
        CHECK_INT(io.type, WSC_IO_EOF);
        CHECK(io.owner == &f.peer[i]);
    }
    fixture_fini(&f);
}

static void without_memory(void)
{
    struct fixture f;
    int fds[2];
    struct wsc_link *link;
    fixture_init(&f);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    CHECK(wsc_link_new(f.engine, fds[1], &f, &link) == WSC_OK);
    f.allocator.fail_at = f.allocator.requests + 1;
    CHECK(wsc_link_expect_proxy_header(link) == WSC_ERR_NO_MEMORY);
    wsc_link_close(link);
    (void)close(fds[0]);
    fixture_fini(&f);
}

TEST_MAIN(TEST(a_header_in_pieces), TEST(no_header), TEST(the_peer_ends_before),
          TEST(without_memory))

#else

static void no_engine_here(void)
{
    CHECK(true);
}

TEST_MAIN(TEST(no_engine_here))

#endif

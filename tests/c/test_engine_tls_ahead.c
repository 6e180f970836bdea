/* What the engine receives ahead of a link with TLS (csrc/engine/source.h): nothing is
 * lost when something happens before it is decrypted. */
#include "test.h"

#ifdef __linux__

#include <sys/socket.h>
#include <unistd.h>

#include "tls_peer.h"

static void begin(struct peer *peer)
{
    peer_init(peer, TLS1_3_VERSION);
    peer_handshake(peer, SIZE_MAX);
    CHECK_INT(wsc_engine_poll(peer->engine, 0), 0);
    CHECK(write(peer->others_fd, "first", 5) == 5);
}

static void send_unread(struct peer *peer)
{
    static uint8_t data[1 << 16];
    size_t len = peer_take(peer, data, sizeof(data));
    CHECK(write(peer->fd, data, len) == (ssize_t)len);
}

static void receive_ahead(struct peer *peer)
{
    struct wsc_io io;
    CHECK_INT(wsc_engine_poll(peer->engine, 1000), 2);
    CHECK(wsc_engine_next(peer->engine, &io) && io.owner == NULL);
    CHECK(wsc_engine_has_received(peer->engine));
}

static void stop_reading(struct peer *peer)
{
    CHECK(wsc_link_read(peer->link, false) == WSC_OK);
}

static void nothing_comes(struct peer *peer)
{
    peer_poll(peer);
    CHECK(peer->got_len == 0 && !peer->ended && !peer->error);
}

static void go_on_reading(struct peer *peer)
{
    CHECK(wsc_link_read(peer->link, true) == WSC_OK);
    peer_poll(peer);
}

static void answer(struct peer *peer)
{
    struct wsc_outgoing outgoing;
    uint8_t *data;
    wsc_outgoing_init(&outgoing, &peer->allocator.base);
    CHECK(wsc_outgoing_reserve(&outgoing, 6, &data) == WSC_OK);
    memcpy(data, "answer", 6);
    wsc_outgoing_commit(&outgoing, 6);
    CHECK(wsc_link_write(peer->link, &outgoing) == WSC_OK);
    wsc_outgoing_fini(&outgoing);
}

static void who_stops_reading_gets_what_was_received(void)
{
    struct peer peer;
    begin(&peer);
    CHECK_INT(SSL_write(peer.ssl, "one", 3), 3);
    send_unread(&peer);
    receive_ahead(&peer);
    stop_reading(&peer);
    CHECK_INT(SSL_write(peer.ssl, "two", 3), 3);
    send_unread(&peer);
    peer_poll(&peer);
    CHECK_BYTES(peer.got, peer.got_len, "one", 3);
    go_on_reading(&peer);
    CHECK_BYTES(peer.got, peer.got_len, "onetwo", 6);
    peer_fini(&peer);
}

static void the_end_comes_when_reading_goes_on(void)
{
    for (int notify = 0; notify < 2; notify++) {
        struct peer peer;
        begin(&peer);
        if (notify != 0) {
            CHECK_INT(SSL_shutdown(peer.ssl), 0);
            send_unread(&peer);
        }
        else {
            CHECK(shutdown(peer.fd, SHUT_WR) == 0);
        }
        receive_ahead(&peer);
        stop_reading(&peer);
        nothing_comes(&peer);
        go_on_reading(&peer);
        CHECK(peer.ended && !peer.error);
        peer_fini(&peer);
    }
}

/* recv() says it once only. */
static void an_error_is_reported_to_who_stops_reading(void)
{
    struct peer peer;
    begin(&peer);
    answer(&peer);
    (void)close(peer.fd);
    peer.fd = -1;
    receive_ahead(&peer);
    stop_reading(&peer);
    peer_poll(&peer);
    CHECK(peer.error && !peer.failed && !peer.ended);
    peer_fini(&peer);
}

/* TLS-8: what is no record ends the link, though it was received before. */
static void what_is_not_authentic_is_reported(void)
{
    struct peer peer;
    begin(&peer);
    CHECK(write(peer.fd, "\x17\x03\x03\x00\x14no record of any peer", 25) == 25);
    receive_ahead(&peer);
    peer_poll(&peer);
    CHECK(peer.error && peer.failed && peer.got_len == 0);
    peer_fini(&peer);
}

/* LIF-1 */
static void what_was_received_ends_with_its_link(void)
{
    struct peer peer;
    begin(&peer);
    CHECK_INT(SSL_write(peer.ssl, "one", 3), 3);
    send_unread(&peer);
    receive_ahead(&peer);
    wsc_link_close(peer.link);
    peer.link = NULL;
    CHECK(!wsc_engine_has_received(peer.engine));
    nothing_comes(&peer);
    peer_fini(&peer);
}

/* By what was sent in between, on the memory that all links share. */
static void answers_do_not_disturb_it(void)
{
    struct peer peer;
    char got[6];
    begin(&peer);
    CHECK_INT(SSL_write(peer.ssl, "one", 3), 3);
    send_unread(&peer);
    receive_ahead(&peer);
    answer(&peer);
    peer_poll(&peer);
    CHECK_BYTES(peer.got, peer.got_len, "one", 3);
    peer_receive(&peer);
    CHECK_INT(SSL_read(peer.ssl, got, sizeof(got)), 6);
    CHECK_BYTES(got, 6, "answer", 6);
    peer_fini(&peer);
}

TEST_MAIN(TEST(who_stops_reading_gets_what_was_received),
          TEST(the_end_comes_when_reading_goes_on),
          TEST(an_error_is_reported_to_who_stops_reading),
          TEST(what_is_not_authentic_is_reported),
          TEST(what_was_received_ends_with_its_link), TEST(answers_do_not_disturb_it))

#else

static void no_engine_tests_here(void)
{
    CHECK(true);
}

TEST_MAIN(TEST(no_engine_tests_here))

#endif

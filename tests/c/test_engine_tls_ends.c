/* How TLS ends: a fatal alert is an error that says what is wrong, close_notify an end,
 * and what others left in OpenSSL's queue of errors is neither. */
#include "test.h"

#ifdef __linux__

#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <unistd.h>

#include "tls_peer.h"

static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

static void leave_an_error(void)
{
    ERR_raise(ERR_LIB_SSL, SSL_R_CERTIFICATE_VERIFY_FAILED);
    ERR_raise(ERR_LIB_USER, ERR_R_INTERNAL_ERROR);
}

/* The peer gets a record that nobody made: what it says about that is in `out`. */
static size_t alert_of(struct peer *peer, uint8_t *out, size_t size)
{
    static const char record[] =
        "\x17\x03\x03\x00\x20no record of any peer, but so long";
    char byte;
    (void)BIO_write(peer->in, record, 5 + 0x20);
    CHECK(SSL_read(peer->ssl, &byte, 1) < 0);
    ERR_clear_error();
    return peer_take(peer, out, size);
}

static void check_alert(const struct peer *peer)
{
    CHECK(peer->error && peer->failed && !peer->ended);
    if (peer->failed) {
        CHECK(strstr(peer->failure.reason, "alert bad record mac") != NULL);
        CHECK(strcmp(peer->failure.library, "SSL") == 0);
        CHECK(!peer->failure.ended && peer->failure.verify_message == NULL);
    }
}

static void begin(struct peer *peer, int version)
{
    char byte;
    peer_init(peer, version);
    peer_handshake(peer, SIZE_MAX);
    (void)SSL_read(peer->ssl, &byte, 1); /* the tickets */
}

/* END-3 */
static void an_alert_is_an_error(void)
{
    uint8_t data[256];
    for (int i = 0; i < 4; i++) {
        struct peer peer;
        begin(&peer, versions[i % 2]);
        CHECK_INT(SSL_write(peer.ssl, "first", 5), 5);
        size_t len = peer_take(&peer, data, sizeof(data));
        len += alert_of(&peer, data + len, sizeof(data) - len);
        if (i >= 2) {
            leave_an_error();
        }
        peer_send(&peer, data, len);
        CHECK_BYTES(peer.got, peer.got_len, "first", 5);
        check_alert(&peer);
        CHECK_INT(ERR_peek_error(), 0);
        peer_fini(&peer);
    }
}

/* END-3: and an end no error. */
static void errors_of_others_are_not_ours(void)
{
    for (int i = 0; i < 4; i++) {
        struct peer peer;
        bool server = i >= 2;
        leave_an_error();
        peer_init_as(&peer, server, versions[i % 2]);
        if (server) {
            peer_receive(&peer);
        }
        for (int k = 0; k < 10 && SSL_do_handshake(peer.ssl) != 1; k++) {
            leave_an_error();
            peer_flush(&peer, 100);
            ERR_clear_error();
        }
        peer_flush(&peer, SIZE_MAX);
        CHECK(peer.link != NULL && wsc_link_is_open(peer.link) && !peer.error);
        CHECK_INT(SSL_write(peer.ssl, "data", 4), 4);
        CHECK_INT(SSL_shutdown(peer.ssl), 0);
        leave_an_error();
        peer_flush(&peer, SIZE_MAX);
        CHECK_BYTES(peer.got, peer.got_len, "data", 4);
        CHECK(peer.ended && !peer.error);
        peer_fini(&peer);
    }
}

/* A failure of a peer that isn't trusted, in its words and with its code. */
static void who_is_not_trusted(void)
{
    for (int i = 0; i < 2; i++) {
        struct peer peer;
        struct wsc_tls_context *client;
        peer_init_as(&peer, true, versions[i]);
        CHECK_INT(wsc_tls_context_new(&peer.allocator.base, false, &client), WSC_OK);
        peer_link_again(&peer, client, "localhost");
        peer_receive(&peer);
        (void)SSL_do_handshake(peer.ssl);
        leave_an_error();
        peer_flush(&peer, SIZE_MAX);
        CHECK(peer.error && peer.failed);
        CHECK_INT(peer.failure.verify_code, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT);
        CHECK(strcmp(peer.failure.reason, "certificate verify failed") == 0);
        CHECK(peer.failure.verify_message != NULL);
        wsc_tls_context_free(client);
        peer_fini(&peer);
    }
}

/* SEC-1: a name that can't be said, or none where it is to be checked, is a failure of
 * TLS. */
static void a_client_that_can_not_begin(void)
{
    char name[300];
    struct peer peer;
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    const char *const names[] = {name, "", NULL};
    for (int i = 0; i < 3; i++) {
        peer_init_as(&peer, true, TLS1_3_VERSION);
        peer_link_again(&peer, peer.contexts.client, names[i]);
        peer_poll(&peer);
        CHECK(peer.error && peer.failed);
        CHECK(strstr(peer.failure.reason, "servername") != NULL);
        peer_fini(&peer);
    }
}

static void queue_data(struct peer *peer, struct wsc_outgoing *outgoing)
{
    uint8_t *out;
    wsc_outgoing_init(outgoing, &peer->allocator.base);
    CHECK(wsc_outgoing_reserve(outgoing, 4, &out) == WSC_OK);
    memcpy(out, "data", 4);
    wsc_outgoing_commit(outgoing, 4);
}

/* END-3: the peer has said why, and gone; we write before we read that. */
static void a_write_finds_the_alert(void)
{
    uint8_t data[256];
    for (int i = 0; i < 4; i++) {
        struct peer peer;
        struct wsc_outgoing outgoing;
        struct wsc_io io;
        begin(&peer, versions[i % 2]);
        size_t len = alert_of(&peer, data, sizeof(data));
        CHECK_INT(wsc_engine_poll(peer.engine, 0), 0);
        if (i >= 2) {
            CHECK(write(peer.others_fd, "x", 1) == 1);
        }
        CHECK(write(peer.fd, data, len) == (ssize_t)len);
        if (i >= 2) {
            /* Received ahead, but not looked at. */
            CHECK_INT(wsc_engine_poll(peer.engine, 1000), 2);
            CHECK(wsc_engine_next(peer.engine, &io) && io.owner == NULL);
            CHECK(wsc_engine_has_received(peer.engine));
        }
        (void)close(peer.fd);
        peer.fd = -1;
        leave_an_error();
        queue_data(&peer, &outgoing);
        CHECK(wsc_link_write(peer.link, &outgoing) == WSC_ERR_IO);
        peer.error = true;
        peer.failed = wsc_link_tls_failure(peer.link, &peer.failure);
        check_alert(&peer);
        wsc_outgoing_fini(&outgoing);
        peer_fini(&peer);
    }
}

/* END-3: who has stopped reading, after data, learns of the alert by writing or when
 * reading goes on. */
static void an_alert_waits_for_the_reader(void)
{
    uint8_t data[256];
    for (int writes = 0; writes < 2; writes++) {
        struct peer peer;
        struct wsc_outgoing outgoing;
        struct wsc_io io;
        begin(&peer, TLS1_3_VERSION);
        CHECK_INT(SSL_write(peer.ssl, "first", 5), 5);
        size_t len = peer_take(&peer, data, sizeof(data));
        len += alert_of(&peer, data + len, sizeof(data) - len);
        CHECK(write(peer.fd, data, len) == (ssize_t)len);
        CHECK_INT(wsc_engine_poll(peer.engine, 1000), 1);
        CHECK(wsc_engine_next(peer.engine, &io) && io.type == WSC_IO_DATA);
        CHECK(wsc_link_read(peer.link, false) == WSC_OK);
        peer_poll(&peer);
        CHECK(!peer.error && wsc_engine_poll(peer.engine, 0) == 0);
        if (writes != 0) {
            queue_data(&peer, &outgoing);
            CHECK(wsc_link_write(peer.link, &outgoing) == WSC_ERR_IO);
            peer.error = true;
            peer.failed = wsc_link_tls_failure(peer.link, &peer.failure);
            wsc_outgoing_fini(&outgoing);
        }
        else {
            CHECK(wsc_link_read(peer.link, true) == WSC_OK);
            peer_poll(&peer);
        }
        check_alert(&peer);
        peer_fini(&peer);
    }
}

TEST_MAIN(TEST(an_alert_is_an_error), TEST(errors_of_others_are_not_ours),
          TEST(who_is_not_trusted), TEST(a_client_that_can_not_begin),
          TEST(a_write_finds_the_alert), TEST(an_alert_waits_for_the_reader))

#else

static void no_engine_tests_here(void)
{
    CHECK(true);
}

TEST_MAIN(TEST(no_engine_tests_here))

#endif

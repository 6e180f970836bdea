/* TLS in the engine against a peer that is OpenSSL on memory, whose records come in
 * pieces and orders that no socket would give. */
#include "test.h"

#ifdef __linux__

#include <openssl/err.h>
#include <sys/socket.h>

#include "tls_peer.h"

static uint8_t pattern(size_t index)
{
    return (uint8_t)(index * 31 + index / 251);
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
        CHECK(peer.error && peer.failed && !peer.ended);
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

/* TLS-6: those that take no tickets get nothing that we would have to remember. */
static void servers_keep_no_sessions(void)
{
    struct peer peer;
    unsigned int len = 1;
    peer_init(&peer, TLS1_2_VERSION);
    (void)SSL_set_options(peer.ssl, SSL_OP_NO_TICKET);
    peer_handshake(&peer, SIZE_MAX);
    (void)SSL_SESSION_get_id(SSL_get0_session(peer.ssl), &len);
    CHECK_INT(len, 0);
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
    CHECK(peer.error && peer.failed && peer.link == NULL);
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
        if (!CHECK(peer.error && peer.failed)) {
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
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
    CHECK_INT(SSL_shutdown(peer.ssl), 0);
    peer_flush(&peer, 3);
    CHECK(peer.ended && !peer.error);
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

IN_EVERY_WAY(records_are_cut_at_every_byte)
IN_EVERY_WAY(records_of_every_size)
IN_EVERY_WAY(data_with_the_handshake)
IN_EVERY_WAY(ends_with_and_without_close_notify)
IN_EVERY_WAY(we_end_with_close_notify)
IN_EVERY_WAY(ends_in_the_handshake)
IN_EVERY_WAY(small_pieces_share_a_record)
IN_EVERY_WAY(records_are_authentic)
IN_EVERY_WAY(no_renegotiation)
IN_EVERY_WAY(servers_keep_no_sessions)
IN_EVERY_WAY(old_versions_are_refused)
IN_EVERY_WAY(not_tls)
IN_EVERY_WAY(errors_of_others)
IN_EVERY_WAY(closed_at_every_step_of_the_handshake)

TEST_MAIN(TEST_EVERY_WAY(records_are_cut_at_every_byte),
          TEST_EVERY_WAY(records_of_every_size),
          TEST_EVERY_WAY(data_with_the_handshake),
          TEST_EVERY_WAY(ends_with_and_without_close_notify),
          TEST_EVERY_WAY(we_end_with_close_notify),
          TEST_EVERY_WAY(ends_in_the_handshake),
          TEST_EVERY_WAY(small_pieces_share_a_record),
          TEST_EVERY_WAY(records_are_authentic), TEST_EVERY_WAY(no_renegotiation),
          TEST_EVERY_WAY(servers_keep_no_sessions),
          TEST_EVERY_WAY(old_versions_are_refused), TEST_EVERY_WAY(not_tls),
          TEST_EVERY_WAY(errors_of_others),
          TEST_EVERY_WAY(closed_at_every_step_of_the_handshake))

#else

static void no_shim_here(void)
{
    CHECK(true);
}

TEST_MAIN(TEST(no_shim_here))

#endif

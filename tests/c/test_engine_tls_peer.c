/* TLS in the engine against a peer that is OpenSSL on memory, whose records come in
 * pieces and orders that no socket would give. */
#include "test.h"

#ifdef __linux__

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tls_certificate.h"
#include "wsc/engine.h"

#define RECEIVE_SIZE ((size_t)128 << 10)
#define SEND_BUFFER  6000 /* less than a record, so that writes are short */

static uint8_t pattern(size_t index)
{
    return (uint8_t)(index * 31 + index / 251);
}

/* --- a peer that is OpenSSL on memory --- */

struct peer {
    struct tls_contexts contexts;
    struct test_allocator allocator;
    struct wsc_engine *engine;
    struct wsc_link *link; /* the engine's end, a server */
    SSL_CTX *ssl_ctx;
    SSL *ssl;
    BIO *in; /* what the engine sent */
    BIO *out;
    int fd;
    uint8_t got[1 << 16]; /* what the engine gave */
    size_t got_len;
    bool ended;
    bool error;
    bool has_message;
};

static void peer_init(struct peer *peer, int version)
{
    int fds[2];
    memset(peer, 0, sizeof(*peer));
    test_allocator_init(&peer->allocator);
    CHECK(tls_contexts_init(&peer->contexts, &peer->allocator.base));
    CHECK(wsc_engine_new(&peer->allocator.base, RECEIVE_SIZE, &peer->engine) == WSC_OK);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    CHECK(wsc_link_new(peer->engine, fds[0], peer, &peer->link) == WSC_OK);
    CHECK(wsc_link_start_tls(peer->link, peer->contexts.server, NULL) == WSC_OK);
    peer->fd = fds[1];
    CHECK(fcntl(peer->fd, F_SETFL, O_NONBLOCK) == 0);
    peer->ssl_ctx = SSL_CTX_new(TLS_client_method());
    (void)SSL_CTX_set_max_proto_version(peer->ssl_ctx, version);
    peer->ssl = SSL_new(peer->ssl_ctx);
    peer->in = BIO_new(BIO_s_mem());
    peer->out = BIO_new(BIO_s_mem());
    SSL_set_bio(peer->ssl, peer->in, peer->out);
    SSL_set_connect_state(peer->ssl);
}

static void peer_fini(struct peer *peer)
{
    if (peer->link != NULL) {
        wsc_link_close(peer->link);
    }
    SSL_free(peer->ssl);
    SSL_CTX_free(peer->ssl_ctx);
    (void)close(peer->fd);
    wsc_engine_free(peer->engine);
    tls_contexts_fini(&peer->contexts);
    CHECK_INT(peer->allocator.live_blocks, 0);
    ERR_clear_error();
}

/* What the engine does with what came. */
static void peer_poll(struct peer *peer)
{
    struct wsc_io io;
    while (peer->link != NULL && wsc_engine_poll(peer->engine, 0) > 0) {
        bool any = false;
        while (peer->link != NULL && wsc_engine_next(peer->engine, &io)) {
            any = true;
            if (io.type == WSC_IO_DATA) {
                if (CHECK(peer->got_len + io.len <= sizeof(peer->got))) {
                    memcpy(peer->got + peer->got_len, io.data, io.len);
                    peer->got_len += io.len;
                }
            }
            else if (io.type == WSC_IO_EOF) {
                peer->ended = true;
            }
            else if (io.type == WSC_IO_ERROR) {
                peer->error = true;
                peer->has_message = io.message != NULL;
                wsc_link_close(peer->link);
                peer->link = NULL;
            }
        }
        if (!any) {
            break;
        }
    }
}

static void peer_send(struct peer *peer, const void *data, size_t len)
{
    CHECK_INT(syscall(SYS_sendto, peer->fd, data, len, MSG_NOSIGNAL, NULL, 0), len);
    peer_poll(peer);
}

/* What OpenSSL has written; at most `size`. */
static size_t peer_take(struct peer *peer, uint8_t *out, size_t size)
{
    int len = BIO_read(peer->out, out, (int)size);
    return len > 0 ? (size_t)len : 0;
}

/* Send what OpenSSL has written in steps. */
static void peer_flush(struct peer *peer, size_t step)
{
    static uint8_t data[1 << 16];
    size_t len = peer_take(peer, data, sizeof(data));
    for (size_t at = 0; at < len && peer->link != NULL; at += step) {
        peer_send(peer, data + at, len - at < step ? len - at : step);
    }
    ssize_t got = syscall(SYS_recvfrom, peer->fd, data, sizeof(data), 0, NULL, NULL);
    if (got > 0) {
        (void)BIO_write(peer->in, data, (int)got);
    }
}

static void peer_handshake(struct peer *peer, size_t step)
{
    for (int i = 0; i < 10 && SSL_do_handshake(peer->ssl) != 1; i++) {
        peer_flush(peer, step);
    }
    CHECK(SSL_is_init_finished(peer->ssl) == 1);
    peer_flush(peer, step);
    CHECK(peer->link != NULL && wsc_link_is_open(peer->link));
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
        CHECK(peer.error && peer.has_message && !peer.ended);
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

static void small_send_buffer(const struct peer *peer)
{
    int size = SEND_BUFFER;
    (void)setsockopt(wsc_link_fd(peer->link), SOL_SOCKET, SO_SNDBUF, &size,
                     sizeof(size));
}

static void ask_for_new_keys(const struct peer *peer)
{
    CHECK_INT(SSL_key_update(peer->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
    CHECK_INT(SSL_do_handshake(peer->ssl), 1);
}

/* TLS-8: a peer that has keys updated again and again and reads nothing is cut before
 * its answers take more than 160 KiB (and what holds them at most twice that). On the
 * socket it isn't read any more, and nothing spins. */
static void a_flood_of_key_updates_is_bounded(void)
{
    static uint8_t data[1 << 16];
    struct peer peer;
    bool refused = false;
    peer_init(&peer, TLS1_3_VERSION);
    peer_handshake(&peer, SIZE_MAX);
    size_t before = peer.allocator.live_bytes;
    small_send_buffer(&peer);
    for (int i = 0; i < 12000 && peer.link != NULL && !refused; i++) {
        ask_for_new_keys(&peer);
        if (i % 100 == 99) {
            size_t len = peer_take(&peer, data, sizeof(data));
            refused = syscall(SYS_sendto, peer.fd, data, len, MSG_NOSIGNAL, NULL, 0) !=
                      (ssize_t)len;
            peer_poll(&peer);
        }
    }
    CHECK_INT(peer.error, !tls_on_socket);
    CHECK_INT(refused, tls_on_socket);
    CHECK(peer.link == NULL || wsc_engine_poll(peer.engine, 0) == 0);
    CHECK(peer.allocator.peak_bytes - before <= ((size_t)320 << 10));
    peer_fini(&peer);
}

/* TLS-9: it asks for new keys while a record of ours waits for room, and sends on. */
static void new_keys_while_a_write_waits(void)
{
    static uint8_t data[100000];
    static uint8_t got[sizeof(data)];
    struct peer peer;
    struct wsc_outgoing outgoing;
    uint8_t *out;
    size_t len = 0;
    peer_init(&peer, TLS1_3_VERSION);
    peer_handshake(&peer, SIZE_MAX);
    small_send_buffer(&peer);
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = pattern(i);
    }
    wsc_outgoing_init(&outgoing, &peer.allocator.base);
    CHECK(wsc_outgoing_reserve(&outgoing, sizeof(data), &out) == WSC_OK);
    memcpy(out, data, sizeof(data));
    wsc_outgoing_commit(&outgoing, sizeof(data));
    CHECK(wsc_link_write(peer.link, &outgoing) == WSC_NEED_SPACE);
    for (int i = 0; i < 3; i++) {
        ask_for_new_keys(&peer);
        CHECK_INT(SSL_write(peer.ssl, "data", 4), 4);
    }
    for (int i = 0; i < 1000 && len < sizeof(data) && peer.link != NULL; i++) {
        size_t more = 0;
        peer_flush(&peer, 1000);
        peer_poll(&peer);
        while (SSL_read_ex(peer.ssl, got + len, sizeof(got) - len, &more) == 1) {
            len += more;
        }
        if (peer.link != NULL && outgoing.size > 0) {
            CHECK(wsc_link_write(peer.link, &outgoing) >= 0);
        }
    }
    CHECK(!peer.error);
    CHECK_BYTES(got, len, data, sizeof(data));
    CHECK_BYTES(peer.got, peer.got_len, "datadatadata", 12);
    wsc_outgoing_fini(&outgoing);
    peer_fini(&peer);
}

/* TLS-8: tickets allow no early data. */
static void no_early_data(void)
{
    struct peer peer;
    char byte;
    peer_init(&peer, TLS1_3_VERSION);
    peer_handshake(&peer, SIZE_MAX);
    (void)SSL_read(peer.ssl, &byte, 1); /* the tickets */
    SSL_SESSION *session = SSL_get1_session(peer.ssl);
    CHECK(SSL_SESSION_is_resumable(session) == 1);
    CHECK_INT(SSL_SESSION_get_max_early_data(session), 0);
    SSL_SESSION_free(session);
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
    CHECK(peer.error && peer.has_message && peer.link == NULL);
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
        if (!CHECK(peer.error && peer.has_message)) {
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

ON_SOCKET(records_are_cut_at_every_byte)
ON_SOCKET(records_of_every_size)
ON_SOCKET(data_with_the_handshake)
ON_SOCKET(ends_with_and_without_close_notify)
ON_SOCKET(we_end_with_close_notify)
ON_SOCKET(ends_in_the_handshake)
ON_SOCKET(small_pieces_share_a_record)
ON_SOCKET(records_are_authentic)
ON_SOCKET(no_renegotiation)
ON_SOCKET(a_flood_of_key_updates_is_bounded)
ON_SOCKET(new_keys_while_a_write_waits)
ON_SOCKET(no_early_data)
ON_SOCKET(servers_keep_no_sessions)
ON_SOCKET(old_versions_are_refused)
ON_SOCKET(not_tls)
ON_SOCKET(errors_of_others)
ON_SOCKET(closed_at_every_step_of_the_handshake)

TEST_MAIN(
    TEST(records_are_cut_at_every_byte), TEST(records_of_every_size),
    TEST(data_with_the_handshake), TEST(ends_with_and_without_close_notify),
    TEST(we_end_with_close_notify), TEST(ends_in_the_handshake),
    TEST(small_pieces_share_a_record), TEST(records_are_authentic),
    TEST(no_renegotiation), TEST(a_flood_of_key_updates_is_bounded),
    TEST(new_keys_while_a_write_waits), TEST(new_keys_while_a_write_waits_on_socket),
    TEST(no_early_data), TEST(servers_keep_no_sessions), TEST(old_versions_are_refused),
    TEST(not_tls), TEST(errors_of_others), TEST(closed_at_every_step_of_the_handshake),
    TEST(records_are_cut_at_every_byte_on_socket),
    TEST(records_of_every_size_on_socket), TEST(data_with_the_handshake_on_socket),
    TEST(ends_with_and_without_close_notify_on_socket),
    TEST(we_end_with_close_notify_on_socket), TEST(ends_in_the_handshake_on_socket),
    TEST(small_pieces_share_a_record_on_socket), TEST(records_are_authentic_on_socket),
    TEST(no_renegotiation_on_socket), TEST(a_flood_of_key_updates_is_bounded_on_socket),
    TEST(no_early_data_on_socket), TEST(servers_keep_no_sessions_on_socket),
    TEST(old_versions_are_refused_on_socket), TEST(not_tls_on_socket),
    TEST(errors_of_others_on_socket),
    TEST(closed_at_every_step_of_the_handshake_on_socket))

#else

static void no_shim_here(void)
{
    CHECK(true);
}

TEST_MAIN(TEST(no_shim_here))

#endif

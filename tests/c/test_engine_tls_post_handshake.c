/* What may come between the data of TLS: new keys and tickets. The peer is OpenSSL on
 * memory. */
#include "test.h"

#ifdef __linux__

#include <openssl/err.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tls_peer.h"

#define SEND_BUFFER 6000 /* less than a record, so that writes are short */

static void
queue(struct peer *peer, struct wsc_outgoing *outgoing, const void *data, size_t len)
{
    uint8_t *out;
    wsc_outgoing_init(outgoing, &peer->allocator.base);
    CHECK(wsc_outgoing_reserve(outgoing, len, &out) == WSC_OK);
    memcpy(out, data, len);
    wsc_outgoing_commit(outgoing, len);
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
 * its answers take more than 160 KiB (and what holds them at most twice that). */
static void a_flood_of_key_updates_is_bounded(void)
{
    static uint8_t data[1 << 16];
    struct peer peer;
    peer_init(&peer, TLS1_3_VERSION);
    peer_handshake(&peer, SIZE_MAX);
    size_t before = peer.allocator.live_bytes;
    small_send_buffer(&peer);
    for (int i = 0; i < 12000 && peer.link != NULL; i++) {
        ask_for_new_keys(&peer);
        if (i % 100 == 99) {
            size_t len = peer_take(&peer, data, sizeof(data));
            peer_send(&peer, data, len);
        }
    }
    CHECK(peer.error);
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
    size_t len = 0;
    peer_init(&peer, TLS1_3_VERSION);
    peer_handshake(&peer, SIZE_MAX);
    small_send_buffer(&peer);
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 31 + i / 251);
    }
    queue(&peer, &outgoing, data, sizeof(data));
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

/* --- tickets that take several records --- */

#define TICKET   2000
#define FRAGMENT 512

static int large_ticket(SSL *ssl, void *arg)
{
    static const uint8_t data[TICKET];
    (void)arg;
    return SSL_SESSION_set1_ticket_appdata(SSL_get0_session(ssl), data, sizeof(data));
}

/* A server, its handshake done; its only ticket, which has not left yet, is in `out`.
 */
static size_t begin_with_large_ticket(struct peer *peer, uint8_t *out, size_t size)
{
    peer_init_as(peer, true, TLS1_3_VERSION);
    CHECK_INT(SSL_CTX_set_session_ticket_cb(peer->ssl_ctx, large_ticket, NULL, NULL),
              1);
    CHECK_INT(SSL_set_num_tickets(peer->ssl, 1), 1);
    CHECK_INT(SSL_set_max_send_fragment(peer->ssl, FRAGMENT), 1);
    peer_receive(peer);
    for (int i = 0; i < 10 && SSL_do_handshake(peer->ssl) != 1; i++) {
        peer_flush(peer, SIZE_MAX);
    }
    CHECK(peer->link != NULL && wsc_link_is_open(peer->link));
    return peer_take(peer, out, size);
}

/* The n-th place to cut records at: before, in and after each one's head, and in the
 * middle. */
static size_t cut_at(const uint8_t *data, size_t len, size_t n)
{
    size_t at = 0;
    for (; n >= 4 && at < len; n -= 4) {
        at += 5 + (size_t)(data[at + 3] << 8 | data[at + 4]);
    }
    size_t end = at < len ? at + 5 + (size_t)(data[at + 3] << 8 | data[at + 4]) : len;
    const size_t places[] = {at, at + 2, at + 5, (at + end) / 2};
    return places[n] < len ? places[n] : len;
}

static size_t read_all(struct peer *peer, char *out, size_t size)
{
    size_t len = 0;
    size_t more = 0;
    peer_receive(peer);
    while (SSL_read_ex(peer->ssl, out + len, size - len, &more) == 1) {
        len += more;
    }
    return len;
}

/* TLS-3: we write while half of a ticket has come. OpenSSL sends nothing until it has
 * the rest; nor do we spin or fail. */
static void writes_wait_for_half_a_ticket(void)
{
    static uint8_t ticket[1 << 13];
    size_t waited = 0;
    size_t cut = 0;
    for (size_t n = 0, len = 1; cut < len; n++) {
        struct peer peer;
        struct wsc_outgoing outgoing;
        char got[16];
        len = begin_with_large_ticket(&peer, ticket, sizeof(ticket));
        CHECK(len > TICKET);
        cut = cut_at(ticket, len, n);
        if (cut > 0) {
            peer_send(&peer, ticket, cut);
        }
        queue(&peer, &outgoing, "data", 4);
        enum wsc_status status = wsc_link_write(peer.link, &outgoing);
        CHECK(status == WSC_OK || status == WSC_NEED_SPACE);
        if (status == WSC_NEED_SPACE) {
            waited++;
            CHECK_INT(wsc_engine_poll(peer.engine, 0), 0);
            CHECK_INT(read_all(&peer, got, sizeof(got)), 0);
        }
        if (cut < len) {
            peer_send(&peer, ticket + cut, len - cut);
        }
        if (!CHECK(peer.link != NULL)) {
            printf("cut at %zu of %zu\n", cut, len);
        }
        else if (status == WSC_NEED_SPACE) {
            peer_poll(&peer);
            CHECK(peer.writable && wsc_link_write(peer.link, &outgoing) == WSC_OK);
        }
        CHECK_BYTES(got, read_all(&peer, got, sizeof(got)), "data", 4);
        wsc_outgoing_fini(&outgoing);
        peer_fini(&peer);
    }
    CHECK(waited >= TICKET / FRAGMENT);
}

static void stop_reading(struct peer *peer)
{
    CHECK(wsc_link_read(peer->link, false) == WSC_OK);
}

/* TLS-3: the same while nobody reads: the rest of the ticket is taken, in any pieces,
 * and the data behind it stays where it is. */
static void writes_go_on_without_a_reader(void)
{
    static const size_t steps[] = {1, 7, 600, SIZE_MAX};
    static uint8_t sent[1 << 13];
    for (size_t n = 0; n < 4; n++) {
        struct peer peer;
        struct wsc_outgoing outgoing;
        char got[16];
        size_t len = begin_with_large_ticket(&peer, sent, sizeof(sent));
        size_t cut = cut_at(sent, len, 8);
        CHECK_INT(SSL_write(peer.ssl, "after", 5), 5);
        len += peer_take(&peer, sent + len, sizeof(sent) - len);
        peer_send(&peer, sent, cut);
        stop_reading(&peer);
        queue(&peer, &outgoing, "data", 4);
        CHECK(wsc_link_write(peer.link, &outgoing) == WSC_NEED_SPACE);
        CHECK_INT(wsc_engine_poll(peer.engine, 0), 0);
        for (size_t step; cut < len && !peer.writable; cut += step) {
            step = len - cut < steps[n] ? len - cut : steps[n];
            peer_send(&peer, sent + cut, step);
            peer_poll(&peer);
        }
        CHECK(peer.writable && wsc_link_write(peer.link, &outgoing) == WSC_OK);
        CHECK_BYTES(got, read_all(&peer, got, sizeof(got)), "data", 4);
        if (cut < len) {
            peer_send(&peer, sent + cut, len - cut);
        }
        peer_poll(&peer);
        CHECK(peer.got_len == 0 && !peer.error);
        CHECK_INT(wsc_engine_poll(peer.engine, 0), 0);
        CHECK(wsc_link_read(peer.link, true) == WSC_OK);
        peer_poll(&peer);
        CHECK_BYTES(peer.got, peer.got_len, "after", 5);
        wsc_outgoing_fini(&outgoing);
        peer_fini(&peer);
    }
}

/* And a handshake needs no reader at all. */
static void handshakes_go_on_without_a_reader(void)
{
    for (int server = 0; server < 2; server++) {
        struct peer peer;
        struct wsc_outgoing outgoing;
        peer_init_as(&peer, server != 0, TLS1_3_VERSION);
        stop_reading(&peer);
        queue(&peer, &outgoing, "data", 4);
        CHECK(wsc_link_write(peer.link, &outgoing) == WSC_NEED_SPACE);
        if (server != 0) {
            peer_receive(&peer);
        }
        for (int i = 0; i < 10 && SSL_do_handshake(peer.ssl) != 1; i++) {
            peer_flush(&peer, 100);
        }
        CHECK_INT(SSL_write(peer.ssl, "early", 5), 5);
        peer_flush(&peer, SIZE_MAX);
        peer_poll(&peer);
        CHECK(peer.link != NULL && wsc_link_is_open(peer.link) && peer.got_len == 0);
        CHECK(peer.writable && wsc_link_write(peer.link, &outgoing) == WSC_OK);
        CHECK_INT(wsc_engine_poll(peer.engine, 0), 0);
        CHECK(wsc_link_read(peer.link, true) == WSC_OK);
        peer_poll(&peer);
        CHECK_BYTES(peer.got, peer.got_len, "early", 5);
        wsc_outgoing_fini(&outgoing);
        peer_fini(&peer);
    }
}

/* TLS-7: and while we wait for the rest, either may end. */
static void ends_within_a_ticket(void)
{
    static uint8_t ticket[1 << 13];
    for (int how = 0; how < 5; how++) {
        struct peer peer;
        struct wsc_outgoing outgoing;
        (void)begin_with_large_ticket(&peer, ticket, sizeof(ticket));
        peer_send(&peer, ticket, cut_at(ticket, sizeof(ticket), 8));
        if (how == 4) {
            stop_reading(&peer);
        }
        queue(&peer, &outgoing, "data", 4);
        CHECK(wsc_link_write(peer.link, &outgoing) == WSC_NEED_SPACE);
        if (how == 4) {
            (void)shutdown(peer.fd, SHUT_WR);
            peer_poll(&peer);
            peer_poll(&peer);
            CHECK(peer.writable);
            CHECK(wsc_link_write(peer.link, &outgoing) == WSC_ERR_IO);
        }
        else if (how == 0) {
            (void)shutdown(peer.fd, SHUT_WR);
            peer_poll(&peer);
            CHECK(peer.ended || peer.error);
        }
        else if (how == 1) {
            wsc_link_end(peer.link);
            peer_poll(&peer);
        }
        else {
            (how == 2 ? wsc_link_abort : wsc_link_close)(peer.link);
            peer.link = NULL;
        }
        CHECK(ERR_peek_error() == 0);
        wsc_outgoing_fini(&outgoing);
        peer_fini(&peer);
    }
}

IN_EVERY_WAY(a_flood_of_key_updates_is_bounded)
IN_EVERY_WAY(new_keys_while_a_write_waits)
IN_EVERY_WAY(no_early_data)
IN_EVERY_WAY(writes_wait_for_half_a_ticket)
IN_EVERY_WAY(writes_go_on_without_a_reader)
IN_EVERY_WAY(handshakes_go_on_without_a_reader)
IN_EVERY_WAY(ends_within_a_ticket)

TEST_MAIN(TEST_EVERY_WAY(a_flood_of_key_updates_is_bounded),
          TEST_EVERY_WAY(new_keys_while_a_write_waits), TEST_EVERY_WAY(no_early_data),
          TEST_EVERY_WAY(writes_wait_for_half_a_ticket),
          TEST_EVERY_WAY(writes_go_on_without_a_reader),
          TEST_EVERY_WAY(handshakes_go_on_without_a_reader),
          TEST_EVERY_WAY(ends_within_a_ticket))

#else

static void no_shim_here(void)
{
    CHECK(true);
}

TEST_MAIN(TEST(no_shim_here))

#endif

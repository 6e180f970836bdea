/* Whole sessions of the connection with every allocation failing in turn: only the
 * no-memory status or a closed connection, nothing left behind. */
#include <stdlib.h>

#include "pair.h"

static bool is_expected(enum wsc_status status)
{
    return CHECK(status == WSC_OK || status == WSC_NEED_DATA ||
                 status == WSC_ERR_NO_MEMORY || status == WSC_ERR_INVALID_STATE);
}

/* References that were taken, and how many of them were released. */
static int taken;
static int released;

static void release(void *ctx)
{
    (*(int *)ctx)++;
}

static const uint8_t *payload(void)
{
    static uint8_t data[20000];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)('a' + i * i / 100 % 26);
    }
    return data;
}

/* One end sends a little of everything. */
static bool send_all(struct end *end, enum wsc_compress compress)
{
    const uint8_t *data = payload();
    struct wsc_reference reference = {data, 20000, &released, release};
    bool referenced = false;
    enum wsc_status status[8];
    memset(status, 0, sizeof(status));
    status[0] = wsc_conn_send(&end->conn, WSC_OPCODE_TEXT, data, 300, true, compress,
                              NULL, NULL);
    status[1] = wsc_conn_send(&end->conn, WSC_OPCODE_TEXT, data, 5000, false, compress,
                              NULL, NULL);
    status[2] = wsc_conn_send_ping(&end->conn, data, 125);
    status[3] = wsc_conn_send(&end->conn, WSC_OPCODE_CONTINUATION, data, 5000,
                              status[1] == WSC_OK, compress, NULL, NULL);
    if (status[1] == WSC_OK && status[3] != WSC_OK) {
        /* The message stays open: finish it, if that is possible. */
        status[4] = wsc_conn_send(&end->conn, WSC_OPCODE_CONTINUATION, NULL, 0, true,
                                  compress, NULL, NULL);
    }
    status[5] = wsc_conn_send(&end->conn, WSC_OPCODE_BINARY, data, 20000, true,
                              compress, &reference, &referenced);
    CHECK(!referenced || status[5] == WSC_OK);
    taken += referenced;
    bool completed = true;
    for (size_t i = 0; i < 8; i++) {
        is_expected(status[i]);
        completed = completed && status[i] == WSC_OK;
    }
    return completed;
}

static const struct wsc_deflate_settings *settings_in_use;

static bool session(const struct wsc_allocator *allocator)
{
    struct pair pair;
    taken = 0;
    released = 0;
    bool completed = pair_open(&pair, 1 << 20, settings_in_use, settings_in_use,
                               allocator) == WSC_OK;
    for (int round = 0; round < 4 && completed; round++) {
        struct end *from = round % 2 == 0 ? &pair.client : &pair.server;
        struct end *to = round % 2 == 0 ? &pair.server : &pair.client;
        wsc_conn_set_streaming(&to->conn, round >= 2);
        completed = send_all(from, WSC_COMPRESS_AUTO);
        enum wsc_status status = pair_deliver(from, to, NULL);
        is_expected(status);
        completed = completed && status == WSC_NEED_DATA;
        status = pair_deliver(to, from, NULL); /* the pong */
        is_expected(status);
        completed = completed && status == WSC_NEED_DATA;
        if (round == 1) {
            wsc_conn_release_idle(&pair.server.conn);
            wsc_conn_release_idle(&pair.client.conn);
        }
    }
    if (completed) {
        completed = wsc_conn_send_close(&pair.client.conn, 1000, "bye", 3) == WSC_OK;
        is_expected(pair_deliver(&pair.client, &pair.server, NULL));
        /* Received or not: the end is to come. */
        CHECK(!completed || pair.server.conn.end_expected);
        completed = completed && pair.server.conn.sent;
        is_expected(pair_deliver(&pair.server, &pair.client, NULL));
        CHECK(!completed || pair.client.conn.end_expected);
    }
    else if (pair.server.conn.config != NULL && pair.server.conn.error != WSC_OK) {
        CHECK(pair.server.conn.end_expected);
    }
    pair_fini(&pair);
    CHECK_INT(released, taken);
    return completed;
}

static void plain_sessions(void)
{
    settings_in_use = NULL;
    test_every_allocation(session);
}

static void compressed_sessions(void)
{
    struct wsc_deflate_settings settings;
    wsc_deflate_settings_init(&settings);
    settings_in_use = &settings;
    test_every_allocation(session);
    settings.server_no_context_takeover = true;
    settings.client_no_context_takeover = true;
    settings.server_max_window_bits = 10;
    test_every_allocation(session);
}

/* A server that refuses, and a client that is refused with a body. */
static bool refusals(const struct wsc_allocator *allocator)
{
    struct end end;
    bool completed = true;
    static const char request[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    enum wsc_status status = end_init(&end, WSC_ROLE_SERVER, 100, NULL, allocator);
    if (status == WSC_OK) {
        status = end_feed(&end, (const uint8_t *)request, sizeof(request) - 1,
                          SPLIT_WHOLE, NULL);
        CHECK(status == WSC_ERR_HANDSHAKE || status == WSC_ERR_NO_MEMORY);
        CHECK(end.conn.end_expected);
        completed = status == WSC_ERR_HANDSHAKE && wsc_conn_wants_send(&end.conn);
    }
    else {
        completed = false;
    }
    end_fini(&end);

    struct wsc_str protocols[2] = {wsc_str_of("one"), wsc_str_of("two")};
    static const char response[] = "HTTP/1.1 401 No\r\nContent-Length: 5\r\n\r\nlater";
    status = end_init(&end, WSC_ROLE_CLIENT, 100, NULL, allocator);
    if (status == WSC_OK) {
        status = end_request(&end, protocols, 2);
        if (status != WSC_OK) {
            CHECK_INT(status, WSC_ERR_NO_MEMORY);
            CHECK(!wsc_conn_wants_send(&end.conn));
            completed = false;
            /* Once more: nothing was left half done. */
            status = end_request(&end, protocols, 2);
        }
    }
    if (status == WSC_OK) {
        status = end_feed(&end, (const uint8_t *)response, sizeof(response) - 1,
                          SPLIT_BYTEWISE, NULL);
        CHECK(status == WSC_ERR_HANDSHAKE || status == WSC_ERR_NO_MEMORY);
        completed = completed && status == WSC_ERR_HANDSHAKE &&
                    wsc_conn_response_body(&end.conn).len == 5;
    }
    else {
        completed = false;
    }
    end_fini(&end);
    return completed;
}

static void refused_handshakes(void)
{
    test_every_allocation(refusals);
}

/* A server that accepts, and tries again if that fails: one 101, whole. */
static bool accepting(const struct wsc_allocator *allocator)
{
    struct wsc_deflate_settings settings;
    struct end end;
    struct blob head = {0};
    struct wsc_event event;
    wsc_deflate_settings_init(&settings);
    write_request_head(&head, "permessage-deflate");
    enum wsc_status status = end_init(&end, WSC_ROLE_SERVER, 100, &settings, allocator);
    bool completed = status == WSC_OK;
    if (status == WSC_OK) {
        CHECK_INT(wsc_conn_feed(&end.conn, head.data, head.len), WSC_OK);
        status = wsc_conn_next_event(&end.conn, &event);
        completed = is_expected(status) && status == WSC_OK;
    }
    if (status == WSC_OK) {
        status = end_accept(&end, NULL);
        completed = is_expected(status) && status == WSC_OK;
        CHECK_INT(wsc_conn_wants_send(&end.conn), completed);
        status = completed ? WSC_OK : end_accept(&end, NULL);
        is_expected(status);
    }
    if (status == WSC_OK) {
        head.len = 0;
        end_take(&end, &head);
        CHECK_INT(end.conn.state, WSC_CONN_OPEN);
        CHECK_INT(head.len, 129 + 46);
    }
    end_fini(&end);
    blob_free(&head);
    return completed;
}

static void accepted_at_the_second_try(void)
{
    test_every_allocation(accepting);
}

TEST_MAIN(TEST(plain_sessions), TEST(compressed_sessions), TEST(refused_handshakes),
          TEST(accepted_at_the_second_try))

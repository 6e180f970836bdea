/* The closing handshake, failing, and the end of TCP, in every state. RFC 6455 §5.5.1,
 * §7.1. */
#include <stdlib.h>

#include "pair.h"

static void close_it(struct end *end, uint32_t code, const char *reason)
{
    CHECK_INT(wsc_conn_send_close(&end->conn, code, reason,
                                  reason != NULL ? strlen(reason) : 0),
              WSC_OK);
}

static void check_log(struct blob *log, const char *want)
{
    CHECK_BYTES(log->data, log->len, want, strlen(want));
    log->len = 0;
}

static void open_pair(struct pair *pair)
{
    CHECK_INT(pair_open(pair, 1 << 20, NULL, NULL, wsc_allocator_default()), WSC_OK);
}

/* Either end begins; the other echoes code and reason; both expect the end. */
static void from_either_end(void)
{
    for (int r = 0; r < 2; r++) {
        struct pair pair;
        struct blob log = {0};
        open_pair(&pair);
        struct end *first = r == 0 ? &pair.server : &pair.client;
        struct end *second = r == 0 ? &pair.client : &pair.server;
        close_it(first, 4321, "that is all");
        CHECK_INT(first->conn.state, WSC_CONN_CLOSING);
        CHECK(first->conn.sent && !first->conn.end_expected);
        CHECK_INT(pair_deliver(first, second, &log), WSC_NEED_DATA);
        check_log(&log, "close 4321 that is all\n");
        CHECK_INT(second->conn.state, WSC_CONN_CLOSING);
        CHECK(second->conn.end_expected && second->conn.close_received_first);
        CHECK_INT(second->conn.sent->code, 4321);
        CHECK_INT(pair_deliver(second, first, &log), WSC_NEED_DATA);
        check_log(&log, "close 4321 that is all\n");
        CHECK(first->conn.end_expected && !first->conn.close_received_first);
        for (int i = 0; i < 2; i++) {
            struct end *end = i == 0 ? first : second;
            close_it(end, 1000, NULL);
            CHECK_INT(wsc_conn_fail(&end->conn, 1011, NULL, 0), WSC_OK);
            CHECK(!wsc_conn_wants_send(&end->conn));
            CHECK_INT(end->conn.error, WSC_OK);
            wsc_conn_feed_eof(&end->conn);
            CHECK_INT(end->conn.state, WSC_CONN_CLOSED);
            close_it(end, 1000, NULL);
            CHECK_INT(wsc_conn_send_ping(&end->conn, NULL, 0), WSC_ERR_INVALID_STATE);
            CHECK(!wsc_conn_wants_send(&end->conn));
            CHECK_INT(wsc_conn_feed(&end->conn, (const uint8_t *)"\x81", 1), WSC_OK);
            CHECK_INT(end_events(end, &log), WSC_NEED_DATA);
        }
        check_log(&log, "");
        pair_fini(&pair);
        blob_free(&log);
    }
}

/* Both at once: each gets the other's frame, nobody answers twice. */
static void both_at_once(void)
{
    struct pair pair;
    struct blob log = {0};
    open_pair(&pair);
    close_it(&pair.server, 1001, "going");
    close_it(&pair.client, 1000, NULL);
    CHECK_INT(pair_deliver(&pair.server, &pair.client, &log), WSC_NEED_DATA);
    check_log(&log, "close 1001 going\n");
    CHECK_INT(pair.client.conn.sent->code, 1000);
    CHECK(!wsc_conn_wants_send(&pair.client.conn) ||
          pair.client.conn.outgoing.size == 8);
    CHECK_INT(pair_deliver(&pair.client, &pair.server, &log), WSC_NEED_DATA);
    check_log(&log, "close 1000\n");
    CHECK(pair.client.conn.end_expected && pair.server.conn.end_expected);
    CHECK(!wsc_conn_wants_send(&pair.client.conn));
    CHECK(!wsc_conn_wants_send(&pair.server.conn));
    pair_fini(&pair);
    blob_free(&log);
}

/* Between our close frame and the answer messages still come in; pings are not answered
 * any more (RFC 6455 §5.5.1: nothing is sent after a close frame). */
static void messages_until_the_answer(void)
{
    for (int r = 0; r < 2; r++) {
        enum wsc_role role = r == 0 ? WSC_ROLE_SERVER : WSC_ROLE_CLIENT;
        struct end end;
        struct blob wire = {0};
        struct blob log = {0};
        end_open_plain(&end, role);
        close_it(&end, 1000, NULL);
        wire_frames(&wire, other_role(role), "text late|ping x|bin+ a|cont b|close");
        (void)end_feed(&end, wire.data, wire.len, SPLIT_RANDOM, &log);
        check_log(&log, "text late\nping x\nbin ab\nclose 1005\n-> close 1000\n"
                        "[closing, end]\n");
        end_fini(&end);
        blob_free(&wire);
        blob_free(&log);
    }
}

/* A close frame may be sent in the middle of our own message; nothing after it. */
static void close_in_our_message(void)
{
    struct pair pair;
    struct blob log = {0};
    open_pair(&pair);
    CHECK_INT(wsc_conn_send(&pair.client.conn, WSC_OPCODE_TEXT, (const uint8_t *)"a", 1,
                            false, WSC_COMPRESS_AUTO, NULL, NULL),
              WSC_OK);
    close_it(&pair.client, 1000, NULL);
    CHECK_INT(wsc_conn_send(&pair.client.conn, WSC_OPCODE_CONTINUATION,
                            (const uint8_t *)"b", 1, true, WSC_COMPRESS_AUTO, NULL,
                            NULL),
              WSC_ERR_INVALID_STATE);
    CHECK_INT(pair_deliver(&pair.client, &pair.server, &log), WSC_NEED_DATA);
    check_log(&log, "close 1000\n");
    pair_fini(&pair);
    blob_free(&log);
}

/* CTL-1: what may not be sent is refused before anything is queued. */
static void arguments_of_close(void)
{
    static const uint32_t bad[] = {0,    999,  1004, 1006,  1015,        1016,
                                   2000, 2999, 5000, 65535, 65536 + 1000};
    char reason[125];
    memset(reason, 'r', sizeof(reason));
    for (int fail = 0; fail < 2; fail++) {
        struct end end;
        end_open_plain(&end, WSC_ROLE_SERVER);
        enum wsc_status (*send)(struct wsc_conn *, uint32_t, const char *, size_t) =
            fail != 0 ? wsc_conn_fail : wsc_conn_send_close;
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
            CHECK_INT(send(&end.conn, bad[i], NULL, 0), WSC_ERR_INVALID_ARGUMENT);
        }
        CHECK_INT(send(&end.conn, 1000, reason, 124), WSC_ERR_INVALID_ARGUMENT);
        CHECK_INT(send(&end.conn, 1000, "\xC3", 1), WSC_ERR_INVALID_ARGUMENT);
        CHECK_INT(send(&end.conn, 1005, "x", 1), WSC_ERR_INVALID_ARGUMENT);
        CHECK_INT(end.conn.state, WSC_CONN_OPEN);
        CHECK(!wsc_conn_wants_send(&end.conn) && !end.conn.sent);
        CHECK_INT(send(&end.conn, 1000, reason, 123), WSC_OK);
        CHECK_INT(end.conn.outgoing.size, 127);
        end_fini(&end);
    }
}

/* wsc_conn_fail in each state. */
static void fail_in_each_state(void)
{
    for (int r = 0; r < 2; r++) {
        enum wsc_role role = r == 0 ? WSC_ROLE_SERVER : WSC_ROLE_CLIENT;
        struct end end;
        struct blob wire = {0};
        struct blob log = {0};
        struct wsc_event event;
        /* connecting: no close frame exists yet */
        CHECK_INT(end_init(&end, role, 10, NULL, wsc_allocator_default()), WSC_OK);
        CHECK_INT(wsc_conn_fail(&end.conn, 1011, "x", 1), WSC_OK);
        CHECK_INT(end.conn.state, WSC_CONN_CLOSING);
        CHECK(end.conn.end_expected && !wsc_conn_wants_send(&end.conn));
        CHECK_INT(wsc_conn_next_event(&end.conn, &event), WSC_NEED_DATA);
        end_fini(&end);
        /* open, in the middle of a message and with input left */
        end_open_plain(&end, role);
        wire_frames(&wire, other_role(role), "text+ half|ping x|ping y");
        CHECK_INT(wsc_conn_feed(&end.conn, wire.data, wire.len), WSC_OK);
        CHECK_INT(wsc_conn_next_event(&end.conn, &event), WSC_OK);
        CHECK_INT(wsc_conn_fail(&end.conn, 1011, "x", 1), WSC_OK);
        CHECK_INT(wsc_conn_input_left(&end.conn), 0);
        (void)end_feed(&end, wire.data, wire.len, SPLIT_BYTEWISE, &log);
        check_log(&log, "-> pong x\n-> close 1011\n[closing, end]\n");
        /* closing, then closed: no second frame */
        CHECK_INT(wsc_conn_fail(&end.conn, 1002, NULL, 0), WSC_OK);
        CHECK(!wsc_conn_wants_send(&end.conn));
        wsc_conn_feed_eof(&end.conn);
        CHECK_INT(wsc_conn_fail(&end.conn, 1002, NULL, 0), WSC_OK);
        CHECK_INT(end.conn.state, WSC_CONN_CLOSED);
        CHECK(!wsc_conn_wants_send(&end.conn));
        CHECK_INT(end.conn.sent->code, 1011);
        CHECK_INT(end.conn.error, WSC_OK);
        end_fini(&end);
        blob_free(&wire);
        blob_free(&log);
    }
}

/* TCP ends without a close frame: 1006 is the owner's to say; nothing is delivered. */
static void tcp_ends_in_a_message(void)
{
    struct end end;
    struct blob wire = {0};
    struct wsc_event event;
    end_open_plain(&end, WSC_ROLE_CLIENT);
    wire_frames(&wire, WSC_ROLE_SERVER, "text+ half");
    CHECK_INT(end_feed(&end, wire.data, wire.len, SPLIT_WHOLE, NULL), WSC_NEED_DATA);
    wsc_conn_feed_eof(&end.conn);
    CHECK_INT(end.conn.state, WSC_CONN_CLOSED);
    CHECK(end.conn.end_expected && !end.conn.received && !end.conn.sent);
    CHECK_INT(wsc_conn_next_event(&end.conn, &event), WSC_NEED_DATA);
    CHECK_INT(end.conn.error, WSC_OK);
    end_fini(&end);
    blob_free(&wire);
}

/* An error after our close frame: sticky, no second close frame. */
static void error_while_closing(void)
{
    struct end end;
    struct blob wire = {0};
    struct blob log = {0};
    end_open_plain(&end, WSC_ROLE_SERVER);
    close_it(&end, 1000, NULL);
    wire_frames(&wire, WSC_ROLE_CLIENT, "cont x|close");
    CHECK_INT(end_feed(&end, wire.data, wire.len, SPLIT_BYTEWISE, &log),
              WSC_ERR_PROTOCOL);
    check_log(&log, "-> close 1000\nWSC_ERR_PROTOCOL\n[closing, end]\n");
    CHECK(!end.conn.received);
    end_fini(&end);
    blob_free(&wire);
    blob_free(&log);
}

/* RFC 6455 §7.1.7 sets no time: with a hold, what came before an error is answered
 * before the close frame, and what comes after it is ignored all the same. */
static void failure_on_hold(void)
{
    for (int r = 0; r < 2; r++) {
        enum wsc_role role = r == 0 ? WSC_ROLE_SERVER : WSC_ROLE_CLIENT;
        struct end end;
        struct blob wire = {0};
        struct blob log = {0};
        end_open_plain(&end, role);
        wsc_conn_hold_failure(&end.conn, true);
        wire_frames(&wire, other_role(role), "text a|cont x|ping y|text b|close");
        CHECK_INT(end_feed(&end, wire.data, wire.len, SPLIT_RANDOM, &log),
                  WSC_ERR_PROTOCOL);
        check_log(&log, "text a\nWSC_ERR_PROTOCOL\n[open]\n");
        CHECK(end.conn.sent == NULL && !end.conn.end_expected);
        CHECK_INT(wsc_conn_send(&end.conn, WSC_OPCODE_TEXT, (const uint8_t *)"c", 1,
                                true, WSC_COMPRESS_AUTO, NULL, NULL),
                  WSC_OK);
        wsc_conn_hold_failure(&end.conn, false);
        CHECK_INT(end.conn.sent->code, 1002);
        wsc_conn_hold_failure(&end.conn, false);
        CHECK_INT(end_feed(&end, wire.data, wire.len, SPLIT_WHOLE, &log),
                  WSC_ERR_PROTOCOL);
        check_log(&log, "-> text c\n-> close 1002\nWSC_ERR_PROTOCOL\n[closing, end]\n");
        end_fini(&end);
        /* our own close frame was first; without an error nothing happens */
        end_open_plain(&end, role);
        wsc_conn_hold_failure(&end.conn, true);
        wsc_conn_hold_failure(&end.conn, false);
        CHECK_INT(end.conn.state, WSC_CONN_OPEN);
        wsc_conn_hold_failure(&end.conn, true);
        (void)end_feed(&end, wire.data, wire.len, SPLIT_WHOLE, NULL);
        close_it(&end, 4000, NULL);
        CHECK(!end.conn.end_expected);
        wsc_conn_hold_failure(&end.conn, false);
        CHECK(end.conn.end_expected);
        CHECK_INT(end.conn.sent->code, 4000);
        end_fini(&end);
        blob_free(&wire);
        blob_free(&log);
    }
}

/* CTL-6 on the wire: each of the 65,536 codes, answered with itself or with 1002. */
static void every_code_on_the_wire(void)
{
    for (unsigned code = 0; code < 65536; code++) {
        struct end end;
        uint8_t frame[8] = {0x88,         0x82, 0, 0, 0, 0, (uint8_t)(code >> 8),
                            (uint8_t)code};
        uint8_t answer[4] = {0x88, 0x02, frame[6], frame[7]};
        bool good = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
                    (code >= 3000 && code <= 4999);
        struct blob out = {0};
        /* The handshake takes time: most codes without it. */
        if (code % 16 != 0 && code > 5100) {
            continue;
        }
        end_open_plain(&end, WSC_ROLE_SERVER);
        (void)end_feed(&end, frame, 8, SPLIT_WHOLE, NULL);
        end_take(&end, &out);
        if (good) {
            CHECK_BYTES(out.data, out.len, answer, 4);
            CHECK_INT(end.conn.received->code, code);
        }
        else {
            CHECK_INT(end.conn.error, WSC_ERR_PROTOCOL);
            CHECK(out.len > 4 && out.data[2] == 3 && out.data[3] == 0xEA);
        }
        blob_free(&out);
        end_fini(&end);
    }
}

/* RFC 6455 §5.5.1: the answer to a close frame may wait until what is being sent has
 * been sent. What comes after the peer's close frame is ignored all the same. */
static void answers_by_hand(void)
{
    for (int r = 0; r < 2; r++) {
        enum wsc_role role = r == 0 ? WSC_ROLE_SERVER : WSC_ROLE_CLIENT;
        struct end end;
        struct blob wire = {0};
        struct blob log = {0};
        end_open_plain(&end, role);
        wsc_conn_answer_by_hand(&end.conn, true, true);
        wire_frames(&wire, other_role(role), "ping x|text a|close|text b|ping y");
        (void)end_feed(&end, wire.data, wire.len, SPLIT_RANDOM, &log);
        check_log(&log, "ping x\ntext a\nclose 1005\n[open]\n");
        CHECK(end.conn.received != NULL && end.conn.close_received_first);
        CHECK(end.conn.sent == NULL && !end.conn.end_expected);
        CHECK_INT(wsc_conn_send_pong(&end.conn, (const uint8_t *)"x", 1), WSC_OK);
        CHECK_INT(wsc_conn_send(&end.conn, WSC_OPCODE_TEXT, (const uint8_t *)"c", 1,
                                true, WSC_COMPRESS_AUTO, NULL, NULL),
                  WSC_OK);
        close_it(&end, 4000, "mine");
        CHECK(end.conn.end_expected);
        (void)end_feed(&end, wire.data, wire.len, SPLIT_WHOLE, &log);
        check_log(&log, "-> pong x\n-> text c\n-> close 4000\n[closing, end]\n");
        end_fini(&end);
        blob_free(&wire);
        blob_free(&log);
    }
}

/* Our own close frame was first: there is nothing left to answer. */
static void nothing_left_to_answer(void)
{
    struct pair pair;
    struct blob log = {0};
    open_pair(&pair);
    wsc_conn_answer_by_hand(&pair.server.conn, false, true);
    close_it(&pair.server, 1001, NULL);
    CHECK_INT(pair_deliver(&pair.server, &pair.client, &log), WSC_NEED_DATA);
    CHECK_INT(pair_deliver(&pair.client, &pair.server, &log), WSC_NEED_DATA);
    check_log(&log, "close 1001\nclose 1001\n");
    CHECK(pair.server.conn.end_expected);
    CHECK_INT(pair.server.conn.state, WSC_CONN_CLOSING);
    pair_fini(&pair);
    blob_free(&log);
}

TEST_MAIN(TEST(from_either_end), TEST(both_at_once), TEST(messages_until_the_answer),
          TEST(answers_by_hand), TEST(nothing_left_to_answer),
          TEST(close_in_our_message), TEST(arguments_of_close),
          TEST(fail_in_each_state), TEST(tcp_ends_in_a_message),
          TEST(error_while_closing), TEST(failure_on_hold),
          TEST(every_code_on_the_wire))

/* A request to the server, whole and in pieces: the same outcome and the same bytes;
 * the answer is made of our own headers only. Input: flags (1 byte), seed of the split
 * (1), request and what follows it. */
#include "fuzz_conn.h"

static bool starts_with(const uint8_t *data, size_t len, const char *text)
{
    return len >= strlen(text) && memcmp(data, text, strlen(text)) == 0;
}

/* Every line of the answer's head is one that a server writes: no CR LF came in. */
static void check_answer(const struct text *out)
{
    static const char *const names[] = {"Upgrade: websocket",
                                        "Connection: ",
                                        "Sec-WebSocket-Accept: ",
                                        "Sec-WebSocket-Extensions: permessage-deflate",
                                        "Content-Type: ",
                                        "Content-Length: ",
                                        "Allow: GET",
                                        "Sec-WebSocket-Version: 13",
                                        "Sec-WebSocket-Protocol: "};
    size_t at = 0;
    if (out->len == 0) {
        return;
    }
    REQUIRE(starts_with(out->data, out->len, "HTTP/1.1 "));
    for (size_t line = 0;; line++) {
        size_t end = at;
        while (end + 1 < out->len && memcmp(out->data + end, "\r\n", 2) != 0) {
            REQUIRE(out->data[end] >= 0x20 && out->data[end] < 0x7F);
            end++;
        }
        REQUIRE(end + 1 < out->len && line < 12);
        if (end == at) {
            return;
        }
        bool known = line == 0;
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            known = known || starts_with(out->data + at, end - at, names[i]);
        }
        REQUIRE(known);
        at = end + 2;
    }
}

static void run(const struct input *wire, uint8_t flags, uint32_t seed, bool whole,
                struct text *log)
{
    struct end end;
    struct text out = {0};
    REQUIRE(end_init(&end, WSC_ROLE_SERVER, 1000, (flags & 1) != 0) == WSC_OK);
    end.config.any_request = (flags & 2) != 0;
    if ((flags & 4) != 0) {
        end.config.deflate = NULL;
    }
    for (size_t done = 0; done < wire->size;) {
        size_t n = whole ? wire->size : next_piece(&seed, wire->size - done);
        uint8_t *piece = exact_copy(wire->data + done, n);
        REQUIRE(wsc_conn_feed(&end.conn, piece, n) == WSC_OK);
        enum wsc_status status = end_events(&end, log);
        if (wsc_conn_request(&end.conn) != NULL) {
            const struct wsc_handshake_failure *failure = wsc_conn_failure(&end.conn);
            REQUIRE(wsc_conn_head(&end.conn) != NULL);
            if (failure != NULL) {
                REQUIRE(end.config.any_request &&
                        end_accept(&end) == WSC_ERR_HANDSHAKE);
                REQUIRE(wsc_conn_refuse(&end.conn) == WSC_OK);
            }
            else {
                REQUIRE(end_accept(&end) == WSC_OK);
            }
            status = end_events(&end, log);
        }
        REQUIRE(wsc_conn_input_left(&end.conn) == 0);
        REQUIRE(status < 0 || status == WSC_NEED_DATA);
        free(piece);
        done += n;
    }
    wsc_conn_feed_eof(&end.conn);
    (void)end_events(&end, log);
    text_add_int(log, end.conn.error);
    if (wsc_conn_failure(&end.conn) != NULL) {
        text_add_int(log, wsc_conn_failure(&end.conn)->error);
        text_add_int(log, wsc_conn_failure(&end.conn)->status);
    }
    end_take(&end, &out);
    check_answer(&out);
    text_add(log, out.data, out.len);
    /* 32 KiB of head, its list of headers, and what stands for one connection. */
    REQUIRE(end.counter.peak <= 128 * 1024);
    text_free(&out);
    end_fini(&end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    uint8_t flags = take_byte(&input);
    uint8_t seed = take_byte(&input);
    struct text whole = {0};
    struct text pieces = {0};
    run(&input, flags, seed, true, &whole);
    run(&input, flags, seed, false, &pieces);
    REQUIRE(text_equal(&whole, &pieces));
    text_free(&whole);
    text_free(&pieces);
    return 0;
}

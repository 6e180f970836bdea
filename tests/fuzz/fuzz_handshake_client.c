/* An answer to the client, whole and in pieces: the same outcome. The first
 * "Sec-WebSocket-Accept: $ACCEPT" of the input stands for the right one. Input: flags
 * (1 byte), seed of the split (1), response and what follows it. */
#include "fuzz_conn.h"

static const char placeholder[] = "Sec-WebSocket-Accept: $ACCEPT";

/* The input with the accept key that this connection waits for. */
static void fill_in(struct end *end, const struct input *input, struct text *wire)
{
    struct text request = {0};
    struct text response = {0};
    size_t size = sizeof(placeholder) - 1;
    size_t name = size - strlen("$ACCEPT");
    size_t at = 0;
    end_take(end, &request);
    write_response(&response, &request, NULL);
    const uint8_t *accept = response.data;
    while (memcmp(accept, placeholder, name) != 0) {
        accept++;
    }
    while (at + size <= input->size &&
           memcmp(input->data + at, placeholder, size) != 0) {
        at++;
    }
    if (at + size <= input->size) {
        text_add(wire, input->data, at);
        text_add(wire, accept, name + WSC_ACCEPT_SIZE);
        text_add(wire, input->data + at + size, input->size - at - size);
    }
    else {
        text_add(wire, input->data, input->size);
    }
    text_free(&request);
    text_free(&response);
}

static void run(const struct input *input, uint8_t flags, uint32_t seed, bool whole,
                struct text *log)
{
    struct end end;
    struct text text = {0};
    struct wsc_http_header host = {str("Host"), str("h")};
    struct wsc_str protocols[2] = {str("chat"), str("superchat")};
    REQUIRE(end_init(&end, WSC_ROLE_CLIENT, 1000, (flags & 1) != 0) == WSC_OK);
    REQUIRE(wsc_conn_send_request(&end.conn, str("/"), &host, 1, protocols,
                                  (flags & 2) != 0 ? 2 : 0) == WSC_OK);
    fill_in(&end, input, &text);
    for (size_t done = 0; done < text.len;) {
        size_t n = whole ? text.len : next_piece(&seed, text.len - done);
        uint8_t *piece = exact_copy(text.data + done, n);
        REQUIRE(wsc_conn_feed(&end.conn, piece, n) == WSC_OK);
        (void)end_events(&end, log);
        REQUIRE(wsc_conn_input_left(&end.conn) == 0);
        free(piece);
        done += n;
    }
    wsc_conn_feed_eof(&end.conn);
    (void)end_events(&end, log);
    text_add_int(log, end.conn.error);
    if (wsc_conn_failure(&end.conn) != NULL) {
        struct wsc_str body = wsc_conn_response_body(&end.conn);
        text_add_int(log, wsc_conn_failure(&end.conn)->error);
        REQUIRE(body.len <= 16384);
        /* Not the bytes: the key may be among them, and it is new each time. */
        text_add_int(log, (long long)body.len);
    }
    REQUIRE(end.counter.peak <= 160 * 1024);
    text_free(&text);
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

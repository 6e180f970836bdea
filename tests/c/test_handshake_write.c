/* wsc/handshake.h: what is written. */
#include "test.h"

#include "wsc/handshake.h"

static void check_output(const struct wsc_outgoing *out, const char *want, size_t len)
{
    struct wsc_outgoing_piece piece;
    CHECK_INT(wsc_outgoing_peek(out, &piece, 1), 1);
    CHECK_BYTES(piece.data, piece.len, want, len);
}

static void writes_what_the_rfc_shows(void)
{
    struct wsc_outgoing out;
    wsc_outgoing_init(&out, wsc_allocator_default());
    const struct wsc_http_header answer[] = {
        {wsc_str_of("Upgrade"), wsc_str_of("websocket")},
        {wsc_str_of("Connection"), wsc_str_of("Upgrade")},
        {wsc_str_of("Sec-WebSocket-Accept"),
         wsc_str_of("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")},
        {wsc_str_of("Sec-WebSocket-Protocol"), wsc_str_of("chat")},
    };
    static const char response[] =
        "HTTP/1.1 101 Switching Protocols\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        "Sec-WebSocket-Protocol: chat\r\n\r\n";
    struct wsc_str none = {NULL, 0};
    CHECK_INT(wsc_handshake_write_response(&out, 101, none, answer, 4, NULL, 0),
              WSC_OK);
    check_output(&out, response, sizeof(response) - 1);

    wsc_outgoing_consume(&out, out.size);
    const struct wsc_http_header ask[] = {
        {wsc_str_of("Host"), wsc_str_of("a")},
        {wsc_str_of("Empty"), wsc_str_of("")},
    };
    static const char request[] =
        "GET /chat?x=1 HTTP/1.1\r\nHost: a\r\nEmpty: \r\n\r\n";
    CHECK_INT(wsc_handshake_write_request(&out, wsc_str_of("/chat?x=1"), ask, 2),
              WSC_OK);
    check_output(&out, request, sizeof(request) - 1);

    wsc_outgoing_consume(&out, out.size);
    static const char refusal[] = "HTTP/1.1 418 I'm\ta teapot\r\n\r\n\0body";
    CHECK_INT(wsc_handshake_write_response(&out, 418, wsc_str_of("I'm\ta teapot"), NULL,
                                           0, (const uint8_t *)"\0body", 5),
              WSC_OK);
    check_output(&out, refusal, sizeof(refusal) - 1);

    wsc_outgoing_consume(&out, out.size);
    CHECK_INT(wsc_handshake_write_response(&out, 599, none, NULL, 0, NULL, 0), WSC_OK);
    check_output(&out, "HTTP/1.1 599 \r\n\r\n", 17);
    wsc_outgoing_fini(&out);
}

/* Full to the last byte, or nothing. */
static void writes_all_or_nothing_at_the_maximum(void)
{
    for (size_t max = 0; max < 40; max++) {
        struct wsc_outgoing out;
        wsc_outgoing_init(&out, wsc_allocator_default());
        wsc_buffer_init(&out.bytes, wsc_allocator_default(), max);
        enum wsc_status status =
            wsc_handshake_write_request(&out, wsc_str_of("/"), NULL, 0);
        CHECK_INT(status, max < 18 ? WSC_ERR_TOO_BIG : WSC_OK);
        CHECK_INT(out.size, max < 18 ? 0 : 18);
        wsc_outgoing_consume(&out, out.size);
        status = wsc_handshake_write_response(&out, 200, wsc_str_of("OK"), NULL, 0,
                                              (const uint8_t *)"", SIZE_MAX);
        CHECK_INT(status, WSC_ERR_TOO_BIG);
        CHECK_INT(out.size, 0);
        wsc_outgoing_fini(&out);
    }
}

static bool is_tchar(unsigned c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", (int)c) != NULL);
}

enum field { FIELD_NAME, FIELD_VALUE, FIELD_REASON, FIELD_TARGET, FIELD_COUNT };

static bool may_be_written(enum field field, unsigned c, size_t place)
{
    bool visible = c > 0x20 && c < 0x7f;
    bool blank = c == ' ' || c == '\t';
    switch (field) {
    case FIELD_NAME:
        return is_tchar(c);
    case FIELD_VALUE:
    case FIELD_REASON:
        return visible || c >= 0x80 || (blank && place == 1);
    case FIELD_TARGET:
        return visible && c != '#';
    case FIELD_COUNT:
        break;
    }
    return false;
}

/* INJ-1: each byte at the start, in the middle and at the end of each field. */
static void nothing_is_written_that_could_inject(void)
{
    struct wsc_outgoing out;
    wsc_outgoing_init(&out, wsc_allocator_default());
    for (enum field field = FIELD_NAME; field < FIELD_COUNT; field++) {
        for (size_t at = 0; at < 3 * 256; at++) {
            unsigned c = (unsigned)at % 256;
            size_t place = at / 256;
            char text[] = "abc";
            text[place] = (char)c;
            struct wsc_str changed = {.data = (const char *)test_guarded(text, 3),
                                      .len = 3};
            struct wsc_http_header headers[] = {
                {wsc_str_of("First"), wsc_str_of("fine")},
                {wsc_str_of("Name"), wsc_str_of("value")},
            };
            struct wsc_str reason = wsc_str_of("Fine");
            struct wsc_str target = wsc_str_of("/");
            headers[1].name = field == FIELD_NAME ? changed : headers[1].name;
            headers[1].value = field == FIELD_VALUE ? changed : headers[1].value;
            reason = field == FIELD_REASON ? changed : reason;
            target = field == FIELD_TARGET ? changed : target;

            bool good = may_be_written(field, c, place);
            enum wsc_status want = good ? WSC_OK : WSC_ERR_INVALID_ARGUMENT;
            wsc_outgoing_consume(&out, out.size);
            if (field != FIELD_TARGET) {
                CHECK_INT(wsc_handshake_write_response(&out, 200, reason, headers, 2,
                                                       NULL, 0),
                          want);
                CHECK((out.size > 0) == good);
            }
            wsc_outgoing_consume(&out, out.size);
            if (field != FIELD_REASON) {
                CHECK_INT(wsc_handshake_write_request(&out, target, headers, 2), want);
                CHECK((out.size > 0) == good);
            }
        }
    }
    wsc_outgoing_fini(&out);
}

/* INJ-1 */
static void nor_a_status_or_an_empty_field(void)
{
    struct wsc_outgoing out;
    struct wsc_str none = {NULL, 0};
    const struct wsc_http_header no_name[] = {{wsc_str_of(""), wsc_str_of("x")}};
    const struct wsc_http_header null_name[] = {{{NULL, 0}, wsc_str_of("x")}};
    wsc_outgoing_init(&out, wsc_allocator_default());
    for (unsigned status = 0; status <= 65535; status++) {
        enum wsc_status want =
            status >= 100 && status <= 599 ? WSC_OK : WSC_ERR_INVALID_ARGUMENT;
        wsc_outgoing_consume(&out, out.size);
        CHECK_INT(wsc_handshake_write_response(&out, (uint16_t)status, none, NULL, 0,
                                               NULL, 0),
                  want);
        CHECK((out.size > 0) == (want == WSC_OK));
    }
    wsc_outgoing_consume(&out, out.size);
    CHECK_INT(wsc_handshake_write_request(&out, wsc_str_of(""), NULL, 0),
              WSC_ERR_INVALID_ARGUMENT);
    CHECK_INT(wsc_handshake_write_request(&out, none, NULL, 0),
              WSC_ERR_INVALID_ARGUMENT);
    CHECK_INT(wsc_handshake_write_request(&out, wsc_str_of("/"), no_name, 1),
              WSC_ERR_INVALID_ARGUMENT);
    CHECK_INT(wsc_handshake_write_request(&out, wsc_str_of("/"), null_name, 1),
              WSC_ERR_INVALID_ARGUMENT);
    CHECK_INT(out.size, 0);
    wsc_outgoing_fini(&out);
}

/* RFC 9110 §15. */
static void phrases_of_the_statuses(void)
{
    static const struct {
        uint16_t status;
        const char *phrase;
    } known[] = {
        {101, "Switching Protocols"},
        {400, "Bad Request"},
        {403, "Forbidden"},
        {405, "Method Not Allowed"},
        {414, "URI Too Long"},
        {426, "Upgrade Required"},
        {431, "Request Header Fields Too Large"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
        {299, ""},
        {0, ""},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        CHECK(strcmp(wsc_handshake_status_phrase(known[i].status), known[i].phrase) ==
              0);
    }
}

static void new_keys_are_valid_and_differ(void)
{
    char keys[200][WSC_KEY_SIZE];
    for (size_t i = 0; i < 200; i++) {
        CHECK_INT(wsc_handshake_new_key(keys[i]), WSC_OK);
        CHECK(wsc_key_is_valid(keys[i], WSC_KEY_SIZE));
        for (size_t k = 0; k < i; k++) {
            CHECK(memcmp(keys[i], keys[k], WSC_KEY_SIZE) != 0);
        }
    }
}

TEST_MAIN(TEST(writes_what_the_rfc_shows), TEST(writes_all_or_nothing_at_the_maximum),
          TEST(nothing_is_written_that_could_inject),
          TEST(nor_a_status_or_an_empty_field), TEST(phrases_of_the_statuses),
          TEST(new_keys_are_valid_and_differ))

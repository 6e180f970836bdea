/* Close codes and bodies, RFC 6455 §5.5.1 and §7.4. */
#include "wsc/close.h"

#include "test.h"

/* The table of the registry, §7.4.1 and §11.7: 1000-1003, 1007-1014, 3000-4999. */
static bool may_be_sent(uint32_t code)
{
    static const uint32_t ranges[][2] = {{1000, 1003}, {1007, 1014}, {3000, 4999}};
    for (size_t i = 0; i < 3; i++) {
        if (code >= ranges[i][0] && code <= ranges[i][1]) {
            return true;
        }
    }
    return false;
}

/* CTL-6: all 65,536 codes, and some that no frame can hold. */
static void every_code(void)
{
    static const uint32_t beyond[] = {65536, 66536, 1U << 24, UINT32_MAX};
    for (uint32_t code = 0; code < 65536; code++) {
        uint8_t body[4] = {(uint8_t)(code >> 8), (uint8_t)code, 'h', 'i'};
        struct wsc_close close;
        bool good = may_be_sent(code);
        CHECK_INT(wsc_close_code_is_valid(code), good);
        CHECK_INT(wsc_close_decode(body, 2, &close), good ? WSC_OK : WSC_ERR_PROTOCOL);
        CHECK_INT(wsc_close_decode(body, 4, &close), good ? WSC_OK : WSC_ERR_PROTOCOL);
        if (good) {
            CHECK_INT(close.code, code);
            CHECK_BYTES(close.reason, close.reason_len, "hi", 2);
        }
        CHECK_INT(wsc_close_init(&close, code, "hi", 2),
                  good ? WSC_OK : WSC_ERR_INVALID_ARGUMENT);
        CHECK_INT(wsc_close_init(&close, code, NULL, 0),
                  good || code == 1005 ? WSC_OK : WSC_ERR_INVALID_ARGUMENT);
        if (good) {
            uint8_t out[125];
            CHECK_INT(wsc_close_encode(&close, out), 2);
            CHECK_BYTES(out, 2, body, 2);
        }
    }
    for (size_t i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
        struct wsc_close close;
        CHECK(!wsc_close_code_is_valid(beyond[i]));
        CHECK_INT(wsc_close_init(&close, beyond[i], NULL, 0), WSC_ERR_INVALID_ARGUMENT);
    }
}

/* CTL-6: bodies of 0, 1, 2, 125 and 126 bytes. */
static void every_length_of_body(void)
{
    uint8_t body[200];
    memset(body, 'r', sizeof(body));
    memcpy(body, "\x03\xE8", 2);
    for (size_t len = 0; len <= sizeof(body); len++) {
        struct wsc_close close;
        enum wsc_status want = len == 1 || len > 125 ? WSC_ERR_PROTOCOL : WSC_OK;
        CHECK_INT(wsc_close_decode(test_guarded(body, len), len, &close), want);
        if (want == WSC_OK) {
            uint8_t out[125];
            CHECK_INT(close.code, len == 0 ? 1005 : 1000);
            CHECK_INT(close.reason_len, len == 0 ? 0 : len - 2);
            CHECK_BYTES(out, wsc_close_encode(&close, out), body, len);
        }
    }
    struct wsc_close close;
    CHECK_INT(wsc_close_decode(NULL, 0, &close), WSC_OK);
    CHECK_INT(wsc_close_init(&close, 1000, (const char *)body + 2, 123), WSC_OK);
    CHECK_INT(wsc_close_init(&close, 1000, (const char *)body + 2, 124),
              WSC_ERR_INVALID_ARGUMENT);
    CHECK_INT(wsc_close_init(&close, 1005, "x", 1), WSC_ERR_INVALID_ARGUMENT);
}

/* CTL-6, CTL-1: reasons that are not UTF-8, also one that the limit cuts in two. */
static void reasons_are_text(void)
{
    static const struct {
        const char *reason;
        bool good;
    } cases[] = {
        {"", true},
        {"gone", true},
        {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", true},
        {"\xC3", false},
        {"ab\xE2\x82", false},
        {"\xF0\x9F\x98", false},
        {"\x80", false},
        {"\xC0\xAF", false},
        {"\xED\xA0\x80", false},
        {"\xF4\x90\x80\x80", false},
        {"\xFF", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t len = strlen(cases[i].reason);
        uint8_t body[20] = {0x0F, 0xA0};
        memcpy(body + 2, cases[i].reason, len);
        struct wsc_close close;
        CHECK_INT(wsc_close_decode(test_guarded(body, len + 2), len + 2, &close),
                  cases[i].good ? WSC_OK : WSC_ERR_UTF8);
        CHECK_INT(wsc_close_init(&close, 4000, cases[i].reason, len),
                  cases[i].good ? WSC_OK : WSC_ERR_INVALID_ARGUMENT);
    }
}

/* Each error has one code, and it may be sent. */
static void codes_of_errors(void)
{
    CHECK_INT(wsc_close_code_for(WSC_ERR_PROTOCOL), 1002);
    CHECK_INT(wsc_close_code_for(WSC_ERR_HANDSHAKE), 1002);
    CHECK_INT(wsc_close_code_for(WSC_ERR_UTF8), 1007);
    CHECK_INT(wsc_close_code_for(WSC_ERR_POLICY), 1008);
    CHECK_INT(wsc_close_code_for(WSC_ERR_TOO_BIG), 1009);
    CHECK_INT(wsc_close_code_for(WSC_ERR_NO_MEMORY), 1011);
    CHECK_INT(wsc_close_code_for(WSC_ERR_RANDOM), 1011);
    CHECK_INT(wsc_close_code_for(WSC_ERR_INVALID_ARGUMENT), 1011);
    CHECK_INT(wsc_close_code_for(WSC_ERR_INVALID_STATE), 1011);
    CHECK_INT(wsc_close_code_for(WSC_OK), 1000);
}

TEST_MAIN(TEST(every_code), TEST(every_length_of_body), TEST(reasons_are_text),
          TEST(codes_of_errors))

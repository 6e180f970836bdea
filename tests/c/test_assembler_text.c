/* Text messages fail at their first bad byte (RFC 6455 §8.1), and fragments can be
 * given out as they come. */
#include <stdlib.h>

#include "bench.h"

/* --- text --- */

/* RFC 3629 §4 as a table: the index of the first byte that cannot be right (len if
 * there is none); *out_whole: no code point is cut at the end. */
static size_t first_bad(const uint8_t *data, size_t len, bool *out_whole)
{
    static const struct {
        uint8_t lead[2];
        uint8_t second[2];
        size_t more;
    } forms[] = {
        {{0x00, 0x7F}, {0, 0}, 0},       {{0xC2, 0xDF}, {0x80, 0xBF}, 1},
        {{0xE0, 0xE0}, {0xA0, 0xBF}, 2}, {{0xE1, 0xEC}, {0x80, 0xBF}, 2},
        {{0xED, 0xED}, {0x80, 0x9F}, 2}, {{0xEE, 0xEF}, {0x80, 0xBF}, 2},
        {{0xF0, 0xF0}, {0x90, 0xBF}, 3}, {{0xF1, 0xF3}, {0x80, 0xBF}, 3},
        {{0xF4, 0xF4}, {0x80, 0x8F}, 3},
    };
    *out_whole = true;
    for (size_t i = 0; i < len;) {
        size_t form = 0;
        while (form < 9 &&
               (data[i] < forms[form].lead[0] || data[i] > forms[form].lead[1])) {
            form++;
        }
        if (form == 9) {
            return i;
        }
        for (size_t k = 1; k <= forms[form].more; k++) {
            uint8_t low = k == 1 ? forms[form].second[0] : 0x80;
            uint8_t high = k == 1 ? forms[form].second[1] : 0xBF;
            if (i + k == len) {
                *out_whole = false;
                return len;
            }
            if (data[i + k] < low || data[i + k] > high) {
                return i + k;
            }
        }
        i += forms[form].more + 1;
    }
    return len;
}

static const char *const pieces[] = {
    "a",        "\xC3\xA9",     "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "\xC0\xAF",
    "\xC1\x81", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xED\xBF\xBF",     "\xF0\x8F\xBF\xBF",
    "\x80",     "\xBF\x80",     "\xC3",         "\xE2\x82",         "\xF0\x9F\x98",
    "\xFF",     "\xFE",         "\xF5\x80",     "\xF4\x90\x80\x80", "\xEF\xBF\xBF",
};
#define PIECES (sizeof(pieces) / sizeof(pieces[0]))

/* The text in frames and slices of random sizes: fails in the slice of the first bad
 * byte, or at the end of the final frame when a code point is cut there. */
static bool text_agrees(const uint8_t *text, size_t len, size_t frame, size_t step)
{
    struct bench bench;
    struct wsc_message message = {0};
    bool whole;
    size_t bad = first_bad(text, len, &whole);
    size_t done = 0;
    enum wsc_status status;
    enum wsc_opcode opcode = WSC_OPCODE_TEXT;
    bench_init(&bench, 1000, NULL);
    do {
        size_t n = len - done < frame ? len - done : frame;
        size_t used = 0;
        status = bench_frame(&bench, opcode, done + n == len, text + done, n, step,
                             &message, &used);
        if (status == WSC_ERR_UTF8 && bad < len) {
            /* The slice that holds the bad byte ends at done + used. */
            bool here = bad < done + used && done + used - bad <= step;
            bench_fini(&bench);
            return CHECK(here);
        }
        done += n;
        opcode = WSC_OPCODE_CONTINUATION;
    } while (status == WSC_NEED_DATA && done < len);
    bool good = CHECK_INT(status, bad < len || !whole ? WSC_ERR_UTF8 : WSC_OK);
    if (good && status == WSC_OK) {
        good = CHECK_BYTES(message.data, message.len, text, len);
        bench_drop(&bench, &message);
    }
    bench_fini(&bench);
    return good;
}

/* FRG-6: each kind at each place, in every frame size and slice size. */
static void bad_text_fails_at_its_first_bad_byte(void)
{
    uint8_t text[32];
    for (size_t kind = 0; kind < PIECES; kind++) {
        for (size_t at = 0; at < 12; at++) {
            for (size_t after = 0; after < 4; after++) {
                size_t len = strlen(pieces[kind]);
                memset(text, 'z', sizeof(text));
                memcpy(text, "\xD0\x96\xF0\x9F\x9A\x80", at >= 6 ? 6 : 0);
                memcpy(text + at, pieces[kind], len);
                len += at + after;
                for (size_t frame = 1; frame <= len; frame++) {
                    for (size_t step = 1; step <= frame; step++) {
                        if (!text_agrees(text, len, frame, step)) {
                            printf("kind %zu at %zu, frames of %zu, slices of %zu\n",
                                   kind, at, frame, step);
                            return;
                        }
                    }
                }
            }
        }
    }
}

/* FRG-6: random texts in random cuts. */
static void random_texts(void)
{
    for (int round = 0; round < 3000; round++) {
        uint8_t text[120];
        size_t len = 0;
        size_t kinds = round % 3 == 0 ? PIECES : 4;
        while (len < 100) {
            const char *piece = pieces[test_random_below(kinds)];
            memcpy(text + len, piece, strlen(piece));
            len += strlen(piece);
        }
        size_t frame = 1 + test_random_below(len);
        if (!text_agrees(text, len - test_random_below(5), frame,
                         1 + test_random_below(frame))) {
            return;
        }
    }
}

/* A message may be announced as ASCII only if it is. */
static void the_ascii_flag(void)
{
    struct bench bench;
    struct wsc_message message;
    bench_init(&bench, 1000, NULL);
    CHECK_INT(bench_frame(&bench, WSC_OPCODE_TEXT, true, "plain", 5, 1, &message, NULL),
              WSC_OK);
    CHECK(message.ascii);
    bench_drop(&bench, &message);
    CHECK_INT(bench_frame(&bench, WSC_OPCODE_TEXT, true, "caf\xC3\xA9 x", 7, 7,
                          &message, NULL),
              WSC_OK);
    CHECK(!message.ascii);
    bench_drop(&bench, &message);
    CHECK_INT(bench_frame(&bench, WSC_OPCODE_TEXT, true, NULL, 0, 7, &message, NULL),
              WSC_OK);
    CHECK(message.ascii && message.data == NULL && message.len == 0);
    bench_fini(&bench);
}

/* --- streaming --- */

/* Fragments come out at each frame's end; text is never cut inside a code point. */
static void streamed_text_is_never_cut(void)
{
    for (int round = 0; round < 2000; round++) {
        struct bench bench;
        uint8_t text[120];
        uint8_t got[120];
        size_t len = 0;
        size_t given = 0;
        size_t done = 0;
        enum wsc_opcode opcode = WSC_OPCODE_TEXT;
        bench_init(&bench, 120, NULL);
        bench.assembler.streaming = true;
        while (len < 100) {
            const char *piece = pieces[test_random_below(4)];
            memcpy(text + len, piece, strlen(piece));
            len += strlen(piece);
        }
        while (done < len) {
            struct wsc_message message = {0};
            bool whole;
            size_t n = 1 + test_random_below(round % 2 == 0 ? 3 : 30);
            n = n < len - done ? n : len - done;
            if (!CHECK_INT(bench_frame(&bench, opcode, done + n == len, text + done, n,
                                       1 + test_random_below(n), &message, NULL),
                           WSC_OK)) {
                break;
            }
            done += n;
            CHECK_INT(message.fin, done == len);
            CHECK(first_bad(message.data, message.len, &whole) == message.len && whole);
            /* Nothing is held back but a cut code point. */
            CHECK(given + message.len + 3 >= done);
            if (message.len > 0) {
                memcpy(got + given, message.data, message.len);
            }
            given += message.len;
            bench_drop(&bench, &message);
            opcode = WSC_OPCODE_CONTINUATION;
        }
        CHECK_BYTES(got, given, text, len);
        bench_fini(&bench);
    }
}

static uint8_t *letters(size_t len)
{
    uint8_t *data = malloc(len + 1);
    for (size_t i = 0; i < len; i++) {
        data[i] = (uint8_t)('a' + i % 26);
    }
    return data;
}

/* The limit holds for the whole message, though its fragments are gone. */
static void streaming_keeps_to_the_limit(void)
{
    struct bench bench;
    struct wsc_message message;
    uint8_t *data = letters(1000);
    bench_init(&bench, 2500, NULL);
    bench.assembler.streaming = true;
    CHECK_INT(
        bench_frame(&bench, WSC_OPCODE_BINARY, false, data, 1000, 100, &message, NULL),
        WSC_OK);
    CHECK(!message.fin && message.len == 1000);
    bench_drop(&bench, &message);
    CHECK_INT(bench_frame(&bench, WSC_OPCODE_CONTINUATION, false, data, 1000, 1000,
                          &message, NULL),
              WSC_OK);
    bench_drop(&bench, &message);
    CHECK_INT(bench_header(&bench, WSC_OPCODE_CONTINUATION, 501, true),
              WSC_ERR_TOO_BIG);
    bench_fini(&bench);

    /* Switched on and off in the middle of a message. */
    bench_init(&bench, 2500, NULL);
    CHECK_INT(bench_frame(&bench, WSC_OPCODE_BINARY, false, "ab", 2, 1, &message, NULL),
              WSC_NEED_DATA);
    bench.assembler.streaming = true;
    CHECK_INT(
        bench_frame(&bench, WSC_OPCODE_CONTINUATION, false, "cd", 2, 1, &message, NULL),
        WSC_OK);
    CHECK_BYTES(message.data, message.len, "abcd", 4);
    bench_drop(&bench, &message);
    bench.assembler.streaming = false;
    CHECK_INT(
        bench_frame(&bench, WSC_OPCODE_CONTINUATION, false, "ef", 2, 1, &message, NULL),
        WSC_NEED_DATA);
    CHECK_INT(
        bench_frame(&bench, WSC_OPCODE_CONTINUATION, true, "g", 1, 1, &message, NULL),
        WSC_OK);
    CHECK_BYTES(message.data, message.len, "efg", 3);
    CHECK(message.fin);
    bench_drop(&bench, &message);
    bench_fini(&bench);
    free(data);
}

TEST_MAIN(TEST(bad_text_fails_at_its_first_bad_byte), TEST(random_texts),
          TEST(the_ascii_flag), TEST(streamed_text_is_never_cut),
          TEST(streaming_keeps_to_the_limit))

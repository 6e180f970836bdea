/* UTF-8 validation (RFC 3629) against a table decoder that shares nothing with it,
 * every SIMD variant. TEST_QUICK=1 thins out the longest tables, for emulators and
 * valgrind. */
#define _GNU_SOURCE
#include "wsc/utf8.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "test.h"
#include "wsc/simd.h"

/* RFC 3629 §4, the syntax of byte sequences, row by row. */
static const struct {
    uint8_t first_low, first_high, size, second_low, second_high;
} syntax[] = {
    {0x00, 0x7F, 1, 0, 0},       {0xC2, 0xDF, 2, 0x80, 0xBF},
    {0xE0, 0xE0, 3, 0xA0, 0xBF}, {0xE1, 0xEC, 3, 0x80, 0xBF},
    {0xED, 0xED, 3, 0x80, 0x9F}, {0xEE, 0xEF, 3, 0x80, 0xBF},
    {0xF0, 0xF0, 4, 0x90, 0xBF}, {0xF1, 0xF3, 4, 0x80, 0xBF},
    {0xF4, 0xF4, 4, 0x80, 0x8F},
};

enum verdict { GOOD, CUT, BAD };

/* *out_bad: the first byte that cannot be right, if BAD. */
static enum verdict decode(const uint8_t *data, size_t len, size_t *out_bad)
{
    for (size_t i = 0; i < len;) {
        size_t row = 0;
        while (row < 9 &&
               (data[i] < syntax[row].first_low || data[i] > syntax[row].first_high)) {
            row++;
        }
        *out_bad = i;
        if (row == 9) {
            return BAD;
        }
        for (size_t k = 1; k < syntax[row].size; k++) {
            if (i + k == len) {
                return CUT;
            }
            *out_bad = i + k;
            if (data[i + k] < (k == 1 ? syntax[row].second_low : 0x80) ||
                data[i + k] > (k == 1 ? syntax[row].second_high : 0xBF)) {
                return BAD;
            }
        }
        i += syntax[row].size;
    }
    return GOOD;
}

static bool quick(void)
{
    const char *value = getenv("TEST_QUICK");
    return value != NULL && value[0] == '1';
}

static enum verdict feed_whole(const uint8_t *data, size_t len, size_t *out_bad)
{
    struct wsc_utf8 utf8;
    wsc_utf8_init(&utf8);
    if (wsc_utf8_feed(&utf8, data, len, out_bad) != WSC_OK) {
        return BAD;
    }
    return wsc_utf8_finish(&utf8) == WSC_OK ? GOOD : CUT;
}

static void print_text(const char *what, const uint8_t *data, size_t len, size_t bad)
{
    printf("%s: %s, len %zu, expected error at %zu:", wsc_simd_name(), what, len, bad);
    for (size_t i = 0; i < len && i < 160; i++) {
        printf(" %02x", data[i]);
    }
    printf("\n");
}

static bool agrees(const uint8_t *data, size_t len, enum verdict want, size_t want_bad)
{
    size_t bad = SIZE_MAX;
    enum verdict got = feed_whole(data, len, &bad);
    if (got == want && (got != BAD || bad == want_bad) &&
        wsc_utf8_is_valid(data, len) == (want == GOOD)) {
        return true;
    }
    print_text("wrong verdict or index", data, len, want_bad);
    return CHECK(false);
}

/* Texts around the bad sequence. */
static const char *const fillers[] = {
    "plain ASCII, ",
    "\xC3\xA9\xD0\x96\xDF\xBF\xC2\x80",
    "\xE4\xB8\xAD\xE6\x96\x87\xEF\xBF\xBF\xE0\xA0\x80\xED\x9F\xBF",
    "\xF0\x9F\x98\x80\xF4\x8F\xBF\xBF\xF0\x90\x80\x80",
    "a\xC3\xBC \xE6\x97\xA5-\xF0\x9F\x9A\x80. Most of this is ASCII, one byte each",
};
#define FILLER_COUNT (sizeof(fillers) / sizeof(fillers[0]))

/* Whole code points up to `len`, then ASCII for the rest. */
static void fill_text(uint8_t *data, size_t len, const char *filler)
{
    size_t size = strlen(filler);
    size_t i = 0;
    while (i < len) {
        size_t step = 1;
        uint8_t lead = (uint8_t)filler[i % size];
        step = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
        if (step > len - i) {
            break;
        }
        memcpy(data + i, filler + i % size, step);
        i += step;
    }
    if (i < len) {
        memset(data + i, '.', len - i);
    }
}

/* The kinds of bad UTF-8, FRG-6. */
static const struct {
    const char *bytes;
    size_t len;
} bad_sequences[] = {
    {"\xC0\xAF", 2},
    {"\xC1\xBF", 2},
    {"\xE0\x9F\xBF", 3},
    {"\xF0\x8F\xBF\xBF", 4},
    {"\xED\xA0\x80", 3},
    {"\xED\xBF\xBF", 3},
    {"\xF4\x90\x80\x80", 4},
    {"\xF5\x80\x80\x80", 4},
    {"\x80", 1},
    {"\xBF", 1},
    {"\xC3", 1},
    {"\xE4\xB8", 2},
    {"\xF0\x9F\x98", 3},
    {"\xFE", 1},
    {"\xFF", 1},
};
#define BAD_COUNT (sizeof(bad_sequences) / sizeof(bad_sequences[0]))

#define LEN_MAX   130
#define ALIGN_MAX 64

/* FRG-6: every length × kind × place × alignment. */
static void every_kind_at_every_place(void)
{
    size_t align_step = quick() ? 21 : 1;
    uint8_t text[LEN_MAX];
    static uint8_t area[ALIGN_MAX + LEN_MAX];
    for (const char *const *name = wsc_simd_available(); *name != NULL; name++) {
        CHECK_INT(wsc_simd_select(*name), WSC_OK);
        for (size_t len = 0; len <= LEN_MAX; len++) {
            for (size_t kind = 0; kind < BAD_COUNT; kind++) {
                for (size_t at = 0; at <= len; at++) {
                    fill_text(text, len, fillers[(len + kind + at) % FILLER_COUNT]);
                    for (size_t k = 0; k < bad_sequences[kind].len && at + k < len;
                         k++) {
                        text[at + k] = (uint8_t)bad_sequences[kind].bytes[k];
                    }
                    size_t bad = 0;
                    enum verdict want = decode(text, len, &bad);
                    for (size_t a = len % align_step; a < ALIGN_MAX; a += align_step) {
                        memcpy(area + a, text, len);
                        if (!agrees(area + a, len, want, bad)) {
                            return;
                        }
                    }
                }
            }
        }
    }
}

/* FRG-6: a code point cut by a long run of ASCII, before and at the start of which the
 * variants change their way of checking. */
static void a_cut_before_much_ascii(void)
{
    static const char *const cuts[] = {
        "\xC3", "\xE4", "\xE4\xB8", "\xF0", "\xF0\x9F", "\xF0\x9F\x98", "\xE4\xB8\xAD"};
    uint8_t text[450];
    for (const char *const *name = wsc_simd_available(); *name != NULL; name++) {
        CHECK_INT(wsc_simd_select(*name), WSC_OK);
        for (size_t filler = 0; filler < FILLER_COUNT; filler++) {
            for (size_t k = 0; k < sizeof(cuts) / sizeof(cuts[0]); k++) {
                for (size_t at = 0; at < 200; at++) {
                    memset(text, 'a', sizeof(text));
                    fill_text(text, at, fillers[filler]);
                    memcpy(text + at, cuts[k], strlen(cuts[k]));
                    size_t bad = 0;
                    enum verdict want = decode(text, sizeof(text), &bad);
                    if (!agrees(text, sizeof(text), want, bad)) {
                        return;
                    }
                }
            }
        }
    }
}

/* The sequence at text[AT] of a text long enough for every vector width. */
enum { AT = 45, TEXT_LEN = 135 };

static bool sequence_agrees(uint8_t *text, uint32_t sequence, size_t size)
{
    uint8_t bytes[5] = {(uint8_t)sequence, (uint8_t)(sequence >> 8),
                        (uint8_t)(sequence >> 16), (uint8_t)(sequence >> 24), 'z'};
    bytes[size] = 'z';
    memcpy(text + AT, bytes, size);
    size_t want_bad = 0;
    size_t bad = SIZE_MAX;
    /* A letter follows: a cut sequence is bad at that letter. */
    bool want = decode(bytes, size + 1, &want_bad) == GOOD;
    bool got = feed_whole(text, TEXT_LEN, &bad) == GOOD;
    if (got != want || (!want && bad != AT + want_bad)) {
        print_text("sequence", text, TEXT_LEN, AT + want_bad);
        return CHECK(false);
    }
    return true;
}

static void every_sequence_of_one_to_three_bytes(void)
{
    uint32_t step = quick() ? 31 : 1; /* prime to 256: all bytes still meet */
    uint8_t text[TEXT_LEN];
    for (const char *const *name = wsc_simd_available(); *name != NULL; name++) {
        CHECK_INT(wsc_simd_select(*name), WSC_OK);
        for (size_t size = 1; size <= 3; size++) {
            memset(text, 'z', TEXT_LEN);
            memcpy(text + 20, "\xE4\xB8\xAD", 3);
            for (uint32_t s = 0; s < 1u << 8 * size; s += size == 3 ? step : 1) {
                if (!sequence_agrees(text, s, size)) {
                    return;
                }
            }
        }
    }
}

/* All of the first two, and what separates the classes of the other two. */
static void every_sequence_of_four_bytes(void)
{
    static const uint8_t edges[] = {0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F,
                                    0xA0, 0xBF, 0xC2, 0xE1, 0xF1, 0xFF};
    uint32_t step = quick() ? 7 : 1;
    uint8_t text[TEXT_LEN];
    memset(text, 'z', TEXT_LEN);
    memcpy(text + 20, "\xE4\xB8\xAD", 3);
    for (const char *const *name = wsc_simd_available(); *name != NULL; name++) {
        CHECK_INT(wsc_simd_select(*name), WSC_OK);
        for (uint32_t s = 0; s < 1u << 16; s += step) {
            for (size_t k = 0; k < sizeof(edges) * sizeof(edges); k++) {
                uint32_t third = edges[k / sizeof(edges)];
                uint32_t fourth = edges[k % sizeof(edges)];
                if (!sequence_agrees(text, s | third << 16 | fourth << 24, 4)) {
                    return;
                }
            }
        }
    }
}

/* Every code point by itself, encoded here, is good. */
static void every_code_point(void)
{
    uint8_t text[4 * 64];
    for (const char *const *name = wsc_simd_available(); *name != NULL; name++) {
        CHECK_INT(wsc_simd_select(*name), WSC_OK);
        size_t len = 0;
        for (uint32_t c = 0; c <= 0x10FFFF; c++) {
            if (c >= 0xD800 && c <= 0xDFFF) {
                continue;
            }
            if (c < 0x80) {
                text[len++] = (uint8_t)c;
            }
            else if (c < 0x800) {
                text[len++] = (uint8_t)(0xC0 | c >> 6);
                text[len++] = (uint8_t)(0x80 | (c & 0x3F));
            }
            else if (c < 0x10000) {
                text[len++] = (uint8_t)(0xE0 | c >> 12);
                text[len++] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
                text[len++] = (uint8_t)(0x80 | (c & 0x3F));
            }
            else {
                text[len++] = (uint8_t)(0xF0 | c >> 18);
                text[len++] = (uint8_t)(0x80 | (c >> 12 & 0x3F));
                text[len++] = (uint8_t)(0x80 | (c >> 6 & 0x3F));
                text[len++] = (uint8_t)(0x80 | (c & 0x3F));
            }
            if (len > sizeof(text) - 4 || c == 0x10FFFF) {
                CHECK(wsc_utf8_is_valid(text, len));
                len = 0;
            }
        }
    }
}

/* Feed in pieces that end at the given cuts; the index counts from the first piece. */
static enum verdict
feed_pieces(const uint8_t *data, const size_t *cuts, size_t count, size_t *out_bad)
{
    struct wsc_utf8 utf8 = {0};
    size_t done = 0;
    for (size_t i = 0; i < count; i++) {
        size_t bad = SIZE_MAX;
        if (wsc_utf8_feed(&utf8, data + done, cuts[i] - done, &bad) != WSC_OK) {
            *out_bad = done + bad;
            return BAD;
        }
        done = cuts[i];
    }
    return wsc_utf8_finish(&utf8) == WSC_OK ? GOOD : CUT;
}

static bool pieces_agree(const uint8_t *data, const size_t *cuts, size_t count)
{
    size_t want_bad = 0;
    size_t bad = SIZE_MAX;
    enum verdict want = decode(data, cuts[count - 1], &want_bad);
    enum verdict got = feed_pieces(data, cuts, count, &bad);
    if (got != want || (got == BAD && bad != want_bad)) {
        print_text("in pieces", data, cuts[count - 1], want_bad);
        return CHECK(false);
    }
    return true;
}

/* FRG-6: split in two at every place, and byte by byte. */
static void every_split(void)
{
    static const size_t lengths[] = {1, 2, 3, 4, 5, 17, 39, 67, 68, 131};
    uint8_t text[131];
    size_t cuts[131];
    for (const char *const *name = wsc_simd_available(); *name != NULL; name++) {
        CHECK_INT(wsc_simd_select(*name), WSC_OK);
        for (size_t n = 0; n < sizeof(lengths) / sizeof(lengths[0]); n++) {
            size_t len = lengths[n];
            /* kind BAD_COUNT: no bad sequence, but what the length cuts off the text.
             */
            for (size_t variant = 0; variant < (BAD_COUNT + 1) * FILLER_COUNT;
                 variant++) {
                size_t kind = variant / FILLER_COUNT;
                for (size_t at = 0; at < len; at += 1 + len / 40) {
                    fill_text(text, len, fillers[variant % FILLER_COUNT]);
                    for (size_t k = 0; kind < BAD_COUNT &&
                                       k < bad_sequences[kind].len && at + k < len;
                         k++) {
                        text[at + k] = (uint8_t)bad_sequences[kind].bytes[k];
                    }
                    for (size_t cut = 0; cut <= len; cut++) {
                        if (!pieces_agree(text, (size_t[]){cut, len}, 2)) {
                            return;
                        }
                    }
                    for (size_t i = 0; i < len; i++) {
                        cuts[i] = i + 1;
                    }
                    if (!pieces_agree(text, cuts, len)) {
                        return;
                    }
                }
            }
        }
    }
}

/* Long texts, some with one byte changed, in random pieces. */
static void random_texts_in_random_pieces(void)
{
    enum { SIZE = 3000 };
    static uint8_t text[SIZE];
    static size_t cuts[SIZE + 1];
    unsigned rounds = quick() ? 500 : 10000;
    for (const char *const *name = wsc_simd_available(); *name != NULL; name++) {
        CHECK_INT(wsc_simd_select(*name), WSC_OK);
        for (unsigned round = 0; round < rounds; round++) {
            size_t len = 1 + test_random_below(SIZE);
            for (size_t i = 0; i < len;) {
                size_t piece = 1 + test_random_below(200);
                piece = piece < len - i ? piece : len - i;
                fill_text(text + i, piece, fillers[test_random_below(FILLER_COUNT)]);
                i += piece;
            }
            if (round % 2 != 0) {
                text[test_random_below(len)] = (uint8_t)test_random();
            }
            size_t bad = 0;
            enum verdict want = decode(text, len, &bad);
            size_t count = 0;
            for (size_t done = 0; done < len;) {
                size_t piece = 1 + test_random_below(1 + round % 300);
                done += piece < len - done ? piece : len - done;
                cuts[count++] = done;
            }
            if (!agrees(text, len, want, bad) || !pieces_agree(text, cuts, count)) {
                return;
            }
        }
    }
}

static void a_cut_end_is_not_finished(void)
{
    uint8_t text[LEN_MAX];
    for (const char *const *name = wsc_simd_available(); *name != NULL; name++) {
        CHECK_INT(wsc_simd_select(*name), WSC_OK);
        for (size_t filler = 0; filler < FILLER_COUNT; filler++) {
            fill_text(text, LEN_MAX, fillers[filler]);
            for (size_t len = 0; len <= LEN_MAX; len++) {
                size_t bad = 0;
                enum verdict want = decode(text, len, &bad);
                CHECK(want != BAD);
                CHECK(agrees(text, len, want, bad));
            }
        }
    }
}

/* Texts that end, and that start, at an unmapped page. */
static void nothing_is_read_outside(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *start =
        mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED ||
        mprotect(start + page, page, PROT_READ | PROT_WRITE) != 0) {
        perror("mmap");
        abort();
    }
    uint8_t *body = start + page;
    uint8_t text[300];
    for (const char *const *name = wsc_simd_available(); *name != NULL; name++) {
        CHECK_INT(wsc_simd_select(*name), WSC_OK);
        for (size_t filler = 0; filler < FILLER_COUNT; filler++) {
            fill_text(text, sizeof(text), fillers[filler]);
            bool ascii = true;
            for (size_t len = 0; len <= sizeof(text); len++) {
                size_t bad = 0;
                enum verdict want = decode(text, len, &bad);
                ascii = ascii && (len == 0 || text[len - 1] < 0x80);
                memcpy(body + page - len, text, len);
                CHECK(agrees(body + page - len, len, want, bad));
                CHECK(wsc_utf8_is_ascii(body + page - len, len) == ascii);
                memcpy(body, text, len);
                CHECK(agrees(body, len, want, bad));
                CHECK(wsc_utf8_is_ascii(body, len) == ascii);
            }
        }
    }
    munmap(start, 3 * page);
}

static void ascii_at_every_place(void)
{
    uint8_t text[300];
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (uint8_t)(i % 0x80);
    }
    for (const char *const *name = wsc_simd_available(); *name != NULL; name++) {
        CHECK_INT(wsc_simd_select(*name), WSC_OK);
        for (size_t start = 0; start < 8; start++) {
            for (size_t len = 0; len <= sizeof(text) - start; len++) {
                CHECK(wsc_utf8_is_ascii(text + start, len));
                for (size_t at = 0; at < len; at++) {
                    text[start + at] ^= 0x80;
                    CHECK(!wsc_utf8_is_ascii(text + start, len));
                    text[start + at] ^= 0x80;
                }
            }
        }
    }
}

static void nothing_at_all(void)
{
    struct wsc_utf8 utf8 = {0};
    CHECK_INT(wsc_utf8_feed(&utf8, NULL, 0, NULL), WSC_OK);
    CHECK_INT(wsc_utf8_finish(&utf8), WSC_OK);
    CHECK(wsc_utf8_is_valid(NULL, 0));
    CHECK(wsc_utf8_is_ascii(NULL, 0));
    CHECK_INT(wsc_utf8_feed(&utf8, (const uint8_t *)"\xE4", 1, NULL), WSC_OK);
    CHECK_INT(wsc_utf8_feed(&utf8, NULL, 0, NULL), WSC_OK);
    CHECK_INT(wsc_utf8_finish(&utf8), WSC_ERR_UTF8);
    CHECK_INT(wsc_utf8_feed(&utf8, (const uint8_t *)"a", 1, NULL), WSC_ERR_UTF8);
}

TEST_MAIN(TEST(nothing_at_all), TEST(a_cut_end_is_not_finished), TEST(every_code_point),
          TEST(a_cut_before_much_ascii), TEST(ascii_at_every_place),
          TEST(nothing_is_read_outside), TEST(every_split),
          TEST(random_texts_in_random_pieces), TEST(every_kind_at_every_place),
          TEST(every_sequence_of_four_bytes),
          TEST(every_sequence_of_one_to_three_bytes))

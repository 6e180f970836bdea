/* Masking (RFC 6455 §5.3) against bytewise XOR, every SIMD variant; and the choice of
 * the variant. */
#define _GNU_SOURCE
#include "wsc/mask.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"
#include "wsc/simd.h"

#define LEN_MAX   300
#define ALIGN_MAX 64
#define AREA      (ALIGN_MAX + LEN_MAX + ALIGN_MAX)
#define CANARY    0xA5

static const uint8_t masking_key[4] = {0x37, 0xFA, 0x21, 0x3D};

enum operation { APPLY, COPY, COPY_ASCII, OPERATION_COUNT };

static bool mask_by_bytes(uint8_t *dst, const uint8_t *src, size_t len, size_t offset)
{
    uint8_t seen = 0;
    for (size_t i = 0; i < len; i++) {
        dst[i] = src[i] ^ masking_key[(offset + i) % 4];
        seen |= dst[i];
    }
    return seen < 0x80;
}

/* Whether COPY_ASCII answered `ascii`; true for the others. */
static bool mask_by(enum operation operation, uint8_t *dst, const uint8_t *src,
                    size_t len, size_t offset, bool ascii)
{
    switch (operation) {
    case APPLY:
        if (len > 0) {
            memcpy(dst, src, len);
        }
        wsc_mask_apply(dst, len, masking_key, offset);
        break;
    case COPY:
        wsc_mask_copy(dst, src, len, masking_key, offset);
        break;
    case COPY_ASCII:
        return wsc_mask_copy_ascii(dst, src, len, masking_key, offset) == ascii;
    case OPERATION_COUNT:
        break;
    }
    return true;
}

static void fill_random(uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        data[i] = (uint8_t)test_random();
    }
}

/* One length at every alignment and key phase; nothing around it may change. */
static bool
masks_everywhere(const uint8_t *payload, size_t len, enum operation operation)
{
    static uint8_t source[AREA];
    static uint8_t area[AREA];
    static uint8_t want[AREA];
    for (size_t at = 0; at < ALIGN_MAX; at++) {
        for (size_t offset = 0; offset < 4; offset++) {
            uint8_t *src = source + (at * 5 + offset) % ALIGN_MAX;
            memcpy(src, payload, len);
            memset(area, CANARY, AREA);
            memset(want, CANARY, AREA);
            bool ascii = mask_by_bytes(want + at, src, len, offset);
            if (!CHECK(mask_by(operation, area + at, src, len, offset, ascii)) ||
                !CHECK_BYTES(area, AREA, want, AREA)) {
                printf("%s: operation %d len %zu alignment %zu offset %zu\n",
                       wsc_simd_name(), (int)operation, len, at, offset);
                return false;
            }
        }
    }
    return true;
}

static void every_length_alignment_and_phase(void)
{
    uint8_t payload[LEN_MAX];
    fill_random(payload, LEN_MAX);
    for (const char *const *name = wsc_simd_available(); *name != NULL; name++) {
        CHECK_INT(wsc_simd_select(*name), WSC_OK);
        for (size_t len = 0; len <= LEN_MAX; len++) {
            for (int operation = 0; operation < OPERATION_COUNT; operation++) {
                if (!masks_everywhere(payload, len, (enum operation)operation)) {
                    return;
                }
            }
        }
    }
}

/* One byte that is not ASCII, at every position; and none. */
static void ascii_is_seen_at_every_position(void)
{
    uint8_t text[LEN_MAX];
    uint8_t masked[LEN_MAX];
    uint8_t got[LEN_MAX];
    for (size_t i = 0; i < LEN_MAX; i++) {
        text[i] = (uint8_t)(i % 0x80);
    }
    for (const char *const *name = wsc_simd_available(); *name != NULL; name++) {
        CHECK_INT(wsc_simd_select(*name), WSC_OK);
        for (size_t len = 0; len <= LEN_MAX; len++) {
            (void)mask_by_bytes(masked, text, len, 1);
            CHECK(wsc_mask_copy_ascii(got, masked, len, masking_key, 1));
            CHECK_BYTES(got, len, text, len);
            for (size_t bad = 0; bad < len; bad++) {
                masked[bad] ^= 0x80;
                if (!CHECK(!wsc_mask_copy_ascii(got, masked, len, masking_key, 1))) {
                    printf("%s: len %zu byte %zu\n", *name, len, bad);
                    return;
                }
                masked[bad] ^= 0x80;
            }
        }
    }
}

/* A page between two unmapped ones. */
static uint8_t *map_fenced_page(size_t page)
{
    uint8_t *start =
        mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED ||
        mprotect(start + page, page, PROT_READ | PROT_WRITE) != 0) {
        perror("mmap");
        abort();
    }
    return start + page;
}

static void nothing_is_touched_outside(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *from = map_fenced_page(page);
    uint8_t *to = map_fenced_page(page);
    uint8_t want[LEN_MAX];
    fill_random(from, page);
    for (const char *const *name = wsc_simd_available(); *name != NULL; name++) {
        CHECK_INT(wsc_simd_select(*name), WSC_OK);
        for (size_t len = 0; len <= LEN_MAX; len++) {
            for (int operation = 0; operation < OPERATION_COUNT; operation++) {
                for (unsigned ends = 0; ends < 4; ends++) {
                    const uint8_t *src = (ends & 1) != 0 ? from + page - len : from;
                    uint8_t *dst = (ends & 2) != 0 ? to + page - len : to;
                    bool ascii = mask_by_bytes(want, src, len, len);
                    CHECK(
                        mask_by((enum operation)operation, dst, src, len, len, ascii));
                    CHECK_BYTES(dst, len, want, len);
                }
            }
        }
    }
    munmap(from - page, 3 * page);
    munmap(to - page, 3 * page);
}

static void pieces_make_the_whole(void)
{
    enum { SIZE = 70000 };
    static uint8_t payload[SIZE];
    static uint8_t want[SIZE];
    static uint8_t got[SIZE];
    fill_random(payload, SIZE);
    (void)mask_by_bytes(want, payload, SIZE, 0);
    for (const char *const *name = wsc_simd_available(); *name != NULL; name++) {
        CHECK_INT(wsc_simd_select(*name), WSC_OK);
        for (unsigned round = 0; round < 50; round++) {
            memcpy(got, payload, SIZE);
            for (size_t done = 0; done < SIZE;) {
                size_t piece = 1 + test_random_below(round == 0 ? 1 : round * 100);
                piece = piece < SIZE - done ? piece : SIZE - done;
                wsc_mask_apply(got + done, piece, masking_key, done);
                done += piece;
            }
            CHECK_BYTES(got, SIZE, want, SIZE);
        }
    }
}

static void masking_twice_is_nothing(void)
{
    uint8_t payload[LEN_MAX];
    uint8_t got[LEN_MAX];
    fill_random(payload, LEN_MAX);
    memcpy(got, payload, LEN_MAX);
    wsc_mask_apply(got, LEN_MAX, masking_key, 3);
    CHECK(memcmp(got, payload, LEN_MAX) != 0);
    wsc_mask_apply(got, LEN_MAX, masking_key, 3);
    CHECK_BYTES(got, LEN_MAX, payload, LEN_MAX);
}

/* RFC 6455 §5.7: the masked "Hello". */
static void the_example_of_the_rfc(void)
{
    uint8_t payload[] = {0x7F, 0x9F, 0x4D, 0x51, 0x58};
    wsc_mask_apply(payload, sizeof(payload), masking_key, 0);
    CHECK_BYTES(payload, sizeof(payload), "Hello", 5);
}

static void nothing_at_all(void)
{
    wsc_mask_apply(NULL, 0, masking_key, 2);
    wsc_mask_copy(NULL, NULL, 0, masking_key, 2);
    CHECK(wsc_mask_copy_ascii(NULL, NULL, 0, masking_key, 2));
}

static bool is_listed(const char *wanted)
{
    for (const char *const *name = wsc_simd_available(); *name != NULL; name++) {
        if (strcmp(*name, wanted) == 0) {
            return true;
        }
    }
    return false;
}

static void only_the_listed_can_be_chosen(void)
{
    static const char *const all[] = {"scalar", "sse2", "avx2", "avx512", "neon"};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        enum wsc_status want = is_listed(all[i]) ? WSC_OK : WSC_ERR_INVALID_ARGUMENT;
        CHECK_INT(wsc_simd_select(all[i]), want);
    }
}

static void variants_are_listed_and_chosen(void)
{
    const char *const *names = wsc_simd_available();
    CHECK(strcmp(names[0], "scalar") == 0);
    for (; *names != NULL; names++) {
        CHECK_INT(wsc_simd_select(*names), WSC_OK);
        CHECK(strcmp(wsc_simd_name(), *names) == 0);
    }
    const char *last = wsc_simd_name();
    CHECK_INT(wsc_simd_select("mmx"), WSC_ERR_INVALID_ARGUMENT);
    CHECK_INT(wsc_simd_select(""), WSC_ERR_INVALID_ARGUMENT);
    CHECK_INT(wsc_simd_select(NULL), WSC_ERR_INVALID_ARGUMENT);
    CHECK(wsc_simd_name() == last);
}

/* In a child, because the variable is read at the first use only. */
static bool child_chooses(const char *variable, const char *want)
{
    pid_t child = fork();
    if (child == 0) {
        if (setenv("WSC_SIMD", variable, 1) != 0) {
            _exit(2);
        }
        _exit(strcmp(wsc_simd_name(), want) == 0 ? 0 : 1);
    }
    int status = -1;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* First in the list of cases: nothing may have been chosen yet. */
static void environment_overrides(void)
{
    const char *best = NULL;
    for (const char *const *name = wsc_simd_available(); *name != NULL; name++) {
        CHECK(child_chooses(*name, *name));
        best = *name;
    }
    CHECK(best != NULL && child_chooses("", best));
    CHECK(best != NULL && child_chooses("altivec", best));
}

TEST_MAIN(TEST(environment_overrides), TEST(variants_are_listed_and_chosen),
          TEST(only_the_listed_can_be_chosen), TEST(the_example_of_the_rfc),
          TEST(nothing_at_all), TEST(masking_twice_is_nothing),
          TEST(every_length_alignment_and_phase), TEST(ascii_is_seen_at_every_position),
          TEST(nothing_is_touched_outside), TEST(pieces_make_the_whole))

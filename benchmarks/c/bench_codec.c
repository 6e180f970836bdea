/* Masking and UTF-8 validation, every SIMD variant, against memcpy in the same run.
 *
 *   bench_codec [milliseconds per figure, default 40]
 *
 * One line for each operation, variant and size: GB/s and the ratio to memcpy of that
 * size (for UTF-8 also to the scalar variant). The best of several short runs, taken in
 * turns with memcpy, so that a busy machine disturbs both alike. */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "wsc/mask.h"
#include "wsc/simd.h"
#include "wsc/utf8.h"

#define SIZE_MAX_BENCHED (16u << 20)
#define TURNS            8

static const uint8_t masking_key[4] = {0x37, 0xFA, 0x21, 0x3D};
static volatile uint64_t sink;

/* What the operations work on: `from` is never written while measuring. */
static uint8_t *from;
static uint8_t *to;

static void run_memcpy(size_t len)
{
    memcpy(to, from, len);
    __asm__ volatile("" : : "r"(to) : "memory");
}

static void run_mask_apply(size_t len)
{
    wsc_mask_apply(to, len, masking_key, 1);
}

static void run_mask_copy(size_t len)
{
    wsc_mask_copy(to, from, len, masking_key, 1);
}

static void run_mask_copy_ascii(size_t len)
{
    sink += wsc_mask_copy_ascii(to, from, len, masking_key, 1);
}

static void run_is_ascii(size_t len)
{
    sink += wsc_utf8_is_ascii(from, len);
}

static void run_is_valid(size_t len)
{
    sink += wsc_utf8_is_valid(from, len);
}

static const char ascii_text[] = "The quick brown fox jumps over the lazy dog. ";
static const char latin_text[] = "Zw\xC3\xB6lf Boxk\xC3\xA4mpfer jagen \xC3\x89va "
                                 "\xC3\xBC"
                                 "ber den Sylter Deich. ";
static const char chinese_text[] = "\xE4\xB8\xAD\xE6\x96\x87\xE6\xB5\x8B\xE8\xAF\x95"
                                   "\xEF\xBC\x8C\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E";
static const char emoji_text[] = "\xF0\x9F\x98\x80\xF0\x9F\x9A\x80\xF0\x9F\x8E\x89";
static const char mixed_text[] =
    "Gr\xC3\xBC\xC3\x9F"
    "e \xE4\xB8\xAD\xE6\x96\x87\xE6\xB5\x8B\xE8\xAF\x95 "
    "\xF0\x9F\x98\x80\xF0\x9F\x9A\x80 "
    "\xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82 caf\xC3\xA9 \xE2\x82\xAC"
    "12 ";

static const struct {
    const char *name;
    void (*run)(size_t len);
    const char *text; /* NULL: any bytes will do */
} operations[] = {
    {"mask_apply", run_mask_apply, NULL},
    {"mask_copy", run_mask_copy, NULL},
    {"mask_copy_ascii", run_mask_copy_ascii, NULL},
    {"is_ascii", run_is_ascii, ascii_text},
    {"utf8 ascii", run_is_valid, ascii_text},
    {"utf8 latin", run_is_valid, latin_text},
    {"utf8 chinese", run_is_valid, chinese_text},
    {"utf8 emoji", run_is_valid, emoji_text},
    {"utf8 mixed", run_is_valid, mixed_text},
};

/* Whole code points of the text again and again, ASCII after the last. */
static void fill(const char *text, size_t len)
{
    size_t size = strlen(text);
    for (size_t i = 0; i < len; i++) {
        from[i] = (uint8_t)text[i % size];
    }
    for (size_t i = len; i > 0 && !wsc_utf8_is_valid(from, len); i--) {
        from[i - 1] = '.';
    }
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double bytes_per_second(void (*run)(size_t len), size_t len, size_t repeats)
{
    double start = seconds();
    for (size_t i = 0; i < repeats; i++) {
        run(len);
    }
    return (double)len * (double)repeats / (seconds() - start);
}

static size_t repeats_for(void (*run)(size_t len), size_t len, double duration)
{
    size_t repeats = 1;
    for (;;) {
        double took =
            (double)len * (double)repeats / bytes_per_second(run, len, repeats);
        if (took >= duration || repeats > SIZE_MAX / 4) {
            return repeats;
        }
        repeats *= 2;
    }
}

/* The best of TURNS, taken in turns with memcpy. */
static void measure(void (*run)(size_t len), size_t len, double duration,
                    double *out_best, double *out_memcpy)
{
    size_t repeats = repeats_for(run, len, duration / TURNS);
    size_t memcpy_repeats = repeats_for(run_memcpy, len, duration / TURNS);
    *out_best = 0;
    *out_memcpy = 0;
    for (unsigned turn = 0; turn < TURNS; turn++) {
        double speed = bytes_per_second(run, len, repeats);
        *out_best = speed > *out_best ? speed : *out_best;
        speed = bytes_per_second(run_memcpy, len, memcpy_repeats);
        *out_memcpy = speed > *out_memcpy ? speed : *out_memcpy;
    }
}

static bool bench_size(size_t operation, size_t len, double duration)
{
    double scalar = 0;
    fill(operations[operation].text != NULL ? operations[operation].text : ascii_text,
         len);
    for (const char *const *name = wsc_simd_available(); *name != NULL; name++) {
        if (wsc_simd_select(*name) != WSC_OK) {
            return false;
        }
        double best;
        double copied;
        measure(operations[operation].run, len, duration, &best, &copied);
        scalar = scalar > 0 ? scalar : best;
        printf("%-16s %-7s %9zu %8.2f GB/s %8.1f ns %6.2f x memcpy %6.2f x scalar\n",
               operations[operation].name, *name, len, best * 1e-9,
               (double)len / best * 1e9, best / copied, best / scalar);
    }
    return true;
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {4,    16,    40,       64,       256,
                                   1024, 65536, 1u << 20, 16u << 20};
    double duration = (argc > 1 ? atof(argv[1]) : 40.0) * 1e-3;
    from = malloc(SIZE_MAX_BENCHED);
    to = malloc(SIZE_MAX_BENCHED);
    bool good = from != NULL && to != NULL;
    if (good) {
        memset(to, 0, SIZE_MAX_BENCHED);
    }
    for (size_t i = 0; good && i < sizeof(operations) / sizeof(operations[0]); i++) {
        for (size_t k = 0; good && k < sizeof(sizes) / sizeof(sizes[0]); k++) {
            good = bench_size(i, sizes[k], duration);
        }
    }
    free(from);
    free(to);
    return good ? 0 : 1;
}

/* permessage-deflate of a JSON message of 1 KiB: this core against bare zlib calls with
 * the same parameters, in turns, best of many rounds, in processor time. The goal is a
 * ratio of 1.1 at most. */
#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ZLIB_CONST
#include <zlib.h>

#include "wsc/deflate.h"

#define MESSAGE_LEN  1024
#define MESSAGES     256 /* different ones, so that the window does not hold them all */
#define MIB          (1U << 20)
#define ROUNDS       10
#define ROUND_CYCLES 8 /* times all messages */

static uint8_t messages[MESSAGES][MESSAGE_LEN];
static uint8_t wires[MESSAGES][2 * MESSAGE_LEN];
static size_t wire_lens[MESSAGES];
static size_t sink;

struct setup {
    const char *name;
    uint8_t window_bits;
    int mem_level;
    bool takeover;
};

static void must(bool ok)
{
    if (!ok) {
        fprintf(stderr, "bench_deflate: failed\n");
        exit(1);
    }
}

static double now(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void make_messages(void)
{
    uint32_t state = 12345;
    for (int i = 0; i < MESSAGES; i++) {
        char text[MESSAGE_LEN + 200];
        size_t len = 0;
        text[len++] = '[';
        while (len < MESSAGE_LEN) {
            state = state * 1664525U + 1013904223U;
            int n = snprintf(text + len, 200,
                             "{\"id\":%u,\"symbol\":\"S%03u\",\"price\":%u.%02u,"
                             "\"side\":\"%s\"},",
                             state >> 8, state % 500, (state >> 5) % 9000, state % 100,
                             state & 0x10000 ? "buy" : "sell");
            must(n > 0);
            len += (size_t)n;
        }
        memcpy(messages[i], text, MESSAGE_LEN);
    }
}

/* ---- Bare zlib ---- */

/* The first cycle, which is not measured, makes the input of the decompressors: its
 * references stay within the cycle, so that it may be repeated. */
static double zlib_compress(const struct setup *setup)
{
    static uint8_t other[2 * MESSAGE_LEN];
    z_stream s = {0};
    must(deflateInit2(&s, -1, Z_DEFLATED, -setup->window_bits, setup->mem_level,
                      Z_DEFAULT_STRATEGY) == Z_OK);
    double start = 0;
    for (int cycle = -1; cycle < ROUND_CYCLES; cycle++) {
        if (cycle == 0) {
            start = now();
        }
        for (int i = 0; i < MESSAGES; i++) {
            s.next_in = messages[i];
            s.avail_in = MESSAGE_LEN;
            s.next_out = cycle < 0 ? wires[i] : other;
            s.avail_out = sizeof(other);
            must(deflate(&s, Z_SYNC_FLUSH) == Z_OK);
            size_t len = sizeof(other) - s.avail_out - 4;
            sink += len;
            if (cycle < 0) {
                wire_lens[i] = len;
            }
            if (!setup->takeover) {
                must(deflateReset(&s) == Z_OK);
            }
        }
    }
    double seconds = now() - start;
    (void)deflateEnd(&s);
    return seconds;
}

static double zlib_decompress(const struct setup *setup)
{
    static const uint8_t tail[4] = {0, 0, 0xFF, 0xFF};
    z_stream s = {0};
    uint8_t room[MESSAGE_LEN + 64];
    must(inflateInit2(&s, -setup->window_bits) == Z_OK);
    double start = now();
    for (int cycle = 0; cycle < ROUND_CYCLES; cycle++) {
        for (int i = 0; i < MESSAGES; i++) {
            s.next_in = wires[i];
            s.avail_in = (uInt)wire_lens[i];
            s.next_out = room;
            s.avail_out = sizeof(room);
            must(inflate(&s, Z_SYNC_FLUSH) == Z_OK);
            s.next_in = tail;
            s.avail_in = sizeof(tail);
            must(inflate(&s, Z_SYNC_FLUSH) == Z_OK);
            must(sizeof(room) - s.avail_out == MESSAGE_LEN);
            sink += room[7];
            if (!setup->takeover) {
                must(inflateReset(&s) == Z_OK);
            }
        }
    }
    double seconds = now() - start;
    (void)inflateEnd(&s);
    return seconds;
}

/* ---- This core ---- */

static struct wsc_deflate *
new_end(const struct setup *setup, struct wsc_deflate_pool *pool)
{
    struct wsc_deflate_settings settings;
    struct wsc_deflate *end = NULL;
    struct wsc_deflate_params params = {
        .server_no_context_takeover = !setup->takeover,
        .client_no_context_takeover = !setup->takeover,
        .server_max_window_bits = setup->window_bits,
        .client_max_window_bits = setup->window_bits,
    };
    wsc_deflate_settings_init(&settings);
    settings.mem_level = setup->mem_level;
    must(wsc_deflate_new(wsc_allocator_default(), pool, WSC_ROLE_SERVER, &settings,
                         &params, &end) == WSC_OK);
    return end;
}

static double core_compress(const struct setup *setup, struct wsc_deflate_pool *pool)
{
    struct wsc_deflate *end = new_end(setup, pool);
    struct wsc_buffer out;
    double start = 0;
    wsc_buffer_init(&out, wsc_allocator_default(), 1 << 20);
    for (int cycle = -1; cycle < ROUND_CYCLES; cycle++) {
        if (cycle == 0) {
            start = now();
        }
        for (int i = 0; i < MESSAGES; i++) {
            wsc_buffer_clear(&out, 1 << 16);
            must(wsc_deflate_compress(end, messages[i], MESSAGE_LEN, true, &out) ==
                 WSC_OK);
            sink += out.len;
        }
    }
    double seconds = now() - start;
    wsc_buffer_fini(&out);
    wsc_deflate_free(end);
    return seconds;
}

static double core_decompress(const struct setup *setup, struct wsc_deflate_pool *pool)
{
    struct wsc_deflate *end = new_end(setup, pool);
    uint8_t room[MESSAGE_LEN + 64];
    double start = now();
    for (int cycle = 0; cycle < ROUND_CYCLES; cycle++) {
        for (int i = 0; i < MESSAGES; i++) {
            size_t used;
            size_t len;
            size_t more;
            must(wsc_deflate_decompress(end, wires[i], wire_lens[i], &used, room,
                                        sizeof(room), &len) == WSC_OK);
            must(wsc_deflate_decompress_end(end, room + len, sizeof(room) - len,
                                            &more) == WSC_OK);
            must(len + more == MESSAGE_LEN);
            sink += room[7];
        }
    }
    double seconds = now() - start;
    wsc_deflate_free(end);
    return seconds;
}

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

int main(void)
{
    static const struct setup setups[] = {
        {"15 bits, memLevel 8, takeover", 15, 8, true},
        {"12 bits, memLevel 5, takeover", 12, 5, true},
        {"15 bits, memLevel 8, pool", 15, 8, false},
        {"12 bits, memLevel 5, pool", 12, 5, false},
    };
    const double count = (double)ROUND_CYCLES * MESSAGES;
    struct wsc_deflate_pool *pool = NULL;
    must(wsc_deflate_pool_new(wsc_allocator_default(), 4, MIB, &pool) == WSC_OK);
    make_messages();
    printf("zlib %s; nanoseconds a message of %d bytes, and the ratio to bare zlib\n",
           wsc_deflate_zlib_version(), MESSAGE_LEN);
    for (size_t i = 0; i < sizeof(setups) / sizeof(setups[0]); i++) {
        double best[4] = {1e9, 1e9, 1e9, 1e9};
        for (int round = 0; round < ROUNDS; round++) {
            best[0] = smaller(best[0], core_compress(&setups[i], pool));
            best[1] = smaller(best[1], zlib_compress(&setups[i]));
            best[2] = smaller(best[2], core_decompress(&setups[i], pool));
            best[3] = smaller(best[3], zlib_decompress(&setups[i]));
        }
        printf("%-30s  compress %6.0f  %.3f   decompress %6.0f  %.3f\n", setups[i].name,
               best[0] / count * 1e9, best[0] / best[1], best[2] / count * 1e9,
               best[2] / best[3]);
    }
    wsc_deflate_pool_free(pool);
    return sink == 0;
}

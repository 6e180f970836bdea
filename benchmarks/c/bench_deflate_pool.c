/* Connections with context takeover that share a pool: what it costs when it may hold
 * fewer contexts than there are connections that talk. Each echoes JSON messages of
 * some 300 bytes: in (decompressed) and out (compressed), with windows of 12 bits and
 * memLevel 4; in turn, or in a random order in which some talk more than others. */
#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ZLIB_CONST
#include <zlib.h>

#include "wsc/deflate.h"

#define MIB         ((size_t)1 << 20)
#define CONNECTIONS 1000
#define ECHOES      4000 /* a round */
#define ROUNDS      8    /* the first three are not counted */
#define WARM        3
#define WINDOW_BITS 12
#define MEM_LEVEL   4
#define MESSAGE_MAX 400

struct echo {
    size_t connection;
    size_t len;
    size_t wire_len;
    uint8_t message[MESSAGE_MAX];
    uint8_t wire[2 * MESSAGE_MAX];
};

static struct echo echoes[ECHOES];
static z_stream peers[CONNECTIONS];
static struct wsc_deflate *ends[CONNECTIONS];
static uint32_t state = 12345;

static void must(bool ok)
{
    if (!ok) {
        fprintf(stderr, "bench_deflate_pool: failed\n");
        exit(1);
    }
}

static double now(void)
{
    struct timespec t;
    must(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint32_t below(uint32_t n)
{
    state = state * 1664525U + 1013904223U;
    return (uint32_t)(((uint64_t)state * n) >> 32);
}

/* A quarter of the connections send three quarters of what comes at random. */
static size_t someone(bool in_turn, size_t i)
{
    if (in_turn) {
        return i % CONNECTIONS;
    }
    return below(4) > 0 ? below(CONNECTIONS / 4) : below(CONNECTIONS);
}

static void prepare(bool in_turn)
{
    for (size_t i = 0; i < ECHOES; i++) {
        struct echo *echo = &echoes[i];
        echo->connection = someone(in_turn, i);
        int n = snprintf(
            (char *)echo->message, MESSAGE_MAX,
            "{\"type\":\"position\",\"user\":\"user-%zu\",\"session\":\"%08zx\","
            "\"x\":%u.%02u,\"y\":%u.%02u,\"heading\":%u,\"speed\":%u,"
            "\"status\":\"%s\",\"inventory\":[{\"item\":\"lantern\","
            "\"count\":%u},{\"item\":\"rope\",\"count\":%u}],"
            "\"message\":\"%s\",\"sequence\":%u}",
            echo->connection, echo->connection * 2654435761U, below(9000), below(100),
            below(9000), below(100), below(360), below(90),
            below(4) > 0 ? "moving" : "waiting", below(10), below(10),
            below(2) > 0 ? "has seen the harbour" : "is on the way north",
            below(1000000));
        must(n > 0 && n < MESSAGE_MAX);
        echo->len = (size_t)n;
        z_stream *s = &peers[echo->connection];
        s->next_in = echo->message;
        s->avail_in = (uInt)n;
        s->next_out = echo->wire;
        s->avail_out = sizeof(echo->wire);
        must(deflate(s, Z_SYNC_FLUSH) == Z_OK);
        echo->wire_len = sizeof(echo->wire) - s->avail_out - 4;
    }
}

/* Bytes that go out. */
static size_t run(struct wsc_buffer *out)
{
    size_t sum = 0;
    uint8_t room[MESSAGE_MAX];
    for (size_t i = 0; i < ECHOES; i++) {
        const struct echo *echo = &echoes[i];
        struct wsc_deflate *end = ends[echo->connection];
        size_t used;
        size_t len;
        size_t more;
        must(wsc_deflate_decompress(end, echo->wire, echo->wire_len, &used, room,
                                    sizeof(room), &len) == WSC_OK);
        must(wsc_deflate_decompress_end(end, room + len, sizeof(room) - len, &more) ==
             WSC_OK);
        must(len + more == echo->len);
        wsc_buffer_clear(out, 1 << 16);
        must(wsc_deflate_compress(end, room, echo->len, true, out) == WSC_OK);
        sum += out->len;
    }
    return sum;
}

static void connect_all(struct wsc_deflate_pool *pool)
{
    static const struct wsc_deflate_params params = {
        .server_max_window_bits = WINDOW_BITS,
        .client_max_window_bits = WINDOW_BITS,
    };
    struct wsc_deflate_settings settings;
    wsc_deflate_settings_init(&settings);
    settings.mem_level = MEM_LEVEL;
    for (size_t i = 0; i < CONNECTIONS; i++) {
        must(wsc_deflate_new(wsc_allocator_default(), pool, WSC_ROLE_SERVER, &settings,
                             &params, &ends[i]) == WSC_OK);
        memset(&peers[i], 0, sizeof(peers[i]));
        must(deflateInit2(&peers[i], -1, Z_DEFLATED, -WINDOW_BITS, MEM_LEVEL,
                          Z_DEFAULT_STRATEGY) == Z_OK);
    }
}

static void measure(size_t limit, bool in_turn)
{
    struct wsc_deflate_pool *pool = NULL;
    struct wsc_buffer out;
    double best = 1e9;
    size_t sent = 0;
    size_t plain = 0;
    must(wsc_deflate_pool_new(wsc_allocator_default(), 8, limit, &pool) == WSC_OK);
    connect_all(pool);
    wsc_buffer_init(&out, wsc_allocator_default(), MIB);
    for (int round = 0; round < ROUNDS; round++) {
        prepare(in_turn);
        double start = now();
        size_t bytes = run(&out);
        double seconds = now() - start;
        if (round < WARM) {
            continue;
        }
        best = seconds < best ? seconds : best;
        sent += bytes;
        for (size_t i = 0; i < ECHOES; i++) {
            plain += echoes[i].len;
        }
    }
    size_t held = 0;
    for (size_t i = 0; i < CONNECTIONS; i++) {
        held += wsc_deflate_memory(ends[i]);
    }
    printf("  %7.1f MiB  %6.1f us an echo  %5.3f of the bytes sent  %5.1f KiB held\n",
           (double)limit / (double)MIB, best / ECHOES * 1e6,
           (double)sent / (double)plain, (double)held / CONNECTIONS / 1024);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        wsc_deflate_free(ends[i]);
        (void)deflateEnd(&peers[i]);
    }
    wsc_deflate_pool_free(pool);
    wsc_buffer_fini(&out);
}

int main(void)
{
    static const size_t limits[] = {0,        2 * MIB,  4 * MIB,  8 * MIB,
                                    16 * MIB, 24 * MIB, 32 * MIB, 100 * MIB};
    for (int in_turn = 1; in_turn >= 0; in_turn--) {
        printf("%d connections %s; what they may hold, and a connection:\n",
               CONNECTIONS, in_turn ? "in turn" : "at random");
        for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
            measure(limits[i], in_turn != 0);
        }
    }
    return 0;
}

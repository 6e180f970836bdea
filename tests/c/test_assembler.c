/* Frames to messages: limits known before memory is spent, and fragments. RFC 6455
 * §5.4. Text and streaming are in test_assembler_text.c, compressed messages in
 * test_assembler_deflate.c. */
#include <stdlib.h>
#include <time.h>

#include "bench.h"

/* --- limits --- */

static uint8_t *letters(size_t len)
{
    uint8_t *data = malloc(len + 1);
    for (size_t i = 0; i < len; i++) {
        data[i] = (uint8_t)('a' + i % 26);
    }
    return data;
}

/* LEN-3, LEN-5, LEN-6: exactly the limit passes, one byte more fails at the header with
 * nothing allocated; in one frame and in two. */
static void exactly_the_limit(void)
{
    static const size_t limits[] = {0, 1, 2, 125, 126, 127, 65535, 65536, 1 << 20};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        size_t max = limits[i];
        uint8_t *data = letters(max + 1);
        for (int text = 0; text < 2; text++) {
            enum wsc_opcode opcode = text != 0 ? WSC_OPCODE_TEXT : WSC_OPCODE_BINARY;
            struct bench bench;
            struct wsc_message message = {0};
            bench_init(&bench, max, NULL);
            CHECK_INT(
                bench_frame(&bench, opcode, true, data, max, 1000, &message, NULL),
                WSC_OK);
            CHECK_BYTES(message.data, message.len, data, max);
            CHECK(message.fin && !message.compressed && (text == 0 || message.ascii));
            CHECK_INT(message.kind, text != 0 ? WSC_PAYLOAD_TEXT : WSC_PAYLOAD_BINARY);
            CHECK_INT(bench.allocator.live_bytes, max);
            bench_drop(&bench, &message);
            size_t requests = bench.allocator.requests;
            CHECK_INT(bench_header(&bench, opcode, (uint64_t)max + 1, true),
                      WSC_ERR_TOO_BIG);
            CHECK_INT(bench.allocator.requests, requests);
            bench_fini(&bench);

            bench_init(&bench, max, NULL);
            CHECK_INT(
                bench_frame(&bench, opcode, false, data, max / 3, 1000, &message, NULL),
                WSC_NEED_DATA);
            CHECK_INT(bench_frame(&bench, WSC_OPCODE_CONTINUATION, true, data + max / 3,
                                  max - max / 3, 1000, &message, NULL),
                      WSC_OK);
            CHECK_BYTES(message.data, message.len, data, max);
            bench_drop(&bench, &message);
            CHECK_INT(
                bench_frame(&bench, opcode, false, data, max / 3, 1000, &message, NULL),
                WSC_NEED_DATA);
            CHECK_INT(
                bench_header(&bench, WSC_OPCODE_CONTINUATION, max - max / 3 + 1, true),
                WSC_ERR_TOO_BIG);
            CHECK_INT(bench.allocator.live_bytes, 0);
            bench_fini(&bench);
        }
        free(data);
    }
}

/* LEN-2, LEN-4: 20 lengths after 20 sums, under four limits, one of them "none"; the
 * comparison here is by what is left, in numbers that cannot wrap. */
static void sums_do_not_wrap(void)
{
    static const size_t sums[20] = {0,    1,    2,    3,    10,    100,  125,
                                    126,  127,  128,  1000, 4095,  4096, 4097,
                                    8191, 9999, 9998, 9997, 10000, 5000};
    static const uint64_t lengths[20] = {0,
                                         1,
                                         2,
                                         5000,
                                         9999,
                                         10000,
                                         10001,
                                         65535,
                                         65536,
                                         1U << 30,
                                         INT32_MAX,
                                         (uint64_t)INT32_MAX + 1,
                                         UINT32_MAX,
                                         (uint64_t)UINT32_MAX + 6,
                                         UINT64_MAX / 8,
                                         UINT64_MAX / 4 - 1,
                                         UINT64_MAX / 4,
                                         UINT64_MAX / 4 + 1,
                                         INT64_MAX - 100,
                                         INT64_MAX};
    static const size_t limits[] = {10000, 1 << 20, UINT32_MAX, WSC_MESSAGE_SIZE_MAX};
    uint8_t *data = letters(10000);
    for (size_t i = 0; i < 20 * 20 * 4; i++) {
        size_t sum = sums[i % 20];
        uint64_t len = lengths[i / 20 % 20];
        size_t max = limits[i / 400];
        struct bench bench;
        struct wsc_message message;
        bench_init(&bench, max, NULL);
        CHECK_INT(bench_frame(&bench, WSC_OPCODE_BINARY, false, data, sum, sum + 1,
                              &message, NULL),
                  WSC_NEED_DATA);
        size_t requests = bench.allocator.requests;
        enum wsc_status want = len > max - sum ? WSC_ERR_TOO_BIG : WSC_NEED_DATA;
        if (!CHECK_INT(bench_header(&bench, WSC_OPCODE_CONTINUATION, len, false),
                       want)) {
            printf("sum %zu, length %llu, limit %zu\n", sum, (unsigned long long)len,
                   max);
        }
        CHECK_INT(bench.allocator.requests, requests);
        CHECK(want == WSC_NEED_DATA || bench.allocator.live_bytes == 0);
        bench_fini(&bench);
    }
    free(data);
}

/* LEN-3: a header that announces much costs nothing until bytes come. */
static void an_announcement_costs_nothing(void)
{
    struct bench bench;
    bench_init(&bench, WSC_MESSAGE_SIZE_MAX, NULL);
    CHECK_INT(bench_header(&bench, WSC_OPCODE_BINARY, WSC_MESSAGE_SIZE_MAX, true),
              WSC_NEED_DATA);
    CHECK_INT(bench.allocator.requests, 0);
    struct wsc_frame_header header = {
        .fin = true, .opcode = WSC_OPCODE_BINARY, .payload_len = WSC_MESSAGE_SIZE_MAX};
    struct wsc_slice slice = {.data = (const uint8_t *)"x", .len = 1, .offset = 0};
    struct wsc_message message;
    CHECK_INT(wsc_assembler_add(&bench.assembler, &header, &slice, &message),
              WSC_NEED_DATA);
    CHECK(bench.allocator.live_bytes <= 4096);
    bench_fini(&bench);
}

/* FRG-4: one frame of 1 MiB in pieces of one byte, and of 1,460. */
static void memory_follows_what_has_come(void)
{
    static const size_t steps[] = {1, 1460};
    size_t len = 1 << 20;
    uint8_t *data = letters(len);
    for (size_t s = 0; s < 2; s++) {
        struct bench bench;
        struct wsc_message message;
        enum wsc_status status = WSC_NEED_DATA;
        struct wsc_frame_header header = {
            .fin = true, .opcode = WSC_OPCODE_TEXT, .payload_len = len};
        bench_init(&bench, len, NULL);
        for (size_t done = 0; done < len;) {
            size_t n = len - done < steps[s] ? len - done : steps[s];
            struct wsc_slice slice = {.data = data + done,
                                      .len = n,
                                      .offset = done,
                                      .begins = done == 0,
                                      .ends = done + n == len};
            status = wsc_assembler_add(&bench.assembler, &header, &slice, &message);
            done += n;
            if (bench.allocator.live_bytes > done + done / 2 + 4096) {
                CHECK_INT(bench.allocator.live_bytes, done);
                break;
            }
        }
        CHECK_INT(status, WSC_OK);
        CHECK_BYTES(message.data, message.len, data, len);
        CHECK_INT(bench.allocator.live_bytes, len);
        bench_drop(&bench, &message);
        bench_fini(&bench);
    }
    free(data);
}

/* --- fragments --- */

/* Seconds for `count` fragments of one byte, never finished. */
static double many_fragments(size_t count)
{
    struct bench bench;
    struct wsc_frame_header header = {.opcode = WSC_OPCODE_BINARY, .payload_len = 1};
    struct wsc_slice slice = {
        .data = (const uint8_t *)"x", .len = 1, .begins = true, .ends = true};
    struct wsc_message message;
    bench_init(&bench, 1 << 20, NULL);
    clock_t start = clock();
    for (size_t i = 0; i < count; i++) {
        if (!CHECK_INT(wsc_assembler_add(&bench.assembler, &header, &slice, &message),
                       WSC_NEED_DATA)) {
            break;
        }
        header.opcode = WSC_OPCODE_CONTINUATION;
    }
    double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    CHECK(bench.allocator.live_bytes <= count + count / 2 + 4096);
    CHECK_INT(bench.allocator.live_blocks, 1);
    /* One contiguous buffer that grows by half: few requests. */
    CHECK(bench.allocator.requests < 40);
    bench_fini(&bench);
    return seconds;
}

/* FRG-1, FRG-3: 300,000 fragments of one byte; twice as many take about twice as long.
 */
static void one_byte_fragments_never_finished(void)
{
    (void)many_fragments(300000);
    double best[2] = {1e9, 1e9};
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 2; i++) {
            double seconds = many_fragments(i == 0 ? 300000 : 600000);
            best[i] = seconds < best[i] ? seconds : best[i];
        }
    }
    printf("  300,000 fragments: %.4f s; 600,000: %.4f s\n", best[0], best[1]);
    CHECK(best[1] <= best[0] * 3 + 0.005);
}

/* FRG-2: empty continuations in a row, and alternating with one byte. */
static void empty_continuations(void)
{
    for (size_t count = 1023; count <= 1026; count++) {
        struct bench bench;
        struct wsc_message message;
        enum wsc_status status;
        bench_init(&bench, 100, NULL);
        status =
            bench_frame(&bench, WSC_OPCODE_TEXT, false, NULL, 0, 1, &message, NULL);
        for (size_t i = 0; i < count && status == WSC_NEED_DATA; i++) {
            status = bench_frame(&bench, WSC_OPCODE_CONTINUATION, false, NULL, 0, 1,
                                 &message, NULL);
        }
        CHECK_INT(status, count > 1024 ? WSC_ERR_POLICY : WSC_NEED_DATA);
        CHECK_INT(bench.allocator.requests, 0);
        if (count <= 1024) {
            CHECK_INT(bench_frame(&bench, WSC_OPCODE_CONTINUATION, true, NULL, 0, 1,
                                  &message, NULL),
                      WSC_OK);
            CHECK(message.len == 0 && message.data == NULL && message.fin);
        }
        bench_fini(&bench);
    }
    struct bench bench;
    struct wsc_message message = {0};
    bench_init(&bench, 5000, NULL);
    enum wsc_opcode opcode = WSC_OPCODE_BINARY;
    for (size_t i = 0; i < 5000; i++) {
        CHECK_INT(bench_frame(&bench, opcode, false, NULL, 0, 1, &message, NULL),
                  WSC_NEED_DATA);
        opcode = WSC_OPCODE_CONTINUATION;
        CHECK_INT(bench_frame(&bench, opcode, false, "x", 1, 1, &message, NULL),
                  WSC_NEED_DATA);
    }
    CHECK_INT(bench_frame(&bench, opcode, true, NULL, 0, 1, &message, NULL), WSC_OK);
    CHECK_INT(message.len, 5000);
    bench_drop(&bench, &message);
    /* The count starts again with each message. */
    for (int k = 0; k < 3; k++) {
        CHECK_INT(
            bench_frame(&bench, WSC_OPCODE_TEXT, false, NULL, 0, 1, &message, NULL),
            WSC_NEED_DATA);
        for (int i = 0; i < 1000; i++) {
            CHECK_INT(bench_frame(&bench, WSC_OPCODE_CONTINUATION, false, NULL, 0, 1,
                                  &message, NULL),
                      WSC_NEED_DATA);
        }
        CHECK_INT(bench_frame(&bench, WSC_OPCODE_CONTINUATION, true, NULL, 0, 1,
                              &message, NULL),
                  WSC_OK);
    }
    bench_fini(&bench);
}

/* --- memory --- */

static bool out_of_memory_scenario(const struct wsc_allocator *allocator)
{
    struct bench bench;
    struct wsc_message message = {0};
    static uint8_t data[10000];
    enum wsc_status status = WSC_NEED_DATA;
    wsc_payload_memory_init(&bench.memory, allocator);
    wsc_assembler_init(&bench.assembler, &bench.memory, 1 << 20, NULL);
    for (int round = 0; round < 3 && status >= 0; round++) {
        bench.assembler.streaming = round == 2;
        for (int i = 0; i < 4 && status >= 0; i++) {
            memset(data, 'x', sizeof(data));
            /* A code point over two frames: streaming keeps its first byte. */
            memcpy(data + 9999, "\xC3", 1);
            memcpy(data, "\xA9", i > 0 ? 1 : 0);
            status =
                bench_frame(&bench, i == 0 ? WSC_OPCODE_TEXT : WSC_OPCODE_CONTINUATION,
                            i == 3, data, i == 3 ? 9999 : 10000, 3000, &message, NULL);
            CHECK(status >= 0 || status == WSC_ERR_NO_MEMORY);
            if (status == WSC_OK) {
                bench_drop(&bench, &message);
            }
        }
    }
    wsc_assembler_fini(&bench.assembler);
    return status == WSC_OK;
}

static void without_memory(void)
{
    test_every_allocation(out_of_memory_scenario);
}

TEST_MAIN(TEST(exactly_the_limit), TEST(sums_do_not_wrap),
          TEST(an_announcement_costs_nothing), TEST(memory_follows_what_has_come),
          TEST(one_byte_fragments_never_finished), TEST(empty_continuations),
          TEST(without_memory))

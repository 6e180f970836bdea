#include "bench.h"

#include <stdlib.h>

void bench_init(struct bench *bench, size_t max_size, struct wsc_deflate *deflate)
{
    test_allocator_init(&bench->allocator);
    wsc_payload_memory_init(&bench->memory, &bench->allocator.base);
    wsc_assembler_init(&bench->assembler, &bench->memory, max_size, deflate);
}

void bench_fini(struct bench *bench)
{
    wsc_assembler_fini(&bench->assembler);
    CHECK_INT(bench->allocator.live_blocks, 0);
}

void bench_drop(struct bench *bench, struct wsc_message *message)
{
    if (message->data != NULL) {
        bench->memory.free(bench->memory.ctx, message->kind, message->data);
        message->data = NULL;
    }
}

static const uint8_t key[4] = {0x5A, 0x00, 0xFF, 0x91};

enum wsc_status bench_frame(struct bench *bench, unsigned opcode, bool fin,
                            const void *payload, size_t len, size_t step,
                            struct wsc_message *out_message, size_t *out_done)
{
    struct wsc_frame_header header = {.fin = fin,
                                      .rsv1 = (opcode & BENCH_RSV1) != 0,
                                      .opcode = (uint8_t)(opcode % 16),
                                      .masked = true,
                                      .payload_len = len};
    memcpy(header.masking_key, key, 4);
    size_t done = 0;
    enum wsc_status status;
    do {
        size_t n = len - done < step ? len - done : step;
        uint8_t *masked = malloc(n > 0 ? n : 1);
        const uint8_t *data = payload;
        for (size_t i = 0; i < n; i++) {
            masked[i] = data[done + i] ^ key[(done + i) % 4];
        }
        struct wsc_slice slice = {.data = masked,
                                  .len = n,
                                  .offset = done,
                                  .begins = done == 0,
                                  .ends = done + n == len};
        status = wsc_assembler_add(&bench->assembler, &header, &slice, out_message);
        free(masked);
        done += n;
    } while (status == WSC_NEED_DATA && done < len);
    if (out_done != NULL) {
        *out_done = done;
    }
    return status;
}

enum wsc_status
bench_header(struct bench *bench, unsigned opcode, uint64_t payload_len, bool fin)
{
    struct wsc_frame_header header = {.fin = fin,
                                      .rsv1 = (opcode & BENCH_RSV1) != 0,
                                      .opcode = (uint8_t)(opcode % 16),
                                      .payload_len = payload_len};
    struct wsc_slice slice = {.begins = true, .ends = payload_len == 0};
    struct wsc_message message;
    return wsc_assembler_add(&bench->assembler, &header, &slice, &message);
}

/* An assembler by itself, on counted memory, for its tests. */
#ifndef BENCH_H
#define BENCH_H

#include "test.h"
#include "wsc/assembler.h"

struct bench {
    struct test_allocator allocator;
    struct wsc_payload_memory memory;
    struct wsc_assembler assembler;
};
void bench_init(struct bench *bench, size_t max_size, struct wsc_deflate *deflate);
/* Checks that nothing is left. */
void bench_fini(struct bench *bench);
/* Free a message's payload. */
void bench_drop(struct bench *bench, struct wsc_message *message);

/* One frame in slices of at most `step` bytes; stops at the first status that is not
 * WSC_NEED_DATA. *out_done (may be NULL): payload bytes added. `opcode` may have
 * BENCH_RSV1 or-ed to it. */
#define BENCH_RSV1 0x40U
enum wsc_status bench_frame(struct bench *bench, unsigned opcode, bool fin,
                            const void *payload, size_t len, size_t step,
                            struct wsc_message *out_message, size_t *out_done);
/* Only a frame's header. */
enum wsc_status
bench_header(struct bench *bench, unsigned opcode, uint64_t payload_len, bool fin);

#endif

/* What the fuzz targets share. Each target is one program that checks its own
 * invariants and aborts when one does not hold: libFuzzer keeps the input then, and
 * replay.c gives stored inputs to the same function. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wsc/alloc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUIRE(condition)                                                             \
    do {                                                                               \
        if (!(condition)) {                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__,          \
                    #condition);                                                       \
            abort();                                                                   \
        }                                                                              \
    } while (0)

/* --- input, read from the front --- */

struct input {
    const uint8_t *data;
    size_t size;
};
static inline uint8_t take_byte(struct input *input)
{
    if (input->size == 0) {
        return 0;
    }
    input->size--;
    return *input->data++;
}
static inline const uint8_t *take(struct input *input, size_t size)
{
    const uint8_t *data = input->data;
    input->data += size;
    input->size -= size;
    return data;
}

/* Sizes of pieces from a seed: mostly small ones. */
static inline size_t next_piece(uint32_t *seed, size_t left)
{
    *seed = *seed * 1664525U + 1013904223U;
    size_t size = 1 + (*seed >> 16) % ((*seed >> 8) % 4 == 0 ? 3000 : 9);
    return size < left ? size : left;
}

/* A copy in memory of exactly this size, so that a read past the end is seen. */
static inline uint8_t *exact_copy(const void *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    REQUIRE(copy != NULL);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

/* --- bytes that grow --- */

struct text {
    uint8_t *data;
    size_t len;
    size_t cap;
};
static inline void text_add(struct text *text, const void *data, size_t len)
{
    if (text->cap - text->len < len) {
        text->cap = text->cap * 2 + len + 64;
        text->data = realloc(text->data, text->cap);
        REQUIRE(text->data != NULL);
    }
    if (len > 0) {
        memcpy(text->data + text->len, data, len);
    }
    text->len += len;
}
static inline void text_add_int(struct text *text, long long value)
{
    text_add(text, &value, sizeof(value));
}
static inline bool text_equal(const struct text *a, const struct text *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}
static inline void text_free(struct text *text)
{
    free(text->data);
    memset(text, 0, sizeof(*text));
}

/* --- memory that is counted, and may be refused --- */

struct counter {
    struct wsc_allocator base;
    size_t live;
    size_t peak;
    size_t requests;
    size_t fail_at; /* this request fails; 0: none */
};

#define COUNTER_PREFIX 16

static inline void *counter_realloc(void *ctx, void *ptr, size_t size)
{
    struct counter *counter = ctx;
    uint8_t *block = ptr == NULL ? NULL : (uint8_t *)ptr - COUNTER_PREFIX;
    size_t old = 0;
    if (++counter->requests == counter->fail_at) {
        return NULL;
    }
    if (block != NULL) {
        memcpy(&old, block, sizeof(old));
    }
    block = realloc(block, COUNTER_PREFIX + size);
    REQUIRE(block != NULL);
    memcpy(block, &size, sizeof(size));
    counter->live += size - old;
    counter->peak = counter->live > counter->peak ? counter->live : counter->peak;
    return block + COUNTER_PREFIX;
}
static inline void *counter_alloc(void *ctx, size_t size)
{
    return counter_realloc(ctx, NULL, size);
}
static inline void counter_free(void *ctx, void *ptr)
{
    struct counter *counter = ctx;
    if (ptr != NULL) {
        size_t size;
        memcpy(&size, (uint8_t *)ptr - COUNTER_PREFIX, sizeof(size));
        counter->live -= size;
        free((uint8_t *)ptr - COUNTER_PREFIX);
    }
}
static inline void counter_init(struct counter *counter)
{
    memset(counter, 0, sizeof(*counter));
    counter->base.ctx = counter;
    counter->base.alloc = counter_alloc;
    counter->base.realloc = counter_realloc;
    counter->base.free = counter_free;
}

#endif

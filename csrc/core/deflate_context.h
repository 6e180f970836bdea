/* zlib contexts with what belongs to them: allocator, parameters, accounting. Internal
 * to the core; with the deflate*.c files the only place that sees zlib.h. */
#ifndef WSC_DEFLATE_CONTEXT_H
#define WSC_DEFLATE_CONTEXT_H

#define ZLIB_CONST
#include <zlib.h>

#include "wsc/deflate.h"

/* Earlier ones have CVE-2018-25032 and CVE-2022-37434; zlib-ng never had them. */
#if ZLIB_VERNUM < 0x12d0 && !defined(ZLIBNG_VERNUM)
#error "libwsc needs zlib 1.2.13 or later, or a compatible zlib-ng"
#endif

/* Contexts with the same key can stand in for each other. */
struct wsc_deflate_key {
    bool inflates;
    uint8_t window_bits; /* 9-15 */
    int level;           /* 0 when it inflates, and mem_level too */
    int mem_level;
};

struct wsc_deflate_context {
    z_stream stream;
    struct wsc_deflate_key key;
    const struct wsc_allocator *allocator;
    size_t
        bytes; /* this struct, and what zlib has allocated: it frees only at the end */
    struct wsc_deflate_context *next; /* in the pool: idle, or resting and older */

    /* Of a connection with takeover, between its messages: deflate_rest.c. */
    struct wsc_deflate *resting_of; /* NULL: does not rest */
    struct wsc_deflate_context *newer;
    uint32_t rested_at; /* by the pool's clock */
    bool rested;        /* at least once since it was taken */
};

/* Contexts that keep a connection's window, the one that was used last first. Those in
 * use are on no list: whatever is here can be taken away. */
struct wsc_deflate_resting {
    struct wsc_deflate_context *newest;
    struct wsc_deflate_context *oldest;
    size_t bytes;
    size_t max_bytes;
    size_t count;
    uint32_t clock; /* times that one came to rest */
};

struct wsc_deflate_pool {
    const struct wsc_allocator *allocator;
    size_t max_idle;
    size_t idle;
    struct wsc_deflate_context *first;
    struct wsc_deflate_resting resting;
};

WSC_NODISCARD enum wsc_status
wsc_deflate_context_new(const struct wsc_allocator *allocator,
                        const struct wsc_deflate_key *key,
                        struct wsc_deflate_context **out_context);
/* `context` may be NULL. */
void wsc_deflate_context_free(struct wsc_deflate_context *context);
/* As new: no window, no input, no output. False if zlib refuses; then free it. */
WSC_NODISCARD bool wsc_deflate_context_reset(struct wsc_deflate_context *context);

/* A context from the pool, or a new one on the pool's allocator. */
WSC_NODISCARD enum wsc_status
wsc_deflate_pool_take(struct wsc_deflate_pool *pool, const struct wsc_deflate_key *key,
                      struct wsc_deflate_context **out_context);
/* Resets the context and keeps it; the one that has been idle longest gives way. */
void wsc_deflate_pool_give(struct wsc_deflate_pool *pool,
                           struct wsc_deflate_context *context);

/* A context comes to rest, the last one of all; and leaves, for whatever reason. */
void wsc_deflate_resting_add(struct wsc_deflate_resting *list,
                             struct wsc_deflate_context *context);
void wsc_deflate_resting_remove(struct wsc_deflate_resting *list,
                                struct wsc_deflate_context *context);

/* wsc_deflate_check_zlib for any version string. */
bool wsc_deflate_version_trusted(const char *version);

#endif

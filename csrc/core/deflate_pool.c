/* Contexts that are not in use, in two lists, most recently used first: those that keep
 * nothing and belong to nobody (a loop has few different keys, and the context that was
 * used last is the one still in the processor's cache), and those that rest. */
#include "deflate_context.h"

enum wsc_status wsc_deflate_pool_new(const struct wsc_allocator *allocator,
                                     size_t max_idle, size_t max_resting,
                                     struct wsc_deflate_pool **out_pool)
{
    struct wsc_deflate_pool *pool = wsc_alloc_zeroed(allocator, sizeof(*pool));
    if (pool == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    pool->allocator = allocator;
    pool->max_idle = max_idle;
    pool->resting.max_bytes = max_resting;
    *out_pool = pool;
    return WSC_OK;
}

void wsc_deflate_pool_free(struct wsc_deflate_pool *pool)
{
    if (pool == NULL) {
        return;
    }
    while (pool->first != NULL) {
        struct wsc_deflate_context *context = pool->first;
        pool->first = context->next;
        wsc_deflate_context_free(context);
    }
    wsc_free(pool->allocator, pool);
}

static bool key_equals(const struct wsc_deflate_key *a, const struct wsc_deflate_key *b)
{
    return a->inflates == b->inflates && a->window_bits == b->window_bits &&
           a->level == b->level && a->mem_level == b->mem_level;
}

enum wsc_status wsc_deflate_pool_take(struct wsc_deflate_pool *pool,
                                      const struct wsc_deflate_key *key,
                                      struct wsc_deflate_context **out_context)
{
    struct wsc_deflate_context **link = &pool->first;
    while (*link != NULL && !key_equals(&(*link)->key, key)) {
        link = &(*link)->next;
    }
    if (*link == NULL) {
        return wsc_deflate_context_new(pool->allocator, key, out_context);
    }
    struct wsc_deflate_context *context = *link;
    *link = context->next;
    context->next = NULL;
    pool->idle--;
    *out_context = context;
    return WSC_OK;
}

static void drop_last(struct wsc_deflate_pool *pool)
{
    struct wsc_deflate_context **link = &pool->first;
    while ((*link)->next != NULL) {
        link = &(*link)->next;
    }
    wsc_deflate_context_free(*link);
    *link = NULL;
    pool->idle--;
}

void wsc_deflate_pool_give(struct wsc_deflate_pool *pool,
                           struct wsc_deflate_context *context)
{
    if (pool->max_idle == 0 || !wsc_deflate_context_reset(context)) {
        wsc_deflate_context_free(context);
        return;
    }
    if (pool->idle == pool->max_idle) {
        drop_last(pool);
    }
    context->rested = false;
    context->next = pool->first;
    pool->first = context;
    pool->idle++;
}

/* ---- Those that rest ---- */

void wsc_deflate_resting_add(struct wsc_deflate_resting *list,
                             struct wsc_deflate_context *context)
{
    context->newer = NULL;
    context->next = list->newest;
    if (list->newest != NULL) {
        list->newest->newer = context;
    }
    else {
        list->oldest = context;
    }
    list->newest = context;
    list->bytes += context->bytes;
    list->count++;
}

void wsc_deflate_resting_remove(struct wsc_deflate_resting *list,
                                struct wsc_deflate_context *context)
{
    *(context->newer != NULL ? &context->newer->next : &list->newest) = context->next;
    *(context->next != NULL ? &context->next->newer : &list->oldest) = context->newer;
    context->newer = NULL;
    context->next = NULL;
    list->bytes -= context->bytes; /* zlib allocates only in use */
    list->count--;
}

size_t wsc_deflate_pool_resting(const struct wsc_deflate_pool *pool)
{
    return pool->resting.bytes;
}

#include "common/pool.h"

/* zlib's contexts of an interpreter. Messages that share no window with others, those
 * of connections without context takeover and broadcasts, borrow one each. Connections
 * with context takeover keep theirs, as long as together they stay within the limit.
 *
 * The lock is the interpreter's: the core is never left in the middle of a call. Free-
 * threaded builds have none, so there each connection keeps its own. */

#define MAX_IDLE 8 /* of up to 260 KB each */
/* Some 200 connections that compress both ways, with windows of 12 bits. */
#define MAX_RESTING ((size_t)8 << 20)

struct pywsc_pool {
    size_t users;
    struct wsc_deflate_pool *contexts;
};

#ifdef Py_GIL_DISABLED

struct pywsc_pool *pywsc_pool_hold(struct pywsc_state *state)
{
    (void)state;
    return NULL;
}

#else

static struct pywsc_pool *pool_new(void)
{
    struct pywsc_pool *pool = wsc_alloc(&pywsc_allocator, sizeof(*pool));
    if (pool == NULL) {
        return NULL;
    }
    pool->users = 1;
    if (wsc_deflate_pool_new(&pywsc_allocator, MAX_IDLE, MAX_RESTING,
                             &pool->contexts) != WSC_OK) {
        wsc_free(&pywsc_allocator, pool);
        return NULL;
    }
    return pool;
}

struct pywsc_pool *pywsc_pool_hold(struct pywsc_state *state)
{
    if (state->pool == NULL) {
        state->pool = pool_new();
    }
    if (state->pool != NULL) {
        state->pool->users++;
    }
    return state->pool;
}

#endif

struct wsc_deflate_pool *pywsc_pool_contexts(struct pywsc_pool *pool)
{
    return pool == NULL ? NULL : pool->contexts;
}

void pywsc_pool_release(struct pywsc_pool *pool)
{
    if (pool != NULL && --pool->users == 0) {
        wsc_deflate_pool_free(pool->contexts);
        wsc_free(&pywsc_allocator, pool);
    }
}

void pywsc_pool_forget(struct pywsc_state *state)
{
    pywsc_pool_release(state->pool);
    state->pool = NULL;
}

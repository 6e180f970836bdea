/* What a connection holds of zlib contexts, and of what is kept in their place: taken,
 * given back, thrown away. */
#include "deflate_private.h"

bool wsc_deflate_peer_takeover(const struct wsc_deflate *deflate)
{
    return deflate->role == WSC_ROLE_SERVER
               ? !deflate->params.client_no_context_takeover
               : !deflate->params.server_no_context_takeover;
}

void wsc_deflate_wake(struct wsc_deflate_context *context)
{
    if (context != NULL && context->resting_of != NULL) {
        wsc_deflate_resting_remove(&context->resting_of->pool->resting, context);
        context->resting_of = NULL;
    }
}

enum wsc_status wsc_deflate_acquire(struct wsc_deflate *deflate,
                                    const struct wsc_deflate_key *key,
                                    struct wsc_deflate_context **out_context)
{
    if (deflate->pool != NULL) {
        return wsc_deflate_pool_take(deflate->pool, key, out_context);
    }
    return wsc_deflate_context_new(deflate->allocator, key, out_context);
}

void wsc_deflate_drop(struct wsc_deflate_context **context)
{
    wsc_deflate_wake(*context);
    wsc_deflate_context_free(*context);
    *context = NULL;
}

void wsc_deflate_release(struct wsc_deflate *deflate,
                         struct wsc_deflate_context **context)
{
    if (*context == NULL || deflate->pool == NULL) {
        wsc_deflate_drop(context);
        return;
    }
    wsc_deflate_wake(*context);
    wsc_deflate_pool_give(deflate->pool, *context);
    *context = NULL;
}

void wsc_deflate_forget_message(struct wsc_deflate *deflate,
                                struct wsc_deflate_context **context)
{
    if (*context != NULL &&
        (deflate->pool != NULL || !wsc_deflate_context_reset(*context))) {
        wsc_deflate_release(deflate, context);
    }
}

void wsc_deflate_window_free(struct wsc_deflate *deflate)
{
    wsc_free(deflate->allocator, deflate->window);
    deflate->window = NULL;
    deflate->window_len = 0;
}

void wsc_deflate_history_free(struct wsc_deflate *deflate)
{
    wsc_free(deflate->allocator, deflate->history);
    deflate->history = NULL;
    deflate->history_len = 0;
}

#include "wsc/engine.h"

#include <string.h>
#include <unistd.h>

#include "source.h"
#include "tls.h"

#define ACCEPTS_PER_POLL 64

enum wsc_status wsc_engine_new(const struct wsc_allocator *allocator,
                               size_t receive_size, struct wsc_engine **out_engine)
{
    struct wsc_engine *engine = wsc_alloc_zeroed(allocator, sizeof(*engine));
    if (engine == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    engine->allocator = allocator;
    engine->spare = -1;
    engine->accepted.fd = -1;
    engine->poller = -1;
    engine->bell = -1;
    engine->buffer_size = receive_size;
    engine->buffer = wsc_alloc(allocator, receive_size);
    engine->ahead = wsc_alloc(allocator, WSC_AHEAD_SIZE);
    if (engine->buffer == NULL || engine->ahead == NULL) {
        wsc_engine_free(engine);
        return WSC_ERR_NO_MEMORY;
    }
    engine->poller = wsc_poller_new();
    engine->spare = wsc_acceptor_open_spare();
    if (engine->poller < 0 || engine->spare < 0 ||
        wsc_poller_add_bell(engine->poller, &engine->bell) < 0) {
        wsc_engine_free(engine);
        return WSC_ERR_IO;
    }
    *out_engine = engine;
    return WSC_OK;
}

void wsc_engine_free(struct wsc_engine *engine)
{
    if (engine == NULL) {
        return;
    }
    while (engine->sources != NULL) {
        struct wsc_source *source = engine->sources;
        int fd = source->is_acceptor ? -1 : source->fd;
        wsc_source_free(source);
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    if (engine->poller >= 0) {
        (void)close(engine->poller);
    }
    if (engine->bell >= 0) {
        (void)close(engine->bell);
    }
    if (engine->spare >= 0) {
        (void)close(engine->spare);
    }
    wsc_tls_shared_free(engine->tls);
    wsc_free(engine->allocator, engine->ahead);
    wsc_free(engine->allocator, engine->buffer);
    wsc_free(engine->allocator, engine);
}

void wsc_engine_forget(struct wsc_engine *engine)
{
    if (engine->poller >= 0) {
        wsc_poller_forget(engine->poller);
        engine->poller = -1;
    }
    for (struct wsc_source *source = engine->sources; source != NULL;
         source = source->next) {
        source->interest.read = false;
        source->interest.write = false;
    }
    engine->ready_count = 0;
    engine->ready_next = 0;
    engine->ahead_end = 0;
}

int wsc_engine_fd(const struct wsc_engine *engine)
{
    return engine->poller;
}

void wsc_engine_ring(struct wsc_engine *engine)
{
    if (!engine->rung && engine->poller >= 0) {
        engine->rung = true;
        wsc_poller_ring(engine->poller, engine->bell);
    }
}

/* Closed after the poll, or nothing in it that was not looked at. */
static bool is_spent(const struct wsc_ready *ready)
{
    return ready->owner == NULL || !(ready->readable || ready->writable);
}

size_t wsc_engine_poll(struct wsc_engine *engine, int timeout_ms)
{
    while (engine->ready_next < engine->ready_count) {
        if (!is_spent(&engine->ready[engine->ready_next])) {
            return engine->ready_count - engine->ready_next;
        }
        engine->ready_next++;
    }
    engine->ready_next = 0;
    engine->rung = false;
    engine->ready_count = wsc_poller_wait(engine->poller, timeout_ms, engine->ready);
    engine->accepts_left = ACCEPTS_PER_POLL;
    engine->ahead_end = 0;
    return engine->ready_count;
}

/* The kernel's part for several sockets in a row, then everybody else's: the caches of
 * a processor don't hold both. Not worth it for one socket. */
static void receive_ahead(struct wsc_engine *engine)
{
    size_t used = 0; /* each receiving adds a window at most, for which there is room */
    size_t at = engine->ready_next; /* below ready_count */
    size_t end = engine->ready_count - at < WSC_AHEAD_ENTRIES ? engine->ready_count
                                                              : at + WSC_AHEAD_ENTRIES;
    bool alone = end - at == 1;
    for (; at < end && WSC_AHEAD_SIZE - used >= WSC_AHEAD_WINDOW; at++) {
        struct wsc_ready *ready = &engine->ready[at];
        struct wsc_source *source = ready->owner;
        if (!alone && !is_spent(ready) && !source->is_acceptor) {
            used += wsc_link_receive_ahead((struct wsc_link *)source, ready,
                                           engine->ahead + used);
        }
    }
    engine->ahead_end = at;
}

bool wsc_engine_has_received(const struct wsc_engine *engine)
{
    for (size_t at = engine->ready_next; at < engine->ahead_end; at++) {
        if (engine->ready[at].owner != NULL && engine->ready[at].ahead != NULL) {
            return true;
        }
    }
    return false;
}

static bool
next_of(struct wsc_source *source, struct wsc_ready *ready, struct wsc_io *out)
{
    if (source->is_acceptor) {
        return wsc_acceptor_next((struct wsc_acceptor *)source, out);
    }
    return wsc_link_next((struct wsc_link *)source, ready, out);
}

bool wsc_engine_next(struct wsc_engine *engine, struct wsc_io *out)
{
    engine->accepted.fd = -1;
    for (; engine->ready_next < engine->ready_count; engine->ready_next++) {
        struct wsc_ready *ready = &engine->ready[engine->ready_next];
        if (is_spent(ready)) {
            continue;
        }
        if (engine->ready_next >= engine->ahead_end) {
            receive_ahead(engine);
        }
        struct wsc_source *source = ready->owner;
        memset(out, 0, sizeof(*out));
        out->owner = source->owner;
        out->fd = -1;
        if (next_of(source, ready, out)) {
            return true;
        }
    }
    return false;
}

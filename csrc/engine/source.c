#include "source.h"

#include <string.h>

#include "tls.h"

void wsc_source_init(struct wsc_source *source, struct wsc_engine *engine, int fd,
                     void *owner, bool is_acceptor)
{
    memset(source, 0, sizeof(*source));
    source->engine = engine;
    source->fd = fd;
    source->owner = owner;
    source->is_acceptor = is_acceptor;
    source->next = engine->sources;
    if (engine->sources != NULL) {
        engine->sources->previous = source;
    }
    engine->sources = source;
}

int wsc_source_watch(struct wsc_source *source, bool read, bool write)
{
    struct wsc_interest interest = {read, write};
    return wsc_poller_set(source->engine->poller, source->fd, source, &source->interest,
                          interest);
}

void wsc_source_free(struct wsc_source *source)
{
    struct wsc_engine *engine = source->engine;
    (void)wsc_source_watch(source, false, false);
    if (source->fd == engine->accepted.fd) {
        engine->accepted.fd = -1; /* another may get its number now */
    }
    for (size_t i = engine->ready_next; i < engine->ready_count; i++) {
        if (engine->ready[i].owner == source) {
            engine->ready[i].owner = NULL;
        }
    }
    if (source->previous != NULL) {
        source->previous->next = source->next;
    }
    else {
        engine->sources = source->next;
    }
    if (source->next != NULL) {
        source->next->previous = source->previous;
    }
    if (!source->is_acceptor) {
        struct wsc_link *link = (struct wsc_link *)source;
        wsc_tls_free(link->tls);
        wsc_free(engine->allocator, link->proxy_header);
    }
    wsc_free(engine->allocator, source);
}

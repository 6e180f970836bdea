#include "poller.h"

#if WSC_HAVE_ENGINE && !WSC_POLLER_KQUEUE

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

int wsc_poller_new(void)
{
    return epoll_create1(EPOLL_CLOEXEC);
}

static bool is_watched(struct wsc_interest interest)
{
    return interest.read || interest.write;
}

int wsc_poller_set(int poller, int fd, void *owner, struct wsc_interest *was,
                   struct wsc_interest now)
{
    struct epoll_event event;
    if (was->read == now.read && was->write == now.write) {
        return 0;
    }
    memset(&event, 0, sizeof(event));
    event.events =
        (now.read ? (uint32_t)EPOLLIN : 0) | (now.write ? (uint32_t)EPOLLOUT : 0);
    event.data.ptr = owner;
    int operation = !is_watched(now)   ? EPOLL_CTL_DEL
                    : is_watched(*was) ? EPOLL_CTL_MOD
                                       : EPOLL_CTL_ADD;
    if (epoll_ctl(poller, operation, fd, &event) < 0) {
        return -1;
    }
    *was = now;
    return 0;
}

size_t wsc_poller_wait(int poller, int timeout_ms, struct wsc_ready *out)
{
    struct epoll_event events[WSC_POLLER_BATCH];
    int count = epoll_wait(poller, events, WSC_POLLER_BATCH, timeout_ms);
    size_t ready = 0;
    for (int i = 0; i < count; i++) {
        uint32_t what = events[i].events;
        if (events[i].data.ptr == NULL) {
            continue; /* the bell */
        }
        out[ready++] = (struct wsc_ready){
            .owner = events[i].data.ptr,
            .readable = (what & ((uint32_t)EPOLLIN | EPOLLERR | EPOLLHUP)) != 0,
            .writable = (what & (uint32_t)EPOLLOUT) != 0,
        };
    }
    return ready;
}

/* Edge-triggered: the wait that finds it ends it, and nobody has to read. */
int wsc_poller_add_bell(int poller, int *out_bell)
{
    struct epoll_event event;
    int bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (bell < 0) {
        return -1;
    }
    memset(&event, 0, sizeof(event));
    event.events = (uint32_t)EPOLLIN | EPOLLET;
    if (epoll_ctl(poller, EPOLL_CTL_ADD, bell, &event) < 0) {
        int error = errno;
        (void)close(bell);
        errno = error;
        return -1;
    }
    *out_bell = bell;
    return 0;
}

void wsc_poller_ring(int poller, int bell)
{
    const uint64_t one = 1;
    (void)poller;
    ssize_t written = write(bell, &one, sizeof(one));
    (void)written; /* it can't fail before it has been rung 2^64 times */
}

/* Parent and child have one epoll set: closing our descriptor of it changes nothing
 * there, removing sockets from it would. */
void wsc_poller_forget(int poller)
{
    (void)close(poller);
}

#endif

#include "poller.h"

#if WSC_HAVE_ENGINE && !WSC_POLLER_KQUEUE

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
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
    for (int i = 0; i < count; i++) {
        uint32_t what = events[i].events;
        out[i] = (struct wsc_ready){
            .owner = events[i].data.ptr,
            .readable = (what & ((uint32_t)EPOLLIN | EPOLLERR | EPOLLHUP)) != 0,
            .writable = (what & (uint32_t)EPOLLOUT) != 0,
        };
    }
    return count > 0 ? (size_t)count : 0;
}

/* Parent and child have one epoll set: closing our descriptor of it changes nothing
 * there, removing sockets from it would. */
void wsc_poller_forget(int poller)
{
    (void)close(poller);
}

#endif

#include "poller.h"

#if WSC_POLLER_KQUEUE

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/event.h>
#include <sys/time.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* kqueue has a filter for reading and one for writing where epoll has one entry: each
 * is added and deleted for itself, and their events are put together again. */

int wsc_poller_new(void)
{
    int poller = kqueue();
    if (poller >= 0 && fcntl(poller, F_SETFD, FD_CLOEXEC) < 0) {
        int error = errno;
        (void)close(poller);
        errno = error;
        return -1;
    }
    return poller;
}

static int
set_filter(int poller, int fd, int16_t filter, void *owner, bool *was, bool now)
{
    struct kevent change;
    if (*was == now) {
        return 0;
    }
    EV_SET(&change, (uintptr_t)fd, filter, now ? EV_ADD : EV_DELETE, 0, 0, owner);
    /* EINTR: kevent(2) says that the changes have been applied. */
    if (kevent(poller, &change, 1, NULL, 0, NULL) < 0 && errno != EINTR) {
        return -1;
    }
    *was = now;
    return 0;
}

int wsc_poller_set(int poller, int fd, void *owner, struct wsc_interest *was,
                   struct wsc_interest now)
{
    int read = set_filter(poller, fd, EVFILT_READ, owner, &was->read, now.read);
    int error = errno;
    int write = set_filter(poller, fd, EVFILT_WRITE, owner, &was->write, now.write);
    if (read < 0) {
        errno = error;
    }
    return read < 0 || write < 0 ? -1 : 0;
}

/* The entry of this owner, a new one if it has none yet. */
static struct wsc_ready *entry_of(void *owner, struct wsc_ready *out, size_t *count)
{
    for (size_t i = 0; i < *count; i++) {
        if (out[i].owner == owner) {
            return &out[i];
        }
    }
    struct wsc_ready *entry = &out[(*count)++];
    memset(entry, 0, sizeof(*entry));
    entry->owner = owner;
    return entry;
}

/* The end and errors (EV_EOF) need no look: they come with a filter that is watched,
 * and the call that it stands for, recv or send, says what it is. */
size_t wsc_poller_wait(int poller, int timeout_ms, struct wsc_ready *out)
{
    struct kevent events[WSC_POLLER_BATCH];
    struct timespec timeout = {timeout_ms / 1000, (timeout_ms % 1000) * 1000000L};
    size_t count = 0;
    int got = kevent(poller, NULL, 0, events, WSC_POLLER_BATCH,
                     timeout_ms < 0 ? NULL : &timeout);
    /* Filters for writing are few: first those for reading, which are different
     * sockets, then look where the others belong. */
    for (int i = 0; i < got; i++) {
        if (events[i].filter == EVFILT_READ) {
            out[count++] =
                (struct wsc_ready){.owner = events[i].udata, .readable = true};
        }
    }
    for (int i = 0; i < got; i++) {
        if (events[i].filter == EVFILT_WRITE) {
            entry_of(events[i].udata, out, &count)->writable = true;
        }
    }
    return count;
}

int wsc_poller_add_bell(int poller, int *out_bell)
{
    struct kevent change;
    EV_SET(&change, 0, EVFILT_USER, EV_ADD | EV_CLEAR, 0, 0, NULL);
    *out_bell = -1;
    return kevent(poller, &change, 1, NULL, 0, NULL) < 0 ? -1 : 0;
}

void wsc_poller_ring(int poller, int bell)
{
    struct kevent change;
    (void)bell;
    EV_SET(&change, 0, EVFILT_USER, 0, NOTE_TRIGGER, 0, NULL);
    (void)kevent(poller, &change, 1, NULL, 0, NULL);
}

/* fork() does not hand a kqueue down: the number may be somebody else's by now. */
void wsc_poller_forget(int poller)
{
    (void)poller;
}

#endif

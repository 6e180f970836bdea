/* kqueue for Linux, as far as csrc/engine/poller_kqueue.c uses it: for tests only, with
 * -DWSC_POLLER_KQUEUE=1 and this folder on the include path. See kqueue(2) of FreeBSD;
 * the numbers are our own. */
#ifndef KQUEUE_SYS_EVENT_H
#define KQUEUE_SYS_EVENT_H

#include <stdint.h>
#include <time.h>

#define EVFILT_READ  (-1)
#define EVFILT_WRITE (-2)
#define EVFILT_USER  (-10)

#define EV_ADD    0x0001
#define EV_DELETE 0x0002
#define EV_CLEAR  0x0020
#define EV_EOF    0x8000

#define NOTE_TRIGGER 0x01000000

struct kevent {
    uintptr_t ident;
    int16_t filter;
    uint16_t flags;
    uint32_t fflags;
    int64_t data;
    void *udata;
};

#define EV_SET(event, ident_, filter_, flags_, fflags_, data_, udata_)                 \
    (*(event) = (struct kevent){.ident = (ident_),                                     \
                                .filter = (filter_),                                   \
                                .flags = (uint16_t)(flags_),                           \
                                .fflags = (fflags_),                                   \
                                .data = (data_),                                       \
                                .udata = (udata_)})

int kqueue(void);
int kevent(int queue, const struct kevent *changes, int change_count,
           struct kevent *events, int event_count, const struct timespec *timeout);

#endif

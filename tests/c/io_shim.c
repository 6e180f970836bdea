#include "io_shim.h"

#ifdef __linux__

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct io_fault fault;
static size_t calls[IO_CALLS];
static size_t hits;

void io_shim_set(const struct io_fault *wanted)
{
    memset(&fault, 0, sizeof(fault));
    memset(calls, 0, sizeof(calls));
    hits = 0;
    if (wanted != NULL) {
        fault = *wanted;
    }
}

size_t io_shim_calls(enum io_call call)
{
    return calls[call];
}

size_t io_shim_hits(void)
{
    return hits;
}

/* 0: go on; otherwise the fault, with errno set if it is one. */
static int next_call(enum io_call call)
{
    size_t n = ++calls[call];
    if (fault.at == 0 || call != fault.call || n < fault.at) {
        return 0;
    }
    bool hit = fault.every == 0 ? n == fault.at : (n - fault.at) % fault.every == 0;
    if (!hit) {
        return 0;
    }
    hits++;
    if (fault.error != IO_ONE_BYTE) {
        errno = fault.error;
    }
    return fault.error;
}

int accept4(int fd, struct sockaddr *address, socklen_t *len, int flags)
{
    return next_call(IO_ACCEPT) != 0
               ? -1
               : (int)syscall(SYS_accept4, fd, address, len, flags);
}

ssize_t recv(int fd, void *data, size_t len, int flags)
{
    int what = next_call(IO_RECV);
    if (what > 0) {
        return -1;
    }
    return syscall(SYS_recvfrom, fd, data, what == IO_ONE_BYTE && len > 0 ? 1 : len,
                   flags, NULL, NULL);
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
    int what = next_call(IO_SEND);
    if (what > 0) {
        return -1;
    }
    len = what == IO_ONE_BYTE && len > 0 ? 1 : len;
    return syscall(SYS_sendto, fd, data, len, flags, NULL, 0);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    int what = next_call(IO_SEND);
    if (what > 0) {
        return -1;
    }
    if (what == IO_ONE_BYTE && message->msg_iovlen > 0) {
        return syscall(SYS_sendto, fd, message->msg_iov[0].iov_base, 1, flags, NULL, 0);
    }
    return syscall(SYS_sendmsg, fd, message, flags);
}

int epoll_ctl(int set, int operation, int fd, struct epoll_event *event)
{
    if (operation == EPOLL_CTL_ADD && next_call(IO_WATCH) != 0) {
        return -1;
    }
    return (int)syscall(SYS_epoll_ctl, set, operation, fd, event);
}

int epoll_wait(int set, struct epoll_event *events, int max, int timeout)
{
    if (next_call(IO_WAIT) != 0) {
        return -1;
    }
    return (int)syscall(SYS_epoll_pwait, set, events, max, timeout, NULL, 0);
}

#endif

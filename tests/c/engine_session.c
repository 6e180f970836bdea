#include "engine_session.h"

#ifdef __linux__

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "test.h"

#define INDEX_MAX 5000

size_t descriptors(void)
{
    size_t count = 0;
    DIR *directory = opendir("/proc/self/fd");
    while (directory != NULL && readdir(directory) != NULL) {
        count++;
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
    return count;
}

int listen_on_loopback(struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(*address);
    memset(address, 0, sizeof(*address));
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(fd, (const struct sockaddr *)address, sizeof(*address)) == 0);
    CHECK(listen(fd, 128) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)address, &len) == 0);
    return fd;
}

int connect_to(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0);
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    return fd;
}

void at_every_index(faulted_session *run, enum io_call call, int error, bool fatal)
{
    size_t at = 1;
    for (; at < INDEX_MAX; at++) {
        struct io_fault fault = {.call = call, .at = at, .error = error};
        struct faulted out = run(&fault);
        bool good = CHECK(!out.hung);
        good &= CHECK(out.complete || (fatal && out.reported));
        if (!good) {
            printf("call %d, index %zu, errno %d\n", (int)call, at, error);
            return;
        }
        if (out.hits == 0) {
            break;
        }
    }
    CHECK(at > 1 && at < INDEX_MAX);
}

void sends_fail_at_every_index(faulted_session *run)
{
    at_every_index(run, IO_SEND, EAGAIN, false);
    at_every_index(run, IO_SEND, EINTR, false);
    at_every_index(run, IO_SEND, ENOBUFS, false);
    at_every_index(run, IO_SEND, IO_ONE_BYTE, false);
    at_every_index(run, IO_SEND, ECONNRESET, true);
    at_every_index(run, IO_SEND, EPIPE, true);
}

void under_constant_faults(faulted_session *run)
{
    static const struct io_fault faults[] = {
        {IO_RECV, 1, 1, IO_ONE_BYTE}, {IO_SEND, 1, 1, IO_ONE_BYTE},
        {IO_RECV, 1, 2, EAGAIN},      {IO_SEND, 1, 2, EAGAIN},
        {IO_RECV, 1, 2, EINTR},       {IO_SEND, 1, 2, EINTR},
        {IO_SEND, 1, 3, ENOBUFS},     {IO_WAIT, 1, 2, EINTR},
    };
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        struct faulted out = run(&faults[i]);
        if (!CHECK(out.complete && !out.hung)) {
            printf("fault %zu\n", i);
        }
    }
}

#endif

#define _GNU_SOURCE /* accept4 */
#include "socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "wsc/engine.h"

#define PIECES  64
#define BACKLOG 128

/* What a peer may have sent before it has seen our end, in steps. */
#define DISCARD_STEP ((size_t)16 << 10)
#define DISCARD_MAX  ((size_t)256 << 10)

/* SIGPIPE is switched off per socket where that can be done: macOS has the flag in new
 * headers only, and old systems don't know it. */
#ifdef SO_NOSIGPIPE
#define SEND_FLAGS 0
#else
#define SEND_FLAGS MSG_NOSIGNAL
#endif

static enum wsc_status set_non_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0) {
        return WSC_ERR_IO;
    }
    return (flags & O_NONBLOCK) != 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0
               ? WSC_OK
               : WSC_ERR_IO;
}

#ifdef __APPLE__

/* No accept4: a fork() in another thread may inherit the socket before it is marked. */
static int accept_marked(int listening, struct sockaddr *address, socklen_t *len)
{
    int fd = accept(listening, address, len);
    if (fd >= 0 &&
        (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || set_non_blocking(fd) != WSC_OK)) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

#else

static int accept_marked(int listening, struct sockaddr *address, socklen_t *len)
{
    return accept4(listening, address, len, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

#endif

size_t wsc_socket_internet(const struct sockaddr_storage *address, size_t len,
                           uint8_t out_address[WSC_ADDRESS_SIZE])
{
    bool internet = address->ss_family == AF_INET || address->ss_family == AF_INET6;
    if (!internet || len > WSC_ADDRESS_SIZE) {
        return 0;
    }
    memcpy(out_address, address, len);
    return len;
}

int wsc_socket_accept(int listening, uint8_t out_address[WSC_ADDRESS_SIZE],
                      size_t *out_len)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof(address);
    int fd = accept_marked(listening, (struct sockaddr *)&address, &len);
    *out_len = fd >= 0 ? wsc_socket_internet(&address, len, out_address) : 0;
    return fd;
}

enum wsc_status wsc_socket_prepare(int fd)
{
    enum wsc_status status = set_non_blocking(fd);
    return status != WSC_OK ? status : wsc_socket_prepare_accepted(fd);
}

enum wsc_status wsc_socket_prepare_accepted(int fd)
{
    int on = 1;
#ifdef SO_NOSIGPIPE
    if (setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on)) < 0) {
        if (errno == EINVAL) {
            errno = ECONNRESET; /* macOS: both directions are shut down already */
        }
        return WSC_ERR_IO;
    }
#endif
    /* Fails for Unix sockets, which don't need it. Not of the listening socket: what
     * somebody's own has accepted before it was given to us would miss it. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return WSC_OK;
}

static ssize_t sent(ssize_t result)
{
#ifdef __APPLE__
    if (result < 0 && errno == EPROTOTYPE) {
        errno = EPIPE; /* macOS says so of a socket that is just being shut down */
    }
#endif
    return result;
}

ssize_t wsc_socket_receive(int fd, void *data, size_t size)
{
    ssize_t got = recv(fd, data, size, 0);
    return got < 0 ? -errno : got;
}

ssize_t wsc_socket_peek(int fd, void *data, size_t size)
{
    ssize_t got = recv(fd, data, size, MSG_PEEK);
    return got < 0 ? -errno : got;
}

void wsc_socket_discard(int fd)
{
    uint8_t data[DISCARD_STEP];
    for (size_t done = 0; done < DISCARD_MAX;) {
        ssize_t got = wsc_socket_receive(fd, data, sizeof(data));
        if (got <= 0 && got != -EINTR) {
            return;
        }
        done += got > 0 ? (size_t)got : 1;
    }
}

size_t wsc_socket_untaken(int fd)
{
    int size = 0;
#if defined(__linux__)
    int result = ioctl(fd, TIOCOUTQ, &size); /* SIOCOUTQ is its name for sockets */
#elif defined(SO_NWRITE)
    socklen_t len = sizeof(size);
    int result = getsockopt(fd, SOL_SOCKET, SO_NWRITE, &size, &len);
#elif defined(FIONWRITE)
    int result = ioctl(fd, FIONWRITE, &size);
#else
    int result = -1;
#endif
    return result < 0 || size < 0 ? 0 : (size_t)size;
}

bool wsc_socket_taken(int fd, uint64_t *out_count)
{
#ifdef __linux__
    /* struct tcp_info, as far as tcpi_bytes_acked: not all headers have that. */
    uint64_t info[16];
    socklen_t len = sizeof(info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &len) == 0 && len == sizeof(info)) {
        *out_count = info[15];
        return true;
    }
#else
    (void)fd;
#endif
    *out_count = 0;
    return false;
}

ssize_t wsc_socket_send(int fd, const void *data, size_t len)
{
    return sent(send(fd, data, len, SEND_FLAGS));
}

ssize_t wsc_socket_send_outgoing(int fd, const struct wsc_outgoing *outgoing,
                                 size_t *out_offered)
{
    struct wsc_outgoing_piece pieces[PIECES];
    struct iovec vectors[PIECES];
    size_t count = wsc_outgoing_peek(outgoing, pieces, PIECES);
    *out_offered = 0;
    if (count == 1) {
        *out_offered = pieces[0].len;
        return wsc_socket_send(fd, pieces[0].data, pieces[0].len);
    }
    for (size_t i = 0; i < count; i++) {
        union {
            const void *read_only;
            void *base;
        } data = {.read_only = pieces[i].data};
        vectors[i].iov_base = data.base;
        vectors[i].iov_len = pieces[i].len;
        *out_offered += pieces[i].len;
    }
    struct msghdr message;
    memset(&message, 0, sizeof(message));
    message.msg_iov = vectors;
    /* An int on some systems. */
    message.msg_iovlen = (__typeof__(message.msg_iovlen))count;
    return sent(sendmsg(fd, &message, SEND_FLAGS));
}

/* --- listening --- */

union address {
    struct sockaddr any;
    struct sockaddr_in ip4;
    struct sockaddr_in6 ip6;
};

/* Its size, 0 if the text is no address. */
static socklen_t parse_address(const char *text, uint16_t port, union address *out)
{
    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, text, &out->ip4.sin_addr) == 1) {
        out->ip4.sin_family = AF_INET;
        out->ip4.sin_port = htons(port);
        return sizeof(out->ip4);
    }
    if (inet_pton(AF_INET6, text, &out->ip6.sin6_addr) == 1) {
        out->ip6.sin6_family = AF_INET6;
        out->ip6.sin6_port = htons(port);
        return sizeof(out->ip6);
    }
    return 0;
}

static bool listen_on(int fd, union address *address, socklen_t len)
{
    int on = 1;
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && set_non_blocking(fd) == WSC_OK &&
           setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
           bind(fd, &address->any, len) == 0 && listen(fd, BACKLOG) == 0 &&
           getsockname(fd, &address->any, &len) == 0;
}

enum wsc_status wsc_socket_listen(const char *text, uint16_t *port, int *out_fd)
{
    union address address;
    socklen_t len = parse_address(text, *port, &address);
    if (len == 0) {
        return WSC_ERR_INVALID_ARGUMENT;
    }
    int fd = socket(address.any.sa_family, SOCK_STREAM, 0);
    if (fd < 0) {
        return WSC_ERR_IO;
    }
    if (!listen_on(fd, &address, len)) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return WSC_ERR_IO;
    }
    *port = ntohs(address.any.sa_family == AF_INET ? address.ip4.sin_port
                                                   : address.ip6.sin6_port);
    *out_fd = fd;
    return WSC_OK;
}

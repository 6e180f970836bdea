#include "stream.h"
#include <sys/socket.h>

struct stream stream_open(int fd)
{
    return (struct stream){.fd = fd};
}

struct stream stream_begin(int fd)
{
    return stream_open(fd);
}

void stream_end(struct stream *stream)
{
    (void)stream;
}

void stream_shutdown(const struct stream *stream)
{
    (void)shutdown(stream->fd, SHUT_WR);
}

struct stream stream_accept(int fd, const char *folder)
{
    (void)folder;
    return stream_open(fd);
}

void stream_read_ahead(const struct stream *stream, size_t len)
{
    (void)stream;
    (void)len;
}

ssize_t stream_recv(const struct stream *stream, void *bytes, size_t len)
{
    return recv(stream->fd, bytes, len, 0);
}

ssize_t stream_send(const struct stream *stream, const void *bytes, size_t len)
{
    return send(stream->fd, bytes, len, MSG_NOSIGNAL);
}

bool stream_pending(const struct stream *stream)
{
    (void)stream;
    return false;
}

/* The bytes of a connection. stream_plain.c has them as they are, stream_tls.c over
 * TLS: the same client is linked with one of them. */
#ifndef BENCHMARKS_STREAM_H
#define BENCHMARKS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct stream {
    int fd;
    void *tls; /* NULL if plain */
};

/* Of a connected, still blocking socket. NULL handles are never returned: it dies. */
struct stream stream_open(int fd);
/* Of a non-blocking one, which may be on its way still: what is sent first does the
 * handshake, as often as it is tried. */
struct stream stream_begin(int fd);
/* Free what it has but for the socket. */
void stream_end(struct stream *stream);
/* Nothing more is sent; that is said, as far as there is room for it. */
void stream_shutdown(const struct stream *stream);
/* A server's end; over TLS with the certificate of a folder. */
struct stream stream_accept(int fd, const char *folder);

/* From now on, ask the system for up to so many bytes at once. A socket does anyway. */
void stream_read_ahead(const struct stream *stream, size_t len);

/* As recv() and send() do: bytes, 0 at the end, or -1 and errno, EAGAIN among them. */
ssize_t stream_recv(const struct stream *stream, void *bytes, size_t len);
ssize_t stream_send(const struct stream *stream, const void *bytes, size_t len);

/* Whether bytes wait that epoll does not know of. */
bool stream_pending(const struct stream *stream);

#endif

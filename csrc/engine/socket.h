/* Socket calls where systems differ: after these a socket is non-blocking, isn't
 * inherited by other programs, and never raises SIGPIPE. */
#ifndef WSC_SOCKET_H
#define WSC_SOCKET_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "wsc/engine.h"
#include "wsc/outgoing.h"
#include "wsc/status.h"

/* The address of `len` bytes, copied: its size, 0 if it isn't an Internet socket's. */
size_t wsc_socket_internet(const struct sockaddr_storage *address, size_t len,
                           uint8_t out_address[WSC_ADDRESS_SIZE]);
/* A new descriptor, -1 with errno; and the peer's address, of *out_len bytes, which are
 * 0 if it has none that fits. */
int wsc_socket_accept(int listening, uint8_t out_address[WSC_ADDRESS_SIZE],
                      size_t *out_len);
/* Make a connected socket ready for those below. WSC_ERR_IO with errno. */
WSC_NODISCARD enum wsc_status wsc_socket_prepare(int fd);
/* The same for what wsc_socket_accept gave. */
WSC_NODISCARD enum wsc_status wsc_socket_prepare_accepted(int fd);
/* As recv() without flags, but -errno. */
ssize_t wsc_socket_receive(int fd, void *data, size_t size);
/* The same, and what is received stays to be received again. */
ssize_t wsc_socket_peek(int fd, void *data, size_t size);
/* Drop what has come, so far as it isn't a flood: to close a socket with something in
 * it sends a reset, which cuts what was sent before. */
void wsc_socket_discard(int fd);
/* As send() without flags. */
ssize_t wsc_socket_send(int fd, const void *data, size_t len);
/* One call with what stands first in `outgoing`, which is not consumed; `*out_offered`
 * is how much that was. */
ssize_t wsc_socket_send_outgoing(int fd, const struct wsc_outgoing *outgoing,
                                 size_t *out_offered);

#endif

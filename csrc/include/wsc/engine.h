/* The engine: sockets without Python. It knows connected sockets and bytes, not the
 * protocol; who uses it brings the two together, by wsc_link_flush if that does.
 *
 * All sockets of one engine are in one epoll set or kqueue, which is a file descriptor
 * itself: an event loop watches it and, when it is readable, calls wsc_engine_poll and
 * then takes events with wsc_engine_next until there are none. An engine and its links
 * belong to one thread. Nothing is called upward. */
#ifndef WSC_ENGINE_H
#define WSC_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wsc/alloc.h"
#include "wsc/api.h"
#include "wsc/outgoing.h"
#include "wsc/proxy_header.h"
#include "wsc/status.h"
#include "wsc/tls.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Does this system have the engine? */
#if defined(__linux__) || defined(__APPLE__) || defined(__FreeBSD__)
#define WSC_HAVE_ENGINE 1
#else
#define WSC_HAVE_ENGINE 0
#endif

struct wsc_engine;
struct wsc_acceptor; /* a listening socket */
struct wsc_link;     /* a connected one */

enum wsc_io_type {
    WSC_IO_ACCEPTED, /* `fd`: a new connected socket, the caller's now */
    WSC_IO_PROXIED,  /* `source`: asked for by wsc_link_expect_proxy_header */
    WSC_IO_DATA,     /* `data`, `len`: received */
    WSC_IO_READABLE, /* asked for by wsc_link_notify: call wsc_link_receive */
    WSC_IO_EOF,      /* the peer ended its side; nothing more will be read */
    WSC_IO_WRITABLE, /* after WSC_NEED_SPACE from wsc_link_write: go on */
    WSC_IO_ERROR,    /* `error`: an errno, or 0: wsc_link_tls_failure says why; the
                        socket is of no use any more */
};

struct wsc_io {
    enum wsc_io_type type;
    void *owner;         /* what the link or acceptor was made with */
    const uint8_t *data; /* in the engine's receive buffer: until the next call of
                            wsc_engine_next; NULL but for DATA */
    size_t len;          /* 0 but for DATA */
    const struct wsc_proxy_source *source; /* until the next call of wsc_engine_next */
    int fd;
    int error;
};

/* `receive_size` bytes are shared by all links. WSC_ERR_NO_MEMORY, or WSC_ERR_IO with
 * errno set. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_engine_new(const struct wsc_allocator *allocator, size_t receive_size,
               struct wsc_engine **out_engine);
/* Closes all links and acceptors that are left. NULL is fine. */
WSC_API void wsc_engine_free(struct wsc_engine *engine);
/* What the event loop watches for reading. */
WSC_API int wsc_engine_fd(const struct wsc_engine *engine);
/* Let wsc_engine_fd be readable until the next call of wsc_engine_poll that looks,
 * whatever the sockets are. */
WSC_API void wsc_engine_ring(struct wsc_engine *engine);
/* In a child after fork(): forget everything without touching what parent and child
 * share. Only wsc_engine_free may follow. */
WSC_API void wsc_engine_forget(struct wsc_engine *engine);

/* Look which sockets are ready, waiting at most `timeout_ms` (0: not at all). The
 * number of them, 0 if none. While there are some left that the last call found, only
 * their number. */
WSC_API size_t wsc_engine_poll(struct wsc_engine *engine, int timeout_ms);
/* The next event of those that poll found: true with *out. Links may be closed between
 * two calls, also those that are ready. */
WSC_API bool wsc_engine_next(struct wsc_engine *engine, struct wsc_io *out);
/* Nobody wants this event of an acceptor: what was accepted is closed. */
WSC_API void wsc_io_refuse(const struct wsc_io *io);
/* Has something been received that wsc_engine_next has not given out? Who doesn't call
 * it until it says false has to come back without waiting for wsc_engine_fd, which
 * doesn't show that. */
WSC_API bool wsc_engine_has_received(const struct wsc_engine *engine);

/* A socket for wsc_acceptor_new, the caller's: it listens on `address`, in digits, and
 * on *port; 0 is replaced by a free one. WSC_ERR_INVALID_ARGUMENT: not an address.
 * WSC_ERR_IO: errno says why. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_socket_listen(const char *address, uint16_t *port, int *out_fd);
/* Accept from `fd`, which is listening and non-blocking; it stays the caller's. When
 * descriptors or memory are short, WSC_IO_ERROR comes: stop accepting for a while. With
 * EMFILE one connection has been taken and closed by a spare descriptor. `out_acceptor`
 * may be NULL. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_acceptor_new(struct wsc_engine *engine, int fd, void *owner,
                 struct wsc_acceptor **out_acceptor);
/* Stop or go on accepting. */
WSC_API void wsc_acceptor_accept(struct wsc_acceptor *acceptor, bool on);
/* Forget the acceptor; `fd` stays open. */
WSC_API void wsc_acceptor_close(struct wsc_acceptor *acceptor);

/* Take over a connected socket: it is made non-blocking and closed with the link. On
 * error it stays the caller's. Reading begins at once. */
WSC_API WSC_NODISCARD enum wsc_status wsc_link_new(struct wsc_engine *engine, int fd,
                                                   void *owner,
                                                   struct wsc_link **out_link);
/* The first bytes on a new link, before those of TLS, are to be a header of the PROXY
 * protocol: then WSC_IO_PROXIED comes. WSC_IO_ERROR with EPROTO: it is none. No byte
 * behind it is read before that is known. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_link_expect_proxy_header(struct wsc_link *link);
/* Speak TLS on a new link, with the handshake first; until that is done, nothing comes
 * but WSC_IO_ERROR, and wsc_link_write gives WSC_NEED_SPACE. A client says and checks
 * `server_name`; NULL, which fails if it is to be checked: neither. On error the link
 * is only good for closing. `context` has to outlive the link. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_link_start_tls(struct wsc_link *link, const struct wsc_tls_context *context,
                   const char *server_name);
/* Is the TLS handshake done, if there is one? */
WSC_API bool wsc_link_is_open(const struct wsc_link *link);
/* Encrypted bytes that wsc_link_write took and the socket did not yet. */
WSC_API size_t wsc_link_unsent(const struct wsc_link *link);
/* False without TLS, or before its handshake is done. *out_info is to be freed with
 * wsc_tls_info_fini. */
WSC_API bool
wsc_link_tls_info(const struct wsc_link *link, struct wsc_tls_info *out_info);
/* False unless TLS has failed; then that is the reason for WSC_IO_ERROR or WSC_ERR_IO,
 * whatever errno is. */
WSC_API bool
wsc_link_tls_failure(const struct wsc_link *link, struct wsc_tls_failure *out_failure);
/* Close the socket and forget the link; never NULL, never twice. The system goes on to
 * send what it has taken, unless the peer keeps sending. */
WSC_API void wsc_link_close(struct wsc_link *link);
/* Forget the link; the socket is the caller's again. For a new one only: what has been
 * received ahead and not given out is lost. */
WSC_API void wsc_link_forget(struct wsc_link *link);
/* As wsc_link_close, but data that was not sent is thrown away and the peer gets a
 * reset. */
WSC_API void wsc_link_abort(struct wsc_link *link);
/* Stop or go on reading: TCP pushes back. WSC_ERR_IO, when going on: errno says why.
 * Without reading, TLS still takes what its handshake or a write waits for. */
WSC_API enum wsc_status wsc_link_read(struct wsc_link *link, bool on);
/* What wsc_link_read was told last; true for a new link. */
WSC_API bool wsc_link_reads(const struct wsc_link *link);
/* From now on (or no more) WSC_IO_READABLE comes in the place of what is received, so
 * that the caller can say where to. Not with TLS, where it changes nothing. */
WSC_API void wsc_link_notify(struct wsc_link *link, bool on);
/* Receive no more than `size` bytes at once into the engine's buffer. */
WSC_API void wsc_link_limit(struct wsc_link *link, size_t size);
/* What was received ahead, before the caller got to this link, and was not given out:
 * true with *out, as if by wsc_engine_next. */
WSC_API bool wsc_link_take_ahead(struct wsc_link *link, struct wsc_io *out);
/* Receive at most `size` bytes into `data`; NULL: into the engine's buffer. True with
 * *out: WSC_IO_DATA, WSC_IO_EOF or WSC_IO_ERROR. False: nothing after all. */
WSC_API bool
wsc_link_receive(struct wsc_link *link, uint8_t *data, size_t size, struct wsc_io *out);
/* Send what waits. WSC_OK: all of it. WSC_NEED_SPACE: the socket takes no more now;
 * WSC_IO_WRITABLE comes when it does. WSC_ERR_IO: errno says why; WSC_IO_ERROR does not
 * come for it. What was sent has been consumed. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_link_write(struct wsc_link *link, struct wsc_outgoing *outgoing);
/* Send what waits of `conn`, a pending pong too: WSC_OK, WSC_NEED_SPACE or WSC_ERR_IO
 * as above. While the socket takes no more, the link isn't read from, so that TCP slows
 * the peer down; call again for WSC_IO_WRITABLE. When all is sent of a connection that
 * is to end from here, our side ends; the peer's comes as WSC_IO_EOF. */
struct wsc_conn;
WSC_API WSC_NODISCARD enum wsc_status
wsc_link_flush(struct wsc_link *link, struct wsc_conn *conn);
/* End our side: the peer reads end-of-file. */
WSC_API void wsc_link_end(struct wsc_link *link);
/* Its socket, which stays the link's. */
WSC_API int wsc_link_fd(const struct wsc_link *link);
/* Of any connected socket: the bytes sent that the peer's system has not acknowledged;
 * 0 where ours doesn't tell. */
WSC_API size_t wsc_socket_untaken(int fd);
/* The number of bytes that it has acknowledged, ever; false where ours doesn't tell. */
WSC_API bool wsc_socket_taken(int fd, uint64_t *out_count);
/* Room for the address of an Internet socket. */
#define WSC_ADDRESS_SIZE 28
/* This end's address, or the peer's, as the system's struct sockaddr: its size, 0 if
 * there is none or it isn't an Internet socket's. The peer's is there no longer
 * once it has reset the connection. */
WSC_API size_t wsc_link_address(const struct wsc_link *link, bool peer,
                                uint8_t out_address[WSC_ADDRESS_SIZE]);

#ifdef __cplusplus
}
#endif
#endif

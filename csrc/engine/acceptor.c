#define _GNU_SOURCE /* O_CLOEXEC */
#include "wsc/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "socket.h"
#include "source.h"

enum wsc_status wsc_acceptor_new(struct wsc_engine *engine, int fd, void *owner,
                                 struct wsc_acceptor **out_acceptor)
{
    struct wsc_acceptor *acceptor = wsc_alloc(engine->allocator, sizeof(*acceptor));
    if (acceptor == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    wsc_source_init(&acceptor->source, engine, fd, owner, true);
    if (wsc_source_watch(&acceptor->source, true, false) < 0) {
        wsc_source_free(&acceptor->source);
        return WSC_ERR_IO;
    }
    if (out_acceptor != NULL) {
        *out_acceptor = acceptor;
    }
    return WSC_OK;
}

void wsc_acceptor_accept(struct wsc_acceptor *acceptor, bool on)
{
    (void)wsc_source_watch(&acceptor->source, on, false);
}

void wsc_acceptor_close(struct wsc_acceptor *acceptor)
{
    wsc_source_free(&acceptor->source);
}

int wsc_acceptor_open_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Out of descriptors: take the connection with the spare one and close it, so that the
 * client knows and the backlog does not keep us busy. */
static void refuse_connection(struct wsc_engine *engine, int listening)
{
    if (engine->spare >= 0) {
        (void)close(engine->spare);
        engine->spare = -1;
    }
    uint8_t address[WSC_ADDRESS_SIZE];
    size_t len;
    int fd = wsc_socket_accept(listening, address, &len);
    if (fd >= 0) {
        (void)close(fd);
    }
    engine->spare = wsc_acceptor_open_spare();
}

/* Does this errno of accept concern one connection, rather than us? */
static bool is_passing(int error)
{
    return error == ECONNABORTED || error == EINTR || error == EPROTO ||
           error == EPERM || error == ENETDOWN || error == EHOSTUNREACH ||
           error == ENETUNREACH;
}

void wsc_io_refuse(const struct wsc_io *io)
{
    if (io->fd >= 0) {
        (void)close(io->fd);
    }
}

bool wsc_acceptor_next(struct wsc_acceptor *acceptor, struct wsc_io *out)
{
    struct wsc_engine *engine = acceptor->source.engine;
    while (engine->accepts_left > 0) {
        engine->accepts_left--;
        struct wsc_accepted *accepted = &engine->accepted;
        int fd =
            wsc_socket_accept(acceptor->source.fd, accepted->peer, &accepted->peer_len);
        if (fd >= 0) {
            accepted->fd = fd;
            out->type = WSC_IO_ACCEPTED;
            out->fd = fd;
            return true;
        }
        if (is_passing(errno)) {
            continue;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return false;
        }
        int error = errno;
        if (error == EMFILE || error == ENFILE) {
            refuse_connection(engine, acceptor->source.fd);
        }
        engine->accepts_left = 0;
        out->type = WSC_IO_ERROR;
        out->error = error;
        return true;
    }
    return false;
}

#define _GNU_SOURCE /* O_CLOEXEC */
#include "wsc/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "socket.h"
#include "source.h"

enum wsc_status wsc_listener_new(struct wsc_engine *engine, int fd, void *owner,
                                 struct wsc_listener **out_listener)
{
    struct wsc_listener *listener = wsc_alloc(engine->allocator, sizeof(*listener));
    if (listener == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    wsc_source_init(&listener->source, engine, fd, owner, true);
    if (wsc_source_watch(&listener->source, true, false) < 0) {
        wsc_source_free(&listener->source);
        return WSC_ERR_IO;
    }
    *out_listener = listener;
    return WSC_OK;
}

void wsc_listener_accept(struct wsc_listener *listener, bool on)
{
    (void)wsc_source_watch(&listener->source, on, false);
}

void wsc_listener_close(struct wsc_listener *listener)
{
    wsc_source_free(&listener->source);
}

int wsc_listener_open_spare(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Out of descriptors: take the connection with the spare one and close it, so that the
 * client knows and the backlog does not keep us busy. */
static void refuse_connection(struct wsc_engine *engine, int listener)
{
    if (engine->spare >= 0) {
        (void)close(engine->spare);
        engine->spare = -1;
    }
    int fd = wsc_socket_accept(listener);
    if (fd >= 0) {
        (void)close(fd);
    }
    engine->spare = wsc_listener_open_spare();
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

bool wsc_listener_next(struct wsc_listener *listener, struct wsc_io *out)
{
    struct wsc_engine *engine = listener->source.engine;
    while (engine->accepts_left > 0) {
        engine->accepts_left--;
        int fd = wsc_socket_accept(listener->source.fd);
        if (fd >= 0) {
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
            refuse_connection(engine, listener->source.fd);
        }
        engine->accepts_left = 0;
        out->type = WSC_IO_ERROR;
        out->error = error;
        return true;
    }
    return false;
}

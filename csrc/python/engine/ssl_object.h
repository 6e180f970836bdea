/* TLS of a transport by Python's own ssl: an SSLObject between two MemoryBIOs. It knows
 * no socket: what came is given to it, and what is to leave lies in `encrypted`.
 *
 * Callbacks of the context and methods of subclasses run inside of calls of the
 * SSLObject, and may do anything, a loop inside of them included, but call it again:
 * `busy` says that. What comes meanwhile is kept, where none of these calls reads it.
 */
#ifndef PYWSC_ENGINE_SSL_OBJECT_H
#define PYWSC_ENGINE_SSL_OBJECT_H

#include "common/method.h"
#include "engine/engine.h"
#include "engine/ssl_records.h"

#include "wsc/outgoing.h"

struct pywsc_ssl_object {
    PyObject *object;            /* SSLObject */
    PyObject *stream;            /* what has its read() and write() */
    PyObject *context;           /* SSLContext that it is of */
    PyObject *incoming;          /* MemoryBIO: what came and it hasn't read, */
    PyObject *outgoing;          /* and what it wrote */
    struct pywsc_method feed;    /* of `incoming`: write() */
    struct pywsc_method decrypt; /* of `stream`: read(), */
    struct pywsc_method encrypt; /* and write() */
    struct pywsc_method collect; /* of `outgoing`: read() */
    PyObject *want_read;         /* ssl.SSLWantReadError */
    PyObject *record;            /* int: as much is read at once */
    PyObject *failure;           /* the exception that ended TLS, or NULL */
    PyObject *unwritten; /* bytes that the connection sent and it hasn't got, or NULL */
    PyObject *unread;    /* bytes that came, and `incoming` hasn't got, or NULL */
    struct pywsc_ssl_records records; /* of what came so far, */
    bool framed;                      /* if that is what `incoming` gets */
    struct wsc_outgoing encrypted;    /* not taken by the socket yet */
    bool open;                        /* the handshake is done */
    bool ended;                       /* the peer's end came: close_notify */
    bool failed;                      /* `failure` says why, or it has left the loop */
    bool closed;                      /* by pywsc_ssl_object_close() */
    bool busy;                        /* one of these functions has not returned */
    bool kept;                        /* something came meanwhile, or before, */
    bool eof;                         /* and then TCP's end */
    bool held;                        /* nothing is received until that is looked at */
    bool flush_wanted;                /* somebody would have sent meanwhile */
    bool end_sent; /* close_notify, or at least it is in `encrypted` */
    bool starved;  /* sending waits for what the peer sends */
    bool reads;    /* the connection wants to read */
};

/* Of a tuple of the first five fields, and True if the handshake was done by others:
 * then something may be kept. Else a client has begun it. NULL with an exception. */
struct pywsc_ssl_object *
pywsc_ssl_object_new(struct pywsc_state *state, PyObject *parts);
/* Nothing comes or leaves any more; what is asked about it can still be asked. */
void pywsc_ssl_object_close(struct pywsc_ssl_object *self);
/* NULL is fine. */
void pywsc_ssl_object_free(struct pywsc_ssl_object *self);
int pywsc_ssl_object_traverse(struct pywsc_ssl_object *self, visitproc visit,
                              void *arg);

/* Take what came, `data`, which nobody overwrites before it is taken, and what was
 * kept, and decrypt all that is whole into `view`: the length is in *out_len, also on
 * an error. What there is else is in the fields. This and the next three: 0, or -1 with
 * an exception that has to leave the loop; TLS has failed then. */
int pywsc_ssl_object_receive(struct pywsc_ssl_object *self, struct pywsc_engine *engine,
                             const uint8_t *data, size_t len, PyObject *view,
                             size_t *out_len);
/* Take what came while it is busy. */
int pywsc_ssl_object_keep(struct pywsc_ssl_object *self, const uint8_t *data,
                          size_t len);
/* TCP has ended in the handshake. */
int pywsc_ssl_object_eof(struct pywsc_ssl_object *self, struct pywsc_state *state);
/* Encrypt from `outgoing`, up to 64 KiB. */
int pywsc_ssl_object_write(struct pywsc_ssl_object *self,
                           struct wsc_outgoing *outgoing);
/* Queue close_notify, unless that is done or is no use. */
void pywsc_ssl_object_end(struct pywsc_ssl_object *self, struct pywsc_state *state);

/* What is given to TLS and not to the socket yet, in bytes. */
static inline size_t pywsc_ssl_object_unsent(const struct pywsc_ssl_object *self)
{
    size_t plain =
        self->unwritten == NULL ? 0 : (size_t)PyBytes_GET_SIZE(self->unwritten);
    return self->encrypted.size + plain;
}

/* Does it wait for the peer, whether the connection reads or not? */
static inline bool pywsc_ssl_object_wants_read(const struct pywsc_ssl_object *self)
{
    return !self->failed && !self->ended && (!self->open || self->starved);
}

#endif

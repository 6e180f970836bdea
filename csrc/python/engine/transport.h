/* A link of the engine, as the transport of a connection: transport.c has its beginning
 * and its end, transport_io.c the way between the two, transport_tls.c the same with
 * Python's TLS, transport_type.c the transport that asyncio knows. */
#ifndef PYWSC_ENGINE_TRANSPORT_H
#define PYWSC_ENGINE_TRANSPORT_H

#include "connection/carrier.h"
#include "engine/engine.h"
#include "engine/ssl_object.h"

struct pywsc_transport {
    PyObject_HEAD PyObject *engine; /* keeps the link's engine alive */
    PyObject *connection;           /* NULL after connection_lost */
    struct wsc_link *link;          /* NULL once the socket is closed */
    size_t high;
    size_t low;
    /* In the engine's list: the next one, and where this one is noted; NULL when it
     * isn't there. */
    struct pywsc_transport *next;
    struct pywsc_transport **noted_at;
    PyObject *local;  /* bytes: this end's address, once the socket is closed */
    PyObject *tls;    /* TLSContext, NULL without */
    PyObject *socket; /* a socket object that borrows the descriptor, or NULL */
    struct pywsc_ssl_object *ssl;   /* TLS by Python's ssl, NULL without */
    struct wsc_tls_failure failure; /* what ended it, unless its reason is NULL */
    unsigned long thread;           /* of the connection, which may go away */
    int error;                      /* errno that ended it, or 0 */
    uint8_t peer[WSC_ADDRESS_SIZE];
    uint8_t peer_len;
    bool closing;     /* close() was called: the end comes when output has left */
    bool end_pending; /* write_eof() was called, the same */
    bool ended;       /* the peer's end was read */
    bool blocked;     /* the socket takes no more for now */
    bool paused;      /* pause_writing() was called */
};

#if WSC_HAVE_ENGINE

static inline struct pywsc_engine *
pywsc_transport_engine(const struct pywsc_transport *self)
{
    return (struct pywsc_engine *)self->engine;
}

static inline struct pywsc_state *pywsc_transport_state(struct pywsc_transport *self)
{
    return pywsc_type_state(Py_TYPE(self));
}

/* NULL once the socket is closed; in a child after fork() too, so that nothing here can
 * shut down or reset what is the parent's. */
static inline struct wsc_link *pywsc_transport_link(struct pywsc_transport *self)
{
    const struct pywsc_engine *engine = pywsc_transport_engine(self);
    return engine == NULL || engine->forgotten ? NULL : self->link;
}

static inline struct pywsc_connection *
pywsc_transport_connection(struct pywsc_transport *self)
{
    return (struct pywsc_connection *)self->connection;
}

/* Into the list of its engine, which takes a reference. */
void pywsc_transport_note(struct pywsc_transport *self);

/* What Python's TLS has written leaves, as far as the socket takes it. As of
 * wsc_link_write(). */
enum wsc_status pywsc_transport_send_encrypted(struct pywsc_transport *self);
/* Say that it is our end, in Python's TLS, unless something before that hasn't left. */
void pywsc_transport_say_end(struct pywsc_transport *self);
/* The socket is gone, or is to be: tell the connection, in the loop's next round. 0, or
 * -1 with an exception. */
int pywsc_transport_finish(struct pywsc_transport *self, int error, bool reset);
/* The method _lost(): call connection_lost(). */
PyObject *pywsc_transport_lost(struct pywsc_transport *self);
/* Out of the list of its engine, if it is there: that may have been the last
 * reference. */
void pywsc_transport_let_go(struct pywsc_transport *self);

#endif

#endif

/* A link of the engine, as the transport of a connection. */
#ifndef PYWSC_ENGINE_H
#define PYWSC_ENGINE_H

#include "connection.h"

#include "wsc/engine.h"

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
    PyObject *local; /* bytes: this end's address, once the socket is closed */
    PyObject *tls;   /* TLSContext, NULL without */
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

/* Send the connection's output as far as the socket takes it. */
int pywsc_transport_flush(struct pywsc_transport *self);
/* May output be held back? Not in a step that may be long. If so the loop, when it is
 * entered again meanwhile, calls the engine. */
bool pywsc_transport_hold(struct pywsc_transport *self);

#endif

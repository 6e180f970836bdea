/* What the files of the transport share: engine_transport.c is its way between link and
 * connection, engine_transport_methods.c the transport that asyncio knows. */
#ifndef PYWSC_ENGINE_TRANSPORT_H
#define PYWSC_ENGINE_TRANSPORT_H

#include "engine_parts.h"

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

/* --- engine_transport.c --- */

/* Into the list of its engine, which takes a reference. */
void pywsc_transport_note(struct pywsc_transport *self);

/* Bytes that have not left. */
size_t pywsc_transport_output_size(struct pywsc_transport *self);
/* The socket is gone, or is to be: tell the connection, in the loop's next round. This
 * and the next two: 0, or -1 with an exception. */
int pywsc_transport_finish(struct pywsc_transport *self, int error, bool reset);
/* All output has left: do what waited for that. */
int pywsc_transport_output_left(struct pywsc_transport *self);
/* close(): once all output has left. */
int pywsc_transport_close(struct pywsc_transport *self);
/* The method _lost(): call connection_lost(). */
PyObject *pywsc_transport_lost(struct pywsc_transport *self);

#endif

#endif

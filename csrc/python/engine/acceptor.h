/* A listening socket of the engine. */
#ifndef PYWSC_ENGINE_ACCEPTOR_H
#define PYWSC_ENGINE_ACCEPTOR_H

#include "engine/engine.h"

struct pywsc_acceptor {
    PyObject_HEAD PyObject *engine;
    PyObject *accepted; /* callable, called with (fd, 0) or (-1, errno) */
    struct wsc_acceptor *acceptor;
};

int pywsc_acceptor_init(PyObject *module, struct pywsc_state *state);
/* New reference: listen on `fd` (borrowed). NULL with an exception. */
PyObject *pywsc_acceptor_new(struct pywsc_engine *engine, int fd, PyObject *accepted);
/* Handle an event of the acceptor: 0, or -1 with an exception. */
int pywsc_acceptor_event(struct pywsc_acceptor *self, const struct wsc_io *io);

#endif

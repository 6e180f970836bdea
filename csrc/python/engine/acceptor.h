/* A listening socket of the engine. */
#ifndef PYWSC_ENGINE_ACCEPTOR_H
#define PYWSC_ENGINE_ACCEPTOR_H

#include "engine/engine.h"

struct pywsc_engine_listener {
    PyObject_HEAD PyObject *engine;
    PyObject *accepted; /* callable, called with (fd, 0) or (-1, errno) */
    struct wsc_listener *listener;
};

int pywsc_engine_listener_init(PyObject *module, struct pywsc_state *state);
/* New reference: listen on `fd` (borrowed). NULL with an exception. */
PyObject *
pywsc_engine_listener_new(struct pywsc_engine *engine, int fd, PyObject *accepted);
/* Handle an event of the listener: 0, or -1 with an exception. */
int pywsc_engine_listener_event(struct pywsc_engine_listener *self,
                                const struct wsc_io *io);

#endif

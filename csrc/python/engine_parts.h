/* What the files of the engine's types share; connections use engine.h. */
#ifndef PYWSC_ENGINE_PARTS_H
#define PYWSC_ENGINE_PARTS_H

#include "engine.h"

#include "wsc/short_poll.h"

/* As many connections' answers are held back. */
#define PYWSC_ANSWERS_MAX 32

struct pywsc_engine {
    PyObject_HEAD struct wsc_engine *engine; /* NULL before __init__() */
    PyObject *loop;
    PyObject *context; /* of a turn's listeners and hooks, NULL before the first */
    /* The transports and listeners that are open, with a reference to each: as with
     * asyncio's own, the loop keeps what it watches. */
    struct pywsc_transport *transports;
    PyObject *listeners;
    struct wsc_short_poll short_poll;
    /* Connections that had events, in a batch each: their answers leave in a row. */
    struct pywsc_connection *answering[PYWSC_ANSWERS_MAX];
    size_t answering_count;
    unsigned long thread;
    struct pywsc_connection *current; /* whose steps are made, or NULL; not owned */
    bool running;                     /* inside of ready() */
    bool borrowed;  /* what was received hasn't been given to its connection */
    bool forgotten; /* in a child: the sockets are the parent's */
    PyObject *weakrefs;
};

/* RuntimeError and -1 outside of the loop's thread. */
int pywsc_engine_check_thread(const struct pywsc_engine *self);

/* Raise OSError of errno for WSC_ERR_IO, else as pywsc_raise. */
PyObject *pywsc_engine_raise(struct pywsc_state *state, enum wsc_status status);

/* --- engine_transport_methods.c --- */

int pywsc_transport_init(PyObject *module, struct pywsc_state *state);

/* --- engine_transport.c --- */

/* Handle an event of the transport's link: 0, or -1 with an exception. WSC_IO_READABLE
 * becomes what was received. */
int pywsc_transport_event(struct pywsc_transport *self, struct wsc_io *io);
/* Out of the list of its engine, if it is there: that may have been the last
 * reference. */
void pywsc_transport_let_go(struct pywsc_transport *self);

/* --- engine_listener.c --- */

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

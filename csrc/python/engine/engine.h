/* The engine (wsc/engine.h) as something that an asyncio loop watches. */
#ifndef PYWSC_ENGINE_ENGINE_H
#define PYWSC_ENGINE_ENGINE_H

#include "connection/connection.h"

#include "wsc/engine.h"
#include "wsc/short_poll.h"

struct pywsc_transport;

/* As many connections' answers are held back. */
#define PYWSC_ANSWERS_MAX 32

struct pywsc_engine {
    PyObject_HEAD struct wsc_engine *engine; /* NULL before __init__() */
    PyObject *loop;
    PyObject *context; /* of a turn's listeners and hooks, NULL before the first */
    /* The transports and acceptors that are open, with a reference to each: as with
     * asyncio's own, the loop keeps what it watches. */
    struct pywsc_transport *transports;
    PyObject *acceptors;
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

#endif

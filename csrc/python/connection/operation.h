/* What recv(), send() and their like return: what its files share. operation.c is what
 * it does, operation_coroutine.c the coroutine that Python sees. */
#ifndef PYWSC_CONNECTION_OPERATION_H
#define PYWSC_CONNECTION_OPERATION_H

#include "connection/connection.h"
#include "connection/message_stream.h"

enum pywsc_operation_kind {
    PYWSC_RECV,
    PYWSC_NEXT,     /* of `async for` */
    PYWSC_FRAGMENT, /* of recv_streaming() */
    PYWSC_SEND,
    PYWSC_DRAIN,
};

enum pywsc_operation_progress {
    PYWSC_FRESH,
    PYWSC_RUNNING,
    PYWSC_FINISHED,
};

struct pywsc_operation {
    PyObject_HEAD struct pywsc_connection *connection;
    PyObject *first;
    PyObject *text;
    PyObject *compress;
    struct pywsc_waiter *waiter;         /* what the task waits on */
    struct pywsc_message_stream *stream; /* whose it is, or NULL */
    PyObject *inner;                     /* the coroutine of the slow way */
    char kind;
    char progress;
    bool sent;    /* SEND: queued already, only waiting for room */
    bool holds;   /* of a stream: it is the one that receives */
    bool running; /* in a step */
};

/* What recv(), send() ... return: a coroutine. `first` is the message or decode=; the
 * three are kept, NULL means absent. */
PyObject *pywsc_operation_new(struct pywsc_connection *connection,
                              enum pywsc_operation_kind kind, PyObject *first,
                              PyObject *text, PyObject *compress);
/* The same for another library's interface: `first` is the message to be sent. */
PyObject *pywsc_operation_for_stream(struct pywsc_message_stream *stream,
                                     enum pywsc_operation_kind kind, PyObject *first);

/* ValueError and true within a step. */
bool pywsc_operation_is_running(const struct pywsc_operation *self);
/* Go on: until it waits, or to its end. As am_send of a coroutine. */
PySendResult pywsc_operation_am_send(PyObject *op, PyObject *arg, PyObject **result);
/* Whatever happens next, it takes no part in it any more. */
void pywsc_operation_finish(struct pywsc_operation *self);

#endif

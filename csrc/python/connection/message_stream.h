/* MessageStream: another library's interface over a connection, with its messages as
 * that library has them. What happens per message is here; its Python subclass does the
 * rest: opening, closing, limits of time, everything unusual. */
#ifndef PYWSC_CONNECTION_MESSAGE_STREAM_H
#define PYWSC_CONNECTION_MESSAGE_STREAM_H

#include "common/state.h"

/* What its `format` consists of. */
enum {
    PYWSC_FORMAT_TEXT_TYPE, /* subclasses of tuple; their objects are (kind, data,
                               extra) */
    PYWSC_FORMAT_TEXT_KIND,
    PYWSC_FORMAT_BINARY_TYPE,
    PYWSC_FORMAT_BINARY_KIND,
    PYWSC_FORMAT_EXTRA,
    PYWSC_FORMAT_DECODE_TEXT, /* False gives text as bytes */
    PYWSC_FORMAT_PING_KIND,   /* of the type of binary messages too */
    PYWSC_FORMAT_PONG_KIND,
    PYWSC_FORMAT_SIZE,
};

struct pywsc_message_stream {
    PyObject_HEAD struct pywsc_state
        *state;           /* of the module, which the type keeps alive */
    PyObject *connection; /* NULL before _open_stream() */
    PyObject *format;     /* a tuple; see _core.pyi */
    PyObject *released;   /* called when the waiting receive() ends; None or NULL */
    bool waiting;         /* a receive() has begun and not ended */
    bool closed;
    bool closing;
    bool direct_receive; /* receive() without limits needs no Python */
    bool direct_next;    /* nor does iteration */
};

/* The message of the library: a new reference; takes `data`. */
PyObject *pywsc_message_stream_make(struct pywsc_message_stream *self, PyObject *data);
/* A receive() begins; false when it needs the slow way. */
bool pywsc_message_stream_hold(struct pywsc_message_stream *self);
/* It has ended. An exception that is set stays so. */
void pywsc_message_stream_release(struct pywsc_message_stream *self);

#endif

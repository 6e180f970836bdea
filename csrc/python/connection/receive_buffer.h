/* The memory that a loop's connections receive into. */
#ifndef PYWSC_CONNECTION_RECEIVE_BUFFER_H
#define PYWSC_CONNECTION_RECEIVE_BUFFER_H

#include "common/state.h"

struct pywsc_receive_buffer {
    PyObject_HEAD PyObject *bytes; /* bytearray */
    PyObject *view; /* memoryview of it, which keeps it from being resized */
    bool lent;      /* a connection reads from it */
};

/* New reference: the view to receive into, of memory that nobody reads from. That is
 * another one than before when a loop runs inside of a connection's callback. NULL with
 * an exception. */
PyObject *pywsc_receive_buffer_view(struct pywsc_receive_buffer *self);
/* A connection reads from `bytes`: until it returns them. */
PyObject *pywsc_receive_buffer_lend(struct pywsc_receive_buffer *self);
void pywsc_receive_buffer_return(struct pywsc_receive_buffer *self, PyObject *bytes);

int pywsc_receive_buffer_init(PyObject *module, struct pywsc_state *state);

#endif

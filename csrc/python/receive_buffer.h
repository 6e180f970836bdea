/* The memory that a loop's connections receive into. */
#ifndef PYWSC_RECEIVE_BUFFER_H
#define PYWSC_RECEIVE_BUFFER_H

#include "pywsc.h"

struct pywsc_receive_buffer {
    PyObject_HEAD PyObject *bytes; /* bytearray */
    PyObject *view; /* memoryview of it, which keeps it from being resized */
};

int pywsc_receive_buffer_init(PyObject *module, struct pywsc_state *state);

#endif

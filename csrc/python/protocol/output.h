/* What waits to be sent, as objects. */
#ifndef PYWSC_PROTOCOL_OUTPUT_H
#define PYWSC_PROTOCOL_OUTPUT_H

#include "protocol/protocol.h"

/* Everything that waits, as one bytes object, and consume it. */
PyObject *pywsc_protocol_take_output(struct pywsc_protocol *self);
/* The same as a list, large payloads as the objects that they are. */
PyObject *pywsc_protocol_take_buffers(struct pywsc_protocol *self);

/* Methods. */

PyObject *pywsc_protocol_data_to_send(PyObject *op, PyObject *unused);
PyObject *pywsc_protocol_buffers_to_send(PyObject *op, PyObject *unused);

#endif

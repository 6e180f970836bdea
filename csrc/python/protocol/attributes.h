/* The attributes that both ends have. */
#ifndef PYWSC_PROTOCOL_ATTRIBUTES_H
#define PYWSC_PROTOCOL_ATTRIBUTES_H

#include "protocol/protocol.h"

/* Its attributes of these names: new references. */
PyObject *pywsc_protocol_get_state(PyObject *op, void *closure);
PyObject *pywsc_protocol_close_code(const struct pywsc_protocol *self);
PyObject *pywsc_protocol_close_reason(const struct pywsc_protocol *self);

/* Its state, for people. */
PyObject *pywsc_protocol_repr(PyObject *op);

extern PyGetSetDef pywsc_protocol_getset[];

#endif

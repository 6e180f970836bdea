/* The type Protocol. */
#ifndef PYWSC_PROTOCOL_PROTOCOL_TYPE_H
#define PYWSC_PROTOCOL_PROTOCOL_TYPE_H

#include "common/state.h"

int pywsc_protocol_init(PyObject *module, struct pywsc_state *state);

#endif

/* The type EngineTransport. */
#ifndef PYWSC_ENGINE_TRANSPORT_TYPE_H
#define PYWSC_ENGINE_TRANSPORT_TYPE_H

#include "common/state.h"

int pywsc_transport_init(PyObject *module, struct pywsc_state *state);

#endif

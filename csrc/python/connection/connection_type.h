/* The type Connection. */
#ifndef PYWSC_CONNECTION_CONNECTION_TYPE_H
#define PYWSC_CONNECTION_CONNECTION_TYPE_H

#include "common/state.h"

int pywsc_connection_init(PyObject *module, struct pywsc_state *state);

#endif

/* An operation as a coroutine: the type. */
#ifndef PYWSC_CONNECTION_OPERATION_COROUTINE_H
#define PYWSC_CONNECTION_OPERATION_COROUTINE_H

#include "common/state.h"

int pywsc_operation_init(PyObject *module, struct pywsc_state *state);

#endif

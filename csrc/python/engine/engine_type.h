/* The type Engine, and those of what it has. */
#ifndef PYWSC_ENGINE_ENGINE_TYPE_H
#define PYWSC_ENGINE_ENGINE_TYPE_H

#include "common/state.h"

int pywsc_engine_init(PyObject *module, struct pywsc_state *state);

#endif

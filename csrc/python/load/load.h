/* Load: wsc/load.h for the command line. */
#ifndef PYWSC_LOAD_LOAD_H
#define PYWSC_LOAD_LOAD_H

#include "common/state.h"

int pywsc_load_init(PyObject *module, struct pywsc_state *state);

#endif

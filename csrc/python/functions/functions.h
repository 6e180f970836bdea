/* What the module has of its own: functions. Each adds its own; -1 with an exception
 * set. */
#ifndef PYWSC_FUNCTIONS_FUNCTIONS_H
#define PYWSC_FUNCTIONS_FUNCTIONS_H

#include "common/state.h"

int pywsc_broadcast_init(PyObject *module, struct pywsc_state *state);
int pywsc_codec_init(PyObject *module, struct pywsc_state *state);
int pywsc_http_init(PyObject *module, struct pywsc_state *state);

#endif

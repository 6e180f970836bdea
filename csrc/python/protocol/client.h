/* ClientProtocol. */
#ifndef PYWSC_PROTOCOL_CLIENT_H
#define PYWSC_PROTOCOL_CLIENT_H

#include "common/state.h"

int pywsc_protocol_client_init(PyObject *module, struct pywsc_state *state);

#endif

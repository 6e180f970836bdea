/* ServerProtocol. */
#ifndef PYWSC_PROTOCOL_SERVER_H
#define PYWSC_PROTOCOL_SERVER_H

#include "common/state.h"

int pywsc_protocol_server_init(PyObject *module, struct pywsc_state *state);

#endif

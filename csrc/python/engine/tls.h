/* TLSContext, as far as other files need it. */
#ifndef PYWSC_ENGINE_TLS_H
#define PYWSC_ENGINE_TLS_H

#include "common/state.h"

#include "wsc/tls.h"

const struct wsc_tls_context *pywsc_tls_context(PyObject *op);

int pywsc_tls_init(PyObject *module, struct pywsc_state *state);

#endif

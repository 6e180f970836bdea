/* TLSContext, as far as other files need it. */
#ifndef PYWSC_TLS_H
#define PYWSC_TLS_H

#include "pywsc.h"

#include "wsc/tls.h"

const struct wsc_tls_context *pywsc_tls_context(PyObject *op);

#endif

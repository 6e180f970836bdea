/* Whose connection it is, as a proxy says. */
#ifndef PYWSC_VALUES_PROXY_SOURCE_H
#define PYWSC_VALUES_PROXY_SOURCE_H

#include "common/python.h"

#include "wsc/proxy_header.h"

/* New reference: (number of the family, address, port), None if the proxy doesn't say;
 * NULL with an exception. */
PyObject *pywsc_proxy_source(const struct wsc_proxy_source *source);

#endif

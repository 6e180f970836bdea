#include "values/proxy_source.h"

PyObject *pywsc_proxy_source(const struct wsc_proxy_source *source)
{
    if (source->family == WSC_PROXY_NONE) {
        Py_RETURN_NONE;
    }
    return Py_BuildValue("(iy#i)", (int)source->family, (const char *)source->address,
                         (Py_ssize_t)source->len, (int)source->port);
}

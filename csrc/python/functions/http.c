#include "common/arguments.h"
#include "common/docs.h"
#include "functions/functions.h"
#include "values/errors.h"
#include "values/heads.h"
#include "values/proxy_source.h"

#include "wsc/handshake.h"
#include "wsc/http_head.h"

static const struct wsc_str no_body = {NULL, 0};

static PyObject *malformed(const char *reason)
{
    PyErr_SetString(PyExc_ValueError, reason);
    return NULL;
}

/* (Response, size), or None. */
static PyObject *response_of(struct pywsc_state *state, struct wsc_http_head *head,
                             const struct pywsc_bytes *data)
{
    struct wsc_handshake_failure failure;
    size_t used = 0;
    enum wsc_status status =
        wsc_http_head_feed(head, data->data, (size_t)data->len, &used);
    if (status == WSC_NEED_DATA) {
        Py_RETURN_NONE;
    }
    if (status == WSC_ERR_HANDSHAKE) {
        wsc_handshake_head_failure(head, &failure);
        return malformed(failure.reason);
    }
    if (status != WSC_OK) {
        return pywsc_raise(state, status);
    }
    if (head->major != 1) {
        return malformed("This is not HTTP/1.");
    }
    return Py_BuildValue("Nn", pywsc_head_response(state, head, no_body),
                         (Py_ssize_t)used);
}

static PyObject *read_response(PyObject *module, PyObject *object)
{
    struct pywsc_state *state = pywsc_module_state(module);
    struct wsc_http_limits limits;
    struct wsc_http_head head;
    struct pywsc_bytes data;
    if (pywsc_bytes_get(object, false, &data) < 0) {
        return NULL;
    }
    wsc_http_limits_init(&limits);
    wsc_http_head_init(&head, WSC_HTTP_RESPONSE, &limits, &pywsc_allocator);
    PyObject *result = response_of(state, &head, &data);
    wsc_http_head_fini(&head);
    pywsc_bytes_release(&data);
    return result;
}

static PyObject *read_proxy_header(PyObject *module, PyObject *object)
{
    struct wsc_proxy_header header;
    struct wsc_proxy_source source;
    struct pywsc_bytes data;
    size_t used = 0;
    (void)module;
    if (pywsc_bytes_get(object, false, &data) < 0) {
        return NULL;
    }
    wsc_proxy_header_init(&header);
    enum wsc_status status =
        wsc_proxy_header_feed(&header, data.data, (size_t)data.len, &used, &source);
    pywsc_bytes_release(&data);
    if (status == WSC_NEED_DATA) {
        Py_RETURN_NONE;
    }
    return status == WSC_OK
               ? Py_BuildValue("Nn", pywsc_proxy_source(&source), (Py_ssize_t)used)
               : malformed("This is no header of the PROXY protocol.");
}

static PyMethodDef functions[] = {
    {"read_response", read_response, METH_O, PYWSC_DOC_READ_RESPONSE},
    {"read_proxy_header", read_proxy_header, METH_O, PYWSC_DOC_READ_PROXY_HEADER},
    {NULL},
};

int pywsc_http_init(PyObject *module, struct pywsc_state *state)
{
    (void)state;
    return PyModule_AddFunctions(module, functions);
}

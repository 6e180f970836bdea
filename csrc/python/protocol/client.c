#include "protocol/client.h"

#include "common/arguments.h"
#include "common/config.h"
#include "common/docs.h"
#include "protocol/options.h"
#include "protocol/protocol.h"
#include "values/errors.h"
#include "values/heads.h"

/* ClientProtocol: the request, and what the response agreed to. */

/* Read back what was queued, for the `request` attribute. */
static PyObject *sent_request(struct pywsc_state *state, struct pywsc_protocol *self)
{
    struct wsc_outgoing_piece piece;
    struct wsc_http_limits limits = {SIZE_MAX / 4, SIZE_MAX / 4, SIZE_MAX / 4,
                                     SIZE_MAX / 4};
    struct wsc_http_head head;
    PyObject *request = NULL;
    size_t used = 0;
    (void)wsc_outgoing_peek(wsc_conn_outgoing(&self->conn), &piece, 1);
    wsc_http_head_init(&head, WSC_HTTP_REQUEST, &limits, &pywsc_allocator);
    enum wsc_status status = wsc_http_head_feed(&head, piece.data, piece.len, &used);
    if (status == WSC_OK) {
        request = pywsc_head_request(state, &head);
    }
    else {
        (void)pywsc_raise(state, status);
    }
    wsc_http_head_fini(&head);
    return request;
}

static int send_request(struct pywsc_protocol *self, PyObject *target_object,
                        PyObject *headers_object, PyObject *protocols)
{
    struct pywsc_state *state = pywsc_type_state(Py_TYPE(self));
    struct pywsc_headers headers;
    struct wsc_str target;
    struct wsc_str *offered = NULL;
    int result = -1;
    PyObject *list = PySequence_List(protocols);
    if (list == NULL) {
        return -1;
    }
    if (pywsc_headers_get(state, headers_object, &headers) < 0) {
        Py_DECREF(list);
        return -1;
    }
    size_t count = (size_t)PyList_GET_SIZE(list);
    if (pywsc_ascii_get(target_object, "target", headers.held, &target) < 0) {
        goto done;
    }
    offered = PyMem_New(struct wsc_str, count + 1);
    if (offered == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (size_t i = 0; i < count; i++) {
        if (pywsc_ascii_get(PyList_GET_ITEM(list, (Py_ssize_t)i), "subprotocol",
                            headers.held, &offered[i]) < 0) {
            goto done;
        }
    }
    enum wsc_status status = wsc_conn_send_request(&self->conn, target, headers.items,
                                                   headers.count, offered, count);
    if (status == WSC_ERR_INVALID_ARGUMENT) {
        PyErr_SetString(PyExc_ValueError, "target, header or subprotocol is not valid");
    }
    else if (status != WSC_OK) {
        (void)pywsc_raise(state, status);
    }
    else {
        self->request = sent_request(state, self);
        result = self->request == NULL ? -1 : 0;
    }
done:
    PyMem_Free(offered);
    Py_DECREF(list);
    pywsc_headers_release(&headers);
    return result;
}

static int client_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    /* Those of pywsc_config_option in their order, then ours. */
    static const char *const names[] = {
        "max_size",    "compression", "max_line", "max_header_line", "max_head",
        "max_headers", "target",      "headers",  "subprotocols"};
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    PyObject *options[PYWSC_CONFIG_OPTIONS + 3];
    if (pywsc_init_keywords("ClientProtocol", args, kwargs, names,
                            PYWSC_CONFIG_OPTIONS + 3, options) < 0) {
        return -1;
    }
    PyObject *target = options[PYWSC_CONFIG_OPTIONS];
    PyObject *headers = options[PYWSC_CONFIG_OPTIONS + 1];
    PyObject *protocols = options[PYWSC_CONFIG_OPTIONS + 2];
    if (target == NULL || headers == NULL) {
        PyErr_SetString(PyExc_TypeError, "ClientProtocol() needs target and headers");
        return -1;
    }
    PyObject *none = PyTuple_New(0);
    int result = none == NULL
                     ? -1
                     : pywsc_protocol_construct(self, WSC_ROLE_CLIENT, false, options);
    if (result == 0) {
        result =
            send_request(self, target, headers, protocols != NULL ? protocols : none);
    }
    Py_XDECREF(none);
    return result;
}

static PyObject *get_request(PyObject *op, void *closure)
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    (void)closure;
    return Py_NewRef(self->request != NULL ? self->request : Py_None);
}

static PyGetSetDef client_getset[] = {
    {"request", get_request, NULL, PYWSC_DOC_CLIENT_PROTOCOL_REQUEST, NULL},
    {NULL},
};

static PyType_Slot client_slots[] = {
    {Py_tp_doc, PYWSC_DOC_CLIENT_PROTOCOL},
    {Py_tp_init, client_init},
    {Py_tp_getset, client_getset},
    {0, NULL},
};

static PyType_Spec client_spec = {
    .name = "pywscore._core.ClientProtocol",
    .basicsize = sizeof(struct pywsc_protocol),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = client_slots,
};

int pywsc_protocol_client_init(PyObject *module, struct pywsc_state *state)
{
    state->client_protocol = pywsc_add_type(module, &client_spec, state->protocol);
    return state->client_protocol == NULL ? -1 : 0;
}

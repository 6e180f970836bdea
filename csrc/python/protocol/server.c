#include "protocol/server.h"

#include <string.h>

#include "common/arguments.h"
#include "common/config.h"
#include "common/docs.h"
#include "protocol/options.h"
#include "protocol/protocol.h"
#include "protocol/receive.h"
#include "values/errors.h"
#include "values/heads.h"

/* ServerProtocol: the request, and the answer to it. */

/* --- the answer --- */

static PyObject *raise_answer(struct pywsc_state *state, struct pywsc_protocol *self,
                              enum wsc_status status)
{
    if (status == WSC_ERR_HANDSHAKE) {
        if (pywsc_protocol_note_failure(state, self) == 0) {
            PyErr_SetObject((PyObject *)Py_TYPE(self->handshake_exception),
                            self->handshake_exception);
        }
        return NULL;
    }
    if (status == WSC_ERR_INVALID_STATE) {
        PyErr_SetString(state->objects[PYWSC_INVALID_STATE],
                        "no request is waiting for an answer");
        return NULL;
    }
    if (status == WSC_ERR_INVALID_ARGUMENT) {
        PyErr_SetString(
            PyExc_ValueError,
            "the response can't be sent: a subprotocol that was not offered, "
            "or a status or header that is not valid");
        return NULL;
    }
    return pywsc_raise(state, status);
}

/* The headers of a 101: ours, then the caller's. */
static enum wsc_status
accept_headers(struct pywsc_protocol *self, PyObject *subprotocol,
               struct pywsc_headers *headers, PyObject **out_error)
{
    struct wsc_http_header ours[WSC_ACCEPT_HEADERS];
    struct wsc_str protocol = {NULL, 0};
    size_t count = 0;
    *out_error = NULL;
    if (subprotocol != NULL && subprotocol != Py_None &&
        pywsc_ascii_get(subprotocol, "subprotocol", headers->held, &protocol) < 0) {
        *out_error = Py_None;
        return WSC_ERR_INVALID_ARGUMENT;
    }
    enum wsc_status status =
        wsc_conn_accept_headers(&self->conn, protocol, ours, &count);
    if (status == WSC_OK) {
        memmove(headers->items + count, headers->items,
                headers->count * sizeof(*headers->items));
        memcpy(headers->items, ours, count * sizeof(*ours));
        headers->count += count;
    }
    return status;
}

static const struct wsc_str switching_protocols = {"Switching Protocols", 19};

static PyObject *switching_protocols_of(struct pywsc_state *state,
                                        const struct wsc_http_header *headers,
                                        size_t count)
{
    PyObject *list = pywsc_headers_new(state, headers, count);
    PyObject *body = list == NULL ? NULL : PyBytes_FromStringAndSize(NULL, 0);
    return pywsc_response_of(state, 101,
                             Py_NewRef(state->names[PYWSC_NAME_SWITCHING_PROTOCOLS]),
                             list, body);
}

/* accept() or, with `build`, build_response(). */
static PyObject *
accept_or_build(PyObject *op, PyObject *args, PyObject *kwargs, bool build)
{
    static char *keywords[] = {"subprotocol", "headers", NULL};
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    PyObject *subprotocol = NULL;
    PyObject *extra = NULL;
    PyObject *error = NULL;
    PyObject *result = NULL;
    struct pywsc_headers headers;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OO", keywords, &subprotocol,
                                     &extra) ||
        pywsc_protocol_ready(self) < 0) {
        return NULL;
    }
    struct pywsc_state *state = pywsc_type_state(Py_TYPE(op));
    PyObject *none = PyTuple_New(0);
    int got = none == NULL
                  ? -1
                  : pywsc_headers_get(state, extra != NULL ? extra : none, &headers);
    Py_XDECREF(none);
    if (got < 0) {
        return NULL;
    }
    enum wsc_status status;
    Py_BEGIN_CRITICAL_SECTION(op);
    status = accept_headers(self, subprotocol, &headers, &error);
    if (status == WSC_OK && build) {
        result = switching_protocols_of(state, headers.items, headers.count);
    }
    else if (status == WSC_OK) {
        status = wsc_conn_respond(&self->conn, 101, switching_protocols, headers.items,
                                  headers.count, NULL, 0);
        if (status == WSC_OK) {
            if (subprotocol != NULL && subprotocol != Py_None) {
                self->subprotocol = Py_NewRef(subprotocol);
            }
            result = Py_NewRef(Py_None);
        }
    }
    Py_END_CRITICAL_SECTION();
    pywsc_headers_release(&headers);
    if (status != WSC_OK && error == NULL) {
        return raise_answer(state, self, status);
    }
    return result;
}

static PyObject *server_accept(PyObject *op, PyObject *args, PyObject *kwargs)
{
    return accept_or_build(op, args, kwargs, false);
}

static PyObject *server_build_response(PyObject *op, PyObject *args, PyObject *kwargs)
{
    return accept_or_build(op, args, kwargs, true);
}

/* _accept(subprotocol, server): accept(), with a Server header unless it is None; gives
 * the Response. */
static PyObject *accept_and_tell(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    struct pywsc_state *state = pywsc_type_state(Py_TYPE(op));
    struct wsc_http_header headers[WSC_ACCEPT_HEADERS + 1];
    struct wsc_str protocol = {NULL, 0};
    struct wsc_str server = {NULL, 0};
    size_t count = 0;
    PyObject *response = NULL;
    if (nargs != 2) {
        PyErr_SetString(PyExc_TypeError, "_accept() takes two arguments");
        return NULL;
    }
    if (pywsc_protocol_ready(self) < 0 ||
        (args[0] != Py_None &&
         pywsc_ascii_borrow(args[0], "subprotocol", &protocol) < 0) ||
        (args[1] != Py_None && pywsc_ascii_borrow(args[1], "server", &server) < 0)) {
        return NULL;
    }
    enum wsc_status status;
    Py_BEGIN_CRITICAL_SECTION(op);
    status = wsc_conn_accept_headers(&self->conn, protocol, headers, &count);
    if (status == WSC_OK) {
        if (server.data != NULL) {
            headers[count++] = (struct wsc_http_header){{"Server", 6}, server};
        }
        /* First: once it is sent there is a connection. */
        response = switching_protocols_of(state, headers, count);
    }
    if (response != NULL) {
        status = wsc_conn_respond(&self->conn, 101, switching_protocols, headers, count,
                                  NULL, 0);
    }
    if (response != NULL && status == WSC_OK && protocol.data != NULL) {
        self->subprotocol = Py_NewRef(args[0]);
    }
    Py_END_CRITICAL_SECTION();
    if (status != WSC_OK) {
        Py_XDECREF(response);
        return raise_answer(state, self, status);
    }
    return response;
}

/* The subprotocol that a 101's headers name. */
static int
note_subprotocol(struct pywsc_protocol *self, const struct pywsc_headers *headers)
{
    for (size_t i = 0; i < headers->count; i++) {
        if (wsc_str_is_nocase(headers->items[i].name, "Sec-WebSocket-Protocol")) {
            Py_XSETREF(self->subprotocol, pywsc_header_text(headers->items[i].value));
            return self->subprotocol == NULL ? -1 : 0;
        }
    }
    return 0;
}

static PyObject *respond(PyObject *op, long status_code, PyObject *reason,
                         PyObject *headers_object, PyObject *body)
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    struct pywsc_state *state = pywsc_type_state(Py_TYPE(op));
    struct pywsc_headers headers;
    struct pywsc_bytes bytes;
    struct wsc_str phrase = {NULL, 0};
    enum wsc_status status = WSC_ERR_INVALID_ARGUMENT;
    if (pywsc_headers_get(state, headers_object, &headers) < 0) {
        return NULL;
    }
    if ((reason != NULL &&
         pywsc_ascii_get(reason, "reason phrase", headers.held, &phrase) < 0) ||
        pywsc_bytes_get(body, true, &bytes) < 0) {
        pywsc_headers_release(&headers);
        return NULL;
    }
    Py_BEGIN_CRITICAL_SECTION(op);
    if (status_code >= 0 && status_code <= UINT16_MAX) {
        status =
            wsc_conn_respond(&self->conn, (uint16_t)status_code, phrase, headers.items,
                             headers.count, bytes.data, (size_t)bytes.len);
    }
    Py_END_CRITICAL_SECTION();
    int noted = 0;
    if (status == WSC_OK && status_code == 101) {
        noted = note_subprotocol(self, &headers);
    }
    pywsc_bytes_release(&bytes);
    pywsc_headers_release(&headers);
    if (status != WSC_OK) {
        return raise_answer(state, self, status);
    }
    if (noted < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *server_respond(PyObject *op, PyObject *response)
{
    static const enum pywsc_name names[] = {
        PYWSC_NAME_STATUS_CODE,
        PYWSC_NAME_REASON_PHRASE,
        PYWSC_NAME_HEADERS,
        PYWSC_NAME_BODY,
    };
    const struct pywsc_state *state = pywsc_type_state(Py_TYPE(op));
    PyObject *parts[4] = {NULL, NULL, NULL, NULL};
    PyObject *result = NULL;
    if (pywsc_protocol_ready((struct pywsc_protocol *)op) < 0) {
        return NULL;
    }
    for (size_t i = 0; i < 4; i++) {
        parts[i] = PyObject_GetAttr(response, state->names[names[i]]);
        if (parts[i] == NULL) {
            goto done;
        }
    }
    long status_code = parts[0] == Py_None ? 0 : PyLong_AsLong(parts[0]);
    if (status_code == -1 && PyErr_Occurred()) {
        goto done;
    }
    if (parts[3] == Py_None) {
        Py_SETREF(parts[3], PyBytes_FromStringAndSize(NULL, 0));
    }
    if (parts[3] != NULL) {
        result = respond(op, status_code, parts[1], parts[2], parts[3]);
    }
done:
    for (size_t i = 0; i < 4; i++) {
        Py_XDECREF(parts[i]);
    }
    return result;
}

static int append_pair(PyObject *list, const char *name, const char *value)
{
    PyObject *pair = Py_BuildValue("(ss)", name, value);
    int result = pair == NULL ? -1 : PyList_Append(list, pair);
    Py_XDECREF(pair);
    return result;
}

static PyObject *server_reject(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"status", "body", "headers", NULL};
    long status_code;
    PyObject *body = NULL;
    PyObject *extra = NULL;
    PyObject *result = NULL;
    char length[24];
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "l|O$O", keywords, &status_code,
                                     &body, &extra) ||
        pywsc_protocol_ready((struct pywsc_protocol *)op) < 0) {
        return NULL;
    }
    if (status_code == 101) {
        PyErr_SetString(PyExc_ValueError, "101 accepts a request");
        return NULL;
    }
    body = body != NULL ? Py_NewRef(body) : PyBytes_FromStringAndSize(NULL, 0);
    struct pywsc_bytes bytes;
    if (body == NULL || pywsc_bytes_get(body, true, &bytes) < 0) {
        Py_XDECREF(body);
        return NULL;
    }
    /* A copy: the caller's headers may be code that changes the body. */
    PyOS_snprintf(length, sizeof(length), "%zd", bytes.len);
    Py_SETREF(body, PyBytes_FromStringAndSize((const char *)bytes.data, bytes.len));
    pywsc_bytes_release(&bytes);
    PyObject *list = body == NULL ? NULL : PyList_New(0);
    if (list != NULL &&
        append_pair(list, "Content-Type", "text/plain; charset=utf-8") == 0 &&
        append_pair(list, "Content-Length", length) == 0 &&
        append_pair(list, "Connection", "close") == 0) {
        PyObject *more = extra == NULL ? PyList_New(0) : pywsc_header_pairs(extra);
        PyObject *all = more == NULL ? NULL : PySequence_InPlaceConcat(list, more);
        if (all != NULL) {
            result = respond(op, status_code, NULL, all, body);
        }
        Py_XDECREF(all);
        Py_XDECREF(more);
    }
    Py_XDECREF(list);
    Py_XDECREF(body);
    return result;
}

/* --- the request --- */

static PyObject *get_offered_subprotocols_lock_held(PyObject *op)
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    PyObject *list = PyList_New(0);
    /* Now: a collection may have run code that answered the request. */
    const struct wsc_http_head *head = wsc_conn_head(&self->conn);
    size_t position = 0;
    struct wsc_str protocol;
    while (list != NULL && head != NULL &&
           wsc_handshake_protocol_next(head, &position, &protocol) == WSC_OK) {
        PyObject *text = pywsc_header_text(protocol);
        if (text == NULL || PyList_Append(list, text) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(text);
    }
    return list;
}
PYWSC_PROTOCOL_GETTER(get_offered_subprotocols)

static PyObject *get_origin_lock_held(PyObject *op)
{
    const struct wsc_http_head *head =
        wsc_conn_head(&((struct pywsc_protocol *)op)->conn);
    const struct wsc_http_header *origin =
        head == NULL ? NULL : wsc_http_head_find(head, "Origin", NULL);
    if (origin == NULL) {
        Py_RETURN_NONE;
    }
    return pywsc_header_text(origin->value);
}
PYWSC_PROTOCOL_GETTER(get_origin)

static PyObject *get_refusal_lock_held(PyObject *op)
{
    const struct wsc_handshake_failure *failure =
        wsc_conn_failure(&((struct pywsc_protocol *)op)->conn);
    if (failure == NULL) {
        Py_RETURN_NONE;
    }
    return Py_BuildValue("is", failure->status, failure->reason);
}
PYWSC_PROTOCOL_GETTER(get_refusal)

/* --- the type --- */

static int server_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    /* In the order of pywsc_config_option. */
    static const char *const names[] = {"max_size",        "compression", "max_line",
                                        "max_header_line", "max_head",    "max_headers",
                                        "any_request"};
    PyObject *options[PYWSC_CONFIG_OPTIONS + 1];
    if (pywsc_init_keywords("ServerProtocol", args, kwargs, names,
                            PYWSC_CONFIG_OPTIONS + 1, options) < 0) {
        return -1;
    }
    PyObject *given = options[PYWSC_CONFIG_OPTIONS];
    int any_request = given == NULL ? 0 : PyObject_IsTrue(given);
    if (any_request < 0) {
        return -1;
    }
    return pywsc_protocol_construct((struct pywsc_protocol *)op, WSC_ROLE_SERVER,
                                    any_request != 0, options);
}

static PyMethodDef server_methods[] = {
    {"accept", PYWSC_FUNCTION(server_accept), METH_VARARGS | METH_KEYWORDS,
     PYWSC_DOC_SERVER_PROTOCOL_ACCEPT},
    {"_accept", PYWSC_FUNCTION(accept_and_tell), METH_FASTCALL, NULL},
    {"build_response", PYWSC_FUNCTION(server_build_response),
     METH_VARARGS | METH_KEYWORDS, PYWSC_DOC_SERVER_PROTOCOL_BUILD_RESPONSE},
    {"respond", server_respond, METH_O, PYWSC_DOC_SERVER_PROTOCOL_RESPOND},
    {"reject", PYWSC_FUNCTION(server_reject), METH_VARARGS | METH_KEYWORDS,
     PYWSC_DOC_SERVER_PROTOCOL_REJECT},
    {NULL},
};

static PyGetSetDef server_getset[] = {
    {"offered_subprotocols", get_offered_subprotocols, NULL,
     PYWSC_DOC_SERVER_PROTOCOL_OFFERED_SUBPROTOCOLS, NULL},
    {"refusal", get_refusal, NULL, PYWSC_DOC_SERVER_PROTOCOL_REFUSAL, NULL},
    {"origin", get_origin, NULL, PYWSC_DOC_SERVER_PROTOCOL_ORIGIN, NULL},
    {NULL},
};

static PyType_Slot server_slots[] = {
    {Py_tp_doc, PYWSC_DOC_SERVER_PROTOCOL},
    {Py_tp_init, server_init},
    {Py_tp_methods, server_methods},
    {Py_tp_getset, server_getset},
    {0, NULL},
};

static PyType_Spec server_spec = {
    .name = "pywscore._core.ServerProtocol",
    .basicsize = sizeof(struct pywsc_protocol),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = server_slots,
};

int pywsc_protocol_server_init(PyObject *module, struct pywsc_state *state)
{
    state->server_protocol = pywsc_add_type(module, &server_spec, state->protocol);
    return state->server_protocol == NULL ? -1 : 0;
}

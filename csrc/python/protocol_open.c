#include "protocol_methods.h"

#include <string.h>

/* ServerProtocol and ClientProtocol: construction and the opening handshake. */

/* --- settings of permessage-deflate, from and to pywscore.PerMessageDeflate --- */

static int get_int(PyObject *object, const char *name, long none, long *out)
{
    PyObject *value = PyObject_GetAttrString(object, name);
    if (value == NULL) {
        return -1;
    }
    *out = value == Py_None ? none : PyLong_AsLong(value);
    Py_DECREF(value);
    return *out == -1 && PyErr_Occurred() ? -1 : 0;
}

static int get_bool(PyObject *object, const char *name, bool *out)
{
    PyObject *value = PyObject_GetAttrString(object, name);
    if (value == NULL) {
        return -1;
    }
    int truth = PyObject_IsTrue(value);
    Py_DECREF(value);
    *out = truth > 0;
    return truth < 0 ? -1 : 0;
}

static int get_settings(struct pywsc_state *state, PyObject *compression,
                        struct wsc_deflate_settings *out)
{
    long server_bits;
    long client_bits;
    long level;
    long mem_level;
    long threshold;
    int is_ours =
        PyObject_IsInstance(compression, state->objects[PYWSC_PER_MESSAGE_DEFLATE]);
    if (is_ours <= 0) {
        if (is_ours == 0) {
            PyErr_Format(PyExc_TypeError,
                         "compression must be a PerMessageDeflate or None, not %.100s",
                         Py_TYPE(compression)->tp_name);
        }
        return -1;
    }
    wsc_deflate_settings_init(out);
    if (get_bool(compression, "server_no_context_takeover",
                 &out->server_no_context_takeover) < 0 ||
        get_bool(compression, "client_no_context_takeover",
                 &out->client_no_context_takeover) < 0 ||
        get_bool(compression, "offer_client_max_window_bits",
                 &out->offer_client_max_window_bits) < 0 ||
        get_bool(compression, "require_client_max_window_bits",
                 &out->require_client_max_window_bits) < 0 ||
        get_int(compression, "server_max_window_bits", 0, &server_bits) < 0 ||
        get_int(compression, "client_max_window_bits", 0, &client_bits) < 0 ||
        get_int(compression, "level", -1, &level) < 0 ||
        get_int(compression, "mem_level", 8, &mem_level) < 0 ||
        get_int(compression, "threshold", 0, &threshold) < 0) {
        return -1;
    }
    if (server_bits < 0 || server_bits > WSC_WINDOW_BITS_MAX || client_bits < 0 ||
        client_bits > WSC_WINDOW_BITS_MAX || level < -1 || level > 9 || mem_level < 1 ||
        mem_level > 9 || threshold < 0) {
        PyErr_SetString(PyExc_ValueError, "compression parameter out of range");
        return -1;
    }
    out->server_max_window_bits = (uint8_t)server_bits;
    out->client_max_window_bits = (uint8_t)client_bits;
    out->level = (int)level;
    out->mem_level = (int)mem_level;
    out->threshold = (size_t)threshold;
    return 0;
}

PyObject *pywsc_protocol_agreed_compression(struct pywsc_state *state,
                                            struct pywsc_protocol *self)
{
    struct wsc_deflate_params params;
    if (!self->initialized || !wsc_conn_deflate_params(&self->conn, &params)) {
        Py_RETURN_NONE;
    }
    PyObject *keywords = Py_BuildValue(
        "{s:N,s:N,s:i,s:i,s:i,s:i,s:n}", "server_no_context_takeover",
        PyBool_FromLong(params.server_no_context_takeover),
        "client_no_context_takeover",
        PyBool_FromLong(params.client_no_context_takeover), "server_max_window_bits",
        (int)params.server_max_window_bits, "client_max_window_bits",
        (int)params.client_max_window_bits, "level", self->settings.level, "mem_level",
        self->settings.mem_level, "threshold", (Py_ssize_t)self->settings.threshold);
    PyObject *args = PyTuple_New(0);
    if (keywords != NULL && args != NULL) {
        PyObject *agreed =
            PyObject_Call(state->objects[PYWSC_PER_MESSAGE_DEFLATE], args, keywords);
        Py_XSETREF(self->compression, agreed); /* another thread may have been faster */
    }
    Py_XDECREF(keywords);
    Py_XDECREF(args);
    return Py_XNewRef(self->compression);
}

/* --- construction --- */

struct options {
    PyObject *max_size;
    PyObject *compression;
    PyObject *max_line;
    PyObject *max_header_line;
    PyObject *max_head;
    PyObject *max_headers;
};

static int init_protocol(struct pywsc_protocol *self, enum wsc_role role,
                         bool any_request, const struct options *options)
{
    struct pywsc_state *state = pywsc_type_state(Py_TYPE(self));
    struct wsc_conn_config *config = &self->config;
    if (self->initialized) {
        PyErr_SetString(PyExc_RuntimeError, "__init__() was called twice");
        return -1;
    }
    memset(config, 0, sizeof(*config));
    config->role = role;
    config->any_request = any_request;
    config->allocator = &pywsc_allocator;
    config->payload_memory = &pywsc_payload_memory;
    wsc_http_limits_init(&config->http_limits);
    struct wsc_http_limits *limits = &config->http_limits;
    size_t max_size = 1 << 20;
    if ((options->max_size != NULL &&
         pywsc_size_argument(options->max_size, "max_size", WSC_MESSAGE_SIZE_MAX,
                             &max_size) < 0) ||
        pywsc_size_argument(options->max_line, "max_line", limits->start_line,
                            &limits->start_line) < 0 ||
        pywsc_size_argument(options->max_header_line, "max_header_line",
                            limits->header_line, &limits->header_line) < 0 ||
        pywsc_size_argument(options->max_head, "max_head", limits->block,
                            &limits->block) < 0 ||
        pywsc_size_argument(options->max_headers, "max_headers", limits->count,
                            &limits->count) < 0) {
        return -1;
    }
    config->max_size = max_size;
    if (options->compression != NULL && options->compression != Py_None) {
        if (get_settings(state, options->compression, &self->settings) < 0) {
            return -1;
        }
        config->deflate = &self->settings;
        if (self->pool == NULL) {
            self->pool = pywsc_pool_hold(state);
        }
        config->deflate_pool = pywsc_pool_contexts(self->pool);
    }
    enum wsc_status status = wsc_conn_init(&self->conn, config);
    if (status != WSC_OK) {
        (void)pywsc_raise(state, status);
        return -1;
    }
    self->initialized = true;
    return 0;
}

static int server_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"max_size",        "compression", "max_line",
                               "max_header_line", "max_head",    "max_headers",
                               "any_request",     NULL};
    struct options options;
    int any_request = 0;
    memset(&options, 0, sizeof(options));
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "|$OOOOOOp:ServerProtocol", keywords, &options.max_size,
            &options.compression, &options.max_line, &options.max_header_line,
            &options.max_head, &options.max_headers, &any_request)) {
        return -1;
    }
    return init_protocol((struct pywsc_protocol *)op, WSC_ROLE_SERVER, any_request != 0,
                         &options);
}

/* --- server: the answer --- */

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
        PyObject *list = pywsc_headers_new(state, headers.items, headers.count);
        result = list == NULL
                     ? NULL
                     : PyObject_CallFunction(
                           state->objects[PYWSC_RESPONSE], "iONy", 101,
                           state->names[PYWSC_NAME_SWITCHING_PROTOCOLS], list, "");
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

/* The subprotocol that a 101's headers name. */
static int
note_subprotocol(struct pywsc_protocol *self, const struct pywsc_headers *headers)
{
    for (size_t i = 0; i < headers->count; i++) {
        if (wsc_str_equal_nocase(headers->items[i].name, "Sec-WebSocket-Protocol")) {
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
    static const char *const names[] = {"reason_phrase", "headers", "body"};
    PyObject *parts[3] = {NULL, NULL, NULL};
    PyObject *result = NULL;
    long status_code;
    if (pywsc_protocol_ready((struct pywsc_protocol *)op) < 0 ||
        get_int(response, "status_code", 0, &status_code) < 0) {
        return NULL;
    }
    for (size_t i = 0; i < 3; i++) {
        parts[i] = PyObject_GetAttrString(response, names[i]);
        if (parts[i] == NULL) {
            goto done;
        }
    }
    if (parts[2] == Py_None) {
        Py_SETREF(parts[2], PyBytes_FromStringAndSize(NULL, 0));
    }
    if (parts[2] != NULL) {
        result = respond(op, status_code, parts[0], parts[1], parts[2]);
    }
done:
    for (size_t i = 0; i < 3; i++) {
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

/* --- server: the request --- */

static PyObject *get_offered_subprotocols_lock_held(PyObject *op)
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    const struct wsc_http_head *head = wsc_conn_head(&self->conn);
    PyObject *list = PyList_New(0);
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

static PyMethodDef server_methods[] = {
    {"accept", PYWSC_FUNCTION(server_accept), METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR(
         "accept($self, *, subprotocol=None, headers=())\n--\n\n"
         "Queue the 101 (RFC 6455 §4.2.2) for the request; the connection is open.")},
    {"build_response", PYWSC_FUNCTION(server_build_response),
     METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR(
         "build_response($self, *, subprotocol=None, headers=())\n--\n\n"
         "The 101 that accept() would queue, to be changed and given to respond().")},
    {"respond", server_respond, METH_O,
     PyDoc_STR(
         "respond($self, response, /)\n--\n\n"
         "Queue any response; status 101 opens the connection, another ends it.")},
    {"reject", PYWSC_FUNCTION(server_reject), METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("reject($self, status, body='', *, headers=())\n--\n\n"
               "Refuse the request with this status and plain text body.")},
    {NULL},
};

static PyGetSetDef server_getset[] = {
    {"offered_subprotocols", get_offered_subprotocols, NULL,
     PyDoc_STR("What the request offers, preferred first; [] once it is answered."),
     NULL},
    {"origin", get_origin, NULL,
     PyDoc_STR("The request's Origin, or None; None once it is answered."), NULL},
    {NULL},
};

static PyType_Slot server_slots[] = {
    {Py_tp_doc,
     PyDoc_STR("ServerProtocol(*, max_size=1048576, compression=None, max_line=8192, "
               "max_header_line=8192, max_head=32768, max_headers=128, "
               "any_request=False)\n--\n\n"
               "The server's end of a WebSocket connection, without I/O.")},
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

/* --- client --- */

int pywsc_protocol_note_answer(struct pywsc_state *state, struct pywsc_protocol *self)
{
    const struct wsc_handshake_answer *answer = wsc_conn_answer(&self->conn);
    (void)state;
    if (answer != NULL && answer->protocol.data != NULL) {
        Py_XSETREF(self->subprotocol, pywsc_header_text(answer->protocol));
        return self->subprotocol == NULL ? -1 : 0;
    }
    return 0;
}

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
    static char *keywords[] = {"target",      "headers",  "subprotocols",    "max_size",
                               "compression", "max_line", "max_header_line", "max_head",
                               "max_headers", NULL};
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    struct options options;
    PyObject *target = NULL;
    PyObject *headers = NULL;
    PyObject *protocols = NULL;
    memset(&options, 0, sizeof(options));
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "|$OOOOOOOOO:ClientProtocol", keywords, &target, &headers,
            &protocols, &options.max_size, &options.compression, &options.max_line,
            &options.max_header_line, &options.max_head, &options.max_headers)) {
        return -1;
    }
    if (target == NULL || headers == NULL) {
        PyErr_SetString(PyExc_TypeError, "ClientProtocol() needs target and headers");
        return -1;
    }
    PyObject *none = PyTuple_New(0);
    int result =
        none == NULL ? -1 : init_protocol(self, WSC_ROLE_CLIENT, false, &options);
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
    {"request", get_request, NULL, PyDoc_STR("The Request that was queued."), NULL},
    {NULL},
};

static PyType_Slot client_slots[] = {
    {Py_tp_doc,
     PyDoc_STR("ClientProtocol(*, target, headers, subprotocols=(), max_size=1048576,\n"
               "               compression=None, max_line=8192, max_header_line=8192,\n"
               "               max_head=32768, max_headers=128)\n--\n\n"
               "The client's end of a WebSocket connection, without I/O. The request "
               "(RFC 6455 §4.1) is queued at once.")},
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

int pywsc_protocol_open_init(PyObject *module, struct pywsc_state *state)
{
    state->server_protocol = pywsc_add_type(module, &server_spec, state->protocol);
    state->client_protocol = pywsc_add_type(module, &client_spec, state->protocol);
    return state->server_protocol != NULL && state->client_protocol != NULL ? 0 : -1;
}

#include "protocol_methods.h"

#include <string.h>

/* What both ends are made with: limits, and permessage-deflate from and to
 * pywscore.PerMessageDeflate. */

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
        pywsc_int_attribute(compression, "server_max_window_bits", 0, &server_bits) <
            0 ||
        pywsc_int_attribute(compression, "client_max_window_bits", 0, &client_bits) <
            0 ||
        pywsc_int_attribute(compression, "level", -1, &level) < 0 ||
        pywsc_int_attribute(compression, "mem_level", 8, &mem_level) < 0 ||
        pywsc_int_attribute(compression, "threshold", 0, &threshold) < 0) {
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

int pywsc_protocol_construct(struct pywsc_protocol *self, enum wsc_role role,
                             bool any_request,
                             const struct pywsc_protocol_options *options)
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

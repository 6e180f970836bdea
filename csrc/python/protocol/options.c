#include "protocol/options.h"

#include "common/config.h"
#include "values/errors.h"
#include "values/heads.h"

PyObject *pywsc_protocol_agreed_compression(struct pywsc_state *state,
                                            struct pywsc_protocol *self)
{
    struct wsc_deflate_params params;
    if (!self->initialized || !wsc_conn_deflate_params(&self->conn, &params)) {
        Py_RETURN_NONE;
    }
    const struct wsc_deflate_settings *settings = &self->config->settings;
    PyObject *keywords = Py_BuildValue(
        "{s:N,s:N,s:i,s:i,s:i,s:i,s:n}", "server_no_context_takeover",
        PyBool_FromLong(params.server_no_context_takeover),
        "client_no_context_takeover",
        PyBool_FromLong(params.client_no_context_takeover), "server_max_window_bits",
        (int)params.server_max_window_bits, "client_max_window_bits",
        (int)params.client_max_window_bits, "level", settings->level, "mem_level",
        settings->mem_level, "threshold", (Py_ssize_t)settings->threshold);
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
                             PyObject *const options[PYWSC_CONFIG_OPTIONS])
{
    struct pywsc_state *state = pywsc_type_state(Py_TYPE(self));
    struct pywsc_config *config = pywsc_config_get(state, role, any_request, options);
    if (config == NULL) {
        return -1;
    }
    /* An option may have run code: it is looked at after them. */
    if (self->initialized) {
        pywsc_config_release(config);
        PyErr_SetString(PyExc_RuntimeError, "__init__() was called twice");
        return -1;
    }
    enum wsc_status status = wsc_conn_init(&self->conn, &config->core);
    if (status != WSC_OK) {
        pywsc_config_release(config);
        (void)pywsc_raise(state, status);
        return -1;
    }
    self->config = config;
    self->initialized = true;
    return 0;
}

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

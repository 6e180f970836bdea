#include "common/config.h"

#include <string.h>

#include "common/arguments.h"
#include "common/pool.h"

static void config_free(struct pywsc_config *config)
{
    pywsc_pool_release(config->pool);
    wsc_free(&pywsc_allocator, config);
}

void pywsc_config_release(struct pywsc_config *config)
{
    if (config != NULL && --config->users == 0) {
        config_free(config);
    }
}

void pywsc_config_forget(struct pywsc_state *state)
{
    pywsc_config_release(state->config);
    state->config = NULL;
    for (size_t i = 0; i < PYWSC_CONFIG_OPTIONS; i++) {
        Py_CLEAR(state->config_options[i]);
    }
}

/* --- permessage-deflate, from pywscore.PerMessageDeflate --- */

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

/* --- all of them --- */

static int read_limits(PyObject *const options[PYWSC_CONFIG_OPTIONS],
                       struct wsc_conn_config *config)
{
    struct wsc_http_limits *limits = &config->http_limits;
    return (options[PYWSC_MAX_SIZE] != NULL &&
            pywsc_size_argument(options[PYWSC_MAX_SIZE], "max_size",
                                WSC_MESSAGE_SIZE_MAX, &config->max_size) < 0) ||
                   pywsc_size_argument(options[PYWSC_MAX_LINE], "max_line",
                                       limits->start_line, &limits->start_line) < 0 ||
                   pywsc_size_argument(options[PYWSC_MAX_HEADER_LINE],
                                       "max_header_line", limits->header_line,
                                       &limits->header_line) < 0 ||
                   pywsc_size_argument(options[PYWSC_MAX_HEAD], "max_head",
                                       limits->block, &limits->block) < 0 ||
                   pywsc_size_argument(options[PYWSC_MAX_HEADERS], "max_headers",
                                       limits->count, &limits->count) < 0
               ? -1
               : 0;
}

static int read_options(struct pywsc_state *state, struct pywsc_config *config,
                        PyObject *const options[PYWSC_CONFIG_OPTIONS])
{
    PyObject *compression = options[PYWSC_COMPRESSION];
    if (read_limits(options, &config->core) < 0) {
        return -1;
    }
    if (compression != NULL && compression != Py_None) {
        if (get_settings(state, compression, &config->settings) < 0) {
            return -1;
        }
        config->core.deflate = &config->settings;
        config->pool = pywsc_pool_hold(state);
        config->core.deflate_pool = pywsc_pool_contexts(config->pool);
    }
    return 0;
}

static struct pywsc_config *config_new(struct pywsc_state *state, enum wsc_role role,
                                       bool any_request,
                                       PyObject *const options[PYWSC_CONFIG_OPTIONS])
{
    struct pywsc_config *config = wsc_alloc_zeroed(&pywsc_allocator, sizeof(*config));
    if (config == NULL) {
        (void)PyErr_NoMemory();
        return NULL;
    }
    config->users = 1;
    wsc_conn_config_init(&config->core, role);
    config->core.any_request = any_request;
    config->core.allocator = &pywsc_allocator;
    config->core.payload_memory = &pywsc_payload_memory;
    if (read_options(state, config, options) < 0) {
        config_free(config);
        return NULL;
    }
    return config;
}

#ifdef Py_GIL_DISABLED

/* Without a lock for the number of users, each has its own. */
struct pywsc_config *pywsc_config_get(struct pywsc_state *state, enum wsc_role role,
                                      bool any_request,
                                      PyObject *const options[PYWSC_CONFIG_OPTIONS])
{
    return config_new(state, role, any_request, options);
}

#else

/* Does the same object stand for the same value for ever? */
static bool is_constant(const struct pywsc_state *state, const PyObject *option)
{
    return option == NULL || option == Py_None || PyLong_CheckExact(option) ||
           (PyObject *)Py_TYPE(option) == state->objects[PYWSC_PER_MESSAGE_DEFLATE];
}

static void remember(struct pywsc_state *state, struct pywsc_config *config,
                     PyObject *const options[PYWSC_CONFIG_OPTIONS])
{
    for (size_t i = 0; i < PYWSC_CONFIG_OPTIONS; i++) {
        if (!is_constant(state, options[i])) {
            return;
        }
    }
    PyObject *before[PYWSC_CONFIG_OPTIONS];
    pywsc_config_release(state->config);
    config->users++;
    state->config = config;
    for (size_t i = 0; i < PYWSC_CONFIG_OPTIONS; i++) {
        before[i] = state->config_options[i];
        state->config_options[i] = Py_XNewRef(options[i]);
    }
    /* Now that all fit together: what they consist of may run code when it goes. */
    for (size_t i = 0; i < PYWSC_CONFIG_OPTIONS; i++) {
        Py_XDECREF(before[i]);
    }
}

struct pywsc_config *pywsc_config_get(struct pywsc_state *state, enum wsc_role role,
                                      bool any_request,
                                      PyObject *const options[PYWSC_CONFIG_OPTIONS])
{
    struct pywsc_config *last = state->config;
    if (last != NULL && last->core.role == role &&
        last->core.any_request == any_request &&
        memcmp(options, state->config_options, sizeof(state->config_options)) == 0) {
        last->users++;
        return last;
    }
    struct pywsc_config *config = config_new(state, role, any_request, options);
    if (config != NULL) {
        remember(state, config, options);
    }
    return config;
}

#endif

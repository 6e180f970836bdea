#include "load/load.h"

#include "common/docs.h"
#include "engine/tls.h"
#include "load/histogram.h"
#include "values/errors.h"

#include "wsc/engine.h"
#include "wsc/load.h"
#include "wsc/clock.h"

#if !WSC_HAVE_ENGINE

int pywsc_load_init(PyObject *module, struct pywsc_state *state)
{
    (void)module;
    (void)state;
    return 0;
}

#else

#define NANOSECONDS 1e9
#define SECONDS_MAX 1e6

struct load {
    PyObject_HEAD struct wsc_load *load;
    PyObject *held; /* what the configuration points into */
    struct wsc_http_header *headers;
    struct wsc_str *protocols;
    struct wsc_deflate_settings deflate;
    bool running; /* in some thread */
};

/* --- arguments --- */

static struct wsc_str str_of(PyObject *bytes)
{
    struct wsc_str str = {PyBytes_AS_STRING(bytes), (size_t)PyBytes_GET_SIZE(bytes)};
    return str;
}

static bool is_header(PyObject *item)
{
    return PyTuple_CheckExact(item) && PyTuple_GET_SIZE(item) == 2 &&
           PyBytes_CheckExact(PyTuple_GET_ITEM(item, 0)) &&
           PyBytes_CheckExact(PyTuple_GET_ITEM(item, 1));
}

static int wrong_items(const char *what)
{
    PyErr_Format(PyExc_TypeError, "%s", what);
    return -1;
}

static int
set_headers(struct load *self, PyObject *items, struct wsc_load_config *config)
{
    size_t count = (size_t)PyTuple_GET_SIZE(items);
    self->headers = PyMem_Calloc(count + 1, sizeof(*self->headers));
    if (self->headers == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        PyObject *item = PyTuple_GET_ITEM(items, (Py_ssize_t)i);
        if (!is_header(item)) {
            return wrong_items("headers must be pairs of bytes");
        }
        self->headers[i].name = str_of(PyTuple_GET_ITEM(item, 0));
        self->headers[i].value = str_of(PyTuple_GET_ITEM(item, 1));
    }
    config->headers = self->headers;
    config->header_count = count;
    return 0;
}

static int
set_protocols(struct load *self, PyObject *items, struct wsc_load_config *config)
{
    size_t count = (size_t)PyTuple_GET_SIZE(items);
    self->protocols = PyMem_Calloc(count + 1, sizeof(*self->protocols));
    if (self->protocols == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (size_t i = 0; i < count; i++) {
        PyObject *item = PyTuple_GET_ITEM(items, (Py_ssize_t)i);
        if (!PyBytes_CheckExact(item)) {
            return wrong_items("subprotocols must be bytes");
        }
        self->protocols[i] = str_of(item);
    }
    config->protocols = self->protocols;
    config->protocol_count = count;
    return 0;
}

static int
set_tls(struct pywsc_state *state, PyObject *tls, struct wsc_load_config *config)
{
    if (tls == Py_None) {
        return 0;
    }
    if (!Py_IS_TYPE(tls, state->tls_context)) {
        return wrong_items("tls must be a TLSContext");
    }
    config->tls = pywsc_tls_context(tls);
    return 0;
}

static uint64_t to_ns(double seconds)
{
    return seconds > 0 ? (uint64_t)((seconds < SECONDS_MAX ? seconds : SECONDS_MAX) *
                                    NANOSECONDS)
                       : 0;
}

static int configure(struct pywsc_state *state, struct load *self, PyObject *args,
                     PyObject *kwargs, struct wsc_load_config *config)
{
    static char *keywords[] = {
        "address",     "port",       "target",       "payload",     "tls",
        "server_name", "headers",    "subprotocols", "compression", "text",
        "connections", "first_room", "room_size",    "depth",       "rate",
        "messages",    "duration",   "ramp",         "opening_max", "timeout",
        "handshakes",  "spin",       "max_size",     NULL};
    PyObject *address;
    PyObject *target;
    PyObject *payload;
    PyObject *tls;
    PyObject *server_name;
    PyObject *headers;
    PyObject *protocols;
    int port;
    int compression;
    int text;
    int handshakes;
    int spin;
    Py_ssize_t connections;
    Py_ssize_t first_room;
    Py_ssize_t room_size;
    Py_ssize_t depth;
    Py_ssize_t opening_max;
    Py_ssize_t max_size;
    unsigned long long messages;
    double duration;
    double timeout;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "$SiSSOSO!O!ppnnnndKddndppn", keywords, &address, &port,
            &target, &payload, &tls, &server_name, &PyTuple_Type, &headers,
            &PyTuple_Type, &protocols, &compression, &text, &connections, &first_room,
            &room_size, &depth, &config->rate, &messages, &duration, &config->ramp,
            &opening_max, &timeout, &handshakes, &spin, &max_size)) {
        return -1;
    }
    self->held =
        PyTuple_Pack(7, address, target, payload, tls, server_name, headers, protocols);
    if (self->held == NULL || set_headers(self, headers, config) < 0 ||
        set_protocols(self, protocols, config) < 0 || set_tls(state, tls, config) < 0) {
        return -1;
    }
    if (connections < 1 || first_room < 0 || room_size < 1 || depth < 1 ||
        opening_max < 1 || max_size < 1 || port < 0 || port > UINT16_MAX) {
        PyErr_SetString(PyExc_ValueError, "a number is out of range");
        return -1;
    }
    wsc_deflate_settings_init(&self->deflate);
    config->allocator = wsc_allocator_default(); /* it runs without the GIL */
    config->address = PyBytes_AS_STRING(address);
    config->port = (uint16_t)port;
    config->server_name = PyBytes_AS_STRING(server_name);
    config->target = str_of(target);
    config->deflate = compression ? &self->deflate : NULL;
    config->max_size = (size_t)max_size;
    config->payload = (const uint8_t *)PyBytes_AS_STRING(payload);
    config->payload_len = (size_t)PyBytes_GET_SIZE(payload);
    config->text = text != 0;
    config->connections = (size_t)connections;
    config->first_room = (size_t)first_room;
    config->room_size = (size_t)room_size;
    config->depth = (size_t)depth;
    config->messages = messages;
    config->duration = to_ns(duration);
    config->opening_max = (size_t)opening_max;
    config->timeout = to_ns(timeout);
    config->handshakes = handshakes != 0;
    config->spin = spin != 0;
    return 0;
}

static PyObject *load_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    struct pywsc_state *state = pywsc_type_state(type);
    struct wsc_load_config config = {0};
    struct load *self = (struct load *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    if (configure(state, self, args, kwargs, &config) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    enum wsc_status status = wsc_load_new(&config, &self->load);
    if (status != WSC_OK) {
        Py_DECREF(self);
        return pywsc_raise(state, status);
    }
    return (PyObject *)self;
}

static void load_dealloc(PyObject *op)
{
    struct load *self = (struct load *)op;
    wsc_load_free(self->load);
    PyMem_Free(self->headers);
    PyMem_Free(self->protocols);
    Py_XDECREF(self->held);
    pywsc_free(op);
}

/* --- methods --- */

/* It is ours until it is released; false with an exception if another thread has it. */
static bool seize(struct load *self)
{
    bool seized;
    Py_BEGIN_CRITICAL_SECTION(self);
    seized = !self->running;
    self->running = true;
    Py_END_CRITICAL_SECTION();
    if (!seized) {
        PyErr_SetString(PyExc_RuntimeError, "it is running in another thread");
    }
    return seized;
}

static void release(struct load *self)
{
    Py_BEGIN_CRITICAL_SECTION(self);
    self->running = false;
    Py_END_CRITICAL_SECTION();
}

static PyObject *load_run(PyObject *op, PyObject *seconds)
{
    struct load *self = (struct load *)op;
    enum wsc_load_phase phase;
    double timeout = PyFloat_AsDouble(seconds);
    if ((timeout == -1 && PyErr_Occurred()) || !seize(self)) {
        return NULL;
    }
    Py_BEGIN_ALLOW_THREADS phase =
        wsc_load_run(self->load, wsc_clock_ns() + to_ns(timeout));
    Py_END_ALLOW_THREADS release(self);
    return PyLong_FromLong((long)phase);
}

static PyObject *load_start(PyObject *op, PyObject *unused)
{
    struct load *self = (struct load *)op;
    (void)unused;
    if (!seize(self)) {
        return NULL;
    }
    wsc_load_start(self->load, wsc_clock_ns());
    release(self);
    Py_RETURN_NONE;
}

static PyObject *load_stop(PyObject *op, PyObject *unused)
{
    struct load *self = (struct load *)op;
    (void)unused;
    if (!seize(self)) {
        return NULL;
    }
    wsc_load_stop(self->load);
    release(self);
    Py_RETURN_NONE;
}

static PyObject *load_figures(PyObject *op, PyObject *unused)
{
    struct load *self = (struct load *)op;
    (void)unused;
    if (!seize(self)) {
        return NULL;
    }
    const struct wsc_load_figures figures = *wsc_load_figures(self->load);
    release(self);
#define COUNT(name) #name, (unsigned long long)figures.name
    return Py_BuildValue("{sisKsKsKsKsKsKsKsKsKsKsKsKsK}", "phase", (int)figures.phase,
                         COUNT(open), COUNT(opened), COUNT(compressed), COUNT(sent),
                         COUNT(received), COUNT(other), COUNT(outstanding), COUNT(lost),
                         COUNT(unsent), COUNT(failed), COUNT(started_at),
                         COUNT(stopped_at), COUNT(last_at));
#undef COUNT
}

static PyObject *load_faults(PyObject *op, PyObject *unused)
{
    struct load *self = (struct load *)op;
    size_t count;
    (void)unused;
    if (!seize(self)) {
        return NULL;
    }
    const struct wsc_load_fault *faults = wsc_load_faults(self->load, &count);
    PyObject *list = PyList_New((Py_ssize_t)count);
    for (size_t i = 0; list != NULL && i < count; i++) {
        PyObject *item = Py_BuildValue("(iiKy#)", (int)faults[i].kind, faults[i].number,
                                       (unsigned long long)faults[i].count,
                                       faults[i].text, (Py_ssize_t)faults[i].text_len);
        if (item == NULL) {
            Py_CLEAR(list);
        }
        else {
            PyList_SET_ITEM(list, (Py_ssize_t)i, item);
        }
    }
    release(self);
    return list;
}

static PyObject *
copy_of(PyObject *op, const struct wsc_histogram *values(const struct wsc_load *))
{
    struct load *self = (struct load *)op;
    if (!seize(self)) {
        return NULL;
    }
    PyObject *copy =
        pywsc_histogram_of(pywsc_type_state(Py_TYPE(op)), values(self->load));
    release(self);
    return copy;
}

static PyObject *load_latencies(PyObject *op, PyObject *unused)
{
    (void)unused;
    return copy_of(op, wsc_load_latencies);
}

static PyObject *load_openings(PyObject *op, PyObject *unused)
{
    (void)unused;
    return copy_of(op, wsc_load_openings);
}

static PyMethodDef load_methods[] = {
    {"run", load_run, METH_O, PYWSC_DOC_LOAD_RUN},
    {"start", load_start, METH_NOARGS, PYWSC_DOC_LOAD_START},
    {"stop", load_stop, METH_NOARGS, PYWSC_DOC_LOAD_STOP},
    {"figures", load_figures, METH_NOARGS, PYWSC_DOC_LOAD_FIGURES},
    {"faults", load_faults, METH_NOARGS, PYWSC_DOC_LOAD_FAULTS},
    {"latencies", load_latencies, METH_NOARGS, PYWSC_DOC_LOAD_LATENCIES},
    {"openings", load_openings, METH_NOARGS, PYWSC_DOC_LOAD_OPENINGS},
    {NULL},
};

static PyType_Slot load_slots[] = {
    {Py_tp_doc, PYWSC_DOC_LOAD},
    {Py_tp_new, load_new},
    {Py_tp_dealloc, load_dealloc},
    {Py_tp_methods, load_methods},
    {0, NULL},
};

static PyType_Spec load_spec = {
    .name = "pywscore._core.Load",
    .basicsize = sizeof(struct load),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = load_slots,
};

int pywsc_load_init(PyObject *module, struct pywsc_state *state)
{
    state->load = pywsc_add_type(module, &load_spec, NULL);
    return state->load == NULL ? -1 : 0;
}

#endif

#include "engine/tls.h"

#include "common/docs.h"
#include "values/errors.h"

#include "wsc/engine.h"

#if !WSC_HAVE_ENGINE

/* TLS in C comes with the engine. */
int pywsc_tls_init(PyObject *module, struct pywsc_state *state)
{
    (void)module;
    (void)state;
    return 0;
}

#else

/* TLSContext: wsc/tls.h for pywscore/_tls.py, which keeps the arguments. Once it is set
 * up and others know it, nothing but add_name() may be called. Contexts may have each
 * other's names, hence the garbage collector. */
struct tls_context {
    PyObject_HEAD struct wsc_tls_context *context;
    PyObject *names; /* list of the other contexts */
};

const struct wsc_tls_context *pywsc_tls_context(PyObject *op)
{
    return ((struct tls_context *)op)->context;
}

static PyObject *tls_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"server", NULL};
    int server;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "p", keywords, &server)) {
        return NULL;
    }
    struct tls_context *self = (struct tls_context *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->names = PyList_New(0);
    if (self->names == NULL) {
        Py_DECREF(self);
        return NULL;
    }
    enum wsc_status status =
        wsc_tls_context_new(wsc_allocator_default(), server != 0, &self->context);
    if (status != WSC_OK) {
        Py_DECREF(self);
        return pywsc_raise(pywsc_type_state(type), status);
    }
    return (PyObject *)self;
}

static int tls_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((struct tls_context *)op)->names);
    return 0;
}

/* No connection is left that could ask for one of the names. */
static int tls_clear(PyObject *op)
{
    Py_CLEAR(((struct tls_context *)op)->names);
    return 0;
}

static void tls_dealloc(PyObject *op)
{
    struct tls_context *self = (struct tls_context *)op;
    PyObject_GC_UnTrack(op);
    wsc_tls_context_free(self->context);
    Py_CLEAR(self->names);
    pywsc_free(op);
}

static PyObject *done(enum wsc_status status, const char *message)
{
    if (status == WSC_OK) {
        Py_RETURN_NONE;
    }
    PyErr_SetString(PyExc_ValueError, message);
    return NULL;
}

static PyObject *tls_certificate(PyObject *op, PyObject *args)
{
    char message[WSC_TLS_MESSAGE_SIZE];
    const char *chain;
    const char *key;
    const char *password;
    if (!PyArg_ParseTuple(args, "yyz", &chain, &key, &password)) {
        return NULL;
    }
    return done(wsc_tls_context_certificate(((struct tls_context *)op)->context, chain,
                                            key, password, message),
                message);
}

static PyObject *tls_trust(PyObject *op, PyObject *args)
{
    char message[WSC_TLS_MESSAGE_SIZE];
    const char *file;
    const char *folder;
    if (!PyArg_ParseTuple(args, "zz", &file, &folder)) {
        return NULL;
    }
    return done(wsc_tls_context_trust(((struct tls_context *)op)->context, file, folder,
                                      message),
                message);
}

static PyObject *tls_ciphers(PyObject *op, PyObject *args)
{
    char message[WSC_TLS_MESSAGE_SIZE];
    const char *ciphers;
    if (!PyArg_ParseTuple(args, "s", &ciphers)) {
        return NULL;
    }
    return done(
        wsc_tls_context_ciphers(((struct tls_context *)op)->context, ciphers, message),
        message);
}

static PyObject *tls_verify(PyObject *op, PyObject *args)
{
    int verify;
    int check;
    if (!PyArg_ParseTuple(args, "ip", &verify, &check)) {
        return NULL;
    }
    if (verify < WSC_TLS_VERIFY_NONE || verify > WSC_TLS_VERIFY_REQUIRED) {
        return done(WSC_ERR_IO, "verify must be 0, 1 or 2");
    }
    wsc_tls_context_verify(((struct tls_context *)op)->context,
                           (enum wsc_tls_verify)verify, check != 0);
    Py_RETURN_NONE;
}

static PyObject *tls_only_1_3(PyObject *op, PyObject *unused)
{
    char message[WSC_TLS_MESSAGE_SIZE];
    (void)unused;
    return done(wsc_tls_context_only_1_3(((struct tls_context *)op)->context, message),
                message);
}

static PyObject *tls_add_name(PyObject *op, PyObject *args)
{
    struct tls_context *self = (struct tls_context *)op;
    const char *name;
    PyObject *other;
    if (!PyArg_ParseTuple(args, "sO!", &name, Py_TYPE(op), &other)) {
        return NULL;
    }
    if (other == op) {
        return done(WSC_ERR_IO, "a context can't be its own");
    }
    if (PyList_Append(self->names, other) < 0) {
        return NULL;
    }
    enum wsc_status status = wsc_tls_context_add_name(
        self->context, name, ((struct tls_context *)other)->context);
    if (status != WSC_OK) {
        return pywsc_raise(pywsc_type_state(Py_TYPE(op)), status);
    }
    Py_RETURN_NONE;
}

static PyMethodDef tls_methods[] = {
    {"certificate", tls_certificate, METH_VARARGS, NULL},
    {"trust", tls_trust, METH_VARARGS, NULL},
    {"ciphers", tls_ciphers, METH_VARARGS, NULL},
    {"verify", tls_verify, METH_VARARGS, NULL},
    {"only_1_3", tls_only_1_3, METH_NOARGS, NULL},
    {"add_name", tls_add_name, METH_VARARGS, NULL},
    {NULL},
};

static PyType_Slot tls_slots[] = {
    {Py_tp_doc, PYWSC_DOC_TLS_CONTEXT},
    {Py_tp_new, tls_new},
    {Py_tp_traverse, tls_traverse},
    {Py_tp_clear, tls_clear},
    {Py_tp_dealloc, tls_dealloc},
    {Py_tp_methods, tls_methods},
    {0, NULL},
};

static PyType_Spec tls_spec = {
    .name = "pywscore._core.TLSContext",
    .basicsize = sizeof(struct tls_context),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = tls_slots,
};

int pywsc_tls_init(PyObject *module, struct pywsc_state *state)
{
    state->tls_context = pywsc_add_type(module, &tls_spec, NULL);
    return state->tls_context == NULL ? -1 : 0;
}

#endif

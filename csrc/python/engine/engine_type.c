#include "engine/engine_type.h"

#include "common/docs.h"
#include "engine/acceptor.h"
#include "engine/engine.h"
#include "engine/transport.h"
#include "engine/transport_type.h"
#include "engine/turn.h"
#include "values/errors.h"

#if !WSC_HAVE_ENGINE

/* Without an engine connections are on asyncio's transports. */
int pywsc_engine_init(PyObject *module, struct pywsc_state *state)
{
    (void)module;
    (void)state;
    return 0;
}

#else

/* Engine: the engine (wsc/engine.h) as something that an asyncio loop watches. */

#define RECEIVE_SIZE ((size_t)256 << 10)

static int engine_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"loop", NULL};
    struct pywsc_engine *self = (struct pywsc_engine *)op;
    PyObject *loop;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O", keywords, &loop)) {
        return -1;
    }
    if (self->engine != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "__init__() was called twice");
        return -1;
    }
    enum wsc_status status =
        wsc_engine_new(&pywsc_allocator, RECEIVE_SIZE, &self->engine);
    if (status != WSC_OK) {
        (void)pywsc_raise(pywsc_type_state(Py_TYPE(op)), status);
        return -1;
    }
    self->acceptors = PySet_New(NULL);
    if (self->acceptors == NULL) {
        return -1;
    }
    self->thread = PyThread_get_thread_ident();
    self->loop = Py_NewRef(loop);
    return 0;
}

static PyObject *engine_ready(PyObject *op, PyObject *unused)
{
    struct pywsc_engine *self = (struct pywsc_engine *)op;
    (void)unused;
    if (pywsc_engine_check_thread(self) < 0) {
        return NULL;
    }
    if (pywsc_engine_take_turn(self) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *engine_listen(PyObject *op, PyObject *args)
{
    struct pywsc_engine *self = (struct pywsc_engine *)op;
    int fd;
    PyObject *accepted;
    if (pywsc_engine_check_thread(self) < 0 ||
        !PyArg_ParseTuple(args, "iO", &fd, &accepted)) {
        return NULL;
    }
    return pywsc_acceptor_new(self, fd, accepted);
}

static PyObject *engine_fileno(PyObject *op, PyObject *unused)
{
    struct pywsc_engine *self = (struct pywsc_engine *)op;
    (void)unused;
    return PyLong_FromLong(self->engine == NULL ? -1 : wsc_engine_fd(self->engine));
}

static PyObject *engine_forget(PyObject *op, PyObject *unused)
{
    struct pywsc_engine *self = (struct pywsc_engine *)op;
    (void)unused;
    if (self->engine != NULL) {
        wsc_engine_forget(self->engine);
        self->forgotten = true;
    }
    Py_RETURN_NONE;
}

static int engine_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    struct pywsc_engine *self = (struct pywsc_engine *)op;
    Py_VISIT(self->loop);
    Py_VISIT(self->context);
    Py_VISIT(self->acceptors);
    for (struct pywsc_transport *at = self->transports; at != NULL; at = at->next) {
        Py_VISIT(at);
    }
    return 0;
}

static int engine_clear(PyObject *op)
{
    /* Methods count on the loop, and a loop doesn't need us for its end. */
    struct pywsc_engine *self = (struct pywsc_engine *)op;
    while (self->transports != NULL) {
        pywsc_transport_let_go(self->transports);
    }
    Py_CLEAR(self->context);
    return self->acceptors == NULL ? 0 : PySet_Clear(self->acceptors);
}

static void engine_dealloc(PyObject *op)
{
    struct pywsc_engine *self = (struct pywsc_engine *)op;
    PyObject_GC_UnTrack(op);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(op);
    }
    wsc_engine_free(self->engine);
    Py_CLEAR(self->loop);
    Py_CLEAR(self->context);
    Py_CLEAR(self->acceptors);
    pywsc_free(op);
}

static PyMethodDef engine_methods[] = {
    {"fileno", engine_fileno, METH_NOARGS, PYWSC_DOC_ENGINE_FILENO},
    {"ready", engine_ready, METH_NOARGS, PYWSC_DOC_ENGINE_READY},
    {"listen", engine_listen, METH_VARARGS, PYWSC_DOC_ENGINE_LISTEN},
    {"forget", engine_forget, METH_NOARGS, PYWSC_DOC_ENGINE_FORGET},
    {NULL},
};

static PyMemberDef engine_members[] = {
    PYWSC_WEAKREFS(struct pywsc_engine, weakrefs),
    {NULL},
};

static PyType_Slot engine_slots[] = {
    {Py_tp_members, engine_members},   {Py_tp_doc, PYWSC_DOC_ENGINE},
    {Py_tp_init, engine_init},         {Py_tp_dealloc, engine_dealloc},
    {Py_tp_traverse, engine_traverse}, {Py_tp_clear, engine_clear},
    {Py_tp_methods, engine_methods},   {0, NULL},
};

static PyType_Spec engine_spec = {
    .name = "pywscore._core.Engine",
    .basicsize = sizeof(struct pywsc_engine),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = engine_slots,
};

int pywsc_engine_init(PyObject *module, struct pywsc_state *state)
{
    state->engine = pywsc_add_type(module, &engine_spec, NULL);
    if (state->engine == NULL) {
        return -1;
    }
    if (pywsc_transport_init(module, state) < 0) {
        return -1;
    }
    return pywsc_acceptor_init(module, state);
}

#endif

#include "engine/acceptor.h"

#include "common/docs.h"
#include "tasks/loop.h"
#include "values/errors.h"

#if WSC_HAVE_ENGINE

/* EngineAcceptor: a listening socket of the engine. */

static struct pywsc_engine *engine_of(const struct pywsc_acceptor *self)
{
    return (struct pywsc_engine *)self->engine;
}

int pywsc_acceptor_event(struct pywsc_acceptor *self, const struct wsc_io *io)
{
    struct pywsc_state *state = pywsc_type_state(Py_TYPE(self));
    if (self->acceptor == NULL) { /* closed by what left before this event */
        wsc_io_refuse(io);
        return 0;
    }
    PyObject *result = PyObject_CallFunction(self->accepted, "ii", io->fd, io->error);
    if (result == NULL) {
        return pywsc_report_exception(state, engine_of(self)->loop,
                                      "exception while accepting a connection");
    }
    Py_DECREF(result);
    return 0;
}

static PyObject *acceptor_accept(PyObject *op, PyObject *on)
{
    struct pywsc_acceptor *self = (struct pywsc_acceptor *)op;
    int truth = PyObject_IsTrue(on);
    if (truth < 0 || pywsc_engine_check_thread(engine_of(self)) < 0) {
        return NULL;
    }
    if (self->acceptor != NULL) {
        wsc_acceptor_accept(self->acceptor, truth != 0);
    }
    Py_RETURN_NONE;
}

static void close_acceptor(struct pywsc_acceptor *self)
{
    if (self->acceptor != NULL) {
        wsc_acceptor_close(self->acceptor);
        self->acceptor = NULL;
    }
}

static PyObject *acceptor_close(PyObject *op, PyObject *unused)
{
    struct pywsc_acceptor *self = (struct pywsc_acceptor *)op;
    (void)unused;
    if (pywsc_engine_check_thread(engine_of(self)) < 0) {
        return NULL;
    }
    close_acceptor(self);
    if (PySet_Discard(engine_of(self)->acceptors, op) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static int acceptor_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((struct pywsc_acceptor *)op)->engine);
    Py_VISIT(((struct pywsc_acceptor *)op)->accepted);
    return 0;
}

static int acceptor_clear(PyObject *op)
{
    struct pywsc_acceptor *self = (struct pywsc_acceptor *)op;
    close_acceptor(self);
    Py_CLEAR(self->accepted);
    return 0;
}

static void acceptor_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    (void)acceptor_clear(op);
    Py_CLEAR(((struct pywsc_acceptor *)op)->engine);
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

static PyMethodDef acceptor_methods[] = {
    {"accept", acceptor_accept, METH_O, PYWSC_DOC_ENGINE_ACCEPTOR_ACCEPT},
    {"close", acceptor_close, METH_NOARGS, PYWSC_DOC_ENGINE_ACCEPTOR_CLOSE},
    {NULL},
};

static PyType_Slot acceptor_slots[] = {
    {Py_tp_dealloc, acceptor_dealloc},
    {Py_tp_traverse, acceptor_traverse},
    {Py_tp_clear, acceptor_clear},
    {Py_tp_methods, acceptor_methods},
    {0, NULL},
};

static PyType_Spec acceptor_spec = {
    .name = "pywscore._core.EngineAcceptor",
    .basicsize = sizeof(struct pywsc_acceptor),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = acceptor_slots,
};

PyObject *pywsc_acceptor_new(struct pywsc_engine *engine, int fd, PyObject *accepted)
{
    struct pywsc_state *state = pywsc_type_state(Py_TYPE(engine));
    struct pywsc_acceptor *self =
        PyObject_GC_New(struct pywsc_acceptor, state->engine_acceptor);
    if (self == NULL) {
        return NULL;
    }
    self->engine = Py_NewRef((PyObject *)engine);
    self->accepted = Py_NewRef(accepted);
    self->acceptor = NULL;
    PyObject_GC_Track(self);
    enum wsc_status status =
        wsc_acceptor_new(engine->engine, fd, self, &self->acceptor);
    if (status == WSC_OK && PySet_Add(engine->acceptors, (PyObject *)self) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    if (status != WSC_OK) {
        Py_DECREF(self);
        return pywsc_raise(state, status);
    }
    return (PyObject *)self;
}

int pywsc_acceptor_init(PyObject *module, struct pywsc_state *state)
{
    state->engine_acceptor = pywsc_add_type(module, &acceptor_spec, NULL);
    return state->engine_acceptor == NULL ? -1 : 0;
}

#endif

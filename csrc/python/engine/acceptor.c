#include "engine/acceptor.h"

#include "values/errors.h"

#if WSC_HAVE_ENGINE

/* EngineListener: a listening socket of the engine. */

static struct pywsc_engine *engine_of(const struct pywsc_engine_listener *self)
{
    return (struct pywsc_engine *)self->engine;
}

int pywsc_engine_listener_event(struct pywsc_engine_listener *self,
                                const struct wsc_io *io)
{
    struct pywsc_state *state = pywsc_type_state(Py_TYPE(self));
    if (self->listener == NULL) { /* closed by what left before this event */
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

static PyObject *listener_accept(PyObject *op, PyObject *on)
{
    struct pywsc_engine_listener *self = (struct pywsc_engine_listener *)op;
    int truth = PyObject_IsTrue(on);
    if (truth < 0 || pywsc_engine_check_thread(engine_of(self)) < 0) {
        return NULL;
    }
    if (self->listener != NULL) {
        wsc_listener_accept(self->listener, truth != 0);
    }
    Py_RETURN_NONE;
}

static void close_listener(struct pywsc_engine_listener *self)
{
    if (self->listener != NULL) {
        wsc_listener_close(self->listener);
        self->listener = NULL;
    }
}

static PyObject *listener_close(PyObject *op, PyObject *unused)
{
    struct pywsc_engine_listener *self = (struct pywsc_engine_listener *)op;
    (void)unused;
    if (pywsc_engine_check_thread(engine_of(self)) < 0) {
        return NULL;
    }
    close_listener(self);
    if (PySet_Discard(engine_of(self)->listeners, op) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static int listener_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((struct pywsc_engine_listener *)op)->engine);
    Py_VISIT(((struct pywsc_engine_listener *)op)->accepted);
    return 0;
}

static int listener_clear(PyObject *op)
{
    struct pywsc_engine_listener *self = (struct pywsc_engine_listener *)op;
    close_listener(self);
    Py_CLEAR(self->accepted);
    return 0;
}

static void listener_dealloc(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    (void)listener_clear(op);
    Py_CLEAR(((struct pywsc_engine_listener *)op)->engine);
    PyObject_GC_Del(op);
    Py_DECREF(type);
}

static PyMethodDef listener_methods[] = {
    {"accept", listener_accept, METH_O, PyDoc_STR("Stop or go on accepting.")},
    {"close", listener_close, METH_NOARGS, PyDoc_STR("The socket stays the caller's.")},
    {NULL},
};

static PyType_Slot listener_slots[] = {
    {Py_tp_dealloc, listener_dealloc},
    {Py_tp_traverse, listener_traverse},
    {Py_tp_clear, listener_clear},
    {Py_tp_methods, listener_methods},
    {0, NULL},
};

static PyType_Spec listener_spec = {
    .name = "pywscore._core.EngineListener",
    .basicsize = sizeof(struct pywsc_engine_listener),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = listener_slots,
};

PyObject *
pywsc_engine_listener_new(struct pywsc_engine *engine, int fd, PyObject *accepted)
{
    struct pywsc_state *state = pywsc_type_state(Py_TYPE(engine));
    struct pywsc_engine_listener *self =
        PyObject_GC_New(struct pywsc_engine_listener, state->engine_listener);
    if (self == NULL) {
        return NULL;
    }
    self->engine = Py_NewRef((PyObject *)engine);
    self->accepted = Py_NewRef(accepted);
    self->listener = NULL;
    PyObject_GC_Track(self);
    enum wsc_status status =
        wsc_listener_new(engine->engine, fd, self, &self->listener);
    if (status == WSC_OK && PySet_Add(engine->listeners, (PyObject *)self) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    if (status != WSC_OK) {
        Py_DECREF(self);
        return pywsc_raise(state, status);
    }
    return (PyObject *)self;
}

int pywsc_engine_listener_init(PyObject *module, struct pywsc_state *state)
{
    state->engine_listener = pywsc_add_type(module, &listener_spec, NULL);
    return state->engine_listener == NULL ? -1 : 0;
}

#endif

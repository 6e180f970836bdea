#include "connection/operation_coroutine.h"

#include "common/raised.h"
#include "connection/operation.h"
#include "tasks/coroutine.h"

/* An operation as a coroutine: the interface of generators, and the type. */

static const char *const names[] = {
    [PYWSC_RECV] = "recv",
    [PYWSC_NEXT] = "__anext__",
    [PYWSC_FRAGMENT] = "recv_streaming",
    [PYWSC_SEND] = "send",
    [PYWSC_DRAIN] = "drain",
};

static PyObject *operation_iternext(PyObject *op)
{
    PyObject *result;
    PySendResult outcome = pywsc_operation_am_send(op, Py_None, &result);
    return pywsc_iterator_result(outcome, result);
}

static PyObject *operation_send(PyObject *op, PyObject *arg)
{
    PyObject *result;
    PySendResult outcome = pywsc_operation_am_send(op, arg, &result);
    return pywsc_iterator_result(outcome, result);
}

static PyObject *operation_throw(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    struct pywsc_operation *self = (struct pywsc_operation *)op;
    if (nargs < 1 || nargs > 3) {
        PyErr_SetString(PyExc_TypeError, "throw() takes an exception");
        return NULL;
    }
    if (pywsc_operation_is_running(self)) {
        return NULL;
    }
    if (self->inner != NULL && self->progress == PYWSC_RUNNING) {
        self->running = true;
        PyObject *result = pywsc_coroutine_throw(self->inner, args, nargs);
        self->running = false;
        if (result == NULL) {
            pywsc_operation_finish(self);
        }
        return result;
    }
    pywsc_operation_finish(self);
    PyObject *type = args[0];
    if (PyExceptionInstance_Check(type)) {
        PyErr_SetObject((PyObject *)Py_TYPE(type), type);
    }
    else if (PyExceptionClass_Check(type)) {
        PyErr_SetObject(type, nargs > 1 && args[1] != Py_None ? args[1] : NULL);
    }
    else {
        PyErr_SetString(PyExc_TypeError, "exceptions must derive from BaseException");
    }
    return NULL;
}

static PyObject *operation_close(PyObject *op, PyObject *unused)
{
    struct pywsc_operation *self = (struct pywsc_operation *)op;
    (void)unused;
    /* A step of our own ends by itself, and does not wait any more. */
    if (self->inner != NULL && pywsc_operation_is_running(self)) {
        return NULL;
    }
    if (self->inner != NULL && self->progress == PYWSC_RUNNING) {
        self->running = true;
        int status = pywsc_coroutine_close(self->inner);
        self->running = false;
        if (status < 0) {
            return NULL;
        }
    }
    pywsc_operation_finish(self);
    Py_RETURN_NONE;
}

static PyObject *get_name(PyObject *op, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(names[(int)((struct pywsc_operation *)op)->kind]);
}

/* The class that the methods are known by. */
static const char *class_name(struct pywsc_operation *self)
{
    return self->stream == NULL ? "Connection" : Py_TYPE(self->stream)->tp_name;
}

static PyObject *get_qualname(PyObject *op, void *closure)
{
    struct pywsc_operation *self = (struct pywsc_operation *)op;
    (void)closure;
    return PyUnicode_FromFormat("%s.%s", class_name(self), names[(int)self->kind]);
}

/* --- life --- */

static int operation_traverse(PyObject *op, visitproc visit, void *arg)
{
    struct pywsc_operation *self = (struct pywsc_operation *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT((PyObject *)self->connection);
    Py_VISIT(self->first);
    Py_VISIT(self->text);
    Py_VISIT(self->compress);
    Py_VISIT((PyObject *)self->waiter);
    Py_VISIT((PyObject *)self->stream);
    Py_VISIT(self->inner);
    return 0;
}

static int operation_clear(PyObject *op)
{
    struct pywsc_operation *self = (struct pywsc_operation *)op;
    pywsc_operation_finish(self);
    Py_CLEAR(self->inner);
    return 0;
}

static void operation_finalize(PyObject *op)
{
    struct pywsc_operation *self = (struct pywsc_operation *)op;
    if (self->progress != PYWSC_FRESH) {
        return;
    }
    PyObject *raised = pywsc_take_raised();
    if (PyErr_WarnFormat(PyExc_RuntimeWarning, 1, "coroutine '%s.%s' was never awaited",
                         class_name(self), names[(int)self->kind]) < 0) {
        PyErr_WriteUnraisable(op);
    }
    pywsc_raise_again(raised);
}

static void operation_dealloc(PyObject *op)
{
    struct pywsc_operation *self = (struct pywsc_operation *)op;
    struct pywsc_state *state = self->connection->state;
    if (self->progress == PYWSC_FRESH && PyObject_CallFinalizerFromDealloc(op) < 0) {
        return;
    }
    PyObject_GC_UnTrack(op);
    (void)operation_clear(op);
    Py_CLEAR(self->stream);
    Py_CLEAR(self->connection);
    pywsc_spares_free(&state->spare_operations, op);
}

static PyMethodDef operation_methods[] = {
    {"send", operation_send, METH_O, NULL},
    {"throw", PYWSC_FUNCTION(operation_throw), METH_FASTCALL, NULL},
    {"close", operation_close, METH_NOARGS, NULL},
    {NULL},
};

static PyGetSetDef operation_getset[] = {
    {"__name__", get_name, NULL, NULL, NULL},
    {"__qualname__", get_qualname, NULL, NULL, NULL},
    {NULL},
};

static PyType_Slot operation_slots[] = {
    {Py_tp_dealloc, operation_dealloc},
    {Py_tp_finalize, operation_finalize},
    {Py_tp_traverse, operation_traverse},
    {Py_tp_clear, operation_clear},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, operation_iternext},
    {Py_am_await, PyObject_SelfIter},
    {Py_am_send, pywsc_operation_am_send},
    {Py_tp_methods, operation_methods},
    {Py_tp_getset, operation_getset},
    {0, NULL},
};

static PyType_Spec operation_spec = {
    .name = "pywscore._core._Operation",
    .basicsize = sizeof(struct pywsc_operation),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = operation_slots,
};

int pywsc_operation_init(PyObject *module, struct pywsc_state *state)
{
    state->operation =
        (PyTypeObject *)PyType_FromModuleAndSpec(module, &operation_spec, NULL);
    return state->operation == NULL ? -1 : 0;
}

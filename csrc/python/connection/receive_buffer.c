#include "connection/receive_buffer.h"

#include "common/docs.h"

/* New memory for the next ones; what it was stays with who reads from it. */
static int make(struct pywsc_receive_buffer *self, Py_ssize_t size)
{
    PyObject *bytes = PyByteArray_FromStringAndSize(NULL, size);
    PyObject *view = bytes == NULL ? NULL : PyMemoryView_FromObject(bytes);
    if (view == NULL) {
        Py_XDECREF(bytes);
        return -1;
    }
    Py_XSETREF(self->bytes, bytes);
    Py_XSETREF(self->view, view);
    self->lent = false;
    return 0;
}

PyObject *pywsc_receive_buffer_view(struct pywsc_receive_buffer *self)
{
    if (self->lent && make(self, PyByteArray_GET_SIZE(self->bytes)) < 0) {
        return NULL;
    }
    return Py_NewRef(self->view);
}

PyObject *pywsc_receive_buffer_lend(struct pywsc_receive_buffer *self)
{
    self->lent = true;
    return Py_NewRef(self->bytes);
}

void pywsc_receive_buffer_return(struct pywsc_receive_buffer *self, PyObject *bytes)
{
    if (self->bytes == bytes) {
        self->lent = false;
    }
    Py_DECREF(bytes);
}

static PyObject *
receive_buffer_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"size", NULL};
    Py_ssize_t size = 256 * 1024;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|n", keywords, &size)) {
        return NULL;
    }
    if (size < 1) {
        PyErr_SetString(PyExc_ValueError, "size must be positive");
        return NULL;
    }
    struct pywsc_receive_buffer *self =
        (struct pywsc_receive_buffer *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    if (make(self, size) < 0) {
        Py_DECREF(self);
        return NULL;
    }
    return (PyObject *)self;
}

static void receive_buffer_dealloc(PyObject *op)
{
    struct pywsc_receive_buffer *self = (struct pywsc_receive_buffer *)op;
    Py_CLEAR(self->view);
    Py_CLEAR(self->bytes);
    pywsc_free(op);
}

static PyType_Slot receive_buffer_slots[] = {
    {Py_tp_doc, PYWSC_DOC_RECEIVE_BUFFER},
    {Py_tp_new, receive_buffer_new},
    {Py_tp_dealloc, receive_buffer_dealloc},
    {0, NULL},
};

static PyType_Spec receive_buffer_spec = {
    .name = "pywscore._core.ReceiveBuffer",
    .basicsize = sizeof(struct pywsc_receive_buffer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = receive_buffer_slots,
};

int pywsc_receive_buffer_init(PyObject *module, struct pywsc_state *state)
{
    state->receive_buffer = pywsc_add_type(module, &receive_buffer_spec, NULL);
    return state->receive_buffer == NULL ? -1 : 0;
}

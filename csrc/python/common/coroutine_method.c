#include "common/coroutine_method.h"

struct coroutine_method {
    PyObject_HEAD vectorcallfunc vectorcall;
    pywsc_coroutine_function function;
    const char *doc;
    PyTypeObject *owner;
    PyObject *name;
};

static PyObject *
call(PyObject *op, PyObject *const *args, size_t nargsf, PyObject *kwnames)
{
    struct coroutine_method *self = (struct coroutine_method *)op;
    Py_ssize_t nargs = PyVectorcall_NARGS(nargsf);
    if (nargs < 1 || !PyObject_TypeCheck(args[0], self->owner)) {
        return PyErr_Format(PyExc_TypeError,
                            "method '%U' needs a '%s' object as its first argument",
                            self->name, self->owner->tp_name);
    }
    return self->function(args[0], args + 1, nargs - 1, kwnames);
}

static PyObject *get(PyObject *op, PyObject *object, PyObject *type)
{
    (void)type;
    return object == NULL ? Py_NewRef(op) : PyMethod_New(op, object);
}

/* --- attributes --- */

static PyObject *get_doc(PyObject *op, void *closure)
{
    (void)closure;
    return PyUnicode_FromString(((struct coroutine_method *)op)->doc);
}

static PyObject *get_qualname(PyObject *op, void *closure)
{
    struct coroutine_method *self = (struct coroutine_method *)op;
    (void)closure;
    PyObject *owner = PyObject_GetAttrString((PyObject *)self->owner, "__qualname__");
    PyObject *result =
        owner == NULL ? NULL : PyUnicode_FromFormat("%U.%U", owner, self->name);
    Py_XDECREF(owner);
    return result;
}

static PyObject *get_module(PyObject *op, void *closure)
{
    (void)closure;
    return PyObject_GetAttrString((PyObject *)((struct coroutine_method *)op)->owner,
                                  "__module__");
}

/* An attribute of the model, which is imported when somebody asks. */
static PyObject *get_of_model(PyObject *op, void *closure)
{
    struct coroutine_method *self = (struct coroutine_method *)op;
    PyObject *module = PyImport_ImportModule("pywscore._coroutine_methods");
    if (module == NULL) {
        return NULL;
    }
    PyObject *owner = PyObject_GetAttrString((PyObject *)self->owner, "__name__");
    PyObject *models = owner == NULL ? NULL : PyObject_GetAttr(module, owner);
    PyObject *model = models == NULL ? NULL : PyObject_GetAttr(models, self->name);
    PyObject *result = model == NULL ? NULL : PyObject_GetAttrString(model, closure);
    Py_DECREF(module);
    Py_XDECREF(owner);
    Py_XDECREF(models);
    Py_XDECREF(model);
    return result;
}

/* Of an unbound method: getattr(type, name). */
static PyObject *reduce(PyObject *op, PyObject *unused)
{
    struct coroutine_method *self = (struct coroutine_method *)op;
    (void)unused;
    PyObject *builtins = PyEval_GetBuiltins(); /* borrowed */
    PyObject *getattr = PyMapping_GetItemString(builtins, "getattr");
    return getattr == NULL ? NULL
                           : Py_BuildValue("N(OO)", getattr, self->owner, self->name);
}

static PyObject *repr(PyObject *op)
{
    struct coroutine_method *self = (struct coroutine_method *)op;
    return PyUnicode_FromFormat("<coroutine method '%U' of '%s' objects>", self->name,
                                self->owner->tp_name);
}

/* --- life --- */

static int traverse(PyObject *op, visitproc visit, void *arg)
{
    struct coroutine_method *self = (struct coroutine_method *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->owner);
    return 0;
}

/* Its type keeps it, whose own clearing breaks the cycle. */
static void dealloc(PyObject *op)
{
    struct coroutine_method *self = (struct coroutine_method *)op;
    PyObject_GC_UnTrack(op);
    Py_XDECREF(self->owner);
    Py_XDECREF(self->name);
    pywsc_free(op);
}

static PyMethodDef methods[] = {
    {"__reduce__", reduce, METH_NOARGS, NULL},
    {NULL},
};

static PyGetSetDef getset[] = {
    {"__doc__", get_doc, NULL, NULL, NULL},
    {"__qualname__", get_qualname, NULL, NULL, NULL},
    {"__module__", get_module, NULL, NULL, NULL},
    {"__code__", get_of_model, NULL, NULL, "__code__"},
    {"__defaults__", get_of_model, NULL, NULL, "__defaults__"},
    {"__kwdefaults__", get_of_model, NULL, NULL, "__kwdefaults__"},
    {"__annotations__", get_of_model, NULL, NULL, "__annotations__"},
    {"__globals__", get_of_model, NULL, NULL, "__globals__"},
    {NULL},
};

#define OFFSET(member) offsetof(struct coroutine_method, member)

static PyMemberDef members[] = {
    {"__vectorcalloffset__", T_PYSSIZET, OFFSET(vectorcall), READONLY, NULL},
    {"__name__", T_OBJECT, OFFSET(name), READONLY, NULL},
    {"__objclass__", T_OBJECT, OFFSET(owner), READONLY, NULL},
    {NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_call, PyVectorcall_Call},
    {Py_tp_descr_get, get},
    {Py_tp_repr, repr},
    {Py_tp_dealloc, dealloc},
    {Py_tp_traverse, traverse},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {Py_tp_members, members},
    {0, NULL},
};

static PyType_Spec spec = {
    .name = "pywscore._core.CoroutineMethod",
    .basicsize = sizeof(struct coroutine_method),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_METHOD_DESCRIPTOR |
             Py_TPFLAGS_HAVE_VECTORCALL,
    .slots = slots,
};

int pywsc_coroutine_method_init(PyObject *module, struct pywsc_state *state)
{
    state->coroutine_method = pywsc_add_type(module, &spec, NULL);
    return state->coroutine_method == NULL ? -1 : 0;
}

static PyObject *make(struct pywsc_state *state, PyTypeObject *owner,
                      const struct pywsc_coroutine_method_def *def)
{
    PyObject *name = PyUnicode_InternFromString(def->name);
    if (name == NULL) {
        return NULL;
    }
    struct coroutine_method *self =
        PyObject_GC_New(struct coroutine_method, state->coroutine_method);
    if (self == NULL) {
        Py_DECREF(name);
        return NULL;
    }
    self->vectorcall = call;
    self->function = def->function;
    self->doc = def->doc;
    self->owner = (PyTypeObject *)Py_NewRef((PyObject *)owner);
    self->name = name;
    PyObject_GC_Track((PyObject *)self);
    return (PyObject *)self;
}

int pywsc_add_coroutine_methods(struct pywsc_state *state, PyTypeObject *type,
                                const struct pywsc_coroutine_method_def *defs)
{
    /* The type is immutable, its dictionary isn't until somebody looks into it. */
    for (; defs->name != NULL; defs++) {
        PyObject *method = make(state, type, defs);
        if (method == NULL ||
            PyDict_SetItemString(type->tp_dict, defs->name, method) < 0) {
            Py_XDECREF(method);
            return -1;
        }
        Py_DECREF(method);
    }
    PyType_Modified(type);
    return 0;
}

#include "load/histogram.h"

#include "common/docs.h"

#include "wsc/engine.h"

#if !WSC_HAVE_ENGINE

int pywsc_histogram_init(PyObject *module, struct pywsc_state *state)
{
    (void)module;
    (void)state;
    return 0;
}

#else

struct histogram {
    PyObject_HEAD struct wsc_histogram values;
};

static char of_count, of_min, of_max;

static struct wsc_histogram *values_of(PyObject *op)
{
    return &((struct histogram *)op)->values;
}

PyObject *
pywsc_histogram_of(struct pywsc_state *state, const struct wsc_histogram *values)
{
    PyTypeObject *type = state->histogram;
    PyObject *op = type->tp_alloc(type, 0);
    if (op != NULL) {
        *values_of(op) = *values;
    }
    return op;
}

static PyObject *histogram_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "", keywords)) {
        return NULL;
    }
    return type->tp_alloc(type, 0);
}

static PyObject *histogram_add(PyObject *op, PyObject *object)
{
    unsigned long long value = PyLong_AsUnsignedLongLong(object);
    if (value == (unsigned long long)-1 && PyErr_Occurred()) {
        return NULL;
    }
    Py_BEGIN_CRITICAL_SECTION(op);
    wsc_histogram_add(values_of(op), value);
    Py_END_CRITICAL_SECTION();
    Py_RETURN_NONE;
}

#if PY_VERSION_HEX < 0x030D0000
#define BEGIN_BOTH(a, b) {
#define END_BOTH()       }
#else
#define BEGIN_BOTH(a, b) Py_BEGIN_CRITICAL_SECTION2(a, b)
#define END_BOTH()       Py_END_CRITICAL_SECTION2()
#endif

static PyObject *histogram_merge(PyObject *op, PyObject *other)
{
    if (!Py_IS_TYPE(other, Py_TYPE(op))) {
        return PyErr_Format(PyExc_TypeError, "not a Histogram: %.100s",
                            Py_TYPE(other)->tp_name);
    }
    BEGIN_BOTH(op, other);
    wsc_histogram_merge(values_of(op), values_of(other));
    END_BOTH();
    Py_RETURN_NONE;
}

static PyObject *histogram_percentile(PyObject *op, PyObject *object)
{
    uint64_t value;
    double percent = PyFloat_AsDouble(object);
    if (percent == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (!(percent >= 0 && percent <= 100)) {
        PyErr_SetString(PyExc_ValueError, "percent must be between 0 and 100");
        return NULL;
    }
    Py_BEGIN_CRITICAL_SECTION(op);
    value = wsc_histogram_percentile(values_of(op), percent);
    Py_END_CRITICAL_SECTION();
    return PyLong_FromUnsignedLongLong(value);
}

static PyObject *histogram_mean(PyObject *op, void *unused)
{
    double mean;
    (void)unused;
    Py_BEGIN_CRITICAL_SECTION(op);
    mean = values_of(op)->count == 0
               ? 0
               : values_of(op)->sum / (double)values_of(op)->count;
    Py_END_CRITICAL_SECTION();
    return PyFloat_FromDouble(mean);
}

static PyMethodDef histogram_methods[] = {
    {"add", histogram_add, METH_O, PYWSC_DOC_HISTOGRAM_ADD},
    {"merge", histogram_merge, METH_O, PYWSC_DOC_HISTOGRAM_MERGE},
    {"percentile", histogram_percentile, METH_O, PYWSC_DOC_HISTOGRAM_PERCENTILE},
    {NULL},
};

/* `which` is one of those below. */
static PyObject *histogram_get(PyObject *op, void *which)
{
    uint64_t value;
    Py_BEGIN_CRITICAL_SECTION(op);
    value = which == &of_count ? values_of(op)->count
            : which == &of_min ? values_of(op)->min
                               : values_of(op)->max;
    Py_END_CRITICAL_SECTION();
    return PyLong_FromUnsignedLongLong(value);
}

static PyGetSetDef histogram_getset[] = {
    {"mean", histogram_mean, NULL, PYWSC_DOC_HISTOGRAM_MEAN, NULL},
    {"count", histogram_get, NULL, PYWSC_DOC_HISTOGRAM_COUNT, &of_count},
    {"min", histogram_get, NULL, PYWSC_DOC_HISTOGRAM_MIN, &of_min},
    {"max", histogram_get, NULL, PYWSC_DOC_HISTOGRAM_MAX, &of_max},
    {NULL},
};

static PyType_Slot histogram_slots[] = {
    {Py_tp_doc, PYWSC_DOC_HISTOGRAM}, {Py_tp_new, histogram_new},
    {Py_tp_dealloc, pywsc_free},      {Py_tp_methods, histogram_methods},
    {Py_tp_getset, histogram_getset}, {0, NULL},
};

static PyType_Spec histogram_spec = {
    .name = "pywscore._core.Histogram",
    .basicsize = sizeof(struct histogram),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = histogram_slots,
};

int pywsc_histogram_init(PyObject *module, struct pywsc_state *state)
{
    state->histogram = pywsc_add_type(module, &histogram_spec, NULL);
    return state->histogram == NULL ? -1 : 0;
}

#endif

#include "common/arguments.h"

#include <string.h>

#include "wsc/assembler.h"

static int bytes_of_str(PyObject *text, struct pywsc_bytes *out)
{
    out->is_text = true;
    if (PyUnicode_IS_COMPACT_ASCII(text)) {
        out->data = PyUnicode_DATA(text);
        out->len = PyUnicode_GET_LENGTH(text);
        return 0;
    }
    /* Not PyUnicode_AsUTF8AndSize, which would keep a second copy in the str for good.
     */
    out->held = PyUnicode_AsUTF8String(text);
    if (out->held == NULL) {
        return -1;
    }
    out->data = (const uint8_t *)PyBytes_AS_STRING(out->held);
    out->len = PyBytes_GET_SIZE(out->held);
    out->owner = out->held;
    return 0;
}

int pywsc_bytes_get(PyObject *object, bool accept_str, struct pywsc_bytes *out)
{
    memset(out, 0, sizeof(*out));
    if (PyBytes_Check(object)) {
        out->data = (const uint8_t *)PyBytes_AS_STRING(object);
        out->len = PyBytes_GET_SIZE(object);
        out->owner = PyBytes_CheckExact(object) ? object : NULL;
        return 0;
    }
    if (accept_str && PyUnicode_Check(object)) {
        return bytes_of_str(object, out);
    }
    if (!PyObject_CheckBuffer(object)) {
        const PyAsyncMethods *async = Py_TYPE(object)->tp_as_async;
        bool awaitable = async != NULL && async->am_await != NULL;
        PyErr_Format(PyExc_TypeError, "expected %sbytes-like object, got %.100s%s",
                     accept_str ? "str or a " : "a ", Py_TYPE(object)->tp_name,
                     awaitable ? ": an await is missing" : "");
        return -1;
    }
    if (PyObject_GetBuffer(object, &out->view, PyBUF_SIMPLE) < 0) {
        out->view.obj = NULL;
        if (PyErr_ExceptionMatches(PyExc_BufferError)) {
            PyErr_SetString(PyExc_TypeError, "expected a contiguous bytes-like object");
        }
        return -1;
    }
    out->data = out->view.buf;
    out->len = out->view.len;
    return 0;
}

void pywsc_bytes_release(struct pywsc_bytes *bytes)
{
    if (bytes->view.obj != NULL) {
        PyBuffer_Release(&bytes->view);
    }
    Py_CLEAR(bytes->held);
}

/* -1 with an exception if `name` is none of `names`. */
static int take_keyword(const char *function, PyObject *name, PyObject *value,
                        const char *const *names, size_t count, PyObject **out)
{
    for (size_t k = 0; k < count && PyUnicode_Check(name); k++) {
        if (PyUnicode_CompareWithASCIIString(name, names[k]) == 0) {
            out[k] = value;
            return 0;
        }
    }
    PyErr_Format(PyExc_TypeError, "%s() got an unexpected keyword argument '%S'",
                 function, name);
    return -1;
}

static void clear_values(PyObject **out, size_t count)
{
    for (size_t k = 0; k < count; k++) {
        out[k] = NULL; /* there may be none */
    }
}

int pywsc_keywords(const char *function, PyObject *const *values, PyObject *kwnames,
                   const char *const *names, size_t count, PyObject **out)
{
    Py_ssize_t given = kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames);
    clear_values(out, count);
    for (Py_ssize_t i = 0; i < given; i++) {
        PyObject *name = PyTuple_GET_ITEM(kwnames, i);
        if (take_keyword(function, name, values[i], names, count, out) < 0) {
            return -1;
        }
    }
    return 0;
}

int pywsc_init_keywords(const char *function, PyObject *args, PyObject *kwargs,
                        const char *const *names, size_t count, PyObject **out)
{
    Py_ssize_t position = 0;
    PyObject *name;
    PyObject *value;
    clear_values(out, count);
    if (PyTuple_GET_SIZE(args) > 0) {
        PyErr_Format(PyExc_TypeError, "%s() takes no positional arguments", function);
        return -1;
    }
    while (kwargs != NULL && PyDict_Next(kwargs, &position, &name, &value)) {
        if (take_keyword(function, name, value, names, count, out) < 0) {
            return -1;
        }
    }
    return 0;
}

int pywsc_parameters(const char *function, PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames, const char *const *names, size_t count,
                     PyObject **out)
{
    if ((size_t)nargs > count) {
        PyErr_Format(PyExc_TypeError, "%s() takes at most %zu argument%s (%zd given)",
                     function, count, count == 1 ? "" : "s", nargs);
        return -1;
    }
    if (pywsc_keywords(function, args + nargs, kwnames, names, count, out) < 0) {
        return -1;
    }
    for (Py_ssize_t i = 0; i < nargs; i++) {
        if (out[i] != NULL) {
            PyErr_Format(PyExc_TypeError, "%s() got multiple values for '%s'", function,
                         names[i]);
            return -1;
        }
        out[i] = args[i];
    }
    return 0;
}

int pywsc_truth_argument(PyObject **object)
{
    if (*object == NULL || *object == Py_None) {
        *object = NULL;
        return 0;
    }
    int truth = PyObject_IsTrue(*object);
    if (truth < 0) {
        return -1;
    }
    *object = truth ? Py_True : Py_False;
    return 0;
}

int pywsc_compress_argument(PyObject *object, enum wsc_compress *out)
{
    *out = WSC_COMPRESS_AUTO;
    if (object == NULL || object == Py_None) {
        return 0;
    }
    int truth = PyObject_IsTrue(object);
    if (truth < 0) {
        return -1;
    }
    *out = truth ? WSC_COMPRESS_ALWAYS : WSC_COMPRESS_NEVER;
    return 0;
}

int pywsc_size_argument(PyObject *object, const char *name, size_t none, size_t *out)
{
    if (object == NULL || object == Py_None) {
        *out = none;
        return 0;
    }
    Py_ssize_t value = PyNumber_AsSsize_t(object, PyExc_ValueError);
    if (value == -1 && PyErr_Occurred()) {
        return -1;
    }
    if (value < 0 || (size_t)value > WSC_MESSAGE_SIZE_MAX) {
        PyErr_Format(PyExc_ValueError, "%s must be from 0 to %zu", name,
                     (size_t)WSC_MESSAGE_SIZE_MAX);
        return -1;
    }
    *out = (size_t)value;
    return 0;
}

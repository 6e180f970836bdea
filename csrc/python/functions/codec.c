#include "common/arguments.h"
#include "common/docs.h"
#include "functions/functions.h"
#include "values/errors.h"

#include "wsc/crypto.h"
#include "wsc/mask.h"
#include "wsc/utf8.h"

static PyObject *apply_mask(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    struct pywsc_bytes data;
    struct pywsc_bytes key;
    PyObject *result = NULL;
    (void)module;
    if (nargs != 2) {
        return PyErr_Format(PyExc_TypeError,
                            "apply_mask() takes 2 arguments (%zd given)", nargs);
    }
    if (pywsc_bytes_get(args[0], false, &data) < 0) {
        return NULL;
    }
    if (pywsc_bytes_get(args[1], false, &key) < 0) {
        pywsc_bytes_release(&data);
        return NULL;
    }
    if (key.len != 4) {
        PyErr_SetString(PyExc_ValueError, "masking_key must be 4 bytes");
    }
    else {
        result = PyBytes_FromStringAndSize(NULL, data.len);
    }
    if (result != NULL) {
        wsc_mask_copy((uint8_t *)PyBytes_AS_STRING(result), data.data, (size_t)data.len,
                      key.data, 0);
    }
    pywsc_bytes_release(&key);
    pywsc_bytes_release(&data);
    return result;
}

static PyObject *is_valid_utf8(PyObject *module, PyObject *object)
{
    struct pywsc_bytes data;
    (void)module;
    if (pywsc_bytes_get(object, false, &data) < 0) {
        return NULL;
    }
    bool valid = wsc_utf8_is_valid(data.data, (size_t)data.len);
    pywsc_bytes_release(&data);
    return PyBool_FromLong(valid);
}

static PyObject *accept_key(PyObject *module, PyObject *object)
{
    char accept[WSC_ACCEPT_SIZE];
    Py_ssize_t len;
    if (!PyUnicode_Check(object)) {
        return PyErr_Format(PyExc_TypeError, "expected str, got %.100s",
                            Py_TYPE(object)->tp_name);
    }
    const char *key = PyUnicode_AsUTF8AndSize(object, &len);
    if (key == NULL) {
        return NULL;
    }
    if (!wsc_key_is_valid(key, (size_t)len)) {
        PyErr_SetString(PyExc_ValueError, "a key is the base64 of 16 bytes");
        return NULL;
    }
    enum wsc_status status = wsc_accept_key(key, accept);
    if (status != WSC_OK) {
        return pywsc_raise(pywsc_module_state(module), status);
    }
    return PyUnicode_FromStringAndSize(accept, sizeof(accept));
}

static PyMethodDef functions[] = {
    {"apply_mask", PYWSC_FUNCTION(apply_mask), METH_FASTCALL, PYWSC_DOC_APPLY_MASK},
    {"is_valid_utf8", is_valid_utf8, METH_O, PYWSC_DOC_IS_VALID_UTF8},
    {"accept_key", accept_key, METH_O, PYWSC_DOC_ACCEPT_KEY},
    {NULL},
};

int pywsc_codec_init(PyObject *module, struct pywsc_state *state)
{
    (void)state;
    return PyModule_AddFunctions(module, functions);
}

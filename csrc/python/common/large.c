#include "common/large.h"

#include <stdbool.h>

#define COUNT_MAX 8
#define BYTES_MAX ((size_t)8 << 20)

#ifdef Py_GIL_DISABLED

PyObject *pywsc_large_take(size_t size)
{
    (void)size;
    return NULL;
}

void pywsc_large_release(PyObject *object)
{
    Py_DECREF(object);
}

#else

/* One for each interpreter: their objects must not mix. */
struct spares {
    PyObject *objects[COUNT_MAX];
    size_t count;
    size_t bytes;
};

#define KEY "pywscore.large"

static void free_spares(PyObject *capsule)
{
    struct spares *spares = PyCapsule_GetPointer(capsule, KEY);
    while (spares->count > 0) {
        Py_DECREF(spares->objects[--spares->count]);
    }
    PyMem_Free(spares);
}

static struct spares *new_spares(PyObject *dict, PyObject *key)
{
    struct spares *spares = PyMem_Calloc(1, sizeof(*spares));
    PyObject *capsule = spares == NULL ? NULL : PyCapsule_New(spares, KEY, free_spares);
    if (capsule == NULL) {
        PyMem_Free(spares);
        return NULL;
    }
    int set = PyDict_SetItem(dict, key, capsule);
    Py_DECREF(capsule);
    return set < 0 ? NULL : spares;
}

/* NULL when there are none, without an exception. */
static struct spares *get_spares(bool make)
{
    PyObject *dict = PyInterpreterState_GetDict(PyInterpreterState_Get());
    PyObject *key = dict == NULL ? NULL : PyUnicode_FromString(KEY);
    struct spares *spares = NULL;
    if (key != NULL) {
        PyObject *capsule = PyDict_GetItemWithError(dict, key);
        if (capsule != NULL) {
            spares = PyCapsule_GetPointer(capsule, KEY);
        }
        else if (make && !PyErr_Occurred()) {
            spares = new_spares(dict, key);
        }
        Py_DECREF(key);
    }
    if (spares == NULL) {
        PyErr_Clear();
    }
    return spares;
}

static size_t size_of(PyObject *object)
{
    return (size_t)PyBytes_GET_SIZE(object);
}

/* The hash that a bytes object remembers is of what it was. */
static void forget_hash(PyObject *object)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    ((PyBytesObject *)object)->ob_shash = -1;
#pragma GCC diagnostic pop
}

PyObject *pywsc_large_take(size_t size)
{
    struct spares *spares = get_spares(false);
    if (spares == NULL) {
        return NULL;
    }
    size_t best = COUNT_MAX;
    for (size_t i = 0; i < spares->count; i++) {
        if (size_of(spares->objects[i]) >= size &&
            (best == COUNT_MAX ||
             size_of(spares->objects[i]) < size_of(spares->objects[best]))) {
            best = i;
        }
    }
    if (best == COUNT_MAX) {
        return NULL;
    }
    PyObject *object = spares->objects[best];
    spares->objects[best] = spares->objects[--spares->count];
    spares->bytes -= size_of(object); /* as keep() has added */
    forget_hash(object);
    return object;
}

static bool keep(PyObject *object)
{
    if (!PyBytes_CheckExact(object) || Py_REFCNT(object) != 1 ||
        size_of(object) < PYWSC_LARGE_MIN) {
        return false;
    }
    if (PyErr_Occurred()) {
        return false; /* messages are let go of on an exception's way, too: it stays */
    }
    size_t size = size_of(object);
    struct spares *spares = size > BYTES_MAX ? NULL : get_spares(true);
    if (spares == NULL || spares->count == COUNT_MAX ||
        spares->bytes + size > BYTES_MAX) {
        return false;
    }
    spares->objects[spares->count++] = object;
    spares->bytes += size;
    return true;
}

void pywsc_large_release(PyObject *object)
{
    if (!keep(object)) {
        Py_DECREF(object);
    }
}

#endif

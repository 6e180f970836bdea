/* Python.h, and what types are made with. */
#ifndef PYWSC_COMMON_PYTHON_H
#define PYWSC_COMMON_PYTHON_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <structmember.h>

#if PY_VERSION_HEX < 0x030D0000
#define Py_BEGIN_CRITICAL_SECTION(op) {
#define Py_END_CRITICAL_SECTION()     }
/* The same by its name of then: an AttributeError isn't even made. */
#define PyObject_GetOptionalAttr _PyObject_LookupAttr
#endif

/* The end of a tp_dealloc: of the memory, and of the reference to the type. */
static inline void pywsc_free(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    type->tp_free(op);
    Py_DECREF(type);
}

/* For tables of methods: those that take more than `self` and one object. */
#define PYWSC_FUNCTION(function) (PyCFunction)(void (*)(void))(function)

/* For tables of members: weak references are possible, with their list in `field`. */
#define PYWSC_WEAKREFS(type, field)                                                    \
    {                                                                                  \
        "__weaklistoffset__", T_PYSSIZET, offsetof(type, field), READONLY, NULL        \
    }

#endif

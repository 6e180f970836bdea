#include "common/method.h"

int pywsc_method_init(struct pywsc_method *self, PyObject *object, PyObject *name)
{
    PyTypeObject *type = Py_TYPE(object);
    self->object = object;
    self->name = name;
    if (!PyType_HasFeature(type, Py_TPFLAGS_IMMUTABLETYPE) ||
        type->tp_dictoffset != 0) {
        return 0;
    }
    PyObject *function = PyObject_GetAttr((PyObject *)type, name);
    if (function == NULL) {
        return -1;
    }
    /* Of its instances, it is bound to them. */
    if (Py_IS_TYPE(function, &PyMethodDescr_Type)) {
        self->function = Py_NewRef(function);
    }
    Py_DECREF(function);
    return 0;
}

PyObject *
pywsc_method_call(const struct pywsc_method *self, PyObject *first, PyObject *second)
{
    PyObject *arguments[] = {self->object, first, second};
    size_t count = first == NULL ? 1 : second == NULL ? 2 : 3;
    return self->function != NULL
               ? PyObject_Vectorcall(self->function, arguments, count, NULL)
               : PyObject_VectorcallMethod(self->name, arguments, count, NULL);
}

void pywsc_method_clear(struct pywsc_method *self)
{
    Py_CLEAR(self->function);
}

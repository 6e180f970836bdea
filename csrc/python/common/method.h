/* A method that is called again and again: the function, where the class of the object
 * can't change, so that it needn't be looked up each time. */
#ifndef PYWSC_COMMON_METHOD_H
#define PYWSC_COMMON_METHOD_H

#include "common/python.h"

/* All NULL at first. */
struct pywsc_method {
    PyObject *object;   /* borrowed from the owner of this, and so is the name */
    PyObject *name;     /* str */
    PyObject *function; /* of a class in C; NULL: look it up */
};

/* 0, or -1 with an exception. */
int pywsc_method_init(struct pywsc_method *self, PyObject *object, PyObject *name);
/* New reference: object.name(first, second), without those that are NULL. */
PyObject *
pywsc_method_call(const struct pywsc_method *self, PyObject *first, PyObject *second);
void pywsc_method_clear(struct pywsc_method *self);

#endif

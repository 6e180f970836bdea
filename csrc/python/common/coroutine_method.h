/* Methods that return a coroutine. Callers ask before they await: inspect finds a
 * coroutine function by its `__code__`, and unittest.mock, frameworks and drivers find
 * it by inspect. A method made here has the code, defaults and annotations of its
 * model, an `async def` of the same name in pywscore/_coroutine_methods.py, and is
 * called as quickly as a method of a table. */
#ifndef PYWSC_COMMON_COROUTINE_METHOD_H
#define PYWSC_COMMON_COROUTINE_METHOD_H

#include "common/state.h"

typedef PyObject *(*pywsc_coroutine_function)(PyObject *self, PyObject *const *args,
                                              Py_ssize_t nargs, PyObject *kwnames);

struct pywsc_coroutine_method_def {
    const char *name; /* NULL ends a table */
    pywsc_coroutine_function function;
    const char *doc;
};

int pywsc_coroutine_method_init(PyObject *module, struct pywsc_state *state);

/* Add the methods of a table to a type that was just made and isn't used yet. `defs` is
 * static. 0, or -1 with an exception. */
int pywsc_add_coroutine_methods(struct pywsc_state *state, PyTypeObject *type,
                                const struct pywsc_coroutine_method_def *defs);

#endif

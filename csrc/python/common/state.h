/* The module state, one per interpreter, and what is reached by it: our types, Python's
 * classes and functions, interned names. Every type is a heap type made from a spec,
 * immutable. Objects are guarded by critical sections of their own (free-threaded
 * builds), user code runs only between calls into the core. */
#ifndef PYWSC_COMMON_STATE_H
#define PYWSC_COMMON_STATE_H

#include "common/memory.h"
#include "common/names.h"

#include "wsc/conn.h"

/* Indices of pywsc_state.objects. */
#define INDEX(name, module, attribute) PYWSC_##name,
enum pywsc_object { PYWSC_STATE_OBJECTS(INDEX) PYWSC_OBJECTS };
#undef INDEX

/* Indices of pywsc_state.names. */
#define INDEX(name, string) PYWSC_NAME_##name,
enum pywsc_name { PYWSC_STATE_NAMES(INDEX) PYWSC_NAMES };
#undef INDEX

struct pywsc_pool;
struct pywsc_config;
struct pywsc_carrier;
#define PYWSC_CONFIG_OPTIONS 6 /* see common/config.h */

struct pywsc_state {
    struct pywsc_spares spare_waiters;
    struct pywsc_spares spare_operations;
#define FIELD(name) PyTypeObject *name;
    PYWSC_STATE_TYPES(FIELD)
#undef FIELD
    PyObject *objects[PYWSC_OBJECTS];
    PyObject *names[PYWSC_NAMES];
    PyObject *states[WSC_CONN_CLOSED + 1];          /* members of pywscore.State */
    const struct pywsc_carrier *engine_carrier;     /* of engine_transport */
    struct pywsc_pool *pool;                        /* NULL: made when first needed */
    struct pywsc_config *config;                    /* the last one made, or NULL */
    PyObject *config_options[PYWSC_CONFIG_OPTIONS]; /* what it was made from */
};

static inline struct pywsc_state *pywsc_module_state(PyObject *module)
{
    return (struct pywsc_state *)PyModule_GetState(module);
}

/* The state of the module that made this type or a base of it. Never NULL for our
 * types; subclasses made in Python included. */
struct pywsc_state *pywsc_type_state(PyTypeObject *type);

/* Make a type from its spec and add it; NULL with an exception set. */
PyTypeObject *pywsc_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject *base);

/* The end of PyInit: by this definition types find their module. */
PyObject *pywsc_state_define(struct PyModuleDef *definition);
/* Fill it: import what it refers to. -1 with an exception. */
int pywsc_state_init(struct pywsc_state *state);
/* What the collector asks of it; config and pool are let go of by those that make them.
 */
int pywsc_state_traverse(PyObject *module, visitproc visit, void *arg);
void pywsc_state_clear(struct pywsc_state *state);

#endif

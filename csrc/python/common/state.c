#include "common/state.h"

static const struct {
    const char *module;
    const char *attribute;
} objects[PYWSC_OBJECTS] = {
#define OBJECT(name, module, attribute) {module, attribute},
    PYWSC_STATE_OBJECTS(OBJECT)
#undef OBJECT
};

static const char *const names[PYWSC_NAMES] = {
#define NAME(name, string) string,
    PYWSC_STATE_NAMES(NAME)
#undef NAME
};

/* The same for all interpreters. */
static struct PyModuleDef *module_definition;

PyObject *pywsc_state_define(struct PyModuleDef *definition)
{
    module_definition = definition;
    return PyModuleDef_Init(definition);
}

struct pywsc_state *pywsc_type_state(PyTypeObject *type)
{
    PyObject *module = PyType_GetModuleByDef(type, module_definition);
    assert(module != NULL);
    return pywsc_module_state(module);
}

PyTypeObject *pywsc_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject *base)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, (PyObject *)base);
    if (type == NULL) {
        return NULL;
    }
    if (PyModule_AddType(module, (PyTypeObject *)type) < 0) {
        Py_DECREF(type);
        return NULL;
    }
    return (PyTypeObject *)type;
}

int pywsc_state_init(struct pywsc_state *state)
{
    for (size_t i = 0; i < PYWSC_OBJECTS; i++) {
        PyObject *module = PyImport_ImportModule(objects[i].module);
        if (module == NULL) {
            return -1;
        }
        state->objects[i] = PyObject_GetAttrString(module, objects[i].attribute);
        Py_DECREF(module);
        if (state->objects[i] == NULL) {
            return -1;
        }
    }
    for (size_t i = 0; i < PYWSC_NAMES; i++) {
        state->names[i] = PyUnicode_InternFromString(names[i]);
        if (state->names[i] == NULL) {
            return -1;
        }
    }
    for (int i = WSC_CONN_CONNECTING; i <= WSC_CONN_CLOSED; i++) {
        state->states[i] = PyObject_CallFunction(state->objects[PYWSC_STATE], "i", i);
        if (state->states[i] == NULL) {
            return -1;
        }
    }
    return 0;
}

int pywsc_state_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct pywsc_state *state = pywsc_module_state(module);
#define VISIT(type) Py_VISIT(state->type);
    PYWSC_STATE_TYPES(VISIT)
#undef VISIT
    for (size_t i = 0; i < PYWSC_OBJECTS; i++) {
        Py_VISIT(state->objects[i]);
    }
    for (size_t i = 0; i <= WSC_CONN_CLOSED; i++) {
        Py_VISIT(state->states[i]);
    }
    for (size_t i = 0; i < PYWSC_CONFIG_OPTIONS; i++) {
        Py_VISIT(state->config_options[i]);
    }
    return 0;
}

void pywsc_state_clear(struct pywsc_state *state)
{
    pywsc_spares_close(&state->spare_waiters);
    pywsc_spares_close(&state->spare_operations);
#define CLEAR(type) Py_CLEAR(state->type);
    PYWSC_STATE_TYPES(CLEAR)
#undef CLEAR
    for (size_t i = 0; i < PYWSC_OBJECTS; i++) {
        Py_CLEAR(state->objects[i]);
    }
    for (size_t i = 0; i < PYWSC_NAMES; i++) {
        Py_CLEAR(state->names[i]);
    }
    for (size_t i = 0; i <= WSC_CONN_CLOSED; i++) {
        Py_CLEAR(state->states[i]);
    }
}

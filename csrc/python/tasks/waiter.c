#include "tasks/waiter.h"

#include <string.h>

#include "common/arguments.h"
#include "common/docs.h"
#include "common/raised.h"
#include "tasks/loop.h"

enum {
    PENDING,
    STEPPED,   /* PENDING for its task, which runs nevertheless; see
                  pywsc_waiter_begin_step */
    REQUESTED, /* STEPPED, and the task has been cancelled since */
    DONE,
    CANCELLED,
};

/* --- callbacks --- */

struct pywsc_waiter *pywsc_waiter_new(struct pywsc_state *state, PyObject *loop)
{
    struct pywsc_waiter *self =
        (struct pywsc_waiter *)pywsc_spares_new(&state->spare_waiters, state->waiter);
    if (self == NULL) {
        return NULL;
    }
    self->module = state;
    self->loop = Py_NewRef(loop);
    self->callback = NULL;
    self->context = NULL;
    self->more = NULL;
    self->cancel_message = NULL;
    self->owner = NULL;
    self->blocking = 1;
    self->state = PENDING;
    PyObject_GC_Track(self);
    return self;
}

bool pywsc_waiter_is_pending(const struct pywsc_waiter *self)
{
    return self->state == PENDING;
}

/* The end of Handle._run: its context has been entered. */
static int call_in_context(PyObject *callback, PyObject *context, PyObject *arg)
{
    PyObject *result = PyObject_CallOneArg(callback, arg);
    Py_XDECREF(result);
    pywsc_exit_context(context);
    return result == NULL ? -1 : 0;
}

static int run_callback(struct pywsc_state *state, struct pywsc_waiter *self,
                        PyObject *callback, PyObject *context, bool in_place)
{
    if (in_place) {
        if (PyContext_Enter(context) == 0) {
            return call_in_context(callback, context, (PyObject *)self);
        }
        PyErr_Clear(); /* it is entered already: this has to wait for its turn */
    }
    return pywsc_call_soon(state, self->loop, callback, (PyObject *)self, context);
}

static int
run_callbacks(struct pywsc_state *state, struct pywsc_waiter *self, bool in_place)
{
    PyObject *callback = self->callback;
    PyObject *context = self->context;
    PyObject *more = self->more;
    PyObject *first = NULL;
    self->callback = NULL;
    self->context = NULL;
    self->more = NULL;
    if (callback != NULL) {
        int result = run_callback(state, self, callback, context, in_place);
        pywsc_keep_first(&first, result, (PyObject *)self);
        Py_DECREF(callback);
        Py_DECREF(context);
    }
    for (Py_ssize_t i = 0; more != NULL && i < PyList_GET_SIZE(more); i++) {
        PyObject *pair = PyList_GET_ITEM(more, i);
        int result = run_callback(state, self, PyTuple_GET_ITEM(pair, 0),
                                  PyTuple_GET_ITEM(pair, 1), in_place);
        pywsc_keep_first(&first, result, (PyObject *)self);
    }
    Py_XDECREF(more);
    return pywsc_raise_first(first);
}

int pywsc_waiter_wake(struct pywsc_state *state, struct pywsc_waiter *self,
                      bool in_place)
{
    if (self->state != PENDING) {
        return 0;
    }
    PyObject *loop = Py_NewRef(self->loop);
    Py_INCREF(self);
    self->state = DONE;
    int result = self->owner == NULL ? run_callbacks(state, self, in_place)
                                     : self->on_wake(self, in_place);
    if (result < 0) {
        result = pywsc_report_exception(state, loop, "exception while resuming a task");
    }
    Py_DECREF(self);
    Py_DECREF(loop);
    return result;
}

void pywsc_waiter_begin_step(struct pywsc_waiter *self)
{
    self->state = STEPPED;
}

bool pywsc_waiter_end_step(struct pywsc_waiter *self)
{
    bool requested = self->state == REQUESTED;
    self->state = PENDING;
    return requested;
}

int pywsc_waiter_wake_here(struct pywsc_state *state, struct pywsc_waiter *self)
{
    if (self->callback == NULL || self->more != NULL) {
        return pywsc_waiter_wake(state, self, false);
    }
    PyObject *callback = self->callback;
    self->callback = NULL;
    self->state = DONE;
    PyObject *result = PyObject_CallOneArg(callback, (PyObject *)self);
    Py_DECREF(callback);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* --- asyncio's future protocol --- */

static PyObject *waiter_add_done_callback(PyObject *op, PyObject *const *args,
                                          Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"context"};
    struct pywsc_waiter *self = (struct pywsc_waiter *)op;
    PyObject *context;
    if (nargs != 1) {
        PyErr_SetString(PyExc_TypeError, "add_done_callback() takes one callback");
        return NULL;
    }
    if (pywsc_keywords("add_done_callback", args + nargs, kwnames, names, 1, &context) <
        0) {
        return NULL;
    }
    context = context != NULL && context != Py_None ? Py_NewRef(context)
                                                    : PyContext_CopyCurrent();
    if (context == NULL) {
        return NULL;
    }
    int result = 0;
    if (self->state >= DONE) {
        result = pywsc_call_soon(self->module, self->loop, args[0], op, context);
    }
    else if (self->callback == NULL) {
        self->callback = Py_NewRef(args[0]);
        self->context = Py_NewRef(context);
    }
    else {
        PyObject *pair = PyTuple_Pack(2, args[0], context);
        if (self->more == NULL) {
            self->more = PyList_New(0);
        }
        result =
            pair == NULL || self->more == NULL ? -1 : PyList_Append(self->more, pair);
        Py_XDECREF(pair);
    }
    Py_DECREF(context);
    if (result < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* Comparing runs code of others, which may wake or cancel us: what is compared is held,
 * and taken out only if it is still there. */

/* 1: the first callback was removed. 0. -1. */
static int remove_first(struct pywsc_waiter *self, PyObject *callback)
{
    PyObject *first = Py_XNewRef(self->callback);
    int equal = first == NULL ? 0 : PyObject_RichCompareBool(first, callback, Py_EQ);
    bool removed = equal > 0 && self->callback == first;
    if (removed) {
        self->callback = NULL;
        Py_CLEAR(self->context);
        Py_DECREF(first);
    }
    Py_XDECREF(first);
    return equal < 0 ? -1 : removed;
}

/* The same of those after it; at an `index` in `more`. */
static int remove_pair(struct pywsc_waiter *self, Py_ssize_t index, PyObject *callback)
{
    PyObject *more = Py_NewRef(self->more);
    PyObject *pair = Py_NewRef(PyList_GET_ITEM(more, index));
    int result = PyObject_RichCompareBool(PyTuple_GET_ITEM(pair, 0), callback, Py_EQ);
    if (result > 0) {
        result = self->more == more && index < PyList_GET_SIZE(more) &&
                 PyList_GET_ITEM(more, index) == pair;
    }
    if (result > 0 && PyList_SetSlice(more, index, index + 1, NULL) < 0) {
        result = -1;
    }
    Py_DECREF(pair);
    Py_DECREF(more);
    return result;
}

static PyObject *waiter_remove_done_callback(PyObject *op, PyObject *callback)
{
    struct pywsc_waiter *self = (struct pywsc_waiter *)op;
    long removed = remove_first(self, callback);
    for (Py_ssize_t i = 0;
         removed >= 0 && self->more != NULL && i < PyList_GET_SIZE(self->more);) {
        int result = remove_pair(self, i, callback);
        i += result == 0;
        removed = result < 0 ? -1 : removed + result;
    }
    return removed < 0 ? NULL : PyLong_FromLong(removed);
}

static PyObject *waiter_cancel(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"msg", NULL};
    struct pywsc_waiter *self = (struct pywsc_waiter *)op;
    PyObject *message = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O", keywords, &message)) {
        return NULL;
    }
    if (self->state == STEPPED) {
        self->state = REQUESTED; /* the task notes it: it runs */
    }
    if (self->state != PENDING) {
        Py_RETURN_FALSE;
    }
    self->state = CANCELLED;
    Py_XSETREF(self->cancel_message, Py_NewRef(message));
    if (run_callbacks(self->module, self, false) < 0) {
        return NULL;
    }
    Py_RETURN_TRUE;
}

static PyObject *waiter_result(PyObject *op, PyObject *unused)
{
    struct pywsc_waiter *self = (struct pywsc_waiter *)op;
    (void)unused;
    if (self->state == DONE) {
        Py_RETURN_NONE;
    }
    struct pywsc_state *state = self->module;
    if (self->state < DONE) {
        PyErr_SetString(state->objects[PYWSC_INVALID_STATE_ERROR],
                        "Result is not set.");
    }
    else if (self->cancel_message == NULL || self->cancel_message == Py_None) {
        PyErr_SetNone(state->objects[PYWSC_CANCELLED_ERROR]);
    }
    else {
        PyErr_SetObject(state->objects[PYWSC_CANCELLED_ERROR], self->cancel_message);
    }
    return NULL;
}

static PyObject *waiter_done(PyObject *op, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(((struct pywsc_waiter *)op)->state >= DONE);
}

static PyObject *waiter_cancelled(PyObject *op, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(((struct pywsc_waiter *)op)->state == CANCELLED);
}

static PyObject *waiter_get_loop(PyObject *op, PyObject *unused)
{
    (void)unused;
    return Py_NewRef(((struct pywsc_waiter *)op)->loop);
}

/* A callback of the loop. */
static PyObject *waiter_wake(PyObject *op, PyObject *unused)
{
    struct pywsc_waiter *self = (struct pywsc_waiter *)op;
    (void)unused;
    if (pywsc_waiter_wake(self->module, self, true) < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static int waiter_traverse(PyObject *op, visitproc visit, void *arg)
{
    struct pywsc_waiter *self = (struct pywsc_waiter *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->loop);
    Py_VISIT(self->callback);
    Py_VISIT(self->context);
    Py_VISIT(self->more);
    Py_VISIT(self->cancel_message);
    Py_VISIT(self->owner);
    return 0;
}

static int waiter_clear(PyObject *op)
{
    struct pywsc_waiter *self = (struct pywsc_waiter *)op;
    Py_CLEAR(self->callback);
    Py_CLEAR(self->context);
    Py_CLEAR(self->more);
    Py_CLEAR(self->cancel_message);
    Py_CLEAR(self->owner);
    return 0;
}

static void waiter_dealloc(PyObject *op)
{
    struct pywsc_waiter *self = (struct pywsc_waiter *)op;
    PyObject_GC_UnTrack(op);
    (void)waiter_clear(op);
    Py_CLEAR(self->loop);
    pywsc_spares_free(&self->module->spare_waiters, op);
}

#if PY_VERSION_HEX < 0x030C0000
/* There, a task that goes on asks for the method "result" by a C string: a new str is
 * made of it, which no cache of attributes knows, at a tenth of the instructions of a
 * whole message. A type may answer C strings itself. */
static PyObject *waiter_getattr(PyObject *op, char *name)
{
    static PyMethodDef result = {"result", waiter_result, METH_NOARGS, NULL};
    if (strcmp(name, result.ml_name) == 0) {
        return PyCFunction_New(&result, op);
    }
    PyObject *string = PyUnicode_FromString(name);
    PyObject *value = string == NULL ? NULL : PyObject_GenericGetAttr(op, string);
    Py_XDECREF(string);
    return value;
}
#endif

/* In waiter_methods. */
enum {
    ADD_DONE_CALLBACK,
    GET_LOOP,
};

static PyMethodDef waiter_methods[] = {
    [ADD_DONE_CALLBACK] = {"add_done_callback",
                           PYWSC_FUNCTION(waiter_add_done_callback),
                           METH_FASTCALL | METH_KEYWORDS, NULL},
    [GET_LOOP] = {"get_loop", waiter_get_loop, METH_NOARGS, NULL},
    {"remove_done_callback", waiter_remove_done_callback, METH_O, NULL},
    {"cancel", PYWSC_FUNCTION(waiter_cancel), METH_VARARGS | METH_KEYWORDS, NULL},
    {"result", waiter_result, METH_NOARGS, NULL},
    {"exception", waiter_result, METH_NOARGS, NULL},
    {"done", waiter_done, METH_NOARGS, NULL},
    {"cancelled", waiter_cancelled, METH_NOARGS, NULL},
    {"_wake", waiter_wake, METH_NOARGS, NULL},
    {NULL},
};

/* What a task asks for each time it waits, without the search in the type. Its names
 * are interned, as ours are. */
static PyObject *waiter_getattro(PyObject *op, PyObject *name)
{
    const struct pywsc_waiter *self = (const struct pywsc_waiter *)op;
    PyObject *const *names = self->module->names;
    if (name == names[PYWSC_NAME_FUTURE_BLOCKING]) {
        return PyBool_FromLong(self->blocking);
    }
    if (name == names[PYWSC_NAME_ADD_DONE_CALLBACK]) {
        return PyCFunction_New(&waiter_methods[ADD_DONE_CALLBACK], op);
    }
    if (name == names[PYWSC_NAME_GET_LOOP]) {
        return PyCFunction_New(&waiter_methods[GET_LOOP], op);
    }
    return PyObject_GenericGetAttr(op, name);
}

static PyMemberDef waiter_members[] = {
    {"_asyncio_future_blocking", T_BOOL, offsetof(struct pywsc_waiter, blocking), 0,
     NULL},
    {NULL},
};

static PyType_Slot waiter_slots[] = {
    {Py_tp_doc, PYWSC_DOC_WAITER},
#if PY_VERSION_HEX < 0x030C0000
    {Py_tp_getattr, waiter_getattr},
#endif
    {Py_tp_getattro, waiter_getattro},
    {Py_tp_dealloc, waiter_dealloc},
    {Py_tp_traverse, waiter_traverse},
    {Py_tp_clear, waiter_clear},
    {Py_tp_methods, waiter_methods},
    {Py_tp_members, waiter_members},
    {0, NULL},
};

static PyType_Spec waiter_spec = {
    .name = "pywscore._core.Waiter",
    .basicsize = sizeof(struct pywsc_waiter),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
             Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = waiter_slots,
};

int pywsc_waiter_init(PyObject *module, struct pywsc_state *state)
{
    state->waiter = pywsc_add_type(module, &waiter_spec, NULL);
    return state->waiter == NULL ? -1 : 0;
}

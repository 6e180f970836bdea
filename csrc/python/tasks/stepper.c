#include "tasks/stepper.h"

#include "common/docs.h"
#include "common/raised.h"
#include "tasks/coroutine.h"
#include "tasks/loop.h"
#include "tasks/waiter.h"

/* What the coroutine gave while its task was parked, for the task's next step. */
enum given {
    NOTHING,
    YIELDED,
    RETURNED,
    RAISED,
};

struct pywsc_stepper {
    PyObject_HEAD struct pywsc_state *module; /* which the type keeps alive */
    PyObject *coroutine;
    PyObject *task;                    /* from when it is parked to the end */
    struct pywsc_waiter *parked;       /* what the task waits on meanwhile */
    const struct pywsc_waiter *waiter; /* what the coroutine waits on: not owned */
    PyObject *given;
    char kind; /* of what is given */
    bool running;
    bool unused;
    int8_t frame_state;     /* see below */
    PyObject *cancellation; /* to be thrown in the next step, or NULL */
};

/* Debuggers that read the memory of a process (`python -m asyncio ps`, from 3.14 on)
 * take what a task runs for a coroutine: here they find one that has ended
 * (FRAME_CLEARED), and look for no frame behind it. docs/adr/0016-stepping.md */
#define ENDED 4
_Static_assert(offsetof(struct pywsc_stepper, frame_state) ==
                   sizeof(PyObject) + 6 * sizeof(void *) + 3,
               "where CPython 3.12 to 3.14 have cr_frame_state");

/* --- steps of the coroutine --- */

static int on_wake(struct pywsc_waiter *waiter, bool in_place);

static PySendResult step(struct pywsc_stepper *self, PyObject *arg, PyObject **result)
{
    self->running = true;
    PySendResult outcome = PyIter_Send(self->coroutine, arg, result);
    self->running = false;
    return outcome;
}

/* Whether the coroutine waits on one of ours, which nobody else does. */
static bool is_adoptable(struct pywsc_stepper *self, PyObject *yielded)
{
    const struct pywsc_waiter *waiter = (const struct pywsc_waiter *)yielded;
    return Py_TYPE(yielded) == self->module->waiter && waiter->blocking &&
           pywsc_waiter_is_pending(waiter) && waiter->callback == NULL &&
           waiter->owner == NULL;
}

/* It steps this one when it is done; takes `yielded`. */
static void adopt(struct pywsc_stepper *self, PyObject *yielded)
{
    struct pywsc_waiter *waiter = (struct pywsc_waiter *)yielded;
    waiter->blocking = 0;
    waiter->owner = Py_NewRef((PyObject *)self);
    waiter->on_wake = on_wake;
    self->waiter = waiter;
    Py_DECREF(yielded);
}

static void give(struct pywsc_stepper *self, enum given kind, PyObject *object)
{
    self->kind = (char)kind;
    Py_XSETREF(self->given, object);
}

/* A step while the task is parked. False: something is given to the task. */
static bool step_parked(struct pywsc_stepper *self)
{
    PyObject *result;
    PySendResult outcome = step(self, Py_None, &result);
    if (outcome == PYGEN_NEXT && is_adoptable(self, result)) {
        adopt(self, result);
        return true;
    }
    switch (outcome) {
    case PYGEN_NEXT:
        give(self, YIELDED, result);
        break;
    case PYGEN_RETURN:
        give(self, RETURNED, result);
        break;
    case PYGEN_ERROR:
        give(self, RAISED, pywsc_take_raised());
        break;
    }
    return false;
}

/* As Task.__step() does it; in the task's context. -1 with an exception. */
static int step_as_task(struct pywsc_stepper *self, struct pywsc_waiter *parked)
{
    struct pywsc_state *state = self->module;
    if (pywsc_enter_task(state, parked->loop, self->task) < 0) {
        PyErr_Clear();
        return pywsc_waiter_wake(state, parked, false);
    }
    pywsc_waiter_begin_step(parked);
    bool waits = step_parked(self);
    bool cancelled = pywsc_waiter_end_step(parked);
    if (pywsc_leave_task(state, parked->loop, self->task) < 0) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    if (!waits) {
        return pywsc_waiter_wake_here(state, parked);
    }
    return cancelled ? pywsc_waiter_wake(state, parked, false) : 0;
}

static int go_on(struct pywsc_stepper *self, struct pywsc_waiter *parked)
{
    PyObject *context = parked->context;
    /* It is entered already: the task, or what it called, runs. */
    if (context == NULL || PyContext_Enter(context) < 0) {
        PyErr_Clear();
        return pywsc_waiter_wake(self->module, parked, false);
    }
    Py_INCREF(context);
    int result = step_as_task(self, parked);
    pywsc_exit_context(context);
    Py_DECREF(context);
    return result;
}

/* What the coroutine waits on is done: step it in place, or by call_soon. -1 with an
 * exception that the task raised. */
static int on_wake(struct pywsc_waiter *waiter, bool in_place)
{
    struct pywsc_stepper *self = (struct pywsc_stepper *)waiter->owner;
    struct pywsc_waiter *parked = self->parked;
    int result = 0;
    waiter->owner = NULL;
    /* If not, the task has been cancelled, and is going to be woken for that. */
    if (self->waiter == waiter && parked != NULL && pywsc_waiter_is_pending(parked)) {
        self->waiter = NULL;
        Py_INCREF(parked);
        result = in_place ? go_on(self, parked)
                          : pywsc_waiter_wake(self->module, parked, false);
        Py_DECREF(parked);
    }
    Py_DECREF(self);
    return result;
}

/* --- steps of the task --- */

/* Whether the task is known that steps this one. */
static bool knows_task(struct pywsc_stepper *self, PyObject *loop)
{
    if (self->task == NULL) {
        PyObject *task = pywsc_current_task(self->module, loop);
        if (task == NULL) {
            PyErr_Clear();
        }
        else if (task == Py_None) {
            Py_DECREF(task);
        }
        else {
            self->task = task;
        }
    }
    return self->task != NULL;
}

/* What the task is to wait on when the coroutine yields this; takes `yielded`. */
static PyObject *park(struct pywsc_stepper *self, PyObject *yielded)
{
    if (!is_adoptable(self, yielded)) {
        return yielded;
    }
    PyObject *loop = ((struct pywsc_waiter *)yielded)->loop;
    if (!knows_task(self, loop)) {
        return yielded;
    }
    struct pywsc_waiter *parked = pywsc_waiter_new(self->module, loop);
    if (parked == NULL) {
        PyErr_Clear();
        return yielded;
    }
    adopt(self, yielded);
    self->parked = (struct pywsc_waiter *)Py_NewRef((PyObject *)parked);
    return (PyObject *)parked;
}

static void unpark(struct pywsc_stepper *self)
{
    self->waiter = NULL;
    Py_CLEAR(self->parked);
}

static PySendResult take_given(struct pywsc_stepper *self, PyObject **result)
{
    PyObject *given = self->given;
    char kind = self->kind;
    self->given = NULL;
    self->kind = NOTHING;
    *result = given;
    if (kind == YIELDED) {
        return PYGEN_NEXT;
    }
    Py_CLEAR(self->task);
    if (kind == RETURNED) {
        return PYGEN_RETURN;
    }
    *result = NULL;
    pywsc_raise_again(given);
    return PYGEN_ERROR;
}

static bool is_running(struct pywsc_stepper *self)
{
    if (self->running) {
        PyErr_SetString(PyExc_ValueError, "coroutine already executing");
    }
    return self->running;
}

static PyObject *
throw_now(struct pywsc_stepper *self, PyObject *const *args, Py_ssize_t nargs)
{
    self->running = true;
    PyObject *yielded = pywsc_coroutine_throw(self->coroutine, args, nargs);
    self->running = false;
    if (yielded == NULL) {
        Py_CLEAR(self->task);
        return NULL;
    }
    return park(self, yielded);
}

static PySendResult stepper_am_send(PyObject *op, PyObject *arg, PyObject **result)
{
    struct pywsc_stepper *self = (struct pywsc_stepper *)op;
    *result = NULL;
    if (is_running(self)) {
        return PYGEN_ERROR;
    }
    unpark(self);
    if (self->kind != NOTHING) {
        return take_given(self, result);
    }
    if (self->cancellation != NULL) {
        PyObject *cancellation = self->cancellation;
        self->cancellation = NULL;
        PyObject *yielded = throw_now(self, &cancellation, 1);
        Py_DECREF(cancellation);
        return pywsc_send_result(yielded, result);
    }
    PySendResult outcome = step(self, arg, result);
    if (outcome == PYGEN_NEXT) {
        *result = park(self, *result);
    }
    else {
        Py_CLEAR(self->task);
    }
    return outcome;
}

/* future.cancel(msg=exception's): whether it is going to be. -1. */
static int
cancel_future(struct pywsc_stepper *self, PyObject *future, PyObject *exception)
{
    PyObject *args = PyObject_GetAttrString(exception, "args");
    if (args == NULL) {
        return -1;
    }
    PyObject *message = PyTuple_CheckExact(args) && PyTuple_GET_SIZE(args) > 0
                            ? PyTuple_GET_ITEM(args, 0)
                            : Py_None;
    PyObject *result = PyObject_CallMethodOneArg(
        future, self->module->names[PYWSC_NAME_CANCEL], message);
    Py_DECREF(args);
    int cancelled = result == NULL ? -1 : PyObject_IsTrue(result);
    Py_XDECREF(result);
    return cancelled;
}

/* The task was cancelled in a step that it didn't see, in which the coroutine yielded
 * this. What it waits on is cancelled, as the task would have done it; takes `yielded`.
 * If that can't be, the exception is thrown in the next step. */
static PyObject *
cancel_yielded(struct pywsc_stepper *self, PyObject *yielded, PyObject *exception)
{
    int cancelled = yielded == Py_None ? 0 : cancel_future(self, yielded, exception);
    if (cancelled < 0) {
        Py_DECREF(yielded);
        return NULL;
    }
    if (!cancelled) {
        Py_XSETREF(self->cancellation, Py_NewRef(exception));
    }
    return yielded;
}

static PyObject *stepper_throw(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    struct pywsc_stepper *self = (struct pywsc_stepper *)op;
    if (is_running(self)) {
        return NULL;
    }
    unpark(self);
    if (self->kind == NOTHING) {
        return throw_now(self, args, nargs);
    }
    if (nargs < 1 || !PyExceptionInstance_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "throw() takes an exception");
        return NULL;
    }
    /* Cancelled in a step that the task didn't see. */
    PyObject *given;
    PySendResult outcome = take_given(self, &given);
    if (outcome == PYGEN_ERROR) {
        return NULL;
    }
    if (outcome == PYGEN_NEXT) {
        return cancel_yielded(self, given, args[0]);
    }
    Py_DECREF(given);
    PyErr_SetObject((PyObject *)Py_TYPE(args[0]), args[0]);
    return NULL;
}

/* --- the rest of a coroutine --- */

static PyObject *stepper_send(PyObject *op, PyObject *arg)
{
    PyObject *result;
    PySendResult outcome = stepper_am_send(op, arg, &result);
    return pywsc_iterator_result(outcome, result);
}

static PyObject *stepper_iternext(PyObject *op)
{
    return stepper_send(op, Py_None);
}

static PyObject *stepper_close(PyObject *op, PyObject *unused)
{
    struct pywsc_stepper *self = (struct pywsc_stepper *)op;
    (void)unused;
    if (is_running(self)) {
        return NULL;
    }
    unpark(self);
    give(self, NOTHING, NULL);
    int status = pywsc_coroutine_close(self->coroutine);
    Py_CLEAR(self->task);
    if (status < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* cr_frame, cr_running, cr_await, __qualname__ and so on are the coroutine's. */
static PyObject *stepper_getattro(PyObject *op, PyObject *name)
{
    PyObject *value = PyObject_GenericGetAttr(op, name);
    if (value == NULL && PyErr_ExceptionMatches(PyExc_AttributeError)) {
        PyErr_Clear();
        value = PyObject_GetAttr(((struct pywsc_stepper *)op)->coroutine, name);
    }
    return value;
}

static PyObject *stepper_repr(PyObject *op)
{
    return PyObject_Repr(((struct pywsc_stepper *)op)->coroutine);
}

/* --- life --- */

static PyObject *stepper_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"", NULL};
    PyObject *coroutine;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:Stepper", keywords, &coroutine)) {
        return NULL;
    }
    struct pywsc_stepper *self = (struct pywsc_stepper *)type->tp_alloc(type, 0);
    if (self == NULL) {
        return NULL;
    }
    self->module = pywsc_type_state(type);
    self->coroutine = Py_NewRef(coroutine);
    self->frame_state = ENDED;
    return (PyObject *)self;
}

static int stepper_traverse(PyObject *op, visitproc visit, void *arg)
{
    struct pywsc_stepper *self = (struct pywsc_stepper *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->coroutine);
    Py_VISIT(self->task);
    Py_VISIT((PyObject *)self->parked);
    Py_VISIT(self->given);
    Py_VISIT(self->cancellation);
    return 0;
}

static int stepper_clear(PyObject *op)
{
    struct pywsc_stepper *self = (struct pywsc_stepper *)op;
    unpark(self);
    Py_CLEAR(self->task);
    Py_CLEAR(self->given);
    Py_CLEAR(self->cancellation);
    return 0;
}

static void stepper_dealloc(PyObject *op)
{
    struct pywsc_stepper *self = (struct pywsc_stepper *)op;
    PyObject_GC_UnTrack(op);
    (void)stepper_clear(op);
    Py_CLEAR(self->coroutine);
    pywsc_free(op);
}

static PyMethodDef stepper_methods[] = {
    {"send", stepper_send, METH_O, NULL},
    {"throw", PYWSC_FUNCTION(stepper_throw), METH_FASTCALL, NULL},
    {"close", stepper_close, METH_NOARGS, NULL},
    {NULL},
};

static PyType_Slot stepper_slots[] = {
    {Py_tp_doc, PYWSC_DOC_STEPPER},
    {Py_tp_new, stepper_new},
    {Py_tp_dealloc, stepper_dealloc},
    {Py_tp_traverse, stepper_traverse},
    {Py_tp_clear, stepper_clear},
    {Py_tp_getattro, stepper_getattro},
    {Py_tp_repr, stepper_repr},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, stepper_iternext},
    {Py_am_await, PyObject_SelfIter},
    {Py_am_send, stepper_am_send},
    {Py_tp_methods, stepper_methods},
    {0, NULL},
};

static PyType_Spec stepper_spec = {
    .name = "pywscore._core.Stepper",
    .basicsize = sizeof(struct pywsc_stepper),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = stepper_slots,
};

int pywsc_stepper_init(PyObject *module, struct pywsc_state *state)
{
    state->stepper = pywsc_add_type(module, &stepper_spec, NULL);
    return state->stepper == NULL ? -1 : 0;
}

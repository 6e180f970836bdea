#include "tasks/timers.h"

#include <math.h>

#include "common/docs.h"
#include "common/raised.h"

/* So many are run before the loop gets its turn. */
#define TURN 256
/* In ticks; later than any loop lives. */
#define LATEST ((uint64_t)1 << 60)
/* A loop that is watched has a timer so often, which shows by coming late when it was
 * held up; and is watched for so long. In seconds. */
#define PULSE         0.125
#define WATCH_SECONDS 60.0

struct pywsc_timers {
    PyObject_HEAD struct pywsc_state
        *state; /* of the module, which the type keeps alive */
    PyObject *loop;
    PyObject *context;  /* an empty one: that of who sets a timer is none of ours */
    PyObject *handle;   /* the loop's TimerHandle, or NULL */
    uint64_t handle_at; /* WSC_TIMERS_NEVER without one */
    bool running;       /* the loop is told at the end */
    double pulse_at;    /* INFINITY while the loop isn't watched */
    double watched_until;
    double held_up; /* in all */
    PyObject *weakrefs;
    const struct pywsc_timer_owners *owners;
    /* Its timers are parts of objects that hold a reference to us: it is empty when we
     * are freed. They may be freed by any thread, hence the critical sections;
     * all else is of the loop's thread. */
    struct wsc_timer_wheel wheel;
};

static uint64_t to_ticks(double seconds)
{
    double ticks = seconds / PYWSC_TIMERS_TICK;
    return ticks > 0 ? ticks < (double)LATEST ? (uint64_t)ticks : LATEST : 0;
}

static double time_of(struct pywsc_state *state, PyObject *loop)
{
    PyObject *time = PyObject_CallMethodNoArgs(loop, state->names[PYWSC_NAME_TIME]);
    double seconds = time == NULL ? -1 : PyFloat_AsDouble(time);
    Py_XDECREF(time);
    return seconds < 0 && !PyErr_Occurred() ? 0 : seconds;
}

double pywsc_timers_time(struct pywsc_timers *self)
{
    return time_of(self->state, self->loop);
}

void pywsc_timers_serve(struct pywsc_timers *self,
                        const struct pywsc_timer_owners *owners)
{
    self->owners = owners;
}

/* --- the loop's timer --- */

static int drop_handle(struct pywsc_timers *self)
{
    PyObject *handle = self->handle;
    if (handle == NULL) {
        return 0;
    }
    self->handle = NULL;
    self->handle_at = WSC_TIMERS_NEVER;
    PyObject *result =
        PyObject_CallMethodNoArgs(handle, self->state->names[PYWSC_NAME_CANCEL]);
    Py_DECREF(handle);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static PyObject *call_at(struct pywsc_timers *self, uint64_t at)
{
    struct pywsc_state *state = self->state;
    PyObject *when = PyFloat_FromDouble((double)at * PYWSC_TIMERS_TICK);
    PyObject *fired =
        PyObject_GetAttr((PyObject *)self, state->names[PYWSC_NAME_FIRED]);
    PyObject *names = PyTuple_Pack(1, state->names[PYWSC_NAME_CONTEXT]);
    PyObject *handle = NULL;
    if (when != NULL && fired != NULL && names != NULL) {
        PyObject *args[] = {self->loop, when, fired, self->context};
        handle =
            PyObject_VectorcallMethod(state->names[PYWSC_NAME_CALL_AT], args, 3, names);
    }
    Py_XDECREF(when);
    Py_XDECREF(fired);
    Py_XDECREF(names);
    return handle;
}

/* Let the loop wake us in time. A handle for an earlier time stays: it then finds
 * nothing due, and a new one is set. */
static int arm(struct pywsc_timers *self)
{
    uint64_t at;
    Py_BEGIN_CRITICAL_SECTION(self);
    at = wsc_timers_next_time(&self->wheel);
    Py_END_CRITICAL_SECTION();
    if (self->pulse_at < INFINITY && to_ticks(self->pulse_at) < at) {
        at = to_ticks(self->pulse_at);
    }
    if (self->running || at >= self->handle_at) {
        return 0;
    }
    if (drop_handle(self) < 0) {
        return -1;
    }
    PyObject *handle = call_at(self, at);
    if (handle == NULL) {
        return -1;
    }
    Py_XSETREF(self->handle, handle);
    self->handle_at = at;
    return 0;
}

int pywsc_timers_set(struct pywsc_timers *self, struct wsc_timer *timer, double at)
{
    if (isinf(at)) {
        pywsc_timers_cancel(self, timer);
        return 0;
    }
    /* Not too early: rounded up. */
    uint64_t ticks = to_ticks(at);
    ticks += (double)ticks * PYWSC_TIMERS_TICK < at;
    Py_BEGIN_CRITICAL_SECTION(self);
    wsc_timers_add(&self->wheel, timer, ticks);
    Py_END_CRITICAL_SECTION();
    return arm(self);
}

void pywsc_timers_cancel(struct pywsc_timers *self, struct wsc_timer *timer)
{
    Py_BEGIN_CRITICAL_SECTION(self);
    wsc_timers_cancel(&self->wheel, timer);
    Py_END_CRITICAL_SECTION();
}

int pywsc_timers_rest(struct pywsc_timers *self)
{
    bool empty;
    Py_BEGIN_CRITICAL_SECTION(self);
    empty = wsc_timers_next_time(&self->wheel) == WSC_TIMERS_NEVER;
    Py_END_CRITICAL_SECTION();
    if (!empty) {
        return 0;
    }
    self->pulse_at = INFINITY;
    return drop_handle(self);
}

static double held_up(const struct pywsc_timers *self, double now)
{
    return self->held_up + fmax(now - self->pulse_at, 0);
}

double pywsc_timers_held_up(struct pywsc_timers *self, double now)
{
    self->watched_until = now + WATCH_SECONDS;
    if (isinf(self->pulse_at)) {
        self->pulse_at = now + PULSE;
        if (arm(self) < 0) {
            return -1;
        }
    }
    return held_up(self, now);
}

/* A new reference to an object whose last one another thread may be dropping right now:
 * false if it has. That thread waits for our lock before the memory goes away. */
static bool try_hold(PyObject *object)
{
#if defined(Py_GIL_DISABLED) && PY_VERSION_HEX >= 0x030E0000
    return PyUnstable_TryIncRef(object) != 0;
#elif defined(Py_GIL_DISABLED)
    /* PyUnstable_TryIncRef() for Python 3.13. Connections belong to the loop's thread
     * until that has dropped its own references: then all that are left are shared. */
    if (_Py_IsOwnedByCurrentThread(object)) {
        if (_Py_atomic_load_uint32_relaxed(&object->ob_ref_local) == 0) {
            return false;
        }
        Py_INCREF(object);
        return true;
    }
    Py_ssize_t shared = _Py_atomic_load_ssize_relaxed(&object->ob_ref_shared);
    while (shared != 0 && shared != _Py_REF_MERGED) {
        if (_Py_atomic_compare_exchange_ssize(&object->ob_ref_shared, &shared,
                                              shared + (1 << _Py_REF_SHARED_SHIFT))) {
            return true;
        }
    }
    return false;
#else
    if (Py_REFCNT(object) == 0) {
        return false;
    }
    Py_INCREF(object);
    return true;
#endif
}

/* A new reference to the owner of the next timer that is due, or NULL. */
static PyObject *next_due(struct pywsc_timers *self, uint64_t ticks)
{
    PyObject *owner = NULL;
    struct wsc_timer *timer;
    Py_BEGIN_CRITICAL_SECTION(self);
    while (owner == NULL && (timer = wsc_timers_next(&self->wheel, ticks)) != NULL) {
        owner = self->owners->owner(timer);
        if (!try_hold(owner)) {
            owner = NULL; /* it is being freed right now */
        }
    }
    Py_END_CRITICAL_SECTION();
    return owner;
}

static int run(struct pywsc_timers *self)
{
    double now = pywsc_timers_time(self);
    if (now < 0) {
        return -1;
    }
    self->held_up = held_up(self, now);
    self->pulse_at = now < self->watched_until ? now + PULSE : INFINITY;
    uint64_t ticks = to_ticks(now + PYWSC_TIMERS_EARLY);
    int result = 0;
    for (unsigned i = 0; i < TURN && result == 0; i++) {
        PyObject *owner = next_due(self, ticks);
        if (owner == NULL) {
            break;
        }
        /* Whole ticks: what is set for a time from now on doesn't drift. */
        result = self->owners->due(owner, (double)ticks * PYWSC_TIMERS_TICK);
        Py_DECREF(owner);
    }
    return result;
}

/* A callback of the loop. */
static PyObject *timers_fired(PyObject *op, PyObject *unused)
{
    struct pywsc_timers *self = (struct pywsc_timers *)op;
    (void)unused;
    if (self->running || self->loop == NULL) {
        Py_RETURN_NONE;
    }
    Py_CLEAR(self->handle);
    self->handle_at = WSC_TIMERS_NEVER;
    self->running = true;
    int result = run(self);
    self->running = false;
    PyObject *raised = pywsc_take_raised();
    int armed = arm(self);
    pywsc_raise_again_after(raised, armed, op);
    if (result < 0 || armed < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* --- the type --- */

static int timers_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"loop", NULL};
    struct pywsc_timers *self = (struct pywsc_timers *)op;
    PyObject *loop;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O", keywords, &loop)) {
        return -1;
    }
    struct pywsc_state *state = pywsc_type_state(Py_TYPE(op));
    double now = time_of(state, loop);
    PyObject *context = now < 0 ? NULL : PyContext_New();
    if (context == NULL) {
        return -1;
    }
    /* The loop may have run code: it is looked at after that. */
    if (self->loop != NULL) {
        Py_DECREF(context);
        PyErr_SetString(PyExc_RuntimeError, "__init__() was called twice");
        return -1;
    }
    self->state = state;
    self->context = context;
    self->handle_at = WSC_TIMERS_NEVER;
    self->pulse_at = INFINITY;
    self->loop = Py_NewRef(loop);
    wsc_timers_init(&self->wheel, to_ticks(now));
    return 0;
}

static int timers_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(((struct pywsc_timers *)op)->loop);
    Py_VISIT(((struct pywsc_timers *)op)->context);
    Py_VISIT(((struct pywsc_timers *)op)->handle);
    return 0;
}

/* Not the loop: methods count on it. */
static int timers_clear(PyObject *op)
{
    Py_CLEAR(((struct pywsc_timers *)op)->handle);
    return 0;
}

static void timers_dealloc(PyObject *op)
{
    struct pywsc_timers *self = (struct pywsc_timers *)op;
    PyObject_GC_UnTrack(op);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(op);
    }
    Py_CLEAR(self->handle);
    Py_CLEAR(self->context);
    Py_CLEAR(self->loop);
    pywsc_free(op);
}

static PyMethodDef timers_methods[] = {
    {"_fired", timers_fired, METH_NOARGS, NULL},
    {NULL},
};

static PyMemberDef timers_members[] = {
    {"_handle", T_OBJECT, offsetof(struct pywsc_timers, handle), READONLY, NULL},
    PYWSC_WEAKREFS(struct pywsc_timers, weakrefs),
    {NULL},
};

static PyType_Slot timers_slots[] = {
    {Py_tp_doc, PYWSC_DOC_TIMERS},   {Py_tp_init, timers_init},
    {Py_tp_dealloc, timers_dealloc}, {Py_tp_traverse, timers_traverse},
    {Py_tp_clear, timers_clear},     {Py_tp_methods, timers_methods},
    {Py_tp_members, timers_members}, {0, NULL},
};

static PyType_Spec timers_spec = {
    .name = "pywscore._core.Timers",
    .basicsize = sizeof(struct pywsc_timers),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = timers_slots,
};

int pywsc_timers_init(PyObject *module, struct pywsc_state *state)
{
    state->timers = pywsc_add_type(module, &timers_spec, NULL);
    return state->timers == NULL ? -1 : 0;
}

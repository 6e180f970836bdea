#include "engine/engine.h"

#include <assert.h>

#include "common/raised.h"
#include "engine/acceptor.h"
#include "engine/transport.h"
#include "tasks/waiter.h"
#include "values/errors.h"

#if !WSC_HAVE_ENGINE

/* Without an engine connections are on asyncio's transports. */
int pywsc_engine_init(PyObject *module, struct pywsc_state *state)
{
    (void)module;
    (void)state;
    return 0;
}

int pywsc_transport_flush(struct pywsc_transport *self)
{
    (void)self;
    return 0;
}

bool pywsc_transport_hold(struct pywsc_transport *self)
{
    (void)self;
    return false;
}

#else

/* Engine: the engine (wsc/engine.h) as something that an asyncio loop watches. */

/* When the loop gets its turn, although there may be more to do. A connection has a
 * budget of its own, in messages: PYWSC_BUDGET. */
#define TURN_NS       2000000U
#define TURN_BYTES    ((size_t)4 << 20)
/* The same when there is little to do but to wait for it. */
#define SHORT_TURN_NS 500000U

/* Answers are held back for this long, so that they leave in a row: the caches of a
 * processor don't hold the kernel's part of sending and everything else. */
#define ANSWER_NS     250000U

#define RECEIVE_SIZE ((size_t)256 << 10)

PyObject *pywsc_engine_raise(struct pywsc_state *state, enum wsc_status status)
{
    if (status == WSC_ERR_IO) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return pywsc_raise(state, status);
}

static int engine_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"loop", NULL};
    struct pywsc_engine *self = (struct pywsc_engine *)op;
    PyObject *loop;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O", keywords, &loop)) {
        return -1;
    }
    if (self->engine != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "__init__() was called twice");
        return -1;
    }
    enum wsc_status status =
        wsc_engine_new(&pywsc_allocator, RECEIVE_SIZE, &self->engine);
    if (status != WSC_OK) {
        (void)pywsc_engine_raise(pywsc_type_state(Py_TYPE(op)), status);
        return -1;
    }
    self->listeners = PySet_New(NULL);
    if (self->listeners == NULL) {
        return -1;
    }
    self->thread = PyThread_get_thread_ident();
    self->loop = Py_NewRef(loop);
    return 0;
}

int pywsc_engine_check_thread(const struct pywsc_engine *self)
{
    if (self->loop == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "__init__() was not called");
        return -1;
    }
    if (self->thread != PyThread_get_thread_ident()) {
        PyErr_SetString(PyExc_RuntimeError,
                        "an engine is used in the thread of its event loop only");
        return -1;
    }
    return 0;
}

struct turn {
    uint64_t now; /* at the end of the last event */
    uint64_t end;
    size_t bytes_left;
    bool alone; /* one socket is ready: no other's answer to leave in a row with */
};

static void answer(struct pywsc_engine *self, struct pywsc_connection *connection)
{
    pywsc_connection_batch_begin(connection);
    self->answering[self->answering_count++] = connection;
}

/* What the batches hold leaves. This and the next: 0, or -1; an exception stays set. */
static int flush_answers(struct pywsc_engine *self)
{
    PyObject *first = pywsc_take_raised();
    bool raised = first != NULL;
    for (size_t i = 0; i < self->answering_count; i++) {
        struct pywsc_connection *connection = self->answering[i];
        Py_INCREF(connection); /* a loop inside of it may end all batches */
        pywsc_keep_first(&first, pywsc_connection_flush(connection), (PyObject *)self);
        Py_DECREF(connection);
    }
    int status = pywsc_raise_first(first);
    return raised ? 0 : status;
}

/* End the batches, all of them; no answer waits for the hooks of another one's end. */
static int send_answers(struct pywsc_engine *self)
{
    int status = flush_answers(self);
    while (self->answering_count > 0) {
        struct pywsc_connection *last = self->answering[--self->answering_count];
        PyObject *result = pywsc_connection_batch_end(last, 0);
        status = result == NULL ? -1 : status;
        Py_XDECREF(result);
    }
    return status;
}

/* A new socket: what that takes isn't known. */
static int handle_listener(struct pywsc_engine *self, struct wsc_io *io)
{
    PyObject *owner = Py_NewRef((PyObject *)io->owner);
    int sent = send_answers(self);
    PyObject *raised = pywsc_take_raised();
    int status = pywsc_engine_listener_event((struct pywsc_engine_listener *)owner, io);
    pywsc_raise_again_after(raised, status, (PyObject *)self);
    Py_DECREF(owner);
    return sent < 0 ? -1 : status;
}

/* Before a step that may be long, what is held leaves. The batches go on: they end in
 * the user's code, which could overwrite what has been received. */
static int prepare(struct pywsc_engine *self, struct pywsc_connection *connection)
{
    self->borrowed = true;
    int status = pywsc_connection_is_quick(connection) ? 0 : flush_answers(self);
    self->borrowed = false;
    return status;
}

static int
handle_connection(struct pywsc_engine *self, struct wsc_io *io, struct turn *turn)
{
    struct pywsc_transport *owner = (struct pywsc_transport *)Py_NewRef(io->owner);
    struct pywsc_connection *connection = pywsc_transport_connection(owner);
    struct pywsc_connection *outer = self->current;
    Py_INCREF(connection);
    int prepared = prepare(self, connection);
    PyObject *raised = prepared < 0 ? pywsc_take_raised() : NULL;
    answer(self, connection);
    self->current = connection;
    pywsc_connection_steps_begin(connection, wsc_clock_ns(), turn->alone);
    int status = pywsc_transport_event(owner, io);
    turn->now = wsc_clock_ns();
    pywsc_connection_steps_end(connection, turn->now);
    self->current = outer;
    pywsc_raise_again_after(raised, status, (PyObject *)self);
    Py_DECREF(connection);
    Py_DECREF(owner);
    return prepared < 0 ? -1 : status;
}

static int handle(struct pywsc_engine *self, struct wsc_io *io, struct turn *turn)
{
    struct pywsc_state *state = pywsc_type_state(Py_TYPE((PyObject *)self));
    if (Py_TYPE((PyObject *)io->owner) != state->engine_listener) {
        return ((struct pywsc_transport *)io->owner)->connection == NULL
                   ? 0
                   : handle_connection(self, io, turn);
    }
    int status = handle_listener(self, io);
    turn->now = wsc_clock_ns();
    return status;
}

/* All that is at hand, or until the turn ends. */
static int handle_ready(struct pywsc_engine *self, struct turn *turn)
{
    struct wsc_io io;
    uint64_t send_by = 0;
    int status = 0;
    while (status == 0 && wsc_engine_next(self->engine, &io)) {
        status = handle(self, &io, turn);
        if (self->answering_count == 1) {
            send_by = turn->now + ANSWER_NS;
        }
        if (status == 0 &&
            (self->answering_count == PYWSC_ANSWERS_MAX || turn->now >= send_by)) {
            status = send_answers(self);
        }
        size_t len = io.type == WSC_IO_DATA ? io.len : 0;
        turn->bytes_left -= len < turn->bytes_left ? len : turn->bytes_left;
        if (turn->bytes_left == 0 || turn->now >= turn->end) {
            break;
        }
    }
    return send_answers(self) < 0 ? -1 : status;
}

static size_t poll_short(struct pywsc_engine *self)
{
    size_t ready;
    struct wsc_engine *engine = self->engine;
    Py_BEGIN_ALLOW_THREADS ready = wsc_engine_poll_short(engine);
    Py_END_ALLOW_THREADS wsc_short_poll_note(&self->short_poll, ready > 0);
    return ready;
}

static int take_turn(struct pywsc_engine *self)
{
    uint64_t start = wsc_clock_ns();
    struct turn turn = {start, start + TURN_NS, TURN_BYTES, false};
    size_t handled = 0;
    while (turn.bytes_left > 0 && turn.now < turn.end) {
        size_t ready = wsc_engine_poll(self->engine, 0);
        if (ready == 0 && turn.now - start < SHORT_TURN_NS &&
            wsc_short_poll_wanted(&self->short_poll, handled)) {
            ready = poll_short(self);
        }
        if (ready == 0) {
            break;
        }
        turn.alone = ready == 1;
        if (handle_ready(self, &turn) < 0) {
            return -1;
        }
        handled = ready;
    }
    return 0;
}

/* What has been received and not been looked at shows nowhere: come back for it. */
static int come_back(struct pywsc_engine *self, int result)
{
    if (!wsc_engine_has_received(self->engine)) {
        return result;
    }
    PyObject *raised = pywsc_take_raised();
    int called = pywsc_call_method_soon(pywsc_type_state(Py_TYPE((PyObject *)self)),
                                        self->loop, (PyObject *)self, PYWSC_NAME_READY);
    pywsc_raise_again_after(raised, called, (PyObject *)self);
    return called < 0 ? -1 : result;
}

/* While the loop has control nothing refers to the receive buffer. */
static void check_borrowed(const struct pywsc_engine *self)
{
#ifdef NDEBUG
    (void)self;
#else
    for (struct pywsc_transport *at = self->transports; at != NULL; at = at->next) {
        const struct pywsc_connection *connection =
            (const struct pywsc_connection *)at->connection;
        assert(connection == NULL || !pywsc_protocol_borrows(connection->protocol));
    }
#endif
}

static int take_outer_turn(struct pywsc_engine *self)
{
    self->running = true;
    int result = come_back(self, take_turn(self));
    self->running = false;
    check_borrowed(self);
    return result;
}

/* The loop has been entered again, in a step: what is held leaves, and the input that a
 * connection may be reading is put aside. */
static int take_inner_turn(struct pywsc_engine *self)
{
    struct pywsc_connection *current = self->current;
    if (self->borrowed) {
        return flush_answers(self);
    }
    if (current != NULL && pywsc_protocol_keep_input(current->protocol) < 0) {
        return -1;
    }
    check_borrowed(self);
    int result = send_answers(self) < 0 ? -1 : come_back(self, take_turn(self));
    if (current != NULL) {
        answer(self, current);
    }
    return result;
}

/* A turn in a context that the loop doesn't know, so that it can call us again in its
 * own. */
static int take_turn_in(struct pywsc_engine *self, PyObject *context)
{
    if (context == NULL || PyContext_Enter(context) < 0) {
        return -1;
    }
    int result = self->running ? take_inner_turn(self) : take_outer_turn(self);
    pywsc_exit_context(context);
    return result;
}

/* The same context each time, as the loop has it; another one for a loop inside. */
static PyObject *context_of_turn(struct pywsc_engine *self)
{
    if (self->running) {
        return PyContext_CopyCurrent();
    }
    if (self->context == NULL) {
        self->context = PyContext_CopyCurrent();
    }
    return Py_XNewRef(self->context);
}

static PyObject *engine_ready(PyObject *op, PyObject *unused)
{
    struct pywsc_engine *self = (struct pywsc_engine *)op;
    (void)unused;
    if (pywsc_engine_check_thread(self) < 0) {
        return NULL;
    }
    Py_INCREF(op);
    PyObject *context = context_of_turn(self);
    PyObject *left = pywsc_leave_context();
    int result = take_turn_in(self, context);
    pywsc_return_to_context(left);
    Py_XDECREF(context);
    Py_DECREF(op);
    if (result < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *engine_listen(PyObject *op, PyObject *args)
{
    struct pywsc_engine *self = (struct pywsc_engine *)op;
    int fd;
    PyObject *accepted;
    if (pywsc_engine_check_thread(self) < 0 ||
        !PyArg_ParseTuple(args, "iO", &fd, &accepted)) {
        return NULL;
    }
    return pywsc_engine_listener_new(self, fd, accepted);
}

static PyObject *engine_fileno(PyObject *op, PyObject *unused)
{
    struct pywsc_engine *self = (struct pywsc_engine *)op;
    (void)unused;
    return PyLong_FromLong(self->engine == NULL ? -1 : wsc_engine_fd(self->engine));
}

static PyObject *engine_forget(PyObject *op, PyObject *unused)
{
    struct pywsc_engine *self = (struct pywsc_engine *)op;
    (void)unused;
    if (self->engine != NULL) {
        wsc_engine_forget(self->engine);
        self->forgotten = true;
    }
    Py_RETURN_NONE;
}

static int engine_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    struct pywsc_engine *self = (struct pywsc_engine *)op;
    Py_VISIT(self->loop);
    Py_VISIT(self->context);
    Py_VISIT(self->listeners);
    for (struct pywsc_transport *at = self->transports; at != NULL; at = at->next) {
        Py_VISIT(at);
    }
    return 0;
}

static int engine_clear(PyObject *op)
{
    /* Methods count on the loop, and a loop doesn't need us for its end. */
    struct pywsc_engine *self = (struct pywsc_engine *)op;
    while (self->transports != NULL) {
        pywsc_transport_let_go(self->transports);
    }
    Py_CLEAR(self->context);
    return self->listeners == NULL ? 0 : PySet_Clear(self->listeners);
}

static void engine_dealloc(PyObject *op)
{
    struct pywsc_engine *self = (struct pywsc_engine *)op;
    PyObject_GC_UnTrack(op);
    if (self->weakrefs != NULL) {
        PyObject_ClearWeakRefs(op);
    }
    wsc_engine_free(self->engine);
    Py_CLEAR(self->loop);
    Py_CLEAR(self->context);
    Py_CLEAR(self->listeners);
    pywsc_free(op);
}

static PyMethodDef engine_methods[] = {
    {"fileno", engine_fileno, METH_NOARGS,
     PyDoc_STR("What the loop watches for reading.")},
    {"ready", engine_ready, METH_NOARGS,
     PyDoc_STR("Handle what is ready; the loop's reader callback.")},
    {"listen", engine_listen, METH_VARARGS,
     PyDoc_STR(
         "listen($self, fd, accepted, /)\n--\n\n"
         "Accept from a listening socket: accepted(fd, 0), or accepted(-1, errno) "
         "when there are no resources.")},
    {"forget", engine_forget, METH_NOARGS, PyDoc_STR("In a child after fork().")},
    {NULL},
};

static PyMemberDef engine_members[] = {
    PYWSC_WEAKREFS(struct pywsc_engine, weakrefs),
    {NULL},
};

static PyType_Slot engine_slots[] = {
    {Py_tp_members, engine_members},
    {Py_tp_doc, PyDoc_STR("Engine(loop)\n--\n\n"
                          "Sockets in C, watched by an event loop as one descriptor.")},
    {Py_tp_init, engine_init},
    {Py_tp_dealloc, engine_dealloc},
    {Py_tp_traverse, engine_traverse},
    {Py_tp_clear, engine_clear},
    {Py_tp_methods, engine_methods},
    {0, NULL},
};

static PyType_Spec engine_spec = {
    .name = "pywscore._core.Engine",
    .basicsize = sizeof(struct pywsc_engine),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = engine_slots,
};

int pywsc_engine_init(PyObject *module, struct pywsc_state *state)
{
    state->engine = pywsc_add_type(module, &engine_spec, NULL);
    if (state->engine == NULL) {
        return -1;
    }
    if (pywsc_transport_init(module, state) < 0) {
        return -1;
    }
    return pywsc_engine_listener_init(module, state);
}

#endif

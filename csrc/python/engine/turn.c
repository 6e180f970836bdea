#include "engine/turn.h"

#include <assert.h>

#include "common/raised.h"
#include "connection/batch.h"
#include "connection/connection.h"
#include "connection/steps.h"
#include "engine/acceptor.h"
#include "engine/transport.h"
#include "engine/transport_io.h"
#include "protocol/receive.h"
#include "tasks/loop.h"

#include "wsc/clock.h"

#if WSC_HAVE_ENGINE

/* When the loop gets its turn, although there may be more to do. A connection has a
 * budget of its own, in messages: PYWSC_BUDGET. */
#define TURN_NS    2000000U
#define TURN_BYTES ((size_t)4 << 20)
/* The same when there is little to do but to wait for it. */
#define SHORT_TURN_NS 500000U
/* Received since the last look, it is a stream: what follows is not an answer. */
#define BULK ((size_t)32 << 10)

/* Answers are held back for this long, so that they leave in a row: the caches of a
 * processor don't hold the kernel's part of sending and everything else. */
#define ANSWER_NS 250000U

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
static int handle_acceptor(struct pywsc_engine *self, struct wsc_io *io)
{
    PyObject *owner = Py_NewRef((PyObject *)io->owner);
    int sent = send_answers(self);
    PyObject *raised = pywsc_take_raised();
    int status = pywsc_acceptor_event((struct pywsc_acceptor *)owner, io);
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
    if (Py_TYPE((PyObject *)io->owner) != state->engine_acceptor) {
        return ((struct pywsc_transport *)io->owner)->connection == NULL
                   ? 0
                   : handle_connection(self, io, turn);
    }
    int status = handle_acceptor(self, io);
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
    size_t received = 0; /* bytes, since the last look */
    while (turn.bytes_left > 0 && turn.now < turn.end) {
        size_t ready = wsc_engine_poll(self->engine, 0);
        if (ready == 0 && turn.now - start < SHORT_TURN_NS && received < BULK &&
            wsc_short_poll_wanted(&self->short_poll, handled)) {
            ready = poll_short(self);
        }
        if (ready == 0) {
            break;
        }
        turn.alone = ready == 1;
        received = turn.bytes_left;
        if (handle_ready(self, &turn) < 0) {
            return -1;
        }
        handled = ready;
        received -= turn.bytes_left;
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

int pywsc_engine_take_turn(struct pywsc_engine *self)
{
    Py_INCREF(self);
    PyObject *context = context_of_turn(self);
    PyObject *left = pywsc_leave_context();
    int result = take_turn_in(self, context);
    pywsc_return_to_context(left);
    Py_XDECREF(context);
    Py_DECREF(self);
    return result;
}

#endif

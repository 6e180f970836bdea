/* The asyncio connection: what its files share. connection_type.c is the type, calls.c
 * what transports call, receive.c the way of bytes in, queue.c what has come of them,
 * send.c the way out, steps.c how long a handler takes, operation.c what recv() and
 * send() return. */
#ifndef PYWSC_CONNECTION_CONNECTION_H
#define PYWSC_CONNECTION_CONNECTION_H

#include "connection/deadlines.h"
#include "protocol/protocol.h"
#include "tasks/waiter.h"

/* A message, or while streaming a fragment of one. */
struct pywsc_item {
    PyObject *data; /* exact str or bytes; a Ping or Pong with control_items */
    bool fin;
    bool compressed;
};

struct pywsc_connection {
    PyObject_HEAD struct pywsc_state
        *state; /* of the module, which the type keeps alive */
    struct pywsc_protocol *protocol;
    PyObject *loop;
    PyObject *transport; /* None before connection_made */
    PyObject *receive_buffer;
    PyObject *fragmented_send; /* see _core.pyi */

    /* the receive queue, a ring */
    struct pywsc_item *queue;
    size_t queue_cap;
    size_t queue_first;
    size_t queue_count;
    size_t queue_high;
    size_t queue_low;
    size_t queue_bytes;      /* what is in it, with something for each item */
    size_t queue_bytes_high; /* 0 for no limit */

    PyObject *listener; /* what messages are given to, or NULL */

    struct pywsc_deadlines deadlines;
    size_t write_high;
    size_t write_low;
    struct pywsc_waiter *receive_waiter; /* of the one who waits for a message */
    PyObject *receiver;                  /* borrowed: the operation that is receiving */
    PyObject *joining;      /* list of fragments that recv() puts together */
    PyObject *send_waiters; /* list, or NULL */
    unsigned long long messages_received;
    unsigned long long broadcasts_skipped;
    unsigned long thread;
    unsigned budget;       /* messages to be taken before the loop gets its turn */
    unsigned sends;        /* messages sent since it had its turn */
    unsigned batch;        /* > 0: output may wait for the end of the batch */
    unsigned char listens; /* which methods the listener has */
    uint32_t step_ns;      /* how long a step takes, on average */
    uint64_t step_began;   /* put off by what sending took since then; 0: no step,
                            * or PYWSC_STEP_UNTIMED */
    unsigned step_count;   /* steps since then */
    unsigned step_sends;   /* messages that were sent in them */
    bool several;          /* in the last steps, more than one message in each */
    bool alone;            /* nobody's output could leave in a row with this one's */
    bool flush_wanted;     /* flush() is to be called by the loop */
    bool turn_wanted;      /* _wake is to be called by the loop: budget is 0 */
    bool pumping;          /* input is being turned into messages */
    bool read_paused;
    bool write_paused;
    bool on_engine;     /* the transport is a link of the engine */
    bool lost;          /* TCP is gone */
    bool receive_ended; /* recv() does not wait for what may still come */
    bool has_on_ping;
    bool control_items;    /* pings and pongs are queued in their place */
    bool held;             /* input waits for the answer to the request before it */
    bool dropping;         /* closing, and the queue was full: take no more messages */
    bool in_fragments;     /* a fragment was given out, the last one not yet */
    bool closing_reported; /* to _on_closing: left OPEN */
    bool end_reported;     /* to _on_closing: close_expected */
    bool failure_reported; /* to _on_handshake_failed */
};

/* Call a hook with one argument; takes `arg` (NULL: an exception is set). An exception
 * in it fails the connection with 1011. -1 with an exception that has to leave. */
int pywsc_connection_hook(struct pywsc_connection *self, enum pywsc_name name,
                          PyObject *arg);
/* The same for a hook that has been called: takes its result. */
int pywsc_connection_hook_done(struct pywsc_connection *self, PyObject *result);

/* Fail the connection with 1011: a fault of ours or of the user's code. */
void pywsc_connection_fail(struct pywsc_connection *self);

/* --- calls.c --- */

/* RuntimeError and -1 outside of the loop's thread. */
int pywsc_connection_check_thread(struct pywsc_connection *self);

/* A batch: output leaves at its end, at the latest. It keeps the connection
 * alive, whatever the user's code does with it. `result` is that of the batch; an
 * exception stays set over the flush. None, or NULL with an exception. */
void pywsc_connection_batch_begin(struct pywsc_connection *self);
PyObject *pywsc_connection_batch_end(struct pywsc_connection *self, int result);

/* --- receive.c --- */

/* Turn input into queued messages and hooks, until the queue is full. This and the next
 * three: 0, or -1 with an exception that has to leave the loop. */
int pywsc_connection_pump(struct pywsc_connection *self);
/* The request has been answered, or the connection is closing: read on, although the
 * queue may be full in that case. */
int pywsc_connection_read_on(struct pywsc_connection *self);
/* Bytes have come into memory that is lent: nothing refers to it afterwards. */
int pywsc_connection_receive(struct pywsc_connection *self, const uint8_t *data,
                             size_t len);
/* TCP is gone: what is left of the input becomes messages, then the state is CLOSED,
 * whatever is raised. */
int pywsc_connection_drain(struct pywsc_connection *self);
/* Wake a task; in place as pywsc_connection_may_resume says. */
int pywsc_connection_resume(struct pywsc_connection *self, struct pywsc_waiter *waiter,
                            bool in_place);
/* Wake the one who waits for a message, if there is one. */
int pywsc_connection_wake_receiver(struct pywsc_connection *self, bool in_place);

/* --- queue.c --- */

/* The next message for recv(): 1 with *out, 0 if there is none yet, -1. */
int pywsc_connection_take(struct pywsc_connection *self, PyObject **out);
/* The next fragment, as an event. The same returns. */
int pywsc_connection_take_fragment(struct pywsc_connection *self, PyObject **out);
void pywsc_connection_clear_queue(struct pywsc_connection *self);

/* --- send.c --- */

/* Queue a message; `text` and `compress` are True, False or NULL. 0; 1: it needs the
 * slow way; -1. */
int pywsc_connection_send(struct pywsc_connection *self, PyObject *message,
                          PyObject *text, PyObject *compress);
/* Hand queued output to the transport, and unless in a batch report a closing state. */
int pywsc_connection_flush(struct pywsc_connection *self);
/* The same after a message was queued: in a batch it may wait, if more is likely to
 * come at once. */
int pywsc_connection_flush_message(struct pywsc_connection *self);
/* The same before a step, which may be long. */
int pywsc_connection_flush_before_step(struct pywsc_connection *self);
/* Room for more again, or none ever again: wake those who wait in send(). */
int pywsc_connection_wake_senders(struct pywsc_connection *self);
PyObject *pywsc_connection_send_nowait(PyObject *op, PyObject *const *args,
                                       Py_ssize_t nargs, PyObject *kwnames);

/* May a waiting task be resumed right here? Not while another task is running. */
bool pywsc_connection_may_resume(struct pywsc_connection *self);

/* Messages that a task or listener may take, or send, before the loop gets its turn. */
#define PYWSC_BUDGET 128

/* --- steps.c --- */

/* A step is what a task or a listener does when it is given a message, or room for
 * more output, until it waits for the next: so far as it does that in our callback of
 * the loop. Output is held back only while steps are short, so that nothing that is
 * complete waits for the user's code. */
#define PYWSC_SHORT_STEP_NS 30000U

/* Are its steps short? One of which nothing is known yet has few that count as long. */
static inline bool pywsc_connection_is_quick(const struct pywsc_connection *self)
{
    return self->step_ns < PYWSC_SHORT_STEP_NS;
}
#define PYWSC_UNKNOWN_STEP_NS (2 * PYWSC_SHORT_STEP_NS)

/* Steps that are timed only if output may be held in them. */
#define PYWSC_STEP_UNTIMED 1

static inline bool pywsc_connection_is_timed(const struct pywsc_connection *self)
{
    return self->step_began > PYWSC_STEP_UNTIMED;
}

/* A callback in which there may be steps, and the time, or PYWSC_STEP_UNTIMED; at its
 * end the time if they are timed. */
void pywsc_connection_steps_begin(struct pywsc_connection *self, uint64_t now,
                                  bool alone);
void pywsc_connection_steps_end(struct pywsc_connection *self, uint64_t now);
/* Here is one. */
void pywsc_connection_next_step(struct pywsc_connection *self);

/* --- operation.c --- */

enum pywsc_operation_kind {
    PYWSC_RECV,
    PYWSC_NEXT,     /* of `async for` */
    PYWSC_FRAGMENT, /* of recv_streaming() */
    PYWSC_SEND,
    PYWSC_DRAIN,
};

/* What recv(), send() ... return: a coroutine. `first` is the message or decode=; the
 * three are kept, NULL means absent. */
PyObject *pywsc_operation_new(struct pywsc_connection *connection,
                              enum pywsc_operation_kind kind, PyObject *first,
                              PyObject *text, PyObject *compress);
/* The same for another library's interface: `first` is the message to be sent. */
struct pywsc_message_stream;
PyObject *pywsc_operation_for_stream(struct pywsc_message_stream *stream,
                                     enum pywsc_operation_kind kind, PyObject *first);
/* What recv() and send() raise once the connection is closed: as
 * pywsc_close_exception(), with what ended TCP as the cause. */
PyObject *pywsc_connection_close_exception(struct pywsc_connection *self);

/* --- operation_coroutine.c --- */

int pywsc_operation_init(PyObject *module, struct pywsc_state *state);

#endif

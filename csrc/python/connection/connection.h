/* The asyncio connection: what all files of this room know of it. What comes goes from
 * calls.c by receive.c into queue.c, from where take.c gives it to operation.c, or to
 * listener.c; what is sent goes from send.c by batch.c and output.c to the carrier. */
#ifndef PYWSC_CONNECTION_CONNECTION_H
#define PYWSC_CONNECTION_CONNECTION_H

#include "protocol/protocol.h"
#include "tasks/timers.h"
#include "tasks/waiter.h"

struct pywsc_carrier;
struct pywsc_rate;

/* A message, or while streaming a fragment of one. */
struct pywsc_item {
    PyObject *data; /* exact str or bytes; a Ping or Pong with control_items */
    bool fin;
    bool compressed;
};

/* Part of a connection, and small: there are many idle ones. Times are seconds on the
 * loop's clock, INFINITY for never. */
struct pywsc_deadlines {
    struct pywsc_timers *timers; /* of the loop */
    struct wsc_timer timer;
    double end_at;       /* of the opening handshake; once `closing`, of TCP */
    double look_at;      /* the next look at output that the peer is to take */
    double keepalive_at; /* the next ping; once `pong_awaited`, the next look */
    double idle_at;      /* the next look at what was received */
    double idle_since;
    double memory_at;    /* the next look at messages, for compression's memory */
    double rate_at;      /* when reading goes on that rate_limit has stopped */
    double taken_at;     /* when a look last found that it had taken some */
    double closing_at;   /* since when `close_timeout` counts */
    uint64_t taken;      /* what it had taken then; see connection/untaken.h */
    float close_timeout; /* seconds, INFINITY for none */
    float pong_left;
    float ping_interval; /* options: seconds, INFINITY for none */
    float ping_timeout;
    float idle_timeout;
    uint32_t idle_count;
    uint32_t memory_count;
    unsigned char memory_looks;
    bool closing;
    bool taken_known; /* `taken` is from a look */
    bool pong_awaited;
};

/* How far something has come. */
enum pywsc_outcome {
    PYWSC_FAILED = -1, /* an exception is set */
    PYWSC_WAITS,       /* for what is to come */
    PYWSC_DONE,
    PYWSC_SLOWLY, /* C can't do it: a coroutine of the subclass does */
};

struct pywsc_connection {
    PyObject_HEAD struct pywsc_state
        *state; /* of the module, which the type keeps alive */
    struct pywsc_protocol *protocol;
    PyObject *loop;
    PyObject *transport; /* None before connection_made */
    const struct pywsc_carrier *carrier;
    PyObject *receive_buffer;
    PyObject *fragmented_send; /* see _core.pyi */

    /* The receive queue, a ring. */
    struct {
        struct pywsc_item *items;
        size_t cap;
        size_t first;
        size_t count;
        size_t high;
        size_t low;
        size_t bytes;      /* what is in it, with something for each item */
        size_t bytes_high; /* 0 for no limit */
    } queue;

    PyObject *listener; /* what messages are given to, or NULL */

    struct pywsc_deadlines deadlines;
    struct pywsc_rate *rate; /* NULL without a limit */
    size_t write_high;
    size_t write_low;
    struct pywsc_waiter *receive_waiter; /* of the one who waits for a message */
    PyObject *receiver;                  /* borrowed: the operation that is receiving */
    PyObject *joining;      /* list of fragments that recv() puts together */
    PyObject *send_waiters; /* list, or NULL */
    unsigned long long messages_received;
    unsigned long long broadcasts_skipped;
    unsigned long thread;
    unsigned budget; /* messages to be taken before the loop gets its turn */
    unsigned sends;  /* messages sent since it had its turn */
    unsigned batch;  /* > 0: output may wait for the end of the batch */

    /* What a handler does with the messages of a call; see steps.h. */
    struct {
        uint64_t began; /* put off by what sending took since then; 0: no step, or
                         * PYWSC_STEP_UNTIMED */
        uint32_t ns;    /* how long a step takes, on average */
        unsigned count; /* steps since then */
        unsigned sends; /* messages that were sent in them */
        bool several;   /* in the last steps, more than one message in each */
        bool alone;     /* nobody's output could leave in a row with this one's */
    } step;

    /* What is stopped for now. Reading stops when the queue is full, the listener has
     * had its share or a request is to be answered first; it goes on when there is room
     * again, and when the connection is closing. Writing is stopped by the transport;
     * nothing more is handed to it meanwhile. */
    struct {
        bool read_paused;
        bool write_paused;
        bool held;         /* input waits for the answer to the request before it */
        bool pumping;      /* input is being turned into messages */
        bool turn_wanted;  /* _wake is to be called by the loop: budget is 0 */
        bool flush_wanted; /* flush() is to be called by the loop */
    } flow;

    /* What has ended, for good: when TCP has, so has all. */
    struct {
        bool messages;  /* those that come are dropped: the queue was full when closing,
                         * or the listener has failed */
        bool receiving; /* recv() does not wait for what may still come */
        bool tcp;       /* nothing is read, written or timed any more */
    } ended;

    /* What the subclass has been told, once each. */
    struct {
        bool closing; /* by _on_closing: left OPEN */
        bool end;     /* by _on_closing: close_expected */
        bool failure; /* by _on_handshake_failed */
    } reported;

    /* What is told to the log; see trace.h. */
    struct {
        bool wanted;
        bool telling;         /* _on_frames() is running */
        unsigned states_told; /* the last one's number and 1 */
    } trace;

    unsigned char listens; /* which methods the listener has */
    bool by_loop; /* only the loop steps tasks: in its debug mode it times them */
    bool has_on_ping;
    bool control_items; /* pings and pongs are queued in their place */
    bool in_fragments;  /* a fragment was given out, the last one not yet */
};

/* RuntimeError and -1 outside of the loop's thread. */
int pywsc_connection_check_thread(struct pywsc_connection *self);

/* Call a hook with one argument; takes `arg` (NULL: an exception is set). An exception
 * in it fails the connection with 1011. -1 with an exception that has to leave. */
int pywsc_connection_hook(struct pywsc_connection *self, enum pywsc_name name,
                          PyObject *arg);
/* The same for a hook that has been called: takes its result. */
int pywsc_connection_hook_done(struct pywsc_connection *self, PyObject *result);

/* Fail the connection, though the peer broke no rule of the protocol. */
void pywsc_connection_fail(struct pywsc_connection *self, enum wsc_close_code code,
                           const char *reason);
/* The same with 1011: a fault of ours or of the user's code. */
void pywsc_connection_fail_internally(struct pywsc_connection *self);

/* Have the loop call _wake() in its next round. -1 with an exception. */
int pywsc_connection_call_in_turn(struct pywsc_connection *self);

/* What recv() and send() raise once the connection is closed: as
 * pywsc_close_exception(), with what ended TCP as the cause. */
PyObject *pywsc_connection_close_exception(struct pywsc_connection *self);

/* Messages that a task or listener may take, or send, before the loop gets its turn. */
#define PYWSC_BUDGET 128

#endif

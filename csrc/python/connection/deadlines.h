/* All clocks of one connection, on one timer. */
#ifndef PYWSC_CONNECTION_DEADLINES_H
#define PYWSC_CONNECTION_DEADLINES_H

#include "tasks/timers.h"

struct pywsc_connection;

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

/* ping_interval, ping_timeout and idle_timeout: seconds or None. -1 with an exception.
 */
int pywsc_deadlines_read(PyObject *const options[3], float out[3]);
/* With what that read. */
void pywsc_deadlines_init(struct pywsc_deadlines *self, PyObject *timers,
                          const float seconds[3]);
void pywsc_deadlines_fini(struct pywsc_deadlines *self);

struct pywsc_connection *pywsc_deadlines_owner(struct wsc_timer *timer);
/* The timer is due. -1 with an exception that has to leave the loop's callback. */
int pywsc_deadlines_run(struct pywsc_connection *connection, double now);

/* What happened. -1 with an exception. */

/* Output rose above the high-water mark, or fell below the low one. */
int pywsc_deadlines_write_paused(struct pywsc_connection *connection);
int pywsc_deadlines_write_resumed(struct pywsc_connection *connection);
/* TCP is gone: there is nothing left to wait for. An exception that is set stays. */
int pywsc_deadlines_lost(struct pywsc_connection *connection);

/* Methods of the connection; see _core.pyi. */
PyObject *pywsc_deadlines_opening(PyObject *op, PyObject *at);
PyObject *pywsc_deadlines_opened(PyObject *op, PyObject *unused);
PyObject *pywsc_deadlines_closing(PyObject *op, PyObject *within);
PyObject *pywsc_deadlines_alive(PyObject *op, PyObject *latency);
PyObject *pywsc_deadlines_keepalive(PyObject *op, void *closure);

#endif

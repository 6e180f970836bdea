/* How much a connection may receive in a time: two buckets, of messages and of bytes,
 * which fill again as the loop's clock goes on. A connection without a limit has none.
 */
#ifndef PYWSC_CONNECTION_RATE_H
#define PYWSC_CONNECTION_RATE_H

#include "connection/connection.h"

struct pywsc_bucket {
    double size;
    double extra;      /* over that, of the time in which we didn't read */
    double left;       /* negative after more than there was */
    double per_second; /* 0 where `left` is INFINITY: there is no limit */
};

struct pywsc_rate {
    struct pywsc_bucket messages;
    struct pywsc_bucket bytes;
    double at;      /* up to when they have been filled, NAN at first */
    double held_up; /* up to which of the loop's seconds, by pywsc_timers_held_up() */
    bool close;     /* who sends more is closed with 1008 */
};

/* `option` is (messages per second, bytes per second, seconds of burst, close), the
 * first two perhaps None; None: *out is NULL. -1 with an exception. */
int pywsc_rate_read(PyObject *option, struct pywsc_rate **out);

/* Of a connection that has a limit; -1 with an exception. */

/* Before what has come is looked at, and after that. */
int pywsc_rate_received(struct pywsc_connection *connection, size_t len);
int pywsc_rate_settle(struct pywsc_connection *connection);
/* All of that so far was of the opening handshake. */
void pywsc_rate_head_read(struct pywsc_connection *connection);
/* Before reading goes on that we have stopped ourselves, or from what is at hand. */
int pywsc_rate_read_on(struct pywsc_connection *connection);
/* A message is there, the last fragment of one or all of it: may it be given out? */
bool pywsc_rate_take(struct pywsc_connection *connection);
/* Nothing may be taken from the input at hand, for now. */
bool pywsc_rate_is_over(const struct pywsc_connection *connection);
/* Have it go on when there is something in the bucket again. */
int pywsc_rate_wait(struct pywsc_connection *connection);
/* That time has come, by the clock. */
int pywsc_rate_go_on(struct pywsc_connection *connection, double now);

#endif

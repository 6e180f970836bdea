/* The way of bytes in. */
#ifndef PYWSC_CONNECTION_RECEIVE_H
#define PYWSC_CONNECTION_RECEIVE_H

#include "connection/connection.h"

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
/* Unless something else stops it. */
int pywsc_connection_resume_reading(struct pywsc_connection *self);

#endif

/* The listener of a connection: an object whose methods are called with what comes, in
 * the place of a task that receives. They may do anything: close, drop references,
 * raise. All return 0, or -1 with an exception that has to leave. */
#ifndef PYWSC_CONNECTION_LISTENER_H
#define PYWSC_CONNECTION_LISTENER_H

#include "connection/connection.h"

/* Give what comes to this one from now on: on_open(ws). */
int pywsc_listener_attach(struct pywsc_connection *self, PyObject *listener);

/* on_message(ws, message); takes `message` (NULL: an exception is set). */
int pywsc_listener_message(struct pywsc_connection *self, PyObject *message);
/* Has it on_ping, or on_pong? */
bool pywsc_listener_hears(const struct pywsc_connection *self, bool is_ping);
/* on_ping(ws, data), on_pong(ws, data), if it has them. */
int pywsc_listener_control(struct pywsc_connection *self, bool is_ping, PyObject *data);
/* on_drained(ws), if it has that and may send. */
int pywsc_listener_drained(struct pywsc_connection *self);
/* on_close(ws, code, reason), the last one. */
int pywsc_listener_closed(struct pywsc_connection *self);

#endif

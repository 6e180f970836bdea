/* The receive queue. */
#ifndef PYWSC_CONNECTION_QUEUE_H
#define PYWSC_CONNECTION_QUEUE_H

#include "connection/connection.h"

/* 0, or -1 with an exception. */
int pywsc_connection_push(struct pywsc_connection *self, struct wsc_message *message);
/* Takes `data` (NULL: an exception is set). */
int pywsc_connection_push_item(struct pywsc_connection *self, PyObject *data, bool fin,
                               bool compressed);
/* The oldest one, with its reference; there is one. */
struct pywsc_item pywsc_connection_pop(struct pywsc_connection *self);
void pywsc_connection_clear_queue(struct pywsc_connection *self);

#endif

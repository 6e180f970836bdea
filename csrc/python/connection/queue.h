/* The receive queue: what the file that fills it and the file that empties it share. */
#ifndef PYWSC_CONNECTION_QUEUE_H
#define PYWSC_CONNECTION_QUEUE_H

#include "connection/connection.h"

/* --- queue.c: 0, or -1 with an exception --- */

int pywsc_connection_push(struct pywsc_connection *self, struct wsc_message *message);
/* Takes `data` (NULL: an exception is set). */
int pywsc_connection_push_item(struct pywsc_connection *self, PyObject *data, bool fin,
                               bool compressed);

/* --- receive.c --- */

/* 0, or -1 with an exception. */
int pywsc_connection_resume_reading(struct pywsc_connection *self);

#endif

/* Batches, and what follows when output has left. */
#ifndef PYWSC_CONNECTION_BATCH_H
#define PYWSC_CONNECTION_BATCH_H

#include "connection/connection.h"

/* A batch: output leaves at its end, at the latest. It keeps the connection
 * alive, whatever the user's code does with it. `result` is that of the batch; an
 * exception stays set over the flush. None, or NULL with an exception. */
void pywsc_connection_batch_begin(struct pywsc_connection *self);
PyObject *pywsc_connection_batch_end(struct pywsc_connection *self, int result);

/* Hand queued output to the carrier, and unless in a batch report a closing state. This
 * and the next two: 0, or -1 with an exception. */
int pywsc_connection_flush(struct pywsc_connection *self);
/* The same after a message was queued: in a batch it may wait, if more is likely to
 * come at once. */
int pywsc_connection_flush_message(struct pywsc_connection *self);
/* The same before a step, which may be long. */
int pywsc_connection_flush_before_step(struct pywsc_connection *self);

#endif

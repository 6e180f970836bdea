/* What is to be sent, on its way to the carrier. Nothing here reports to the subclass.
 */
#ifndef PYWSC_CONNECTION_OUTPUT_H
#define PYWSC_CONNECTION_OUTPUT_H

#include "connection/connection.h"

/* Tell the log of it, and hand queued output to the carrier. This and the next: 0, or
 * -1 with an exception. */
int pywsc_connection_write(struct pywsc_connection *self);
/* The same before a step, which may be long. */
int pywsc_connection_write_before_step(struct pywsc_connection *self);
/* May output wait for the end of the batch? */
bool pywsc_connection_may_hold(struct pywsc_connection *self);

#endif

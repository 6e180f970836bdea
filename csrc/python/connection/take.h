/* The one who takes messages from the queue. */
#ifndef PYWSC_CONNECTION_TAKE_H
#define PYWSC_CONNECTION_TAKE_H

#include "connection/connection.h"

/* The next message for recv(), to *out. */
enum pywsc_outcome pywsc_connection_take(struct pywsc_connection *self, PyObject **out);
/* The next fragment, as an event. */
enum pywsc_outcome
pywsc_connection_take_fragment(struct pywsc_connection *self, PyObject **out);

#endif

/* What a connection is carried by: one of asyncio's transports, or a link of the
 * engine. There is one class of connections, which calls these functions. */
#ifndef PYWSC_CONNECTION_CARRIER_H
#define PYWSC_CONNECTION_CARRIER_H

#include "connection/connection.h"

/* Each is given a connection whose transport is of this kind. An int is 0, or -1 with
 * an exception. */
struct pywsc_carrier {
    /* Take what waits to be sent, as far as there is room. */
    int (*flush)(struct pywsc_connection *connection);
    /* What is held back leaves at the end of the batch, or when the loop is entered
     * again from inside of it. False: it may not be held back. */
    bool (*hold)(struct pywsc_connection *connection);
    /* The connection's water marks are the transport's. */
    int (*limit)(struct pywsc_connection *connection);
    /* Ask for the memory that flush() looks at first; NULL: it is no use. */
    void (*prefetch)(const struct pywsc_connection *connection);
    /* New reference: an object with the socket's descriptor, None, or NULL with an
     * exception. */
    PyObject *(*socket)(struct pywsc_connection *connection);
    /* The transport's get_write_buffer_size() counts the connection's output too. */
    bool counts_output;
    /* It calls outside of the context that the loop has entered. */
    bool leaves_context;
};

/* Of asyncio's transports. That of the engine is in the module state. */
extern const struct pywsc_carrier pywsc_transport_carrier;

#endif

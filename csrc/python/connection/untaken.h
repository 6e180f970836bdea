/* What of a connection's output its peer has not taken yet. */
#ifndef PYWSC_CONNECTION_UNTAKEN_H
#define PYWSC_CONNECTION_UNTAKEN_H

#include "connection/connection.h"

struct pywsc_untaken {
    size_t size; /* bytes here, in the transport and in the kernel */
    uint64_t
        taken; /* grows with what the peer takes; falls when there is more to take */
};

/* -1 with an exception. What a transport keeps below TLS shows in the kernel's part:
 * that is empty only if nothing is left. */
int pywsc_untaken_get(struct pywsc_connection *connection, struct pywsc_untaken *out);
/* The method _untaken(): the size. */
PyObject *pywsc_untaken_size(PyObject *connection, PyObject *unused);

#endif

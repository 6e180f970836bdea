#include "connection/untaken.h"

#include "common/raised.h"
#include "connection/carrier.h"

#include "wsc/engine.h"

/* Only the peer's acknowledgements say that it reads: what our kernel takes may be
 * megabytes ahead of that. */

/* An exception of the transport's says no more than that it doesn't know, as when TLS
 * of asyncio's has let go of its protocol. */
static void forgive(void)
{
    if (PyErr_Occurred() && !pywsc_raised_leaves()) {
        PyErr_Clear();
    }
}

#if WSC_HAVE_ENGINE

/* Its descriptor, or -1. */
static int transport_fd(struct pywsc_connection *connection)
{
    PyObject *owner = connection->carrier->socket(connection);
    int fd = owner == NULL || owner == Py_None ? -1 : PyObject_AsFileDescriptor(owner);
    Py_XDECREF(owner);
    forgive();
    return fd;
}

static void ask_kernel(struct pywsc_connection *connection, struct pywsc_untaken *out)
{
    int fd = transport_fd(connection);
    if (fd < 0) {
        return;
    }
    uint64_t taken;
    out->size += wsc_socket_untaken(fd);
    out->taken = wsc_socket_taken(fd, &taken) ? taken : UINT64_MAX - out->size;
}

#else

static void ask_kernel(struct pywsc_connection *connection, struct pywsc_untaken *out)
{
    (void)connection;
    (void)out;
}

#endif

int pywsc_untaken_get(struct pywsc_connection *connection, struct pywsc_untaken *out)
{
    out->size = 0;
    out->taken = 0;
    if (connection->transport == Py_None) {
        return 0;
    }
    PyObject *size = PyObject_CallMethodNoArgs(
        connection->transport,
        connection->state->names[PYWSC_NAME_GET_WRITE_BUFFER_SIZE]);
    /* Test doubles of transports have something else. */
    out->size = size != NULL && PyLong_Check(size) ? PyLong_AsSize_t(size) : 0;
    Py_XDECREF(size);
    forgive();
    if (PyErr_Occurred()) {
        return -1;
    }
    if (!connection->carrier->counts_output) {
        out->size += wsc_conn_output_size(&connection->protocol->conn);
    }
    out->taken = UINT64_MAX - out->size;
    ask_kernel(connection, out);
    return PyErr_Occurred() ? -1 : 0;
}

PyObject *pywsc_untaken_size(PyObject *op, PyObject *unused)
{
    struct pywsc_connection *connection = (struct pywsc_connection *)op;
    struct pywsc_untaken untaken;
    (void)unused;
    return pywsc_connection_check_thread(connection) < 0 ||
                   pywsc_untaken_get(connection, &untaken) < 0
               ? NULL
               : PyLong_FromSize_t(untaken.size);
}

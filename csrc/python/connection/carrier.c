#include "connection/carrier.h"

#include "protocol/output.h"
#include "tasks/loop.h"

/* asyncio's transports, or what behaves like them. */

static int write_bytes(struct pywsc_connection *self, PyObject *bytes)
{
    if (bytes == NULL) {
        return -1;
    }
    PyObject *result = PyObject_CallMethodOneArg(
        self->transport, self->state->names[PYWSC_NAME_WRITE], bytes);
    Py_DECREF(bytes);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static int write_buffers(struct pywsc_connection *self)
{
    PyObject *buffers = pywsc_protocol_take_buffers(self->protocol);
    int result = buffers == NULL ? -1 : 0;
    for (Py_ssize_t i = 0; result == 0 && i < PyList_GET_SIZE(buffers); i++) {
        result = write_bytes(self, Py_NewRef(PyList_GET_ITEM(buffers, i)));
    }
    Py_XDECREF(buffers);
    return result;
}

/* What waits is one object: a frame that many connections get. */
static int write_object(struct pywsc_connection *self, PyObject *bytes, size_t len)
{
    Py_INCREF(bytes);
    wsc_conn_sent(&self->protocol->conn, len);
    return write_bytes(self, bytes);
}

static int flush(struct pywsc_connection *self)
{
    struct wsc_conn *conn = &self->protocol->conn;
    while (wsc_conn_wants_send(conn) && !self->flow.write_paused && !self->ended.tcp) {
        struct wsc_outgoing_piece pieces[2];
        const struct wsc_outgoing *outgoing = wsc_conn_outgoing(conn);
        size_t count = wsc_outgoing_peek(outgoing, pieces, 2);
        int result;
        if (count == 0) {
            break; /* a pong without memory: it goes with what is next */
        }
        if (count == 1) {
            result = pieces[0].ctx == NULL
                         ? write_bytes(self, pywsc_protocol_take_output(self->protocol))
                         : write_object(self, pieces[0].ctx, pieces[0].len);
        }
        else {
            result = write_buffers(self);
        }
        if (result < 0) {
            return -1;
        }
    }
    return 0;
}

static bool hold(struct pywsc_connection *self)
{
    if (!self->flow.flush_wanted && self->transport != Py_None) {
        self->flow.flush_wanted =
            pywsc_call_method_soon(self->state, self->loop, (PyObject *)self,
                                   PYWSC_NAME_FLUSH) == 0;
        if (!self->flow.flush_wanted) {
            PyErr_Clear();
        }
    }
    return self->flow.flush_wanted;
}

static int limit(struct pywsc_connection *self)
{
    PyObject *result =
        PyObject_CallMethod(self->transport, "set_write_buffer_limits", "nn",
                            (Py_ssize_t)self->write_high, (Py_ssize_t)self->write_low);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

static PyObject *socket_of(struct pywsc_connection *self)
{
    return PyObject_CallMethod(self->transport, "get_extra_info", "s", "socket");
}

const struct pywsc_carrier pywsc_transport_carrier = {
    .flush = flush,
    .hold = hold,
    .limit = limit,
    .prefetch = NULL,
    .socket = socket_of,
    .counts_output = false,
    .leaves_context = false,
};

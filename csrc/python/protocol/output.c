#include "protocol/output.h"

#include <string.h>

#include "wsc/mask.h"

/* What is to be sent, as bytes objects. */

#define PIECES 16

/* Move what waits to `out`, which has room for it. */
static void move_output(struct pywsc_protocol *self,
                        const struct wsc_outgoing *outgoing, uint8_t *out)
{
    static const uint8_t no_mask[4];
    while (outgoing->size > 0) {
        struct wsc_outgoing_piece pieces[PIECES];
        size_t taken = 0;
        size_t count = wsc_outgoing_peek(outgoing, pieces, PIECES);
        for (size_t i = 0; i < count; i++) {
            /* Instead of memcpy, for the reason given in core/conn_frame.c. */
            wsc_mask_copy(out + taken, pieces[i].data, pieces[i].len, no_mask, 0);
            taken += pieces[i].len;
        }
        out += taken;
        wsc_conn_sent(&self->conn, taken);
    }
}

/* Taking the output unblocks it: a pong that was held back goes with it (or, without
 * memory for that, with the next output). */
static PyObject *append_pong(struct pywsc_protocol *self, PyObject *output)
{
    const struct wsc_outgoing *outgoing = wsc_conn_outgoing(&self->conn);
    size_t before = (size_t)PyBytes_GET_SIZE(output);
    if (outgoing->size == 0) {
        return output;
    }
    PyObject *both =
        PyBytes_FromStringAndSize(NULL, (Py_ssize_t)(before + outgoing->size));
    if (both == NULL) {
        PyErr_Clear();
        return output;
    }
    uint8_t *out = (uint8_t *)PyBytes_AS_STRING(both);
    memcpy(out, PyBytes_AS_STRING(output), before);
    move_output(self, outgoing, out + before);
    Py_DECREF(output);
    return both;
}

PyObject *pywsc_protocol_take_output(struct pywsc_protocol *self)
{
    const struct wsc_outgoing *outgoing = wsc_conn_outgoing(&self->conn);
    pywsc_expect_large(outgoing->size);
    PyObject *result = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)outgoing->size);
    if (result == NULL) {
        return NULL;
    }
    if (PyBytes_GET_SIZE(result) == 0) {
        return result;
    }
    move_output(self, outgoing, (uint8_t *)PyBytes_AS_STRING(result));
    return append_pong(self, result);
}

PyObject *pywsc_protocol_take_buffers(struct pywsc_protocol *self)
{
    const struct wsc_outgoing *outgoing;
    PyObject *result = PyList_New(0);
    while (result != NULL && (outgoing = wsc_conn_outgoing(&self->conn))->size > 0) {
        struct wsc_outgoing_piece piece;
        (void)wsc_outgoing_peek(outgoing, &piece, 1);
        PyObject *bytes = piece.ctx != NULL
                              ? Py_NewRef((PyObject *)piece.ctx)
                              : PyBytes_FromStringAndSize((const char *)piece.data,
                                                          (Py_ssize_t)piece.len);
        int added = bytes == NULL ? -1 : PyList_Append(result, bytes);
        Py_XDECREF(bytes);
        if (added == 0) {
            wsc_conn_sent(&self->conn, piece.len);
        }
        else if (PyList_GET_SIZE(result) > 0) {
            PyErr_Clear(); /* what is in the list has been consumed: the rest next time
                            */
            break;
        }
        else {
            Py_CLEAR(result);
        }
    }
    return result;
}

static PyObject *
take(PyObject *op, PyObject *(*take_output)(struct pywsc_protocol *self))
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    PyObject *result;
    if (pywsc_protocol_ready(self) < 0) {
        return NULL;
    }
    Py_BEGIN_CRITICAL_SECTION(op);
    result = take_output(self);
    Py_END_CRITICAL_SECTION();
    return result;
}

PyObject *pywsc_protocol_data_to_send(PyObject *op, PyObject *unused)
{
    (void)unused;
    return take(op, pywsc_protocol_take_output);
}

PyObject *pywsc_protocol_buffers_to_send(PyObject *op, PyObject *unused)
{
    (void)unused;
    return take(op, pywsc_protocol_take_buffers);
}

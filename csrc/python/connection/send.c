#include "connection/send.h"

#include "common/arguments.h"
#include "connection/batch.h"
#include "protocol/send.h"
#include "values/errors.h"

/* Is this something that C sends? */
static bool is_plain(PyObject *message)
{
    return PyUnicode_Check(message) || PyBytes_Check(message) ||
           PyByteArray_Check(message) || PyMemoryView_Check(message);
}

/* `text` and `compress_object` are True, False or NULL: no code of the user's runs
 * while the message's bytes are borrowed. 0, or -1 with an exception. */
static int send_plain(struct pywsc_connection *self, PyObject *message, PyObject *text,
                      PyObject *compress_object)
{
    enum wsc_compress compress;
    struct pywsc_bytes bytes;
    if (pywsc_compress_argument(compress_object, &compress) < 0 ||
        pywsc_bytes_get(message, true, &bytes) < 0) {
        return -1;
    }
    bool is_text = text == NULL ? bytes.is_text : text == Py_True;
    if (is_text && pywsc_protocol_check_text(&bytes) < 0) {
        pywsc_bytes_release(&bytes);
        return -1;
    }
    enum wsc_status status = pywsc_protocol_send(
        self->protocol, is_text ? WSC_OPCODE_TEXT : WSC_OPCODE_BINARY, &bytes, true,
        compress);
    pywsc_bytes_release(&bytes);
    if (status != WSC_OK) {
        (void)pywsc_raise(self->state, status);
        return -1;
    }
    return pywsc_connection_flush_message(self);
}

enum pywsc_outcome pywsc_connection_send(struct pywsc_connection *self,
                                         PyObject *message, PyObject *text,
                                         PyObject *compress)
{
    if (self->protocol->conn.state != WSC_CONN_OPEN ||
        self->fragmented_send != Py_None || !is_plain(message)) {
        return PYWSC_SLOWLY;
    }
    return send_plain(self, message, text, compress) < 0 ? PYWSC_FAILED : PYWSC_DONE;
}

PyObject *pywsc_connection_send_nowait(PyObject *op, PyObject *const *args,
                                       Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"text", "compress"};
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    PyObject *keywords[2];
    if (nargs != 1) {
        return PyErr_Format(PyExc_TypeError,
                            "send_nowait() takes exactly one positional argument "
                            "(%zd given)",
                            nargs);
    }
    if (pywsc_connection_check_thread(self) < 0 ||
        pywsc_keywords("send_nowait", args + nargs, kwnames, names, 2, keywords) < 0 ||
        pywsc_truth_argument(&keywords[0]) < 0 ||
        pywsc_truth_argument(&keywords[1]) < 0) {
        return NULL;
    }
    struct pywsc_state *state = self->state;
    if (self->protocol->conn.state != WSC_CONN_OPEN) {
        PyObject *exception = pywsc_connection_close_exception(self);
        if (exception != NULL) {
            PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
            Py_DECREF(exception);
        }
        return NULL;
    }
    if (self->fragmented_send != Py_None) {
        PyErr_SetString(state->objects[PYWSC_CONCURRENCY_ERROR],
                        "a fragmented message is being sent");
        return NULL;
    }
    if (send_plain(self, args[0], keywords[0], keywords[1]) < 0) {
        return NULL;
    }
    return PyBool_FromLong(!self->flow.write_paused &&
                           wsc_conn_output_size(&self->protocol->conn) <=
                               self->write_high);
}

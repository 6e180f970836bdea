#include "connection/message_stream.h"

#include "common/raised.h"

#define MESSAGE_SIZE 3

/* --- messages --- */

static PyObject *
new_message(PyObject *type, PyObject *kind, PyObject *data, PyObject *extra)
{
    PyObject *message =
        ((PyTypeObject *)type)->tp_alloc((PyTypeObject *)type, MESSAGE_SIZE);
    if (message == NULL) {
        Py_DECREF(data);
        return NULL;
    }
    PyTuple_SET_ITEM(message, 0, Py_NewRef(kind));
    PyTuple_SET_ITEM(message, 1, data);
    PyTuple_SET_ITEM(message, 2, Py_NewRef(extra));
    return message;
}

/* Of a Ping or Pong event. */
static PyObject *control_message(struct pywsc_message_stream *self, PyObject *event)
{
    bool ping = Py_TYPE(event) == self->state->ping;
    PyObject *data = PyObject_GetAttrString(event, "data");
    Py_DECREF(event);
    return data == NULL
               ? NULL
               : new_message(
                     PyTuple_GET_ITEM(self->format, PYWSC_FORMAT_BINARY_TYPE),
                     PyTuple_GET_ITEM(self->format, ping ? PYWSC_FORMAT_PING_KIND
                                                         : PYWSC_FORMAT_PONG_KIND),
                     data, PyTuple_GET_ITEM(self->format, PYWSC_FORMAT_EXTRA));
}

PyObject *pywsc_message_stream_make(struct pywsc_message_stream *self, PyObject *data)
{
    PyObject *format = self->format;
    PyObject *extra = PyTuple_GET_ITEM(format, PYWSC_FORMAT_EXTRA);
    if (!PyUnicode_CheckExact(data)) {
        if (!PyBytes_CheckExact(data)) {
            return control_message(self, data);
        }
        return new_message(PyTuple_GET_ITEM(format, PYWSC_FORMAT_BINARY_TYPE),
                           PyTuple_GET_ITEM(format, PYWSC_FORMAT_BINARY_KIND), data,
                           extra);
    }
    if (PyTuple_GET_ITEM(format, PYWSC_FORMAT_DECODE_TEXT) == Py_False) {
        Py_SETREF(data, PyUnicode_AsUTF8String(data));
        if (data == NULL) {
            return NULL;
        }
    }
    return new_message(PyTuple_GET_ITEM(format, PYWSC_FORMAT_TEXT_TYPE),
                       PyTuple_GET_ITEM(format, PYWSC_FORMAT_TEXT_KIND), data, extra);
}

/* --- one receive() at a time --- */

bool pywsc_message_stream_hold(struct pywsc_message_stream *self)
{
    if (self->waiting || self->closed || self->closing) {
        return false;
    }
    self->waiting = true;
    return true;
}

void pywsc_message_stream_release(struct pywsc_message_stream *self)
{
    PyObject *released = self->released;
    self->waiting = false;
    self->released = NULL;
    if (released == NULL) {
        return;
    }
    PyObject *raised = pywsc_take_raised();
    PyObject *result =
        released == Py_None ? Py_NewRef(Py_None) : PyObject_CallNoArgs(released);
    if (result == NULL) {
        PyErr_WriteUnraisable(released);
    }
    Py_XDECREF(result);
    Py_DECREF(released);
    pywsc_raise_again(raised);
}

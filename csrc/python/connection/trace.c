#include "connection/trace.h"

/* What the core noted, told to who writes the log. */

PyObject *pywsc_connection_start_trace(PyObject *op, PyObject *unused)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    (void)unused;
    if (pywsc_connection_check_thread(self) < 0) {
        return NULL;
    }
    if (wsc_conn_start_trace(&self->protocol->conn) != WSC_OK) {
        return PyErr_NoMemory();
    }
    self->trace.wanted = true;
    Py_RETURN_NONE;
}

static PyObject *frame_tuple(const struct wsc_trace_frame *frame)
{
    return Py_BuildValue("(NiNKy#)", PyBool_FromLong(frame->sent), (int)frame->opcode,
                         PyBool_FromLong(frame->fin),
                         (unsigned long long)frame->payload_len,
                         (const char *)frame->data, (Py_ssize_t)frame->len);
}

static PyObject *frame_list(struct wsc_trace *trace)
{
    struct wsc_trace_frame frame;
    PyObject *list = PyList_New(0);
    while (list != NULL && wsc_trace_next(trace, &frame)) {
        PyObject *tuple = frame_tuple(&frame);
        if (tuple == NULL || PyList_Append(list, tuple) < 0) {
            Py_CLEAR(list);
        }
        Py_XDECREF(tuple);
    }
    return list;
}

/* The notes are ours from the beginning: whatever runs meanwhile, the core has others.
 */
static PyObject *call_on_frames(struct pywsc_connection *self)
{
    struct wsc_trace trace;
    wsc_conn_take_trace(&self->protocol->conn, &trace);
    PyObject *frames = frame_list(&trace);
    PyObject *omitted = frames == NULL ? NULL : PyLong_FromSize_t(trace.omitted);
    PyObject *result = NULL;
    wsc_trace_fini(&trace);
    if (omitted != NULL) {
        PyObject *args[] = {(PyObject *)self, frames, omitted};
        result = PyObject_VectorcallMethod(self->state->names[PYWSC_NAME_ON_FRAMES],
                                           args, 3, NULL);
    }
    Py_XDECREF(omitted);
    Py_XDECREF(frames);
    return result;
}

int pywsc_connection_tell_trace(struct pywsc_connection *self)
{
    const struct wsc_conn *conn = &self->protocol->conn;
    bool has_news = self->trace.states_told != (unsigned)conn->state + 1 ||
                    wsc_conn_has_trace(conn);
    /* What a log's handler does is told afterwards. */
    if (self->trace.telling || !has_news) {
        return 0;
    }
    self->trace.telling = true;
    self->trace.states_told = (unsigned)conn->state + 1;
    PyObject *result = call_on_frames(self);
    self->trace.telling = false;
    return pywsc_connection_hook_done(self, result);
}

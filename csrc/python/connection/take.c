#include "connection/take.h"

#include "connection/batch.h"
#include "connection/queue.h"
#include "connection/receive.h"
#include "tasks/loop.h"
#include "values/events.h"

/* Is there room enough to read on? */
static bool is_low(const struct pywsc_connection *self)
{
    return self->queue.count <= self->queue.low &&
           (self->queue.bytes_high == 0 ||
            self->queue.bytes <= self->queue.bytes_high / 2);
}

static int read_more(struct pywsc_connection *self)
{
    if (wsc_conn_input_left(&self->protocol->conn) > 0 ||
        self->protocol->input != NULL) {
        if (pywsc_connection_pump(self) < 0 ||
            pywsc_connection_flush_before_step(self) < 0) {
            return -1;
        }
    }
    if (is_low(self) && wsc_conn_input_left(&self->protocol->conn) == 0) {
        return pywsc_connection_resume_reading(self);
    }
    return 0;
}

/* The queue may have room again: fill it from input at hand, then read on. What goes
 * wrong with that is no matter of the message that is being taken. */
static void refill(struct pywsc_connection *self)
{
    if (is_low(self) && read_more(self) < 0) {
        pywsc_settle_exception(self->state, self->loop, "exception while receiving");
    }
}

/* True with *out, whose data is the caller's; false when the queue is empty. */
static bool next_item(struct pywsc_connection *self, struct pywsc_item *out)
{
    if (self->queue.count == 0) {
        refill(self);
    }
    if (self->queue.count == 0) {
        return false;
    }
    *out = pywsc_connection_pop(self);
    if (self->flow.read_paused || self->protocol->input != NULL) {
        refill(self);
    }
    return true;
}

static PyObject *join(PyObject *fragments)
{
    PyObject *first = PyList_GET_ITEM(fragments, 0);
    PyObject *empty = PyUnicode_CheckExact(first) ? PyUnicode_New(0, 0)
                                                  : PyBytes_FromStringAndSize(NULL, 0);
    PyObject *result = NULL;
    if (empty != NULL) {
        result = PyUnicode_CheckExact(first)
                     ? PyUnicode_Join(empty, fragments)
                     : PyObject_CallMethod(empty, "join", "O", fragments);
    }
    Py_XDECREF(empty);
    return result;
}

/* A fragment that recv() met: put it to the others. Without memory for it the message
 * has a gap: the connection has failed. */
static int add_fragment(struct pywsc_connection *self, PyObject *data)
{
    if (self->joining == NULL) {
        self->joining = PyList_New(0);
    }
    int result = self->joining == NULL ? -1 : PyList_Append(self->joining, data);
    Py_DECREF(data);
    if (result < 0) {
        pywsc_connection_fail_internally(self);
    }
    return result;
}

enum pywsc_outcome pywsc_connection_take(struct pywsc_connection *self, PyObject **out)
{
    for (;;) {
        struct pywsc_item item;
        if (!next_item(self, &item)) {
            return PYWSC_WAITS;
        }
        if (self->in_fragments) {
            /* The rest of a message whose beginning recv_streaming() gave out. */
            self->in_fragments = !item.fin;
            Py_DECREF(item.data);
            continue;
        }
        if (item.fin && self->joining == NULL) {
            *out = item.data;
            return PYWSC_DONE;
        }
        if (add_fragment(self, item.data) < 0) {
            return PYWSC_FAILED;
        }
        if (item.fin) {
            PyObject *fragments = self->joining;
            self->joining = NULL;
            *out = join(fragments);
            Py_DECREF(fragments);
            return *out == NULL ? PYWSC_FAILED : PYWSC_DONE;
        }
    }
}

enum pywsc_outcome
pywsc_connection_take_fragment(struct pywsc_connection *self, PyObject **out)
{
    struct pywsc_item item;
    if (!next_item(self, &item)) {
        wsc_conn_set_streaming(&self->protocol->conn, true);
        return PYWSC_WAITS;
    }
    self->in_fragments = !item.fin;
    *out = pywsc_message_event(self->state, item.data, PyUnicode_CheckExact(item.data),
                               item.fin, item.compressed);
    return *out == NULL ? PYWSC_FAILED : PYWSC_DONE;
}

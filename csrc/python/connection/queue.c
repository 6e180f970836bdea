#include "connection/queue.h"

#include "values/events.h"

#define QUEUE_FIRST_CAP 4
/* What an empty item counts in queue_bytes. */
#define ITEM_BYTES 128

/* The messages that have come, and the one who takes them. */

/* --- the queue --- */

static size_t item_bytes(PyObject *data)
{
    if (PyBytes_CheckExact(data)) {
        return ITEM_BYTES + (size_t)PyBytes_GET_SIZE(data);
    }
    return ITEM_BYTES +
           (PyUnicode_CheckExact(data)
                ? (size_t)PyUnicode_GET_LENGTH(data) * (size_t)PyUnicode_KIND(data)
                : 0);
}

int pywsc_connection_push_item(struct pywsc_connection *self, PyObject *data, bool fin,
                               bool compressed)
{
    if (data == NULL) {
        return -1;
    }
    if (self->queue_count == self->queue_cap) {
        size_t cap = self->queue_cap == 0 ? QUEUE_FIRST_CAP : self->queue_cap * 2;
        struct pywsc_item *queue = PyMem_New(struct pywsc_item, cap);
        if (queue == NULL) {
            Py_DECREF(data);
            PyErr_NoMemory();
            return -1;
        }
        for (size_t i = 0; i < self->queue_count; i++) {
            queue[i] = self->queue[(self->queue_first + i) % self->queue_cap];
        }
        PyMem_Free(self->queue);
        self->queue = queue;
        self->queue_cap = cap;
        self->queue_first = 0;
    }
    size_t last = self->queue_first + self->queue_count++;
    struct pywsc_item *item =
        &self->queue[last < self->queue_cap ? last : last - self->queue_cap];
    item->data = data;
    item->fin = fin;
    item->compressed = compressed;
    self->queue_bytes += item_bytes(data);
    return 0;
}

int pywsc_connection_push(struct pywsc_connection *self, struct wsc_message *message)
{
    bool fin = message->fin;
    bool compressed = message->compressed;
    if (pywsc_connection_push_item(self, pywsc_message_take(message), fin, compressed) <
        0) {
        return -1;
    }
    if (fin) {
        self->messages_received++;
        /* Who wants fragments asks anew for each message. */
        wsc_conn_set_streaming(&self->protocol->conn, false);
    }
    return 0;
}

static struct pywsc_item pop(struct pywsc_connection *self)
{
    struct pywsc_item item = self->queue[self->queue_first];
    self->queue_count--;
    self->queue_bytes -= item_bytes(item.data); /* which can't change: as added */
    self->queue_first++;
    if (self->queue_first == self->queue_cap) {
        self->queue_first = 0;
    }
    return item;
}

void pywsc_connection_clear_queue(struct pywsc_connection *self)
{
    while (self->queue_count > 0) {
        Py_DECREF(pop(self).data);
    }
    PyMem_Free(self->queue);
    self->queue = NULL;
    self->queue_cap = 0;
    self->queue_first = 0;
}

/* --- the one who takes --- */

/* Is there room enough to read on? */
static bool is_low(const struct pywsc_connection *self)
{
    return self->queue_count <= self->queue_low &&
           (self->queue_bytes_high == 0 ||
            self->queue_bytes <= self->queue_bytes_high / 2);
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
    if (self->queue_count == 0) {
        refill(self);
    }
    if (self->queue_count == 0) {
        return false;
    }
    *out = pop(self);
    if (self->read_paused || self->protocol->input != NULL) {
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
        pywsc_connection_fail(self);
    }
    return result;
}

int pywsc_connection_take(struct pywsc_connection *self, PyObject **out)
{
    for (;;) {
        struct pywsc_item item;
        if (!next_item(self, &item)) {
            return 0;
        }
        if (self->in_fragments) {
            /* The rest of a message whose beginning recv_streaming() gave out. */
            self->in_fragments = !item.fin;
            Py_DECREF(item.data);
            continue;
        }
        if (item.fin && self->joining == NULL) {
            *out = item.data;
            return 1;
        }
        if (add_fragment(self, item.data) < 0) {
            return -1;
        }
        if (item.fin) {
            PyObject *fragments = self->joining;
            self->joining = NULL;
            *out = join(fragments);
            Py_DECREF(fragments);
            return *out == NULL ? -1 : 1;
        }
    }
}

int pywsc_connection_take_fragment(struct pywsc_connection *self, PyObject **out)
{
    struct pywsc_item item;
    if (!next_item(self, &item)) {
        wsc_conn_set_streaming(&self->protocol->conn, true);
        return 0;
    }
    self->in_fragments = !item.fin;
    *out = pywsc_message_event(self->state, item.data, PyUnicode_CheckExact(item.data),
                               item.fin, item.compressed);
    return *out == NULL ? -1 : 1;
}

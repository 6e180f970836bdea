#include "connection/queue.h"

#include "common/memory.h"

#define QUEUE_FIRST_CAP 4
/* What an empty item counts in queue_bytes. */
#define ITEM_BYTES 128

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
    if (self->queue.count == self->queue.cap) {
        size_t cap = self->queue.cap == 0 ? QUEUE_FIRST_CAP : self->queue.cap * 2;
        struct pywsc_item *queue = PyMem_New(struct pywsc_item, cap);
        if (queue == NULL) {
            Py_DECREF(data);
            PyErr_NoMemory();
            return -1;
        }
        for (size_t i = 0; i < self->queue.count; i++) {
            queue[i] = self->queue.items[(self->queue.first + i) % self->queue.cap];
        }
        PyMem_Free(self->queue.items);
        self->queue.items = queue;
        self->queue.cap = cap;
        self->queue.first = 0;
    }
    size_t last = self->queue.first + self->queue.count++;
    struct pywsc_item *item =
        &self->queue.items[last < self->queue.cap ? last : last - self->queue.cap];
    item->data = data;
    item->fin = fin;
    item->compressed = compressed;
    self->queue.bytes += item_bytes(data);
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

struct pywsc_item pywsc_connection_pop(struct pywsc_connection *self)
{
    struct pywsc_item item = self->queue.items[self->queue.first];
    self->queue.count--;
    self->queue.bytes -= item_bytes(item.data); /* which can't change: as added */
    self->queue.first++;
    if (self->queue.first == self->queue.cap) {
        self->queue.first = 0;
    }
    return item;
}

void pywsc_connection_clear_queue(struct pywsc_connection *self)
{
    while (self->queue.count > 0) {
        Py_DECREF(pywsc_connection_pop(self).data);
    }
    PyMem_Free(self->queue.items);
    self->queue.items = NULL;
    self->queue.cap = 0;
    self->queue.first = 0;
}

#include "common/arguments.h"
#include "common/docs.h"
#include "common/pool.h"
#include "common/raised.h"
#include "connection/batch.h"
#include "connection/carrier.h"
#include "connection/connection.h"
#include "functions/functions.h"
#include "protocol/protocol.h"
#include "protocol/send.h"
#include "values/errors.h"

#include <string.h>

/* broadcast(): one message to many connections, without a step of Python between them
 * where there is none to take. */

/* --- frames as bytes objects, which transports take as they are --- */

static uint8_t *frame_alloc(void *ctx, size_t size, void **out_owner)
{
    (void)ctx;
    if (size > PY_SSIZE_T_MAX) {
        return NULL;
    }
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (bytes == NULL) {
        PyErr_Clear(); /* MemoryError: reported through the core */
        return NULL;
    }
    *out_owner = bytes;
    return (uint8_t *)PyBytes_AS_STRING(bytes);
}

static void frame_hold(void *owner)
{
    Py_INCREF((PyObject *)owner);
}

static void frame_release(void *owner)
{
    Py_DECREF((PyObject *)owner);
}

static const struct wsc_shared_memory frame_memory = {
    .ctx = NULL,
    .alloc = frame_alloc,
    .hold = frame_hold,
    .release = frame_release,
};

/* --- one broadcast --- */

struct broadcast {
    struct pywsc_state *state;
    unsigned long thread;
    struct pywsc_bytes bytes;
    struct wsc_shared_message message;
    struct pywsc_pool *pool;
    enum wsc_compress compress;
    bool close_slow;
    bool report_slow;
    bool hold;          /* it leaves with what is sent next */
    PyObject *problems; /* list, or NULL while there are none */
};

/* User code runs in the middle of a broadcast: let it not change the message. */
static int keep_still(struct pywsc_bytes *bytes)
{
    if (bytes->view.obj == NULL) {
        return 0;
    }
    PyObject *copy = PyBytes_FromStringAndSize((const char *)bytes->data, bytes->len);
    if (copy == NULL) {
        return -1;
    }
    PyBuffer_Release(&bytes->view);
    bytes->view.obj = NULL;
    bytes->held = copy;
    bytes->data = (const uint8_t *)PyBytes_AS_STRING(copy);
    return 0;
}

static int broadcast_init(struct broadcast *self, PyObject *message, PyObject *text)
{
    int is_text;
    if (pywsc_bytes_get(message, true, &self->bytes) < 0) {
        return -1;
    }
    is_text = text == Py_None ? (int)self->bytes.is_text : PyObject_IsTrue(text);
    if (is_text < 0 || keep_still(&self->bytes) < 0 ||
        (is_text && pywsc_protocol_check_text(&self->bytes) < 0)) {
        pywsc_bytes_release(&self->bytes);
        return -1;
    }
    self->pool = pywsc_pool_hold(self->state);
    wsc_shared_message_init(&self->message, &pywsc_allocator, &frame_memory,
                            pywsc_pool_contexts(self->pool),
                            is_text ? WSC_OPCODE_TEXT : WSC_OPCODE_BINARY,
                            self->bytes.data, (size_t)self->bytes.len);
    return 0;
}

static void broadcast_fini(struct broadcast *self)
{
    wsc_shared_message_fini(&self->message);
    pywsc_pool_release(self->pool);
    pywsc_bytes_release(&self->bytes);
    Py_CLEAR(self->problems);
}

/* Keep (connection, problem); takes `problem`. */
static int add_problem(struct broadcast *self, struct pywsc_connection *connection,
                       PyObject *problem)
{
    PyObject *pair = PyTuple_Pack(2, (PyObject *)connection, problem);
    Py_DECREF(problem);
    if (pair == NULL) {
        return -1;
    }
    if (self->problems == NULL) {
        self->problems = PyList_New(0);
    }
    int result = self->problems == NULL ? -1 : PyList_Append(self->problems, pair);
    Py_DECREF(pair);
    return result;
}

/* Keep the exception that is set; -1 if it has to leave. */
static int keep_exception(struct broadcast *self, struct pywsc_connection *connection)
{
    if (pywsc_raised_leaves()) {
        return -1;
    }
    PyObject *value = pywsc_take_raised();
    return add_problem(self, connection, value);
}

/* SLW-3: above the high-water mark nothing more is queued. */
static bool is_slow(const struct pywsc_connection *connection)
{
    return connection->flow.write_paused ||
           wsc_conn_output_size(&connection->protocol->conn) > connection->write_high;
}

static int leave_out(struct broadcast *self, struct pywsc_connection *connection)
{
    static const char reason[] = "reads too slowly";
    connection->broadcasts_skipped++;
    if (self->report_slow && add_problem(self, connection, Py_NewRef(Py_None)) < 0) {
        return -1;
    }
    if (!self->close_slow) {
        return 0;
    }
    enum wsc_status status =
        wsc_conn_send_close(&connection->protocol->conn, WSC_CLOSE_POLICY_VIOLATION,
                            reason, sizeof(reason) - 1);
    if (status != WSC_OK) {
        (void)pywsc_raise(self->state, status);
        return keep_exception(self, connection);
    }
    return pywsc_connection_flush(connection) < 0 ? keep_exception(self, connection)
                                                  : 0;
}

static int send_to(struct broadcast *self, struct pywsc_connection *connection)
{
    struct wsc_conn *conn = &connection->protocol->conn;
    if (connection->fragmented_send != Py_None || wsc_conn_is_sending_message(conn)) {
        PyErr_SetString(self->state->objects[PYWSC_CONCURRENCY_ERROR],
                        "sending a fragmented message");
        return keep_exception(self, connection);
    }
    enum wsc_status status = wsc_conn_send_shared(conn, &self->message, self->compress);
    if (status != WSC_OK) {
        (void)pywsc_raise(self->state, status);
        return keep_exception(self, connection);
    }
    return !self->hold && pywsc_connection_flush_message(connection) < 0
               ? keep_exception(self, connection)
               : 0;
}

static int broadcast_to(struct broadcast *self, PyObject *object)
{
    struct pywsc_connection *connection = (struct pywsc_connection *)object;
    if (!PyObject_TypeCheck(object, self->state->connection)) {
        PyErr_Format(PyExc_TypeError, "expected connections, got %.100s",
                     Py_TYPE(object)->tp_name);
        return -1;
    }
    if (pywsc_connection_check_thread(connection) < 0) {
        return -1;
    }
    if (connection->protocol->conn.state != WSC_CONN_OPEN) {
        return 0;
    }
    return is_slow(connection) ? leave_out(self, connection)
                               : send_to(self, connection);
}

/* --- the walk --- */

static struct pywsc_connection *
connection_at(const struct broadcast *self, PyObject *list, Py_ssize_t index)
{
    PyObject *object =
        index < PyList_GET_SIZE(list) ? PyList_GET_ITEM(list, index) : NULL;
    bool is_ours =
        object != NULL && PyObject_TypeCheck(object, self->state->connection);
    return is_ours ? (struct pywsc_connection *)object : NULL;
}

/* A thousand connections are more than the nearest caches hold after a thousand calls
 * into the kernel: ask for what the next ones need while that is busy with this one. */
static void look_ahead(const struct broadcast *self, PyObject *list, Py_ssize_t index)
{
    const struct pywsc_connection *next = connection_at(self, list, index + 1);
    if (next != NULL && next->thread == self->thread &&
        next->carrier->prefetch != NULL) {
        next->carrier->prefetch(next);
    }
    const struct pywsc_connection *second = connection_at(self, list, index + 2);
    if (second != NULL && second->thread == self->thread && second->protocol != NULL) {
        const struct pywsc_protocol *protocol = second->protocol;
        wsc_conn_prefetch(&protocol->conn);
        PYWSC_PREFETCH(second->transport);
    }
    if (index + 3 < PyList_GET_SIZE(list)) {
        const struct pywsc_connection *third =
            (const struct pywsc_connection *)PyList_GET_ITEM(list, index + 3);
        PYWSC_PREFETCH(&third->protocol);
        PYWSC_PREFETCH(&third->write_high);
        PYWSC_PREFETCH(&third->messages_received);
        PYWSC_PREFETCH(&third->batch);
    }
}

static int broadcast_to_list(struct broadcast *self, PyObject *list)
{
    int result = 0;
    for (Py_ssize_t i = 0; result == 0 && i < PyList_GET_SIZE(list); i++) {
        look_ahead(self, list, i);
        PyObject *object = Py_NewRef(PyList_GET_ITEM(list, i));
        result = broadcast_to(self, object);
        Py_DECREF(object);
    }
    return result;
}

static int broadcast_to_iterator(struct broadcast *self, PyObject *iterator)
{
    int result = 0;
    PyObject *object;
    /* The reference keeps a connection whatever user code does. */
    while (result == 0 && (object = PyIter_Next(iterator)) != NULL) {
        result = broadcast_to(self, object);
        Py_DECREF(object);
    }
    return result < 0 || PyErr_Occurred() ? -1 : 0;
}

/* Lists, sets, keys as they are now: they may change when members leave meanwhile. */
static bool is_collection(PyObject *object)
{
    return PyList_CheckExact(object) || PyTuple_CheckExact(object) ||
           PyAnySet_CheckExact(object) || PyDict_CheckExact(object);
}

static PyObject *broadcast(PyObject *module, PyObject *const *args, Py_ssize_t nargs)
{
    struct broadcast self;
    memset(&self, 0, sizeof(self));
    if (nargs != 7) {
        return PyErr_Format(PyExc_TypeError,
                            "broadcast() takes 7 arguments (%zd given)", nargs);
    }
    self.state = pywsc_module_state(module);
    self.thread = PyThread_get_thread_ident();
    int close_slow = PyObject_IsTrue(args[4]);
    int report_slow = PyObject_IsTrue(args[5]);
    int hold = PyObject_IsTrue(args[6]);
    if (close_slow < 0 || report_slow < 0 || hold < 0 ||
        pywsc_compress_argument(args[3], &self.compress) < 0) {
        return NULL;
    }
    self.close_slow = close_slow != 0;
    self.report_slow = report_slow != 0;
    self.hold = hold != 0;
    bool collection = is_collection(args[0]);
    PyObject *members =
        collection ? PySequence_List(args[0]) : PyObject_GetIter(args[0]);
    if (members == NULL) {
        return NULL;
    }
    if (broadcast_init(&self, args[1], args[2]) < 0) {
        Py_DECREF(members);
        return NULL;
    }
    int result = collection ? broadcast_to_list(&self, members)
                            : broadcast_to_iterator(&self, members);
    Py_DECREF(members);
    PyObject *problems = NULL;
    if (result == 0) {
        problems = Py_NewRef(self.problems != NULL ? self.problems : Py_None);
    }
    broadcast_fini(&self);
    return problems;
}

static PyMethodDef functions[] = {
    {"broadcast", PYWSC_FUNCTION(broadcast), METH_FASTCALL, PYWSC_DOC_BROADCAST},
    {NULL},
};

int pywsc_broadcast_init(PyObject *module, struct pywsc_state *state)
{
    (void)state;
    return PyModule_AddFunctions(module, functions);
}

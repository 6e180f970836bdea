#include "connection/message_stream_type.h"

#include "common/arguments.h"
#include "common/coroutine_method.h"
#include "common/docs.h"
#include "connection/connection.h"
#include "connection/message_stream.h"
#include "connection/operation.h"

/* MessageStream: what Python sees of it. */

static PyObject *make_message(PyObject *op, PyObject *data)
{
    struct pywsc_message_stream *self = (struct pywsc_message_stream *)op;
    if (self->format == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the stream is not open");
        return NULL;
    }
    return pywsc_message_stream_make(self, Py_NewRef(data));
}

static PyObject *end_waiting(PyObject *op, PyObject *unused)
{
    (void)unused;
    pywsc_message_stream_release((struct pywsc_message_stream *)op);
    Py_RETURN_NONE;
}

/* --- methods that return coroutines --- */

/* The coroutine of a method of the subclass. */
static PyObject *slow(PyObject *op, enum pywsc_name name, PyObject *const *args,
                      Py_ssize_t nargs, PyObject *kwnames)
{
    struct pywsc_state *state = pywsc_type_state(Py_TYPE(op));
    PyObject *method = PyObject_GetAttr(op, state->names[name]);
    PyObject *result = method == NULL
                           ? NULL
                           : PyObject_Vectorcall(method, args, (size_t)nargs, kwnames);
    Py_XDECREF(method);
    return result;
}

static PyObject *
receive(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    struct pywsc_message_stream *self = (struct pywsc_message_stream *)op;
    bool unlimited = nargs == 0 || (nargs == 1 && args[0] == Py_None);
    if (!self->direct_receive || !unlimited || kwnames != NULL) {
        return slow(op, PYWSC_NAME_RECEIVE_SLOW, args, nargs, kwnames);
    }
    return pywsc_operation_for_stream(self, PYWSC_RECV, NULL);
}

static PyObject *anext(PyObject *op)
{
    struct pywsc_message_stream *self = (struct pywsc_message_stream *)op;
    if (!self->direct_next) {
        return slow(op, PYWSC_NAME_NEXT_SLOW, NULL, 0, NULL);
    }
    return pywsc_operation_for_stream(self, PYWSC_NEXT, NULL);
}

static PyObject *
send_str(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    struct pywsc_message_stream *self = (struct pywsc_message_stream *)op;
    if (self->connection == NULL || nargs != 1 || kwnames != NULL ||
        !PyUnicode_Check(args[0])) {
        return slow(op, PYWSC_NAME_SEND_STR_SLOW, args, nargs, kwnames);
    }
    return pywsc_operation_for_stream(self, PYWSC_SEND, args[0]);
}

static bool is_bytes_like(PyObject *data)
{
    return PyBytes_Check(data) || PyByteArray_Check(data) || PyMemoryView_Check(data);
}

static PyObject *
send_bytes(PyObject *op, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    struct pywsc_message_stream *self = (struct pywsc_message_stream *)op;
    if (self->connection == NULL || nargs != 1 || kwnames != NULL ||
        !is_bytes_like(args[0])) {
        return slow(op, PYWSC_NAME_SEND_BYTES_SLOW, args, nargs, kwnames);
    }
    return pywsc_operation_for_stream(self, PYWSC_SEND, args[0]);
}

/* --- opening --- */

static int check_format(PyObject *format)
{
    if (!PyTuple_CheckExact(format) || PyTuple_GET_SIZE(format) != PYWSC_FORMAT_SIZE) {
        PyErr_Format(PyExc_TypeError, "format must be a tuple of %d",
                     PYWSC_FORMAT_SIZE);
        return -1;
    }
    static const Py_ssize_t types[] = {PYWSC_FORMAT_TEXT_TYPE,
                                       PYWSC_FORMAT_BINARY_TYPE};
    for (size_t i = 0; i < Py_ARRAY_LENGTH(types); i++) {
        PyObject *type = PyTuple_GET_ITEM(format, types[i]);
        if (!PyType_Check(type) ||
            !PyType_IsSubtype((PyTypeObject *)type, &PyTuple_Type)) {
            PyErr_SetString(PyExc_TypeError, "types of messages must be tuples");
            return -1;
        }
    }
    return 0;
}

static PyObject *open_stream(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"connection",      "format",           "direct_receive",
                               "direct_next",     "control_messages", "close_by_hand",
                               "max_queue_bytes", "max_plain_size",   NULL};
    struct pywsc_message_stream *self = (struct pywsc_message_stream *)op;
    struct pywsc_state *state = pywsc_type_state(Py_TYPE(op));
    PyObject *connection;
    PyObject *format;
    PyObject *max_plain_object;
    int direct_receive;
    int direct_next;
    int control_messages;
    int close_by_hand;
    Py_ssize_t max_queue_bytes;
    size_t max_plain_size;
    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "O!O$ppppnO", keywords, state->connection, &connection,
            &format, &direct_receive, &direct_next, &control_messages, &close_by_hand,
            &max_queue_bytes, &max_plain_object) ||
        check_format(format) < 0 ||
        pywsc_size_argument(max_plain_object, "max_plain_size", WSC_MESSAGE_SIZE_MAX,
                            &max_plain_size) < 0) {
        return NULL;
    }
    if (max_queue_bytes < 0) {
        PyErr_SetString(PyExc_ValueError, "max_queue_bytes must be from 0");
        return NULL;
    }
    if (self->connection != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the stream is open already");
        return NULL;
    }
    if (pywsc_connection_check_thread((struct pywsc_connection *)connection) < 0) {
        return NULL;
    }
    self->state = state;
    self->connection = Py_NewRef(connection);
    Py_XSETREF(self->format, Py_NewRef(format));
    self->direct_receive = direct_receive != 0;
    self->direct_next = direct_next != 0;
    struct pywsc_connection *carried = (struct pywsc_connection *)connection;
    carried->control_items = control_messages != 0;
    carried->queue.bytes_high = (size_t)max_queue_bytes;
    wsc_conn_answer_by_hand(&carried->protocol->conn, control_messages != 0,
                            close_by_hand != 0);
    wsc_conn_set_max_plain_size(&carried->protocol->conn, max_plain_size);
    Py_RETURN_NONE;
}

/* --- life --- */

static int stream_traverse(PyObject *op, visitproc visit, void *arg)
{
    struct pywsc_message_stream *self = (struct pywsc_message_stream *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->connection);
    Py_VISIT(self->format);
    Py_VISIT(self->released);
    return 0;
}

static int stream_clear(PyObject *op)
{
    struct pywsc_message_stream *self = (struct pywsc_message_stream *)op;
    /* Without a connection nothing goes the direct way. The format is kept for
     * operations that are under way; it refers to nothing of ours. */
    self->direct_receive = false;
    self->direct_next = false;
    Py_CLEAR(self->connection);
    Py_CLEAR(self->released);
    return 0;
}

static void stream_dealloc(PyObject *op)
{
    PyObject_GC_UnTrack(op);
    (void)stream_clear(op);
    Py_CLEAR(((struct pywsc_message_stream *)op)->format);
    pywsc_free(op);
}

static const struct pywsc_coroutine_method_def coroutine_methods[] = {
    {"receive", receive, PYWSC_DOC_MESSAGE_STREAM_RECEIVE},
    {"send_str", send_str, PYWSC_DOC_MESSAGE_STREAM_SEND_STR},
    {"send_bytes", send_bytes, PYWSC_DOC_MESSAGE_STREAM_SEND_BYTES},
    {NULL, NULL, NULL},
};

static PyMethodDef stream_methods[] = {
    {"_open_stream", PYWSC_FUNCTION(open_stream), METH_VARARGS | METH_KEYWORDS, NULL},
    {"_make_message", make_message, METH_O, NULL},
    {"_end_waiting", end_waiting, METH_NOARGS, NULL},
    {NULL},
};

#define OFFSET(member) offsetof(struct pywsc_message_stream, member)

static PyMemberDef stream_members[] = {
    {"_connection", T_OBJECT, OFFSET(connection), READONLY, NULL},
    {"_released", T_OBJECT, OFFSET(released), 0, NULL},
    {"_waiting", T_BOOL, OFFSET(waiting), 0, NULL},
    {"_closed", T_BOOL, OFFSET(closed), 0, NULL},
    {"_closing", T_BOOL, OFFSET(closing), 0, NULL},
    {NULL},
};

static PyType_Slot stream_slots[] = {
    {Py_tp_doc, PYWSC_DOC_MESSAGE_STREAM},
    {Py_tp_dealloc, stream_dealloc},
    {Py_tp_traverse, stream_traverse},
    {Py_tp_clear, stream_clear},
    {Py_tp_methods, stream_methods},
    {Py_tp_members, stream_members},
    {Py_am_aiter, PyObject_SelfIter},
    {Py_am_anext, anext},
    {0, NULL},
};

static PyType_Spec stream_spec = {
    .name = "pywscore._core.MessageStream",
    .basicsize = sizeof(struct pywsc_message_stream),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = stream_slots,
};

int pywsc_message_stream_init(PyObject *module, struct pywsc_state *state)
{
    state->message_stream = pywsc_add_type(module, &stream_spec, NULL);
    if (state->message_stream == NULL) {
        return -1;
    }
    return pywsc_add_coroutine_methods(state, state->message_stream, coroutine_methods);
}

#include "values/events.h"

#include "common/docs.h"

/* What next_event() hands out: immutable, with __match_args__. None can be part of a
 * reference cycle (their fields are exact str, bytes and int), so none is tracked. */

struct message {
    PyObject_HEAD PyObject *data;
    char fin;
    char compressed;
};

struct control {
    PyObject_HEAD PyObject *data;
};

struct close_event {
    PyObject_HEAD PyObject *reason;
    int code;
};

static PyObject *compare(int op, int equal)
{
    if (equal < 0) {
        return NULL;
    }
    return PyBool_FromLong(op == Py_EQ ? equal : !equal);
}

/* --- TextMessage, BinaryMessage --- */

static PyObject *
message_alloc(PyTypeObject *type, PyObject *data, bool fin, bool compressed)
{
    struct message *self = (struct message *)type->tp_alloc(type, 0);
    if (self == NULL) {
        Py_DECREF(data);
        return NULL;
    }
    self->data = data;
    self->fin = fin;
    self->compressed = compressed;
    return (PyObject *)self;
}

PyObject *pywsc_message_event(struct pywsc_state *state, PyObject *data, bool text,
                              bool fin, bool compressed)
{
    return message_alloc(text ? state->text_message : state->binary_message, data, fin,
                         compressed);
}

static PyObject *message_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"data", "fin", "compressed", NULL};
    bool text = type == pywsc_type_state(type)->text_message;
    PyObject *data;
    int fin = 1;
    int compressed = 0;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$pp", keywords, &data, &fin,
                                     &compressed)) {
        return NULL;
    }
    /* An exact str or bytes, so that no subclass can close a cycle or run code. */
    if (text ? !PyUnicode_Check(data) : !PyObject_CheckBuffer(data)) {
        return PyErr_Format(PyExc_TypeError, "data must be %s, not %.100s",
                            text ? "str" : "bytes", Py_TYPE(data)->tp_name);
    }
    data = text ? PyUnicode_FromObject(data) : PyBytes_FromObject(data);
    return data == NULL ? NULL : message_alloc(type, data, fin, compressed);
}

static void message_dealloc(PyObject *self)
{
    Py_XDECREF(((struct message *)self)->data);
    pywsc_free(self);
}

static PyObject *message_repr(PyObject *self)
{
    struct message *message = (struct message *)self;
    return PyUnicode_FromFormat("%s(%R%s%s)", _PyType_Name(Py_TYPE(self)),
                                message->data, message->fin ? "" : ", fin=False",
                                message->compressed ? ", compressed=True" : "");
}

static PyObject *message_compare(PyObject *self, PyObject *other, int op)
{
    if (Py_TYPE(self) != Py_TYPE(other) || (op != Py_EQ && op != Py_NE)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    struct message *a = (struct message *)self;
    struct message *b = (struct message *)other;
    int equal = a->fin == b->fin && a->compressed == b->compressed
                    ? PyObject_RichCompareBool(a->data, b->data, Py_EQ)
                    : 0;
    return compare(op, equal);
}

static Py_hash_t message_hash(PyObject *self)
{
    return PyObject_Hash(((struct message *)self)->data);
}

/* The arguments that make an equal one: for copy and pickle. */
static PyObject *message_getnewargs_ex(PyObject *self, PyObject *unused)
{
    struct message *message = (struct message *)self;
    (void)unused;
    return Py_BuildValue("((O){sNsN})", message->data, "fin",
                         PyBool_FromLong(message->fin), "compressed",
                         PyBool_FromLong(message->compressed));
}

static PyMethodDef message_methods[] = {
    {"__getnewargs_ex__", message_getnewargs_ex, METH_NOARGS, NULL},
    {NULL},
};

static PyMemberDef message_members[] = {
    {"data", T_OBJECT_EX, offsetof(struct message, data), READONLY,
     PYWSC_DOC_TEXT_MESSAGE_DATA},
    {"fin", T_BOOL, offsetof(struct message, fin), READONLY,
     PYWSC_DOC_TEXT_MESSAGE_FIN},
    {"compressed", T_BOOL, offsetof(struct message, compressed), READONLY,
     PYWSC_DOC_TEXT_MESSAGE_COMPRESSED},
    {NULL},
};

#define MESSAGE_SLOTS(doc)                                                             \
    {Py_tp_doc, (void *)(doc)}, {Py_tp_new, message_new},                              \
        {Py_tp_dealloc, message_dealloc}, {Py_tp_repr, message_repr},                  \
        {Py_tp_richcompare, message_compare}, {Py_tp_hash, message_hash},              \
        {Py_tp_methods, message_methods}, {Py_tp_members, message_members},            \
    {                                                                                  \
        0, NULL                                                                        \
    }

static PyType_Slot text_slots[] = {MESSAGE_SLOTS(PYWSC_DOC_TEXT_MESSAGE)};
static PyType_Slot binary_slots[] = {MESSAGE_SLOTS(PYWSC_DOC_BINARY_MESSAGE)};

/* --- Ping, Pong --- */

static PyObject *control_alloc(PyTypeObject *type, PyObject *data)
{
    if (data == NULL) {
        return NULL;
    }
    struct control *self = (struct control *)type->tp_alloc(type, 0);
    if (self == NULL) {
        Py_DECREF(data);
        return NULL;
    }
    self->data = data;
    return (PyObject *)self;
}

PyObject *pywsc_ping_event(struct pywsc_state *state, const uint8_t *data, size_t len)
{
    return control_alloc(
        state->ping, PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)len));
}

PyObject *pywsc_pong_event(struct pywsc_state *state, const uint8_t *data, size_t len)
{
    return control_alloc(
        state->pong, PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)len));
}

static PyObject *control_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"data", NULL};
    PyObject *data;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O", keywords, &data)) {
        return NULL;
    }
    if (!PyObject_CheckBuffer(data)) {
        return PyErr_Format(PyExc_TypeError, "data must be bytes, not %.100s",
                            Py_TYPE(data)->tp_name);
    }
    return control_alloc(type, PyBytes_FromObject(data));
}

static void control_dealloc(PyObject *self)
{
    Py_XDECREF(((struct control *)self)->data);
    pywsc_free(self);
}

static PyObject *control_repr(PyObject *self)
{
    return PyUnicode_FromFormat("%s(%R)", _PyType_Name(Py_TYPE(self)),
                                ((struct control *)self)->data);
}

static PyObject *control_compare(PyObject *self, PyObject *other, int op)
{
    if (Py_TYPE(self) != Py_TYPE(other) || (op != Py_EQ && op != Py_NE)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    return PyObject_RichCompare(((struct control *)self)->data,
                                ((struct control *)other)->data, op);
}

static Py_hash_t control_hash(PyObject *self)
{
    return PyObject_Hash(((struct control *)self)->data);
}

static PyObject *control_getnewargs(PyObject *self, PyObject *unused)
{
    (void)unused;
    return PyTuple_Pack(1, ((struct control *)self)->data);
}

static PyMethodDef control_methods[] = {
    {"__getnewargs__", control_getnewargs, METH_NOARGS, NULL},
    {NULL},
};

static PyMemberDef control_members[] = {
    {"data", T_OBJECT_EX, offsetof(struct control, data), READONLY,
     PYWSC_DOC_PING_DATA},
    {NULL},
};

#define CONTROL_SLOTS(doc)                                                             \
    {Py_tp_doc, (void *)(doc)}, {Py_tp_new, control_new},                              \
        {Py_tp_dealloc, control_dealloc}, {Py_tp_repr, control_repr},                  \
        {Py_tp_richcompare, control_compare}, {Py_tp_hash, control_hash},              \
        {Py_tp_methods, control_methods}, {Py_tp_members, control_members},            \
    {                                                                                  \
        0, NULL                                                                        \
    }

static PyType_Slot ping_slots[] = {CONTROL_SLOTS(PYWSC_DOC_PING)};
static PyType_Slot pong_slots[] = {CONTROL_SLOTS(PYWSC_DOC_PONG)};

/* --- Close --- */

static PyObject *close_alloc(PyTypeObject *type, int code, PyObject *reason)
{
    if (reason == NULL) {
        return NULL;
    }
    struct close_event *self = (struct close_event *)type->tp_alloc(type, 0);
    if (self == NULL) {
        Py_DECREF(reason);
        return NULL;
    }
    self->code = code;
    self->reason = reason;
    return (PyObject *)self;
}

PyObject *pywsc_close_event(struct pywsc_state *state, const struct wsc_close *close)
{
    return close_alloc(state->close, close->code,
                       PyUnicode_DecodeUTF8(close->reason, close->reason_len, NULL));
}

static PyObject *close_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"code", "reason", NULL};
    int code;
    PyObject *reason = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "i|U", keywords, &code, &reason)) {
        return NULL;
    }
    return close_alloc(type, code,
                       reason != NULL ? PyUnicode_FromObject(reason)
                                      : PyUnicode_New(0, 0));
}

static void close_dealloc(PyObject *self)
{
    Py_XDECREF(((struct close_event *)self)->reason);
    pywsc_free(self);
}

static PyObject *close_repr(PyObject *self)
{
    struct close_event *close = (struct close_event *)self;
    return PyUnicode_FromFormat("Close(code=%d, reason=%R)", close->code,
                                close->reason);
}

static PyObject *close_str(PyObject *self)
{
    return PyObject_CallOneArg(
        pywsc_type_state(Py_TYPE(self))->objects[PYWSC_DESCRIBE_CLOSE], self);
}

static PyObject *close_compare(PyObject *self, PyObject *other, int op)
{
    if (Py_TYPE(self) != Py_TYPE(other) || (op != Py_EQ && op != Py_NE)) {
        Py_RETURN_NOTIMPLEMENTED;
    }
    struct close_event *a = (struct close_event *)self;
    struct close_event *b = (struct close_event *)other;
    return compare(op, a->code == b->code
                           ? PyObject_RichCompareBool(a->reason, b->reason, Py_EQ)
                           : 0);
}

static Py_hash_t close_hash(PyObject *self)
{
    Py_hash_t hash = PyObject_Hash(((struct close_event *)self)->reason);
    hash ^= ((struct close_event *)self)->code;
    return hash == -1 ? -2 : hash;
}

static PyObject *close_getnewargs(PyObject *self, PyObject *unused)
{
    struct close_event *close = (struct close_event *)self;
    (void)unused;
    return Py_BuildValue("(iO)", close->code, close->reason);
}

static PyMethodDef close_methods[] = {
    {"__getnewargs__", close_getnewargs, METH_NOARGS, NULL},
    {NULL},
};

static PyMemberDef close_members[] = {
    {"code", T_INT, offsetof(struct close_event, code), READONLY, PYWSC_DOC_CLOSE_CODE},
    {"reason", T_OBJECT_EX, offsetof(struct close_event, reason), READONLY,
     PYWSC_DOC_CLOSE_REASON},
    {NULL},
};

static PyType_Slot close_slots[] = {
    {Py_tp_doc, PYWSC_DOC_CLOSE},   {Py_tp_new, close_new},
    {Py_tp_dealloc, close_dealloc}, {Py_tp_repr, close_repr},
    {Py_tp_str, close_str},         {Py_tp_richcompare, close_compare},
    {Py_tp_hash, close_hash},       {Py_tp_methods, close_methods},
    {Py_tp_members, close_members}, {0, NULL},
};

/* --- types --- */

static PyTypeObject *add_event(PyObject *module, const char *name, int size,
                               PyType_Slot *slots, PyObject *match_args)
{
    PyType_Spec spec = {
        .name = name,
        .basicsize = size,
        .flags = Py_TPFLAGS_DEFAULT,
        .slots = slots,
    };
    PyTypeObject *type = pywsc_add_type(module, &spec, NULL);
    if (type != NULL &&
        PyObject_SetAttrString((PyObject *)type, "__match_args__", match_args) < 0) {
        Py_CLEAR(type);
    }
    if (type != NULL) {
        type->tp_flags |= Py_TPFLAGS_IMMUTABLETYPE;
    }
    return type;
}

int pywsc_events_init(PyObject *module, struct pywsc_state *state)
{
    PyObject *data = Py_BuildValue("(s)", "data");
    PyObject *code_reason = Py_BuildValue("(ss)", "code", "reason");
    if (data != NULL && code_reason != NULL) {
        int message_size = (int)sizeof(struct message);
        int control_size = (int)sizeof(struct control);
        int close_size = (int)sizeof(struct close_event);
        state->text_message =
            add_event(module, "pywscore.TextMessage", message_size, text_slots, data);
        state->binary_message = add_event(module, "pywscore.BinaryMessage",
                                          message_size, binary_slots, data);
        state->ping =
            add_event(module, "pywscore.Ping", control_size, ping_slots, data);
        state->pong =
            add_event(module, "pywscore.Pong", control_size, pong_slots, data);
        state->close =
            add_event(module, "pywscore.Close", close_size, close_slots, code_reason);
    }
    Py_XDECREF(data);
    Py_XDECREF(code_reason);
    return state->text_message != NULL && state->binary_message != NULL &&
                   state->ping != NULL && state->pong != NULL && state->close != NULL
               ? 0
               : -1;
}

#include "protocol/protocol_type.h"

#include "common/config.h"
#include "common/docs.h"
#include "protocol/attributes.h"
#include "protocol/client.h"
#include "protocol/output.h"
#include "protocol/protocol.h"
#include "protocol/receive.h"
#include "protocol/send.h"
#include "protocol/server.h"

/* Protocol, what ServerProtocol and ClientProtocol have in common: its life and the
 * table of its methods, which are in receive.c, send.c and output.c. */

static PyObject *protocol_init_subclass(PyObject *cls, PyObject *args, PyObject *kwargs)
{
    struct pywsc_state *state = pywsc_type_state((PyTypeObject *)cls);
    PyObject *types = PyTuple_Pack(2, (PyObject *)state->protocol, cls);
    (void)args;
    if (types == NULL) {
        return NULL;
    }
    PyObject *result =
        PyObject_Call(state->objects[PYWSC_INIT_SUBCLASS], types, kwargs);
    Py_DECREF(types);
    return result;
}

static PyMethodDef protocol_methods[] = {
    {"__init_subclass__", PYWSC_FUNCTION(protocol_init_subclass),
     METH_CLASS | METH_VARARGS | METH_KEYWORDS, NULL},
    {"receive_data", pywsc_protocol_receive_data, METH_O,
     PYWSC_DOC_PROTOCOL_RECEIVE_DATA},
    {"receive_eof", pywsc_protocol_receive_eof, METH_NOARGS,
     PYWSC_DOC_PROTOCOL_RECEIVE_EOF},
    {"next_event", pywsc_protocol_next_event, METH_NOARGS,
     PYWSC_DOC_PROTOCOL_NEXT_EVENT},
    {"events", pywsc_protocol_events, METH_NOARGS, PYWSC_DOC_PROTOCOL_EVENTS},
    {"data_to_send", pywsc_protocol_data_to_send, METH_NOARGS,
     PYWSC_DOC_PROTOCOL_DATA_TO_SEND},
    {"buffers_to_send", pywsc_protocol_buffers_to_send, METH_NOARGS,
     PYWSC_DOC_PROTOCOL_BUFFERS_TO_SEND},
    {"send_text", PYWSC_FUNCTION(pywsc_protocol_send_text),
     METH_FASTCALL | METH_KEYWORDS, PYWSC_DOC_PROTOCOL_SEND_TEXT},
    {"send_binary", PYWSC_FUNCTION(pywsc_protocol_send_binary),
     METH_FASTCALL | METH_KEYWORDS, PYWSC_DOC_PROTOCOL_SEND_BINARY},
    {"send_continuation", PYWSC_FUNCTION(pywsc_protocol_send_continuation),
     METH_FASTCALL | METH_KEYWORDS, PYWSC_DOC_PROTOCOL_SEND_CONTINUATION},
    {"send_ping", PYWSC_FUNCTION(pywsc_protocol_send_ping), METH_FASTCALL,
     PYWSC_DOC_PROTOCOL_SEND_PING},
    {"send_pong", PYWSC_FUNCTION(pywsc_protocol_send_pong), METH_FASTCALL,
     PYWSC_DOC_PROTOCOL_SEND_PONG},
    {"send_close", PYWSC_FUNCTION(pywsc_protocol_send_close),
     METH_VARARGS | METH_KEYWORDS, PYWSC_DOC_PROTOCOL_SEND_CLOSE},
    {"fail", PYWSC_FUNCTION(pywsc_protocol_fail), METH_VARARGS | METH_KEYWORDS,
     PYWSC_DOC_PROTOCOL_FAIL},
    {NULL},
};

/* --- life --- */

static PyObject *protocol_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    struct pywsc_state *state = pywsc_type_state(type);
    (void)args;
    (void)kwargs;
    if (type == state->protocol) {
        PyErr_SetString(PyExc_TypeError, "use ServerProtocol or ClientProtocol");
        return NULL;
    }
    return type->tp_alloc(type, 0);
}

static int protocol_traverse(PyObject *op, visitproc visit, void *arg)
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->compression);
    Py_VISIT(self->subprotocol);
    Py_VISIT(self->request);
    Py_VISIT(self->handshake_exception);
    return 0;
}

static int protocol_clear(PyObject *op)
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    Py_CLEAR(self->compression);
    Py_CLEAR(self->subprotocol);
    Py_CLEAR(self->request);
    Py_CLEAR(self->handshake_exception);
    return 0;
}

static void protocol_dealloc(PyObject *op)
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    PyObject_GC_UnTrack(op);
    (void)protocol_clear(op);
    if (self->initialized) {
        wsc_conn_fini(&self->conn);
    }
    pywsc_config_release(self->config);
    Py_CLEAR(self->input);
    Py_CLEAR(self->more_input);
    pywsc_free(op);
}

static PyType_Slot protocol_slots[] = {
    {Py_tp_doc, PYWSC_DOC_PROTOCOL},
    {Py_tp_new, protocol_new},
    {Py_tp_dealloc, protocol_dealloc},
    {Py_tp_traverse, protocol_traverse},
    {Py_tp_clear, protocol_clear},
    {Py_tp_repr, pywsc_protocol_repr},
    {Py_tp_methods, protocol_methods},
    {Py_tp_getset, pywsc_protocol_getset},
    {0, NULL},
};

static PyType_Spec protocol_spec = {
    .name = "pywscore._core.Protocol",
    .basicsize = sizeof(struct pywsc_protocol),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = protocol_slots,
};

int pywsc_protocol_init(PyObject *module, struct pywsc_state *state)
{
    if (pywsc_protocol_receive_init(module, state) < 0) {
        return -1;
    }
    state->protocol = pywsc_add_type(module, &protocol_spec, NULL);
    if (state->protocol == NULL) {
        return -1;
    }
    if (pywsc_protocol_server_init(module, state) < 0) {
        return -1;
    }
    return pywsc_protocol_client_init(module, state);
}

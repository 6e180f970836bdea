#include "protocol/protocol_type.h"

#include "common/config.h"
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
     PyDoc_STR(
         "receive_data($self, data, /)\n--\n\n"
         "Give bytes that came from the peer, in any pieces. Never raises for what "
         "the peer sent: see state, error and data_to_send().")},
    {"receive_eof", pywsc_protocol_receive_eof, METH_NOARGS,
     PyDoc_STR("receive_eof($self)\n--\n\nThe peer ended TCP, or it broke.")},
    {"next_event", pywsc_protocol_next_event, METH_NOARGS,
     PyDoc_STR("next_event($self)\n--\n\n"
               "The next event, or None while more bytes are needed.")},
    {"events", pywsc_protocol_events, METH_NOARGS,
     PyDoc_STR(
         "events($self)\n--\n\nIterate over events until more bytes are needed.")},
    {"data_to_send", pywsc_protocol_data_to_send, METH_NOARGS,
     PyDoc_STR("data_to_send($self)\n--\n\n"
               "Everything to be sent to the peer now; b'' if nothing.")},
    {"buffers_to_send", pywsc_protocol_buffers_to_send, METH_NOARGS,
     PyDoc_STR("buffers_to_send($self)\n--\n\n"
               "data_to_send() as a list, large payloads by reference.")},
    {"send_text", PYWSC_FUNCTION(pywsc_protocol_send_text),
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("send_text($self, data, /, *, fin=True, compress=None)\n--\n\n"
               "Queue a text message (str, or bytes that are UTF-8), or with fin=False "
               "its first fragment.")},
    {"send_binary", PYWSC_FUNCTION(pywsc_protocol_send_binary),
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("send_binary($self, data, /, *, fin=True, compress=None)\n--\n\n"
               "Queue a binary message, or with fin=False its first fragment.")},
    {"send_continuation", PYWSC_FUNCTION(pywsc_protocol_send_continuation),
     METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("send_continuation($self, data, /, *, fin=True)\n--\n\n"
               "Queue the next fragment of the message.")},
    {"send_ping", PYWSC_FUNCTION(pywsc_protocol_send_ping), METH_FASTCALL,
     PyDoc_STR("send_ping($self, data=b'', /)\n--\n\nQueue a ping.")},
    {"send_pong", PYWSC_FUNCTION(pywsc_protocol_send_pong), METH_FASTCALL,
     PyDoc_STR("send_pong($self, data=b'', /)\n--\n\nQueue an unsolicited pong.")},
    {"send_close", PYWSC_FUNCTION(pywsc_protocol_send_close),
     METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("send_close($self, code=None, reason='')\n--\n\n"
               "Start the closing handshake; does nothing when it has begun. "
               "Without a code the frame is empty.")},
    {"fail", PYWSC_FUNCTION(pywsc_protocol_fail), METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("fail($self, code, reason='')\n--\n\n"
               "Fail the connection (RFC 6455 §7.1.7).")},
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
    {Py_tp_doc, PyDoc_STR("One end of a WebSocket connection, without I/O.")},
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

#include "protocol/attributes.h"

#include "common/config.h"
#include "common/docs.h"
#include "protocol/options.h"
#include "values/errors.h"
#include "values/events.h"

static PyObject *get_is_server(PyObject *op, void *closure)
{
    const struct pywsc_config *config = ((struct pywsc_protocol *)op)->config;
    (void)closure;
    return PyBool_FromLong(config == NULL || config->core.role == WSC_ROLE_SERVER);
}

static PyObject *get_state_lock_held(PyObject *op)
{
    struct pywsc_state *state = pywsc_type_state(Py_TYPE(op));
    return Py_NewRef(state->states[((struct pywsc_protocol *)op)->conn.state]);
}
PYWSC_PROTOCOL_GETTER(get_state)

PyObject *pywsc_protocol_get_state(PyObject *op, void *closure)
{
    return get_state(op, closure);
}

PyObject *pywsc_protocol_repr(PyObject *op)
{
    static const char *const names[] = {
        [WSC_CONN_CONNECTING] = "CONNECTING",
        [WSC_CONN_OPEN] = "OPEN",
        [WSC_CONN_CLOSING] = "CLOSING",
        [WSC_CONN_CLOSED] = "CLOSED",
    };
    enum wsc_conn_state state;
    Py_BEGIN_CRITICAL_SECTION(op);
    state = ((struct pywsc_protocol *)op)->conn.state;
    Py_END_CRITICAL_SECTION();
    PyObject *type = PyType_GetName(Py_TYPE(op));
    PyObject *text =
        type == NULL ? NULL
                     : PyUnicode_FromFormat("<%U %s at %p>", type, names[state], op);
    Py_XDECREF(type);
    return text;
}

/* The received code; 1006 when TCP ended without one; None before. */
PyObject *pywsc_protocol_close_code(const struct pywsc_protocol *self)
{
    const struct wsc_conn *conn = &self->conn;
    if (conn->received != NULL) {
        return PyLong_FromLong(conn->received->code);
    }
    if (conn->state == WSC_CONN_CLOSED) {
        return PyLong_FromLong(WSC_CLOSE_ABNORMAL_CLOSURE);
    }
    Py_RETURN_NONE;
}

static PyObject *get_close_code_lock_held(PyObject *op)
{
    return pywsc_protocol_close_code((const struct pywsc_protocol *)op);
}
PYWSC_PROTOCOL_GETTER(get_close_code)

PyObject *pywsc_protocol_close_reason(const struct pywsc_protocol *self)
{
    const struct wsc_conn *conn = &self->conn;
    if (conn->received != NULL) {
        return PyUnicode_DecodeUTF8(conn->received->reason, conn->received->reason_len,
                                    NULL);
    }
    if (conn->state == WSC_CONN_CLOSED) {
        return PyUnicode_New(0, 0);
    }
    Py_RETURN_NONE;
}

static PyObject *get_close_reason_lock_held(PyObject *op)
{
    return pywsc_protocol_close_reason((const struct pywsc_protocol *)op);
}
PYWSC_PROTOCOL_GETTER(get_close_reason)

static PyObject *get_close_received_lock_held(PyObject *op)
{
    const struct wsc_conn *conn = &((struct pywsc_protocol *)op)->conn;
    if (conn->received == NULL) {
        Py_RETURN_NONE;
    }
    return pywsc_close_event(pywsc_type_state(Py_TYPE(op)), conn->received);
}
PYWSC_PROTOCOL_GETTER(get_close_received)

static PyObject *get_close_sent_lock_held(PyObject *op)
{
    const struct wsc_conn *conn = &((struct pywsc_protocol *)op)->conn;
    if (conn->sent == NULL) {
        Py_RETURN_NONE;
    }
    return pywsc_close_event(pywsc_type_state(Py_TYPE(op)), conn->sent);
}
PYWSC_PROTOCOL_GETTER(get_close_sent)

static PyObject *get_close_received_then_sent_lock_held(PyObject *op)
{
    const struct wsc_conn *conn = &((struct pywsc_protocol *)op)->conn;
    if (conn->received == NULL || conn->sent == NULL) {
        Py_RETURN_NONE;
    }
    return PyBool_FromLong(conn->close_received_first);
}
PYWSC_PROTOCOL_GETTER(get_close_received_then_sent)

static PyObject *get_close_exception_lock_held(PyObject *op)
{
    return pywsc_close_exception(pywsc_type_state(Py_TYPE(op)),
                                 &((struct pywsc_protocol *)op)->conn);
}
PYWSC_PROTOCOL_GETTER(get_close_exception)

static PyObject *get_close_expected_lock_held(PyObject *op)
{
    return PyBool_FromLong(((struct pywsc_protocol *)op)->conn.end_expected);
}
PYWSC_PROTOCOL_GETTER(get_close_expected)

static PyObject *get_error_lock_held(PyObject *op)
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    if (self->handshake_exception != NULL && self->conn.error == WSC_ERR_HANDSHAKE) {
        return Py_NewRef(self->handshake_exception);
    }
    return pywsc_error(pywsc_type_state(Py_TYPE(op)), &self->conn);
}
PYWSC_PROTOCOL_GETTER(get_error)

static PyObject *get_handshake_exception_lock_held(PyObject *op)
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    return Py_NewRef(self->handshake_exception != NULL ? self->handshake_exception
                                                       : Py_None);
}
PYWSC_PROTOCOL_GETTER(get_handshake_exception)

static PyObject *get_subprotocol_lock_held(PyObject *op)
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    return Py_NewRef(self->subprotocol != NULL ? self->subprotocol : Py_None);
}
PYWSC_PROTOCOL_GETTER(get_subprotocol)

static PyObject *get_compression_lock_held(PyObject *op)
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    if (self->compression == NULL) {
        return pywsc_protocol_agreed_compression(pywsc_type_state(Py_TYPE(op)), self);
    }
    return Py_NewRef(self->compression);
}
PYWSC_PROTOCOL_GETTER(get_compression)

static PyObject *get_extensions(PyObject *op, void *closure)
{
    PyObject *agreed = get_compression(op, closure);
    if (agreed != Py_None) {
        return agreed == NULL ? NULL : Py_BuildValue("[N]", agreed);
    }
    Py_DECREF(agreed);
    return PyList_New(0);
}

static PyObject *get_max_size(PyObject *op, void *closure)
{
    const struct pywsc_config *config = ((struct pywsc_protocol *)op)->config;
    (void)closure;
    size_t max_size = config == NULL ? 0 : config->core.max_size;
    if (max_size == WSC_MESSAGE_SIZE_MAX) {
        Py_RETURN_NONE;
    }
    return PyLong_FromSize_t(max_size);
}

PyGetSetDef pywsc_protocol_getset[] = {
    {"is_server", get_is_server, NULL, PYWSC_DOC_PROTOCOL_IS_SERVER, NULL},
    {"state", get_state, NULL, PYWSC_DOC_PROTOCOL_STATE, NULL},
    {"close_code", get_close_code, NULL, PYWSC_DOC_PROTOCOL_CLOSE_CODE, NULL},
    {"close_reason", get_close_reason, NULL, PYWSC_DOC_PROTOCOL_CLOSE_REASON, NULL},
    {"close_received", get_close_received, NULL, PYWSC_DOC_PROTOCOL_CLOSE_RECEIVED,
     NULL},
    {"close_sent", get_close_sent, NULL, PYWSC_DOC_PROTOCOL_CLOSE_SENT, NULL},
    {"close_received_then_sent", get_close_received_then_sent, NULL,
     PYWSC_DOC_PROTOCOL_CLOSE_RECEIVED_THEN_SENT, NULL},
    {"close_exception", get_close_exception, NULL, PYWSC_DOC_PROTOCOL_CLOSE_EXCEPTION,
     NULL},
    {"close_expected", get_close_expected, NULL, PYWSC_DOC_PROTOCOL_CLOSE_EXPECTED,
     NULL},
    {"error", get_error, NULL, PYWSC_DOC_PROTOCOL_ERROR, NULL},
    {"handshake_exception", get_handshake_exception, NULL,
     PYWSC_DOC_PROTOCOL_HANDSHAKE_EXCEPTION, NULL},
    {"subprotocol", get_subprotocol, NULL, PYWSC_DOC_PROTOCOL_SUBPROTOCOL, NULL},
    {"compression", get_compression, NULL, PYWSC_DOC_PROTOCOL_COMPRESSION, NULL},
    {"extensions", get_extensions, NULL, PYWSC_DOC_PROTOCOL_EXTENSIONS, NULL},
    {"max_size", get_max_size, NULL, PYWSC_DOC_PROTOCOL_MAX_SIZE, NULL},
    /* The names in websockets. */
    {"close_rcvd", get_close_received, NULL, PYWSC_DOC_PROTOCOL_CLOSE_RCVD, NULL},
    {"close_rcvd_then_sent", get_close_received_then_sent, NULL,
     PYWSC_DOC_PROTOCOL_CLOSE_RCVD_THEN_SENT, NULL},
    {"close_exc", get_close_exception, NULL, PYWSC_DOC_PROTOCOL_CLOSE_EXC, NULL},
    {"handshake_exc", get_handshake_exception, NULL, PYWSC_DOC_PROTOCOL_HANDSHAKE_EXC,
     NULL},
    {NULL},
};

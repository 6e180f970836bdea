#include "values/errors.h"

#include "values/events.h"
#include "values/heads.h"

/* --- statuses of our own calls --- */

PyObject *pywsc_raise(struct pywsc_state *state, enum wsc_status status)
{
    switch (status) {
    case WSC_ERR_NO_MEMORY:
        return PyErr_NoMemory();
    case WSC_ERR_INVALID_ARGUMENT:
        PyErr_SetString(PyExc_ValueError, "invalid argument");
        break;
    case WSC_ERR_INVALID_STATE:
        PyErr_SetString(state->objects[PYWSC_INVALID_STATE],
                        "not allowed in this state of the connection");
        break;
    case WSC_ERR_TOO_BIG:
        PyErr_SetString(PyExc_OverflowError, "too big");
        break;
    case WSC_ERR_RANDOM:
        PyErr_SetString(PyExc_OSError, "the system gave no random bytes");
        break;
    case WSC_ERR_IO:
        (void)PyErr_SetFromErrno(PyExc_OSError);
        break;
    case WSC_OK:
    case WSC_NEED_DATA:
    case WSC_NEED_SPACE:
    case WSC_ERR_PROTOCOL:
    case WSC_ERR_UTF8:
    case WSC_ERR_POLICY:
    case WSC_ERR_HANDSHAKE:
        PyErr_SetString(PyExc_RuntimeError, wsc_status_name(status));
        break;
    }
    return NULL;
}

/* --- how a connection ended --- */

PyObject *pywsc_error(struct pywsc_state *state, const struct wsc_conn *conn)
{
    const char *reason = conn->error_reason;
    switch (conn->error) {
    case WSC_ERR_PROTOCOL:
    case WSC_ERR_POLICY:
        return PyObject_CallFunction(state->objects[PYWSC_PROTOCOL_ERROR], "s", reason);
    case WSC_ERR_UTF8:
        return PyObject_CallFunction(PyExc_UnicodeDecodeError, "sy#nns", "utf-8", "",
                                     (Py_ssize_t)0, (Py_ssize_t)0, (Py_ssize_t)0,
                                     reason);
    case WSC_ERR_TOO_BIG: {
        char text[WSC_CLOSE_REASON_MAX];
        size_t len = wsc_conn_describe_error(conn, text);
        return PyObject_CallFunction(state->objects[PYWSC_PAYLOAD_TOO_BIG], "s#n", text,
                                     (Py_ssize_t)len,
                                     (Py_ssize_t)wsc_conn_max_size(conn));
    }
    case WSC_ERR_NO_MEMORY:
        return PyObject_CallNoArgs(PyExc_MemoryError);
    case WSC_ERR_RANDOM:
        return PyObject_CallFunction(PyExc_OSError, "s", reason);
    case WSC_ERR_HANDSHAKE:
        return pywsc_handshake_exception(state, conn);
    case WSC_OK:
    case WSC_NEED_DATA:
    case WSC_NEED_SPACE:
    case WSC_ERR_INVALID_ARGUMENT:
    case WSC_ERR_INVALID_STATE:
    case WSC_ERR_IO:
        break;
    }
    Py_RETURN_NONE;
}

/* RFC 6455 §7.4.1: both ends are content. */
static bool is_normal(const struct wsc_close *close)
{
    return close->code == WSC_CLOSE_NORMAL_CLOSURE ||
           close->code == WSC_CLOSE_GOING_AWAY ||
           close->code == WSC_CLOSE_NO_STATUS_RCVD;
}

static PyObject *close_or_none(struct pywsc_state *state, const struct wsc_close *close)
{
    if (close == NULL) {
        Py_RETURN_NONE;
    }
    return pywsc_close_event(state, close);
}

PyObject *pywsc_close_exception(struct pywsc_state *state, const struct wsc_conn *conn)
{
    bool both = conn->received != NULL && conn->sent != NULL;
    bool ok = both && is_normal(conn->received) && is_normal(conn->sent);
    PyObject *type =
        state->objects[ok ? PYWSC_CONNECTION_CLOSED_OK : PYWSC_CONNECTION_CLOSED_ERROR];
    PyObject *received = close_or_none(state, conn->received);
    PyObject *sent = close_or_none(state, conn->sent);
    PyObject *order =
        both ? (conn->close_received_first ? Py_True : Py_False) : Py_None;
    PyObject *exception = NULL;
    if (received != NULL && sent != NULL) {
        exception = PyObject_CallFunctionObjArgs(type, received, sent, order, NULL);
    }
    Py_XDECREF(received);
    Py_XDECREF(sent);
    if (exception != NULL && conn->error != WSC_OK) {
        PyObject *cause = pywsc_error(state, conn);
        if (cause == NULL) {
            Py_CLEAR(exception);
        }
        else if (cause == Py_None) {
            Py_DECREF(cause);
        }
        else {
            PyException_SetCause(exception, cause);
        }
    }
    return exception;
}

/* --- why an opening handshake failed --- */

static PyObject *header_value(const struct wsc_handshake_failure *failure)
{
    if (failure->value.data == NULL) {
        Py_RETURN_NONE;
    }
    return pywsc_header_text(failure->value);
}

static PyObject *header_exception(struct pywsc_state *state, enum pywsc_object type,
                                  const struct wsc_handshake_failure *failure)
{
    PyObject *value = header_value(failure);
    if (value == NULL) {
        return NULL;
    }
    return PyObject_CallFunction(state->objects[type], "sN",
                                 failure->header != NULL ? failure->header : "", value);
}

static PyObject *extension_exception(struct pywsc_state *state,
                                     const struct wsc_handshake_failure *failure,
                                     const struct wsc_handshake_answer *answer)
{
    PyObject *value = header_value(failure);
    PyObject *exception = NULL;
    if (value == NULL) {
        return NULL;
    }
    switch (answer != NULL ? answer->extension_error : WSC_EXTENSION_GRAMMAR) {
    case WSC_EXTENSION_UNKNOWN:
    case WSC_EXTENSION_DUPLICATE:
    case WSC_EXTENSION_NOT_AGREED: {
        PyObject *message = PyUnicode_FromFormat("Sec-WebSocket-Extensions: %s (%A)",
                                                 failure->reason, value);
        if (message != NULL) {
            exception =
                PyObject_CallOneArg(state->objects[PYWSC_NEGOTIATION_ERROR], message);
            Py_DECREF(message);
        }
        break;
    }
    case WSC_EXTENSION_UNKNOWN_PARAMETER:
        exception =
            PyObject_CallOneArg(state->objects[PYWSC_INVALID_PARAMETER_NAME], value);
        break;
    case WSC_EXTENSION_DUPLICATE_PARAMETER:
        exception =
            PyObject_CallOneArg(state->objects[PYWSC_DUPLICATE_PARAMETER], value);
        break;
    case WSC_EXTENSION_PARAMETER_VALUE:
        exception = PyObject_CallFunction(state->objects[PYWSC_INVALID_PARAMETER_VALUE],
                                          "sO", "permessage-deflate", value);
        break;
    case WSC_EXTENSION_OK:
    case WSC_EXTENSION_GRAMMAR:
        exception = header_exception(state, PYWSC_INVALID_HEADER, failure);
        break;
    }
    Py_DECREF(value);
    return exception;
}

static PyObject *
status_exception(struct pywsc_state *state, const struct wsc_conn *conn)
{
    PyObject *response = pywsc_response_new(state, conn);
    if (response == NULL) {
        return NULL;
    }
    return PyObject_CallFunction(state->objects[PYWSC_INVALID_STATUS], "N", response);
}

static enum pywsc_object
head_exception(const struct wsc_conn *conn, const struct wsc_handshake_failure *failure)
{
    if (failure->status != 414) { /* RFC 9110 §15.5.15 */
        return PYWSC_INVALID_MESSAGE;
    }
    return wsc_conn_role(conn) == WSC_ROLE_SERVER ? PYWSC_REQUEST_LINE_TOO_LONG
                                                  : PYWSC_STATUS_LINE_TOO_LONG;
}

PyObject *
pywsc_handshake_exception(struct pywsc_state *state, const struct wsc_conn *conn)
{
    const struct wsc_handshake_failure *failure = wsc_conn_failure(conn);
    if (failure == NULL) {
        Py_RETURN_NONE;
    }
    switch (failure->error) {
    case WSC_HANDSHAKE_METHOD:
        return PyObject_CallFunction(state->objects[PYWSC_INVALID_METHOD], "N",
                                     pywsc_header_text(wsc_conn_head(conn)->method));
    case WSC_HANDSHAKE_HTTP_VERSION: {
        const struct wsc_http_head *head = wsc_conn_head(conn);
        return PyObject_CallFunction(
            state->objects[PYWSC_INVALID_PROTOCOL], "N",
            PyUnicode_FromFormat("HTTP/%d.%d", head->major, head->minor));
    }
    case WSC_HANDSHAKE_HEAD:
        return PyObject_CallFunction(state->objects[head_exception(conn, failure)], "s",
                                     failure->reason);
    case WSC_HANDSHAKE_UPGRADE:
    case WSC_HANDSHAKE_CONNECTION:
        return header_exception(state, PYWSC_INVALID_UPGRADE, failure);
    case WSC_HANDSHAKE_KEY:
    case WSC_HANDSHAKE_VERSION:
    case WSC_HANDSHAKE_ACCEPT:
        if (failure->value.data != NULL) {
            return header_exception(state, PYWSC_INVALID_HEADER_VALUE, failure);
        }
        return header_exception(state, PYWSC_INVALID_HEADER, failure);
    case WSC_HANDSHAKE_HOST:
    case WSC_HANDSHAKE_BODY:
    case WSC_HANDSHAKE_ORIGIN:
        return header_exception(state, PYWSC_INVALID_HEADER, failure);
    case WSC_HANDSHAKE_PROTOCOL:
        return wsc_conn_role(conn) == WSC_ROLE_SERVER
                   ? header_exception(state, PYWSC_INVALID_HEADER, failure)
                   : PyObject_CallFunction(state->objects[PYWSC_NEGOTIATION_ERROR], "s",
                                           failure->reason);
    case WSC_HANDSHAKE_EXTENSIONS:
        return extension_exception(
            state, failure,
            wsc_conn_role(conn) == WSC_ROLE_CLIENT ? wsc_conn_answer(conn) : NULL);
    case WSC_HANDSHAKE_STATUS:
        return status_exception(state, conn);
    case WSC_HANDSHAKE_OK:
        break;
    }
    return PyObject_CallFunction(state->objects[PYWSC_INVALID_HANDSHAKE], "s",
                                 failure->reason);
}

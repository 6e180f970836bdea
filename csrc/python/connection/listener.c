#include "connection/listener.h"

#include "common/raised.h"
#include "connection/output.h"
#include "connection/steps.h"
#include "protocol/attributes.h"

/* What a listener has besides on_message. */
enum {
    ON_PING = 1 << 0,
    ON_PONG = 1 << 1,
    ON_CLOSE = 1 << 2,
    ON_DRAINED = 1 << 3,
};

/* An exception is set: it goes to the log and the connection is closed. -1 when it is
 * one that has to leave. */
static int failed(struct pywsc_connection *self)
{
    if (pywsc_raised_leaves()) {
        return -1;
    }
    PyObject *value = pywsc_take_raised();
    /* From now on it hears of the end only. */
    self->ended.messages = true;
    self->listens &= ON_CLOSE;
    /* This looks at the state that the listener met. */
    int result = pywsc_connection_hook(self, PYWSC_NAME_ON_LISTENER_FAILED, value);
    if (wsc_conn_send_close(&self->protocol->conn, WSC_CLOSE_INTERNAL_ERROR, NULL, 0) !=
        WSC_OK) {
        pywsc_connection_fail_internally(self);
    }
    return result;
}

/* listener.name(ws, ...): `args` has room for the listener and the connection in
 * front of the `count` that are given. */
static int
call(struct pywsc_connection *self, enum pywsc_name name, PyObject **args, size_t count)
{
    PyObject *first = NULL;
    pywsc_connection_next_step(self);
    /* Code of the transport's may run, which ends it all or raises: no message is lost
     * by the latter. */
    pywsc_keep_first(&first, pywsc_connection_write_before_step(self),
                     (PyObject *)self);
    if (self->listener == NULL) {
        return pywsc_raise_first(first);
    }
    /* The user may let go of everything meanwhile. */
    PyObject *listener = Py_NewRef(self->listener);
    args[0] = listener;
    args[1] = (PyObject *)self;
    PyObject *result =
        PyObject_VectorcallMethod(self->state->names[name], args, count + 2, NULL);
    Py_DECREF(listener);
    Py_XDECREF(result);
    pywsc_keep_first(&first, result == NULL ? failed(self) : 0, (PyObject *)self);
    return pywsc_raise_first(first);
}

/* Takes `arg` (NULL: an exception is set). */
static int call_with(struct pywsc_connection *self, enum pywsc_name name, PyObject *arg)
{
    if (arg == NULL) {
        return -1;
    }
    PyObject *args[] = {NULL, NULL, arg};
    int result = call(self, name, args, 1);
    Py_DECREF(arg);
    return result;
}

int pywsc_listener_message(struct pywsc_connection *self, PyObject *message)
{
    self->budget -= self->budget > 0;
    return call_with(self, PYWSC_NAME_ON_MESSAGE, message);
}

bool pywsc_listener_hears(const struct pywsc_connection *self, bool is_ping)
{
    return self->listener != NULL &&
           (self->listens & (is_ping ? ON_PING : ON_PONG)) != 0;
}

int pywsc_listener_control(struct pywsc_connection *self, bool is_ping, PyObject *data)
{
    if (!pywsc_listener_hears(self, is_ping)) {
        return 0;
    }
    return call_with(
        self, is_ping ? PYWSC_NAME_LISTENER_ON_PING : PYWSC_NAME_LISTENER_ON_PONG,
        Py_NewRef(data));
}

int pywsc_listener_drained(struct pywsc_connection *self)
{
    PyObject *args[] = {NULL, NULL};
    return (self->listens & ON_DRAINED) != 0 &&
                   self->protocol->conn.state == WSC_CONN_OPEN
               ? call(self, PYWSC_NAME_ON_DRAINED, args, 0)
               : 0;
}

int pywsc_listener_closed(struct pywsc_connection *self)
{
    int result = 0;
    if (self->listener == NULL) {
        return 0;
    }
    if ((self->listens & ON_CLOSE) != 0) {
        PyObject *code = pywsc_protocol_close_code(self->protocol);
        PyObject *reason = pywsc_protocol_close_reason(self->protocol);
        PyObject *args[] = {NULL, NULL, code, reason};
        result = code == NULL || reason == NULL
                     ? -1
                     : call(self, PYWSC_NAME_ON_CLOSE, args, 2);
        Py_XDECREF(code);
        Py_XDECREF(reason);
    }
    /* It may refer to the connection: no cycle is left behind. */
    Py_CLEAR(self->listener);
    return result;
}

/* 1 with the flag set in *mask if the listener has the method, 0, -1. */
static int look_for(struct pywsc_connection *self, PyObject *listener,
                    enum pywsc_name name, unsigned char flag)
{
    PyObject *method;
    int found = PyObject_GetOptionalAttr(listener, self->state->names[name], &method);
    if (found <= 0) {
        return found;
    }
    Py_DECREF(method);
    self->listens |= flag;
    return 1;
}

int pywsc_listener_attach(struct pywsc_connection *self, PyObject *listener)
{
    self->listener = Py_NewRef(listener);
    int has_on_open = look_for(self, listener, PYWSC_NAME_ON_OPEN, 0);
    if (has_on_open < 0 ||
        look_for(self, listener, PYWSC_NAME_LISTENER_ON_PING, ON_PING) < 0 ||
        look_for(self, listener, PYWSC_NAME_LISTENER_ON_PONG, ON_PONG) < 0 ||
        look_for(self, listener, PYWSC_NAME_ON_DRAINED, ON_DRAINED) < 0 ||
        look_for(self, listener, PYWSC_NAME_ON_CLOSE, ON_CLOSE) < 0) {
        return failed(self);
    }
    PyObject *args[] = {NULL, NULL};
    return has_on_open ? call(self, PYWSC_NAME_ON_OPEN, args, 0) : 0;
}

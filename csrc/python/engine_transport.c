#include "engine_parts.h"

#if WSC_HAVE_ENGINE

#include <errno.h>
#include <string.h>

#include "tls.h"
#include "raised.h"

/* EngineTransport: a link of the engine, with the interface of asyncio's transports. */

static struct pywsc_engine *engine_of(const struct pywsc_transport *self)
{
    return (struct pywsc_engine *)self->engine;
}

static struct pywsc_state *state_of(struct pywsc_transport *self)
{
    return pywsc_type_state(Py_TYPE(self));
}

/* NULL once the socket, or the whole engine, is closed; in a child after fork() too, so
 * that nothing here can shut down or reset what is the parent's. */
static struct wsc_link *live_link(struct pywsc_transport *self)
{
    const struct pywsc_engine *engine = engine_of(self);
    return engine == NULL || engine->engine == NULL || engine->forgotten ? NULL
                                                                         : self->link;
}

/* The socket is gone: tell the connection, in the loop's next round. */
static int finish(struct pywsc_transport *self, int error, bool reset)
{
    struct pywsc_state *state = state_of(self);
    if (live_link(self) == NULL) {
        return 0;
    }
    /* Python may hold a socket object of the descriptor; it has to let go first. */
    PyObject *result =
        PyObject_CallMethodNoArgs((PyObject *)self, state->names[PYWSC_NAME_DETACH]);
    if (result == NULL) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    Py_XDECREF(result);
    self->closing = true;
    self->error = error;
    struct wsc_link *link = self->link;
    Py_BEGIN_CRITICAL_SECTION(self);
    self->link = NULL; /* other threads may ask for its names */
    Py_END_CRITICAL_SECTION();
    if (reset) {
        wsc_link_abort(link);
    }
    else {
        wsc_link_close(link);
    }
    if (PySet_Discard(engine_of(self)->live, (PyObject *)self) < 0) {
        PyErr_WriteUnraisable((PyObject *)self);
    }
    return pywsc_call_method_soon(state, engine_of(self)->loop, (PyObject *)self,
                                  PYWSC_NAME_LOST);
}

/* New reference; NULL with another exception. */
static PyObject *tls_exception(PyObject *message)
{
    PyObject *ssl = PyImport_ImportModule("ssl");
    if (ssl == NULL) {
        return NULL;
    }
    PyObject *exception = PyObject_CallMethod(ssl, "SSLError", "iO", 1, message);
    Py_DECREF(ssl);
    return exception;
}

static PyObject *transport_lost(PyObject *op, PyObject *unused)
{
    struct pywsc_transport *self = (struct pywsc_transport *)op;
    PyObject *connection = self->connection;
    PyObject *exception = Py_NewRef(Py_None);
    (void)unused;
    if (connection == NULL) {
        return exception;
    }
    if (self->error != 0) {
        errno = self->error;
        (void)PyErr_SetFromErrno(PyExc_OSError);
        Py_SETREF(exception, pywsc_take_raised());
    }
    else if (self->message != NULL) {
        Py_SETREF(exception, tls_exception(self->message));
        if (exception == NULL) {
            return NULL;
        }
    }
    self->connection = NULL;
    PyObject *result = PyObject_CallMethodOneArg(
        connection, state_of(self)->names[PYWSC_NAME_CONNECTION_LOST], exception);
    Py_DECREF(connection);
    Py_DECREF(exception);
    return result;
}

static struct pywsc_connection *connection_of(struct pywsc_transport *self)
{
    return (struct pywsc_connection *)self->connection;
}

static size_t output_size(struct pywsc_transport *self)
{
    size_t size = live_link(self) == NULL ? 0 : wsc_link_unsent(self->link);
    return self->connection == NULL
               ? 0
               : size + connection_of(self)->protocol->conn.outgoing.size;
}

/* Call pause_writing() or resume_writing(). */
static int set_paused(struct pywsc_transport *self, bool paused)
{
    self->paused = paused;
    PyObject *result = PyObject_CallMethodNoArgs(
        self->connection, state_of(self)->names[paused ? PYWSC_NAME_PAUSE_WRITING
                                                       : PYWSC_NAME_RESUME_WRITING]);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

/* All output has left: do what waited for that. */
static int output_left(struct pywsc_transport *self)
{
    if (self->closing) {
        return finish(self, 0, false);
    }
    if (self->end_pending && live_link(self) != NULL) {
        self->end_pending = false;
        wsc_link_end(self->link);
    }
    return 0;
}

int pywsc_transport_flush(struct pywsc_transport *self)
{
    if (live_link(self) == NULL || self->connection == NULL) {
        return 0;
    }
    struct wsc_conn *conn = &connection_of(self)->protocol->conn;
    while (!self->blocked && wsc_conn_wants_send(conn)) {
        (void)wsc_conn_outgoing(conn); /* a pending pong becomes output */
        enum wsc_status status = wsc_link_write(self->link, &conn->outgoing);
        if (status == WSC_ERR_IO) {
            return finish(self, errno, false);
        }
        self->blocked = status == WSC_NEED_SPACE;
    }
    if (!self->blocked) {
        return output_left(self);
    }
    return output_size(self) > self->high && !self->paused ? set_paused(self, true) : 0;
}

/* The socket takes bytes again. */
static int go_on_writing(struct pywsc_transport *self)
{
    self->blocked = false;
    if (pywsc_transport_flush(self) < 0) {
        return -1;
    }
    if (self->paused && self->connection != NULL && output_size(self) <= self->low) {
        return set_paused(self, false);
    }
    return 0;
}

static int close_transport(struct pywsc_transport *self)
{
    if (self->closing || live_link(self) == NULL) {
        return 0;
    }
    self->closing = true;
    self->end_pending = false;
    if (!wsc_link_is_open(self->link)) {
        return finish(self, 0, false);
    }
    wsc_link_read(self->link, false);
    return output_size(self) == 0 ? output_left(self) : 0;
}

static int receive(struct pywsc_transport *self, struct pywsc_connection *connection,
                   const struct wsc_io *io)
{
    int result = pywsc_connection_receive(connection, io->data, io->len);
    if (live_link(self) != NULL) {
        wsc_link_notify(self->link,
                        wsc_conn_receives_large(&connection->protocol->conn));
    }
    return result;
}

/* In a large payload: receive to where it belongs. */
static int receive_large(struct pywsc_transport *self,
                         struct pywsc_connection *connection, struct wsc_io *io)
{
    size_t len = 0;
    uint8_t *space = wsc_conn_receive_space(&connection->protocol->conn, &len);
    if (!wsc_link_receive(self->link, space, len, io)) {
        return 0;
    }
    return pywsc_transport_event(self, io);
}

int pywsc_transport_event(struct pywsc_transport *self, struct wsc_io *io)
{
    struct pywsc_connection *connection = connection_of(self);
    if (connection == NULL) {
        return 0;
    }
    switch (io->type) {
    case WSC_IO_DATA:
        return receive(self, connection, io);
    case WSC_IO_READABLE:
        return receive_large(self, connection, io);
    case WSC_IO_WRITABLE:
        return go_on_writing(self);
    case WSC_IO_EOF:
        self->ended = true;
        return close_transport(self);
    case WSC_IO_ERROR:
        if (io->message != NULL) {
            Py_XSETREF(self->message, PyUnicode_FromString(io->message));
            if (self->message == NULL) {
                return -1;
            }
        }
        return finish(self, io->error, false);
    case WSC_IO_ACCEPTED:
        break;
    }
    return 0;
}

/* Methods that the application may call, from wherever it does. */
static int check_thread(struct pywsc_transport *self)
{
    if (self->engine == NULL || self->thread == PyThread_get_thread_ident()) {
        return 0;
    }
    PyErr_SetString(PyExc_RuntimeError,
                    "a connection is used in the thread of its event loop only");
    return -1;
}

static PyObject *to_none(int status)
{
    if (status < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

static PyObject *transport_close(PyObject *op, PyObject *unused)
{
    struct pywsc_transport *self = (struct pywsc_transport *)op;
    (void)unused;
    return to_none(check_thread(self) < 0 ? -1 : close_transport(self));
}

static PyObject *transport_abort(PyObject *op, PyObject *unused)
{
    struct pywsc_transport *self = (struct pywsc_transport *)op;
    (void)unused;
    return to_none(check_thread(self) < 0 ? -1 : finish(self, 0, true));
}

/* Bytes that are not the protocol's, behind those that are. */
static PyObject *transport_write(PyObject *op, PyObject *data)
{
    struct pywsc_transport *self = (struct pywsc_transport *)op;
    struct pywsc_bytes bytes;
    uint8_t *out;
    if (check_thread(self) < 0) {
        return NULL;
    }
    if (live_link(self) == NULL || self->connection == NULL) {
        Py_RETURN_NONE;
    }
    if (pywsc_bytes_get(data, false, &bytes) < 0) {
        return NULL;
    }
    struct wsc_outgoing *outgoing = &connection_of(self)->protocol->conn.outgoing;
    enum wsc_status status = wsc_outgoing_reserve(outgoing, (size_t)bytes.len, &out);
    if (status == WSC_OK && bytes.len > 0) {
        memcpy(out, bytes.data, (size_t)bytes.len);
        wsc_outgoing_commit(outgoing, (size_t)bytes.len);
    }
    pywsc_bytes_release(&bytes);
    if (status != WSC_OK) {
        return pywsc_raise(state_of(self), status);
    }
    return to_none(pywsc_transport_flush(self));
}

static PyObject *transport_write_eof(PyObject *op, PyObject *unused)
{
    struct pywsc_transport *self = (struct pywsc_transport *)op;
    (void)unused;
    if (check_thread(self) < 0) {
        return NULL;
    }
    if (live_link(self) == NULL || self->closing) {
        Py_RETURN_NONE;
    }
    self->end_pending = true;
    return to_none(output_size(self) == 0 ? output_left(self) : 0);
}

static PyObject *transport_pause_reading(PyObject *op, PyObject *unused)
{
    struct pywsc_transport *self = (struct pywsc_transport *)op;
    (void)unused;
    if (check_thread(self) < 0) {
        return NULL;
    }
    if (live_link(self) != NULL && !self->closing) {
        wsc_link_read(self->link, false);
    }
    Py_RETURN_NONE;
}

static PyObject *transport_resume_reading(PyObject *op, PyObject *unused)
{
    struct pywsc_transport *self = (struct pywsc_transport *)op;
    (void)unused;
    if (check_thread(self) < 0) {
        return NULL;
    }
    if (live_link(self) != NULL && !self->closing && !self->ended &&
        wsc_link_read(self->link, true) != WSC_OK) {
        return to_none(finish(self, errno, false));
    }
    Py_RETURN_NONE;
}

static PyObject *transport_is_closing(PyObject *op, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(((struct pywsc_transport *)op)->closing);
}

static PyObject *transport_can_write_eof(PyObject *op, PyObject *unused)
{
    (void)op;
    (void)unused;
    Py_RETURN_TRUE;
}

static PyObject *transport_get_write_buffer_size(PyObject *op, PyObject *unused)
{
    struct pywsc_transport *self = (struct pywsc_transport *)op;
    (void)unused;
    return check_thread(self) < 0 ? NULL : PyLong_FromSize_t(output_size(self));
}

static PyObject *
transport_set_write_buffer_limits(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"high", "low", NULL};
    struct pywsc_transport *self = (struct pywsc_transport *)op;
    PyObject *high_object = Py_None;
    PyObject *low_object = Py_None;
    size_t high;
    size_t low;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO", keywords, &high_object,
                                     &low_object) ||
        pywsc_size_argument(high_object, "high", (size_t)64 << 10, &high) < 0 ||
        pywsc_size_argument(low_object, "low", high / 4, &low) < 0) {
        return NULL;
    }
    if (low > high) {
        PyErr_SetString(PyExc_ValueError, "low must not be above high");
        return NULL;
    }
    self->high = high;
    self->low = low;
    Py_RETURN_NONE;
}

static PyObject *transport_get_write_buffer_limits(PyObject *op, PyObject *unused)
{
    struct pywsc_transport *self = (struct pywsc_transport *)op;
    (void)unused;
    return Py_BuildValue("(nn)", (Py_ssize_t)self->low, (Py_ssize_t)self->high);
}

static PyObject *transport_fileno(PyObject *op, PyObject *unused)
{
    struct pywsc_transport *self = (struct pywsc_transport *)op;
    int fd;
    (void)unused;
    Py_BEGIN_CRITICAL_SECTION(op);
    fd = live_link(self) == NULL ? -1 : wsc_link_fd(self->link);
    Py_END_CRITICAL_SECTION();
    return PyLong_FromLong(fd);
}

/* None, or whether the kernel encrypts and decrypts. */
static PyObject *ktls_info(const struct wsc_tls_info *info)
{
    if (!info->ktls) {
        Py_RETURN_NONE;
    }
    return Py_BuildValue("(NN)", PyBool_FromLong(info->ktls_sends),
                         PyBool_FromLong(info->ktls_receives));
}

/* What TLS agreed on: (cipher's name, version, secret bits, ALPN protocol, resumed,
 * the peer's certificate as DER, are we the server, kTLS), or None. */
static PyObject *transport_tls_info(PyObject *op, PyObject *unused)
{
    struct pywsc_transport *self = (struct pywsc_transport *)op;
    struct wsc_tls_info info;
    (void)unused;
    if (check_thread(self) < 0) {
        return NULL;
    }
    if (live_link(self) == NULL || !wsc_link_tls_info(self->link, &info)) {
        Py_RETURN_NONE;
    }
    PyObject *result = Py_BuildValue(
        "(zsiz#Ny#NN)", info.cipher, info.version, info.secret_bits,
        (const char *)info.alpn, (Py_ssize_t)info.alpn_len,
        PyBool_FromLong(info.session_reused),
        info.certificate == NULL ? "" : (const char *)info.certificate,
        (Py_ssize_t)info.certificate_len,
        PyBool_FromLong(wsc_tls_context_is_server(pywsc_tls_context(self->tls))),
        ktls_info(&info));
    wsc_tls_info_fini(&info);
    return result;
}

/* -1 with an exception: the link is to be forgotten then. */
static int start_tls(struct pywsc_transport *self, PyObject *tls, const char *name)
{
    enum wsc_status status =
        wsc_link_start_tls(self->link, pywsc_tls_context(tls), name);
    if (status == WSC_OK) {
        self->tls = Py_NewRef(tls);
        return 0;
    }
    (void)pywsc_engine_raise(state_of(self), status);
    return -1;
}

/* EngineTransport(engine, fd, connection, tls=None, server_hostname=None) */
static int transport_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"engine",          "fd", "connection", "tls",
                               "server_hostname", NULL};
    struct pywsc_transport *self = (struct pywsc_transport *)op;
    struct pywsc_state *state = state_of(self);
    PyObject *engine;
    PyObject *connection;
    PyObject *tls = Py_None;
    const char *name = NULL;
    int fd;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!iO!|Oz", keywords, state->engine,
                                     &engine, &fd, state->connection, &connection, &tls,
                                     &name)) {
        return -1;
    }
    if (tls != Py_None && !Py_IS_TYPE(tls, state->tls_context)) {
        PyErr_SetString(PyExc_TypeError, "tls must be a TLSContext");
        return -1;
    }
    struct pywsc_engine *owner = (struct pywsc_engine *)engine;
    if (self->engine != NULL || owner->engine == NULL) {
        PyErr_SetString(PyExc_RuntimeError,
                        "the engine is closed, or this was made before");
        return -1;
    }
    if (PySet_Add(owner->live, op) < 0) {
        return -1;
    }
    enum wsc_status status = wsc_link_new(owner->engine, fd, self, &self->link);
    if (status != WSC_OK) {
        (void)PySet_Discard(owner->live, op);
        (void)pywsc_engine_raise(state, status);
        return -1;
    }
    self->engine = Py_NewRef(engine);
    self->thread = ((struct pywsc_connection *)connection)->thread;
    if (tls != Py_None && start_tls(self, tls, name) < 0) {
        wsc_link_forget(self->link); /* the descriptor stays the caller's */
        self->link = NULL;
        (void)PySet_Discard(owner->live, op);
        return -1;
    }
    self->connection = Py_NewRef(connection);
    self->high = (size_t)64 << 10;
    self->low = (size_t)16 << 10;
    return 0;
}

static int transport_traverse(PyObject *op, visitproc visit, void *arg)
{
    struct pywsc_transport *self = (struct pywsc_transport *)op;
    Py_VISIT(Py_TYPE(op));
    Py_VISIT(self->engine);
    Py_VISIT(self->connection);
    return 0;
}

static int transport_clear(PyObject *op)
{
    Py_CLEAR(((struct pywsc_transport *)op)->connection);
    return 0;
}

static void transport_dealloc(PyObject *op)
{
    struct pywsc_transport *self = (struct pywsc_transport *)op;
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    (void)transport_clear(op);
    if (live_link(self) != NULL) {
        wsc_link_close(self->link);
    }
    Py_CLEAR(self->engine);
    Py_CLEAR(self->tls);
    Py_CLEAR(self->message);
    type->tp_free(op);
    Py_DECREF(type);
}

static PyMethodDef transport_methods[] = {
    {"close", transport_close, METH_NOARGS, NULL},
    {"abort", transport_abort, METH_NOARGS, NULL},
    {"is_closing", transport_is_closing, METH_NOARGS, NULL},
    {"can_write_eof", transport_can_write_eof, METH_NOARGS, NULL},
    {"write", transport_write, METH_O, NULL},
    {"write_eof", transport_write_eof, METH_NOARGS, NULL},
    {"pause_reading", transport_pause_reading, METH_NOARGS, NULL},
    {"resume_reading", transport_resume_reading, METH_NOARGS, NULL},
    {"get_write_buffer_size", transport_get_write_buffer_size, METH_NOARGS, NULL},
    {"get_write_buffer_limits", transport_get_write_buffer_limits, METH_NOARGS, NULL},
    {"set_write_buffer_limits",
     (PyCFunction)(void (*)(void))transport_set_write_buffer_limits,
     METH_VARARGS | METH_KEYWORDS, NULL},
    {"fileno", transport_fileno, METH_NOARGS, NULL},
    {"_tls_info", transport_tls_info, METH_NOARGS, NULL},
    {"_lost", transport_lost, METH_NOARGS, NULL},
    {NULL},
};

static PyType_Slot transport_slots[] = {
    {Py_tp_doc, PyDoc_STR("A socket of an engine, as the transport of a connection.")},
    {Py_tp_init, transport_init},
    {Py_tp_dealloc, transport_dealloc},
    {Py_tp_traverse, transport_traverse},
    {Py_tp_clear, transport_clear},
    {Py_tp_methods, transport_methods},
    {0, NULL},
};

static PyType_Spec transport_spec = {
    .name = "pywscore._core.EngineTransport",
    .basicsize = sizeof(struct pywsc_transport),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE |
             Py_TPFLAGS_IMMUTABLETYPE,
    .slots = transport_slots,
};

int pywsc_transport_init(PyObject *module, struct pywsc_state *state)
{
    state->engine_transport = pywsc_add_type(module, &transport_spec, NULL);
    return state->engine_transport == NULL ? -1 : 0;
}

#endif

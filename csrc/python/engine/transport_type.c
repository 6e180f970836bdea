#include "engine/transport_type.h"

#include <errno.h>
#include <string.h>

#include "common/arguments.h"
#include "common/docs.h"
#include "connection/connection.h"
#include "engine/engine.h"
#include "engine/tls.h"
#include "engine/transport.h"
#include "engine/transport_io.h"
#include "engine/transport_tls.h"
#include "tasks/loop.h"
#include "values/errors.h"

#if WSC_HAVE_ENGINE

/* EngineTransport: a link of the engine, with the interface of asyncio's transports. */

/* Of what Python's TLS decrypts at once: twice that, for a loop inside of a call may
 * have received as much, and what it holds of a record, are less than the loop's memory
 * for that has. */
#define SSL_RECEIVE_SIZE ((size_t)112 << 10)

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
    return to_none(check_thread(self) < 0 ? -1 : pywsc_transport_close(self));
}

/* As asyncio's transports: what the kernel has, it goes on to send. A peer that is to
 * miss something gets a reset. */
static PyObject *transport_abort(PyObject *op, PyObject *unused)
{
    struct pywsc_transport *self = (struct pywsc_transport *)op;
    (void)unused;
    if (check_thread(self) < 0) {
        return NULL;
    }
    bool misses = pywsc_transport_output_size(self) > 0;
    return to_none(pywsc_transport_finish(self, 0, misses));
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
    if (pywsc_bytes_get(data, false, &bytes) < 0) {
        return NULL;
    }
    /* Looked at now: a buffer of the application's may have run code. */
    if (pywsc_transport_link(self) == NULL || self->connection == NULL) {
        pywsc_bytes_release(&bytes);
        Py_RETURN_NONE;
    }
    struct wsc_outgoing *outgoing =
        wsc_conn_outgoing(&pywsc_transport_connection(self)->protocol->conn);
    enum wsc_status status = wsc_outgoing_reserve(outgoing, (size_t)bytes.len, &out);
    if (status == WSC_OK && bytes.len > 0) {
        memcpy(out, bytes.data, (size_t)bytes.len);
        wsc_outgoing_commit(outgoing, (size_t)bytes.len);
    }
    pywsc_bytes_release(&bytes);
    if (status != WSC_OK) {
        return pywsc_raise(pywsc_transport_state(self), status);
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
    if (pywsc_transport_link(self) == NULL || self->closing) {
        Py_RETURN_NONE;
    }
    self->end_pending = true;
    return to_none(
        pywsc_transport_output_size(self) == 0 ? pywsc_transport_output_left(self) : 0);
}

static PyObject *transport_pause_reading(PyObject *op, PyObject *unused)
{
    struct pywsc_transport *self = (struct pywsc_transport *)op;
    (void)unused;
    if (check_thread(self) < 0) {
        return NULL;
    }
    if (pywsc_transport_link(self) != NULL && !self->closing) {
        (void)pywsc_transport_read(self, false);
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
    if (pywsc_transport_link(self) == NULL || self->closing || self->ended) {
        Py_RETURN_NONE;
    }
    if (pywsc_transport_read(self, true) != WSC_OK) {
        return to_none(pywsc_transport_finish(self, errno, false));
    }
    return to_none(pywsc_transport_take_kept_soon(self));
}

static PyObject *transport_is_closing(PyObject *op, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(((struct pywsc_transport *)op)->closing);
}

static PyObject *transport_is_reading(PyObject *op, PyObject *unused)
{
    struct pywsc_transport *self = (struct pywsc_transport *)op;
    (void)unused;
    if (check_thread(self) < 0) {
        return NULL;
    }
    return PyBool_FromLong(
        pywsc_transport_link(self) != NULL && !self->closing &&
        (self->ssl == NULL ? wsc_link_reads(self->link) : self->ssl->reads));
}

/* The connection, None after its end: an engine has no other protocol. */
static PyObject *transport_get_protocol(PyObject *op, PyObject *unused)
{
    PyObject *connection;
    (void)unused;
    Py_BEGIN_CRITICAL_SECTION(op);
    connection = ((struct pywsc_transport *)op)->connection;
    connection = Py_NewRef(connection != NULL ? connection : Py_None);
    Py_END_CRITICAL_SECTION();
    return connection;
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
    return check_thread(self) < 0
               ? NULL
               : PyLong_FromSize_t(pywsc_transport_output_size(self));
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
    if (check_thread(self) < 0) {
        return NULL;
    }
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
    fd = pywsc_transport_link(self) == NULL ? -1 : wsc_link_fd(self->link);
    Py_END_CRITICAL_SECTION();
    return PyLong_FromLong(fd);
}

/* This end's address, or the peer's (True), as wsc_link_address() gives it. */
static PyObject *transport_address(PyObject *op, PyObject *peer)
{
    struct pywsc_transport *self = (struct pywsc_transport *)op;
    uint8_t local[WSC_ADDRESS_SIZE];
    size_t len = 0;
    PyObject *kept = NULL;
    if (peer == Py_True) {
        return PyBytes_FromStringAndSize((const char *)self->peer, self->peer_len);
    }
    Py_BEGIN_CRITICAL_SECTION(op);
    if (pywsc_transport_link(self) != NULL) {
        len = wsc_link_address(self->link, false, local);
    }
    else {
        kept = Py_XNewRef(self->local);
    }
    Py_END_CRITICAL_SECTION();
    return kept != NULL
               ? kept
               : PyBytes_FromStringAndSize((const char *)local, (Py_ssize_t)len);
}

/* What TLS agreed on: (cipher's name, version, secret bits, ALPN protocol, resumed,
 * the peer's certificate as DER, are we the server), or None. */
static PyObject *transport_tls_info(PyObject *op, PyObject *unused)
{
    struct pywsc_transport *self = (struct pywsc_transport *)op;
    struct wsc_tls_info info;
    (void)unused;
    if (check_thread(self) < 0) {
        return NULL;
    }
    if (pywsc_transport_link(self) == NULL || !wsc_link_tls_info(self->link, &info)) {
        Py_RETURN_NONE;
    }
    PyObject *result = Py_BuildValue(
        "(zsiz#Ny#N)", info.cipher, info.version, info.secret_bits,
        (const char *)info.alpn, (Py_ssize_t)info.alpn_len,
        PyBool_FromLong(info.session_reused),
        info.certificate == NULL ? "" : (const char *)info.certificate,
        (Py_ssize_t)info.certificate_len,
        PyBool_FromLong(wsc_tls_context_is_server(pywsc_tls_context(self->tls))));
    wsc_tls_info_fini(&info);
    return result;
}

/* (SSLObject, its context), once the handshake is done; None before, and without. */
static PyObject *transport_ssl_object(PyObject *op, PyObject *unused)
{
    const struct pywsc_ssl_object *ssl = ((struct pywsc_transport *)op)->ssl;
    (void)unused;
    if (ssl == NULL || !ssl->open) {
        Py_RETURN_NONE;
    }
    return PyTuple_Pack(2, ssl->object, ssl->context);
}

static PyObject *transport_expect_proxy_header(PyObject *op, PyObject *unused)
{
    struct pywsc_transport *self = (struct pywsc_transport *)op;
    (void)unused;
    if (check_thread(self) < 0) {
        return NULL;
    }
    if (pywsc_transport_link(self) != NULL &&
        wsc_link_expect_proxy_header(self->link) != WSC_OK) {
        return PyErr_NoMemory();
    }
    Py_RETURN_NONE;
}

static PyObject *transport_received(PyObject *op, PyObject *unused)
{
    (void)unused;
    return to_none(check_thread((struct pywsc_transport *)op) < 0
                       ? -1
                       : pywsc_transport_received((struct pywsc_transport *)op));
}

static PyObject *transport_lost(PyObject *op, PyObject *unused)
{
    (void)unused;
    return check_thread((struct pywsc_transport *)op) < 0
               ? NULL
               : pywsc_transport_lost((struct pywsc_transport *)op);
}

/* --- the type --- */

/* -1 with an exception: the link is to be forgotten then. */
static int start_tls(struct pywsc_transport *self, PyObject *tls, const char *name)
{
    enum wsc_status status =
        wsc_link_start_tls(self->link, pywsc_tls_context(tls), name);
    if (status == WSC_OK) {
        self->tls = Py_NewRef(tls);
        return 0;
    }
    (void)pywsc_raise(pywsc_transport_state(self), status);
    return -1;
}

/* The same of Python's TLS: what a client says first leaves. What came before is taken
 * when the connection is made. */
static int start_ssl(struct pywsc_transport *self)
{
    wsc_link_limit(self->link, SSL_RECEIVE_SIZE);
    if (pywsc_transport_send_encrypted(self) == WSC_ERR_IO) {
        (void)PyErr_SetFromErrno(PyExc_OSError);
        return -1;
    }
    return pywsc_transport_take_kept_soon(self);
}

/* EngineTransport(engine, fd, connection, tls=None, server_hostname=None); `tls` is a
 * TLSContext, or the parts of Python's TLS. */
static int transport_init(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"engine",          "fd", "connection", "tls",
                               "server_hostname", NULL};
    struct pywsc_transport *self = (struct pywsc_transport *)op;
    struct pywsc_state *state = pywsc_transport_state(self);
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
    bool by_python = PyTuple_Check(tls);
    if (tls != Py_None && !by_python && !Py_IS_TYPE(tls, state->tls_context)) {
        PyErr_SetString(PyExc_TypeError, "tls must be a TLSContext");
        return -1;
    }
    struct pywsc_engine *owner = (struct pywsc_engine *)engine;
    if (self->engine != NULL) {
        PyErr_SetString(PyExc_RuntimeError, "__init__() was called twice");
        return -1;
    }
    if (pywsc_engine_check_thread(owner) < 0 ||
        pywsc_connection_check_thread((struct pywsc_connection *)connection) < 0) {
        return -1;
    }
    struct pywsc_ssl_object *ssl = NULL;
    if (by_python && (ssl = pywsc_ssl_object_new(state, tls)) == NULL) {
        return -1;
    }
    if (self->engine != NULL) { /* code of Python's TLS has called it again */
        pywsc_ssl_object_free(ssl);
        PyErr_SetString(PyExc_RuntimeError, "__init__() was called twice");
        return -1;
    }
    enum wsc_status status = wsc_link_new(owner->engine, fd, self, &self->link);
    if (status != WSC_OK) {
        pywsc_ssl_object_free(ssl);
        (void)pywsc_raise(state, status);
        return -1;
    }
    self->ssl = ssl;
    /* Now: it can't be asked for after a reset, which is when people want to log it. */
    self->peer_len = (uint8_t)wsc_link_address(self->link, true, self->peer);
    self->engine = Py_NewRef(engine);
    self->thread = ((struct pywsc_connection *)connection)->thread;
    if (tls != Py_None &&
        (by_python ? start_ssl(self) : start_tls(self, tls, name)) < 0) {
        wsc_link_forget(self->link); /* the descriptor stays the caller's */
        self->link = NULL;
        return -1;
    }
    pywsc_transport_note(self);
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
    Py_VISIT(self->socket);
    return self->ssl == NULL ? 0 : pywsc_ssl_object_traverse(self->ssl, visit, arg);
}

static int transport_clear(PyObject *op)
{
    Py_CLEAR(((struct pywsc_transport *)op)->connection);
    return 0;
}

static void transport_dealloc(PyObject *op)
{
    struct pywsc_transport *self = (struct pywsc_transport *)op;
    PyObject_GC_UnTrack(op);
    (void)transport_clear(op);
    if (pywsc_transport_link(self) != NULL) {
        wsc_link_close(self->link);
    }
    Py_CLEAR(self->engine);
    Py_CLEAR(self->local);
    Py_CLEAR(self->tls);
    Py_CLEAR(self->socket);
    pywsc_ssl_object_free(self->ssl);
    pywsc_free(op);
}

static PyMethodDef transport_methods[] = {
    {"close", transport_close, METH_NOARGS, NULL},
    {"abort", transport_abort, METH_NOARGS, NULL},
    {"is_closing", transport_is_closing, METH_NOARGS, NULL},
    {"is_reading", transport_is_reading, METH_NOARGS, NULL},
    {"get_protocol", transport_get_protocol, METH_NOARGS,
     PYWSC_DOC_ENGINE_TRANSPORT_GET_PROTOCOL},
    {"can_write_eof", transport_can_write_eof, METH_NOARGS, NULL},
    {"write", transport_write, METH_O, PyDoc_STR("write($self, data, /)\n--\n\n")},
    {"write_eof", transport_write_eof, METH_NOARGS, NULL},
    {"pause_reading", transport_pause_reading, METH_NOARGS, NULL},
    {"resume_reading", transport_resume_reading, METH_NOARGS, NULL},
    {"get_write_buffer_size", transport_get_write_buffer_size, METH_NOARGS, NULL},
    {"get_write_buffer_limits", transport_get_write_buffer_limits, METH_NOARGS, NULL},
    {"set_write_buffer_limits", PYWSC_FUNCTION(transport_set_write_buffer_limits),
     METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("set_write_buffer_limits($self, high=None, low=None)\n--\n\n")},
    {"fileno", transport_fileno, METH_NOARGS, NULL},
    {"_address", transport_address, METH_O, NULL},
    {"_tls_info", transport_tls_info, METH_NOARGS, NULL},
    {"_ssl_object", transport_ssl_object, METH_NOARGS, NULL},
    {"_expect_proxy_header", transport_expect_proxy_header, METH_NOARGS, NULL},
    {"_received", transport_received, METH_NOARGS, NULL},
    {"_lost", transport_lost, METH_NOARGS, NULL},
    {NULL},
};

static PyMemberDef transport_members[] = {
    {"_socket", T_OBJECT, offsetof(struct pywsc_transport, socket), 0, NULL},
    {NULL},
};

static PyType_Slot transport_slots[] = {
    {Py_tp_doc, PYWSC_DOC_ENGINE_TRANSPORT}, {Py_tp_init, transport_init},
    {Py_tp_dealloc, transport_dealloc},      {Py_tp_traverse, transport_traverse},
    {Py_tp_clear, transport_clear},          {Py_tp_methods, transport_methods},
    {Py_tp_members, transport_members},      {0, NULL},
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
    state->engine_carrier = &pywsc_engine_carrier;
    state->engine_transport = pywsc_add_type(module, &transport_spec, NULL);
    return state->engine_transport == NULL ? -1 : 0;
}

#endif

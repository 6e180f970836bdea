#include "protocol/send.h"

#include <string.h>

#include "values/errors.h"

/* --- messages --- */

static void release_object(void *ctx)
{
    Py_DECREF((PyObject *)ctx);
}

enum wsc_status pywsc_protocol_send(struct pywsc_protocol *self, enum wsc_opcode opcode,
                                    const struct pywsc_bytes *bytes, bool fin,
                                    enum wsc_compress compress)
{
    if (bytes->owner == NULL) {
        return wsc_conn_send(&self->conn, opcode, bytes->data, (size_t)bytes->len, fin,
                             compress, NULL, NULL);
    }
    struct wsc_reference reference = {
        .data = bytes->data,
        .len = (size_t)bytes->len,
        .ctx = bytes->owner,
        .release = release_object,
    };
    bool referenced = false;
    enum wsc_status status =
        wsc_conn_send(&self->conn, opcode, bytes->data, (size_t)bytes->len, fin,
                      compress, &reference, &referenced);
    if (referenced) {
        Py_INCREF(bytes->owner);
    }
    return status;
}

int pywsc_protocol_check_text(const struct pywsc_bytes *bytes)
{
    if (bytes->is_text || wsc_utf8_is_valid(bytes->data, (size_t)bytes->len)) {
        return 0;
    }
    /* For its UnicodeDecodeError, which tells where. */
    Py_XDECREF(PyUnicode_DecodeUTF8((const char *)bytes->data, bytes->len, NULL));
    return -1;
}

static PyObject *send_message(PyObject *op, const char *function,
                              enum wsc_opcode opcode, PyObject *const *args,
                              Py_ssize_t nargs, PyObject *kwnames)
{
    static const char *const names[] = {"fin", "compress"};
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    PyObject *keywords[2];
    enum wsc_compress compress;
    struct pywsc_bytes bytes;
    bool binary = opcode == WSC_OPCODE_BINARY;
    size_t keyword_count = opcode == WSC_OPCODE_CONTINUATION ? 1 : 2;
    if (nargs != 1) {
        return PyErr_Format(PyExc_TypeError,
                            "%s() takes exactly one positional argument (%zd given)",
                            function, nargs);
    }
    memset(keywords, 0, sizeof(keywords));
    if (pywsc_protocol_ready(self) < 0 ||
        pywsc_keywords(function, args + nargs, kwnames, names, keyword_count,
                       keywords) < 0 ||
        pywsc_compress_argument(keywords[1], &compress) < 0) {
        return NULL;
    }
    int fin = keywords[0] == NULL ? 1 : PyObject_IsTrue(keywords[0]);
    if (fin < 0 || pywsc_bytes_get(args[0], !binary, &bytes) < 0) {
        return NULL;
    }
    if (opcode == WSC_OPCODE_TEXT && fin && pywsc_protocol_check_text(&bytes) < 0) {
        pywsc_bytes_release(&bytes);
        return NULL;
    }
    enum wsc_status status;
    Py_BEGIN_CRITICAL_SECTION(op);
    status = pywsc_protocol_send(self, opcode, &bytes, fin, compress);
    Py_END_CRITICAL_SECTION();
    pywsc_bytes_release(&bytes);
    if (status != WSC_OK) {
        return pywsc_raise(pywsc_type_state(Py_TYPE(op)), status);
    }
    Py_RETURN_NONE;
}

PyObject *pywsc_protocol_send_text(PyObject *op, PyObject *const *args,
                                   Py_ssize_t nargs, PyObject *kwnames)
{
    return send_message(op, "send_text", WSC_OPCODE_TEXT, args, nargs, kwnames);
}

PyObject *pywsc_protocol_send_binary(PyObject *op, PyObject *const *args,
                                     Py_ssize_t nargs, PyObject *kwnames)
{
    return send_message(op, "send_binary", WSC_OPCODE_BINARY, args, nargs, kwnames);
}

PyObject *pywsc_protocol_send_continuation(PyObject *op, PyObject *const *args,
                                           Py_ssize_t nargs, PyObject *kwnames)
{
    return send_message(op, "send_continuation", WSC_OPCODE_CONTINUATION, args, nargs,
                        kwnames);
}

/* --- control frames --- */

static PyObject *
send_control(PyObject *op, const char *function,
             enum wsc_status (*send)(struct wsc_conn *, const uint8_t *, size_t),
             PyObject *const *args, Py_ssize_t nargs)
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    struct pywsc_bytes bytes;
    memset(&bytes, 0, sizeof(bytes));
    if (nargs > 1) {
        return PyErr_Format(PyExc_TypeError,
                            "%s() takes at most one positional argument (%zd given)",
                            function, nargs);
    }
    if (pywsc_protocol_ready(self) < 0 ||
        (nargs == 1 && pywsc_bytes_get(args[0], false, &bytes) < 0)) {
        return NULL;
    }
    enum wsc_status status;
    Py_BEGIN_CRITICAL_SECTION(op);
    status = send(&self->conn, bytes.data, (size_t)bytes.len);
    Py_END_CRITICAL_SECTION();
    pywsc_bytes_release(&bytes);
    if (status == WSC_ERR_INVALID_ARGUMENT) {
        PyErr_SetString(PyExc_ValueError, "a control frame has at most 125 bytes");
        return NULL;
    }
    if (status != WSC_OK) {
        return pywsc_raise(pywsc_type_state(Py_TYPE(op)), status);
    }
    Py_RETURN_NONE;
}

PyObject *
pywsc_protocol_send_ping(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    return send_control(op, "send_ping", wsc_conn_send_ping, args, nargs);
}

PyObject *
pywsc_protocol_send_pong(PyObject *op, PyObject *const *args, Py_ssize_t nargs)
{
    return send_control(op, "send_pong", wsc_conn_send_pong, args, nargs);
}

/* --- closing --- */

static PyObject *
close_or_fail(PyObject *op,
              enum wsc_status (*end)(struct wsc_conn *, uint32_t, const char *, size_t),
              PyObject *code, PyObject *reason)
{
    struct pywsc_protocol *self = (struct pywsc_protocol *)op;
    long number = WSC_CLOSE_NO_STATUS_RCVD;
    Py_ssize_t len = 0;
    const char *text = NULL;
    if (pywsc_protocol_ready(self) < 0) {
        return NULL;
    }
    if (code != NULL && code != Py_None) {
        number = PyLong_AsLong(code);
        if (number == -1 && PyErr_Occurred()) {
            if (PyErr_ExceptionMatches(PyExc_OverflowError)) {
                PyErr_SetString(PyExc_ValueError, "invalid close code");
            }
            return NULL;
        }
        /* 1005 may not be sent; None is how a frame without code is asked for. */
        if (number < 0 || number > 4999 || !wsc_close_code_is_valid((uint32_t)number)) {
            PyErr_Format(PyExc_ValueError, "invalid close code: %ld", number);
            return NULL;
        }
    }
    if (reason != NULL) {
        text = PyUnicode_AsUTF8AndSize(reason, &len);
        if (text == NULL) {
            return NULL;
        }
    }
    if (len > WSC_CLOSE_REASON_MAX || (len > 0 && number == WSC_CLOSE_NO_STATUS_RCVD)) {
        PyErr_SetString(PyExc_ValueError, len > WSC_CLOSE_REASON_MAX
                                              ? "a close reason has at most 123 bytes"
                                              : "a close reason needs a close code");
        return NULL;
    }
    enum wsc_status status;
    Py_BEGIN_CRITICAL_SECTION(op);
    status = end(&self->conn, (uint32_t)number, text, (size_t)len);
    Py_END_CRITICAL_SECTION();
    if (status != WSC_OK) {
        return pywsc_raise(pywsc_type_state(Py_TYPE(op)), status);
    }
    Py_RETURN_NONE;
}

PyObject *pywsc_protocol_send_close(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"code", "reason", NULL};
    PyObject *code = NULL;
    PyObject *reason = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OU", keywords, &code, &reason)) {
        return NULL;
    }
    return close_or_fail(op, wsc_conn_send_close, code, reason);
}

PyObject *pywsc_protocol_fail(PyObject *op, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"code", "reason", NULL};
    PyObject *code;
    PyObject *reason = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|U", keywords, &code, &reason)) {
        return NULL;
    }
    return close_or_fail(op, wsc_conn_fail, code, reason);
}

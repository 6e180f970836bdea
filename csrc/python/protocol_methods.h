/* The methods of the sans-IO objects that live in files of their own. */
#ifndef PYWSC_PROTOCOL_METHODS_H
#define PYWSC_PROTOCOL_METHODS_H

#include "protocol.h"

/* RuntimeError and -1 when a subclass forgot __init__. */
int pywsc_protocol_ready(struct pywsc_protocol *self);

/* A getter of name_lock_held(op): attributes are those of one moment, whatever other
 * threads do. */
#define PYWSC_PROTOCOL_GETTER(name)                                                    \
    static PyObject *name(PyObject *op, void *closure)                                 \
    {                                                                                  \
        PyObject *value;                                                               \
        (void)closure;                                                                 \
        Py_BEGIN_CRITICAL_SECTION(op);                                                 \
        value = name##_lock_held(op);                                                  \
        Py_END_CRITICAL_SECTION();                                                     \
        return value;                                                                  \
    }

/* --- protocol_send.c --- */

PyObject *pywsc_protocol_send_text(PyObject *op, PyObject *const *args,
                                   Py_ssize_t nargs, PyObject *kwnames);
PyObject *pywsc_protocol_send_binary(PyObject *op, PyObject *const *args,
                                     Py_ssize_t nargs, PyObject *kwnames);
PyObject *pywsc_protocol_send_continuation(PyObject *op, PyObject *const *args,
                                           Py_ssize_t nargs, PyObject *kwnames);
PyObject *
pywsc_protocol_send_ping(PyObject *op, PyObject *const *args, Py_ssize_t nargs);
PyObject *
pywsc_protocol_send_pong(PyObject *op, PyObject *const *args, Py_ssize_t nargs);
PyObject *pywsc_protocol_send_close(PyObject *op, PyObject *args, PyObject *kwargs);
PyObject *pywsc_protocol_fail(PyObject *op, PyObject *args, PyObject *kwargs);

#define PYWSC_FUNCTION(function) (PyCFunction)(void (*)(void))(function)

#define PYWSC_PROTOCOL_SEND_METHODS                                                    \
    {"send_text", PYWSC_FUNCTION(pywsc_protocol_send_text),                            \
     METH_FASTCALL | METH_KEYWORDS,                                                    \
     PyDoc_STR(                                                                        \
         "send_text($self, data, /, *, fin=True, compress=None)\n--\n\n"               \
         "Queue a text message (str, or bytes that are UTF-8), or with fin=False "     \
         "its first fragment.")},                                                      \
        {"send_binary", PYWSC_FUNCTION(pywsc_protocol_send_binary),                    \
         METH_FASTCALL | METH_KEYWORDS,                                                \
         PyDoc_STR("send_binary($self, data, /, *, fin=True, compress=None)\n--\n\n"   \
                   "Queue a binary message, or with fin=False its first fragment.")},  \
        {"send_continuation", PYWSC_FUNCTION(pywsc_protocol_send_continuation),        \
         METH_FASTCALL | METH_KEYWORDS,                                                \
         PyDoc_STR("send_continuation($self, data, /, *, fin=True)\n--\n\n"            \
                   "Queue the next fragment of the message.")},                        \
        {"send_ping", PYWSC_FUNCTION(pywsc_protocol_send_ping), METH_FASTCALL,         \
         PyDoc_STR("send_ping($self, data=b'', /)\n--\n\nQueue a ping.")},             \
        {"send_pong", PYWSC_FUNCTION(pywsc_protocol_send_pong), METH_FASTCALL,         \
         PyDoc_STR(                                                                    \
             "send_pong($self, data=b'', /)\n--\n\nQueue an unsolicited pong.")},      \
        {"send_close", PYWSC_FUNCTION(pywsc_protocol_send_close),                      \
         METH_VARARGS | METH_KEYWORDS,                                                 \
         PyDoc_STR("send_close($self, code=None, reason='')\n--\n\n"                   \
                   "Start the closing handshake; does nothing when it has begun. "     \
                   "Without a code the frame is empty.")},                             \
    {                                                                                  \
        "fail", PYWSC_FUNCTION(pywsc_protocol_fail), METH_VARARGS | METH_KEYWORDS,     \
            PyDoc_STR("fail($self, code, reason='')\n--\n\n"                           \
                      "Fail the connection (RFC 6455 §7.1.7).")                        \
    }

/* --- protocol_open.c --- */

int pywsc_protocol_open_init(PyObject *module, struct pywsc_state *state);
/* Client: note what the response agreed to. */
int pywsc_protocol_note_answer(struct pywsc_state *state, struct pywsc_protocol *self);
/* New reference: the agreed PerMessageDeflate, or None. */
PyObject *pywsc_protocol_agreed_compression(struct pywsc_state *state,
                                            struct pywsc_protocol *self);

#endif

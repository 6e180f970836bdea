/* The way out: messages, control frames, the close frame. */
#ifndef PYWSC_PROTOCOL_SEND_H
#define PYWSC_PROTOCOL_SEND_H

#include "common/arguments.h"
#include "protocol/protocol.h"

/* Queue a message or fragment. The bytes stay the caller's. */
enum wsc_status pywsc_protocol_send(struct pywsc_protocol *self, enum wsc_opcode opcode,
                                    const struct pywsc_bytes *bytes, bool fin,
                                    enum wsc_compress compress);
/* Text given as bytes has to be UTF-8: UnicodeDecodeError and -1 otherwise. */
int pywsc_protocol_check_text(const struct pywsc_bytes *bytes);

/* Methods. */

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

#endif

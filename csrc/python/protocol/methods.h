/* The methods of the sans-IO objects that live in files of their own. */
#ifndef PYWSC_PROTOCOL_METHODS_H
#define PYWSC_PROTOCOL_METHODS_H

#include "protocol/protocol.h"

/* A connection uses its protocol in its loop's thread, without the lock: RuntimeError
 * and -1 in any other thread. */
static inline int pywsc_protocol_check_thread(const struct pywsc_protocol *self)
{
    if (self->thread == 0 || self->thread == PyThread_get_thread_ident()) {
        return 0;
    }
    PyErr_SetString(PyExc_RuntimeError,
                    "a connection's protocol is used in the thread of its event loop "
                    "only");
    return -1;
}

/* The same, and when a subclass forgot __init__. */
static inline int pywsc_protocol_ready(const struct pywsc_protocol *self)
{
    if (!self->initialized) {
        PyErr_SetString(PyExc_RuntimeError, "__init__() was not called");
        return -1;
    }
    return pywsc_protocol_check_thread(self);
}

/* Attributes of a connection's: with a GIL they may be read in any thread. */
#ifdef Py_GIL_DISABLED
#define PYWSC_PROTOCOL_READABLE(op)                                                    \
    (pywsc_protocol_check_thread((const struct pywsc_protocol *)(op)) == 0)
#else
#define PYWSC_PROTOCOL_READABLE(op) true
#endif

/* A getter of name_lock_held(op): attributes are those of one moment, whatever other
 * threads do. */
#define PYWSC_PROTOCOL_GETTER(name)                                                    \
    static PyObject *name(PyObject *op, void *closure)                                 \
    {                                                                                  \
        PyObject *value;                                                               \
        (void)closure;                                                                 \
        if (!PYWSC_PROTOCOL_READABLE(op)) {                                            \
            return NULL;                                                               \
        }                                                                              \
        Py_BEGIN_CRITICAL_SECTION(op);                                                 \
        value = name##_lock_held(op);                                                  \
        Py_END_CRITICAL_SECTION();                                                     \
        return value;                                                                  \
    }

/* --- receive.c --- */

PyObject *pywsc_protocol_receive_data(PyObject *op, PyObject *data);
PyObject *pywsc_protocol_receive_eof(PyObject *op, PyObject *unused);
PyObject *pywsc_protocol_next_event(PyObject *op, PyObject *unused);
PyObject *pywsc_protocol_events(PyObject *op, PyObject *unused);
/* The type of what events() returns. */
int pywsc_protocol_receive_init(PyObject *module, struct pywsc_state *state);

/* --- send.c --- */

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

/* --- output.c --- */

PyObject *pywsc_protocol_data_to_send(PyObject *op, PyObject *unused);
PyObject *pywsc_protocol_buffers_to_send(PyObject *op, PyObject *unused);

/* --- attributes.c --- */

extern PyGetSetDef pywsc_protocol_getset[];

/* --- options.c --- */

/* For __init__, with the arguments that both ends have: see common/config.h. -1 with an
 * exception. */
int pywsc_protocol_construct(struct pywsc_protocol *self, enum wsc_role role,
                             bool any_request,
                             PyObject *const options[PYWSC_CONFIG_OPTIONS]);
/* New reference: the agreed PerMessageDeflate, or None. */
PyObject *pywsc_protocol_agreed_compression(struct pywsc_state *state,
                                            struct pywsc_protocol *self);

/* --- server.c --- */

int pywsc_protocol_server_init(PyObject *module, struct pywsc_state *state);

/* --- client.c --- */

int pywsc_protocol_client_init(PyObject *module, struct pywsc_state *state);
/* Note what the response agreed to. */
int pywsc_protocol_note_answer(struct pywsc_state *state, struct pywsc_protocol *self);

#endif

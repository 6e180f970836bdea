/* The sans-IO protocol object, as the asyncio connection sees it. */
#ifndef PYWSC_PROTOCOL_PROTOCOL_H
#define PYWSC_PROTOCOL_PROTOCOL_H

#include <stdatomic.h>

#include "common/state.h"

/* With its GC head an idle one just fits into what Python has an allocator of its own
 * for, 512 bytes on 64-bit machines: no holes are left in the heap. */
struct pywsc_protocol {
    PyObject_HEAD struct wsc_conn conn;
    struct pywsc_config *config; /* NULL before __init__() */
    bool initialized;
    bool eof_pending;      /* receive_eof() came before all input was read */
    uint32_t more_used;    /* how many of more_input have been read */
    PyObject *input;       /* bytes object that the core is reading from, or NULL */
    PyObject *more_input;  /* list of bytes objects to read after it, or NULL */
    atomic_ulong thread;   /* of the loop of its connection, 0 without one */
    PyObject *compression; /* PerMessageDeflate agreed on, or NULL */
    PyObject *subprotocol; /* agreed on, or NULL */
    PyObject *request;     /* client: what was sent, or NULL */
    /* After the handshake failed: kept, since the head goes away. */
    PyObject *handshake_exception;
};

/* Make it the protocol of a connection in this thread. False: another one has it. */
static inline bool pywsc_protocol_take(struct pywsc_protocol *self)
{
    unsigned long nobody = 0;
    return atomic_compare_exchange_strong(&self->thread, &nobody,
                                          PyThread_get_thread_ident());
}

/* A connection uses its protocol in its loop's thread, without the lock: RuntimeError
 * and -1 in any other thread. */
static inline int pywsc_protocol_check_thread(const struct pywsc_protocol *self)
{
    unsigned long thread = atomic_load_explicit(&self->thread, memory_order_relaxed);
    if (thread == 0 || thread == PyThread_get_thread_ident()) {
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

#endif

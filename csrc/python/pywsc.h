/* The binding: what its files share. It sees the public headers of the core only.
 *
 * One module state per interpreter; every type is a heap type made from a spec,
 * immutable. Objects are guarded by critical sections of their own (free-threaded
 * builds), user code runs only between calls into the core. */
#ifndef PYWSC_H
#define PYWSC_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <structmember.h>

#include "wsc/conn.h"

#if PY_VERSION_HEX < 0x030D0000
#define Py_BEGIN_CRITICAL_SECTION(op) {
#define Py_END_CRITICAL_SECTION()     }
#endif

/* Python classes and functions that C makes objects of; see objects in module.c. */
enum pywsc_object {
    PYWSC_CONNECTION_CLOSED_OK,
    PYWSC_CONNECTION_CLOSED_ERROR,
    PYWSC_PROTOCOL_ERROR,
    PYWSC_PAYLOAD_TOO_BIG,
    PYWSC_INVALID_STATE,
    PYWSC_CONCURRENCY_ERROR,
    PYWSC_INVALID_HANDSHAKE,
    PYWSC_INVALID_MESSAGE,
    PYWSC_REQUEST_LINE_TOO_LONG,
    PYWSC_STATUS_LINE_TOO_LONG,
    PYWSC_INVALID_METHOD,
    PYWSC_INVALID_PROTOCOL,
    PYWSC_INVALID_STATUS,
    PYWSC_INVALID_HEADER,
    PYWSC_INVALID_HEADER_VALUE,
    PYWSC_INVALID_UPGRADE,
    PYWSC_NEGOTIATION_ERROR,
    PYWSC_DUPLICATE_PARAMETER,
    PYWSC_INVALID_PARAMETER_NAME,
    PYWSC_INVALID_PARAMETER_VALUE,
    PYWSC_STATE,
    PYWSC_HEADERS,
    PYWSC_PACKED_HEADERS,
    PYWSC_REQUEST,
    PYWSC_RESPONSE,
    PYWSC_PER_MESSAGE_DEFLATE,
    PYWSC_INIT_SUBCLASS,
#if PY_VERSION_HEX < 0x030C0000
    PYWSC_CURRENT_TASK, /* a dict by loop */
#else
    PYWSC_CURRENT_TASK, /* functions */
    PYWSC_ENTER_TASK,
    PYWSC_LEAVE_TASK,
#endif
    PYWSC_CANCELLED_ERROR,
    PYWSC_INVALID_STATE_ERROR,
    PYWSC_OBJECTS,
};

/* Interned names; see names in module.c. */
enum pywsc_name {
    PYWSC_NAME_WRITE,
    PYWSC_NAME_FLUSH,
    PYWSC_NAME_TIME,
    PYWSC_NAME_CALL_AT,
    PYWSC_NAME_CANCEL,
    PYWSC_NAME_FIRED,
    PYWSC_NAME_GET_WRITE_BUFFER_SIZE,
    PYWSC_NAME_CALL_SOON,
    PYWSC_NAME_CONTEXT,
    PYWSC_NAME_FUTURE_BLOCKING,
    PYWSC_NAME_ADD_DONE_CALLBACK,
    PYWSC_NAME_GET_LOOP,
    PYWSC_NAME_PAUSE_READING,
    PYWSC_NAME_RESUME_READING,
    PYWSC_NAME_CALL_EXCEPTION_HANDLER,
    PYWSC_NAME_ON_REQUEST,
    PYWSC_NAME_ON_RESPONSE,
    PYWSC_NAME_ON_HANDSHAKE_FAILED,
    PYWSC_NAME_ON_PING,
    PYWSC_NAME_ON_PONG,
    PYWSC_NAME_ON_CLOSING,
    PYWSC_NAME_ON_OUTPUT_TAKEN,
    PYWSC_NAME_ON_CLOSE_RECEIVED,
    PYWSC_NAME_ON_LOST,
    PYWSC_NAME_CAUSE,
    PYWSC_NAME_UNDECODABLE,
    PYWSC_NAME_ON_OPEN_TIMEOUT,
    PYWSC_NAME_SEND_KEEPALIVE_PING,
    PYWSC_NAME_START_CLOSE,
    PYWSC_NAME_FAIL,
    PYWSC_NAME_ABORT,
    PYWSC_NAME_SEND_SLOW,
    PYWSC_NAME_RECEIVE_SLOW,
    PYWSC_NAME_NEXT_SLOW,
    PYWSC_NAME_RECEIVE_END,
    PYWSC_NAME_NEXT_END,
    PYWSC_NAME_SEND_TEXT_SLOW,
    PYWSC_NAME_SEND_BINARY_SLOW,
    PYWSC_NAME_SEND_LOST,
    PYWSC_NAME_READY,
    PYWSC_NAME_WAKE,
    PYWSC_NAME_EOF_RECEIVED,
    PYWSC_NAME_CONNECTION_LOST,
    PYWSC_NAME_PAUSE_WRITING,
    PYWSC_NAME_RESUME_WRITING,
    PYWSC_NAME_DETACH,
    PYWSC_NAME_LOST,
    PYWSC_NAME_ON_LISTENER_FAILED,
    PYWSC_NAME_ON_OPEN,
    PYWSC_NAME_ON_MESSAGE,
    PYWSC_NAME_LISTENER_ON_PING,
    PYWSC_NAME_LISTENER_ON_PONG,
    PYWSC_NAME_ON_CLOSE,
    PYWSC_NAME_DATA,
    /* Of nearly every handshake: kept once. */
    PYWSC_NAME_GET,
    PYWSC_NAME_HTTP_1_1,
    PYWSC_NAME_SWITCHING_PROTOCOLS,
    PYWSC_NAME_STATUS_CODE,
    PYWSC_NAME_REASON_PHRASE,
    PYWSC_NAME_HEADERS,
    PYWSC_NAME_BODY,
    PYWSC_NAMES,
};

/* Memory of dead objects of one type, for the next ones: every message makes a few, for
 * a short time. Free-threaded builds go without. */
#define PYWSC_SPARES_MAX 16
struct pywsc_spares {
    PyObject *objects[PYWSC_SPARES_MAX];
    size_t count;
    bool closed; /* the module is going away */
};

struct pywsc_pool;
struct pywsc_config;
#define PYWSC_CONFIG_OPTIONS 6 /* see config.h */

struct pywsc_state {
    struct pywsc_spares spare_waiters;
    struct pywsc_spares spare_operations;
    PyTypeObject *text_message;
    PyTypeObject *binary_message;
    PyTypeObject *ping;
    PyTypeObject *pong;
    PyTypeObject *close;
    PyTypeObject *protocol;
    PyTypeObject *server_protocol;
    PyTypeObject *client_protocol;
    PyTypeObject *events;
    PyTypeObject *receive_buffer;
    PyTypeObject *timers;
    PyTypeObject *waiter;
    PyTypeObject *stepper;
    PyTypeObject *connection;
    PyTypeObject *operation;
    PyTypeObject *message_stream;
    PyTypeObject *engine;
    PyTypeObject *engine_transport;
    PyTypeObject *engine_listener;
    PyTypeObject *tls_context;
    PyTypeObject *deflater;
    PyTypeObject *inflater;
    PyObject *objects[PYWSC_OBJECTS];
    PyObject *names[PYWSC_NAMES];
    PyObject *states[WSC_CONN_CLOSED + 1];          /* members of pywscore.State */
    size_t largest_output;                          /* see protocol_output.c */
    struct pywsc_pool *pool;                        /* NULL: made when first needed */
    struct pywsc_config *config;                    /* the last one made, or NULL */
    PyObject *config_options[PYWSC_CONFIG_OPTIONS]; /* what it was made from */
};

extern struct PyModuleDef pywsc_module;

static inline struct pywsc_state *pywsc_module_state(PyObject *module)
{
    return (struct pywsc_state *)PyModule_GetState(module);
}

/* The state of the module that made this type or a base of it. Never NULL for our
 * types; subclasses made in Python included. */
struct pywsc_state *pywsc_type_state(PyTypeObject *type);

/* Each adds its types to the module; -1 with an exception set. */
int pywsc_functions_init(PyObject *module, struct pywsc_state *state);
int pywsc_events_init(PyObject *module, struct pywsc_state *state);
int pywsc_protocol_init(PyObject *module, struct pywsc_state *state);
int pywsc_waiter_init(PyObject *module, struct pywsc_state *state);
int pywsc_stepper_init(PyObject *module, struct pywsc_state *state);
int pywsc_timers_init(PyObject *module, struct pywsc_state *state);
int pywsc_connection_init(PyObject *module, struct pywsc_state *state);
int pywsc_broadcast_init(PyObject *module, struct pywsc_state *state);
int pywsc_message_stream_init(PyObject *module, struct pywsc_state *state);
int pywsc_engine_init(PyObject *module, struct pywsc_state *state);
int pywsc_tls_init(PyObject *module, struct pywsc_state *state);
int pywsc_compression_init(PyObject *module, struct pywsc_state *state);

/* Make a type from its spec and add it; NULL with an exception set. */
PyTypeObject *pywsc_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject *base);

/* The end of a tp_dealloc: of the memory, and of the reference to the type. */
static inline void pywsc_free(PyObject *op)
{
    PyTypeObject *type = Py_TYPE(op);
    type->tp_free(op);
    Py_DECREF(type);
}

/* For tables of methods: those that take more than `self` and one object. */
#define PYWSC_FUNCTION(function) (PyCFunction)(void (*)(void))(function)

/* For tables of members: weak references are possible, with their list in `field`. */
#define PYWSC_WEAKREFS(type, field)                                                    \
    {                                                                                  \
        "__weaklistoffset__", T_PYSSIZET, offsetof(type, field), READONLY, NULL        \
    }

/* --- memory.c --- */

/* An untracked object of a final heap type with GC and of fixed size, like
 * PyObject_GC_New: all but its head is garbage. */
PyObject *pywsc_spares_new(struct pywsc_spares *spares, PyTypeObject *type);
/* The end of its tp_dealloc: `object` is untracked and all its references are dropped.
 */
void pywsc_spares_free(struct pywsc_spares *spares, PyObject *object);
/* Free them, and keep no more. */
void pywsc_spares_close(struct pywsc_spares *spares);

/* PyMem as the core's allocator; incoming payloads as str and bytes objects. */
extern const struct wsc_allocator pywsc_allocator;
extern const struct wsc_payload_memory pywsc_payload_memory;
/* The str or bytes of a message that the core gave away; takes the payload in any case.
 */
PyObject *pywsc_message_take(struct wsc_message *message);
void pywsc_message_discard(struct wsc_message *message);

/* --- pool.c --- */

/* The interpreter's pool of compression contexts, to be released: objects may outlive
 * the module's state. NULL: without memory for it, or in a free-threaded build, there
 * is none. */
struct pywsc_pool *pywsc_pool_hold(struct pywsc_state *state);
/* NULL of NULL. */
struct wsc_deflate_pool *pywsc_pool_contexts(struct pywsc_pool *pool);
void pywsc_pool_release(struct pywsc_pool *pool);

/* --- arguments.c --- */

/* The bytes of a str (as UTF-8) or bytes-like object. `owner` is an exact bytes object
 * that may be sent by reference, or NULL. */
struct pywsc_bytes {
    const uint8_t *data;
    Py_ssize_t len;
    PyObject *owner; /* borrowed from `held` or the argument */
    bool is_text;    /* it was a str */
    PyObject *held;  /* owned: a temporary */
    Py_buffer view;  /* view.obj NULL when unused */
};
/* -1 with TypeError (not bytes-like, not contiguous) or UnicodeEncodeError. Runs no
 * user code for exact types; the view is held until pywsc_bytes_release. */
int pywsc_bytes_get(PyObject *object, bool accept_str, struct pywsc_bytes *out);
void pywsc_bytes_release(struct pywsc_bytes *bytes);
/* Accept only the keyword arguments in `names`; values (borrowed or NULL) to `out`. */
int pywsc_keywords(const char *function, PyObject *const *values, PyObject *kwnames,
                   const char *const *names, size_t count, PyObject **out);
/* The same where all of them may be given by position too. */
int pywsc_parameters(const char *function, PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames, const char *const *names, size_t count,
                     PyObject **out);
/* Its truth in the place of an argument: True or False; NULL for None or absent. */
int pywsc_truth_argument(PyObject **object);
/* None or absent: AUTO; else by truth. */
int pywsc_compress_argument(PyObject *object, enum wsc_compress *out);
/* None or absent: `none`; an int from 0 to SIZE_MAX/4, else ValueError. */
int pywsc_size_argument(PyObject *object, const char *name, size_t none, size_t *out);

/* --- events.c --- */

PyObject *pywsc_message_event(struct pywsc_state *state, PyObject *data, bool text,
                              bool fin, bool compressed);
PyObject *pywsc_ping_event(struct pywsc_state *state, const uint8_t *data, size_t len);
PyObject *pywsc_pong_event(struct pywsc_state *state, const uint8_t *data, size_t len);
PyObject *pywsc_close_event(struct pywsc_state *state, const struct wsc_close *close);

/* --- errors.c --- */

/* Set the exception for a status that one of our own calls returned; returns NULL. */
PyObject *pywsc_raise(struct pywsc_state *state, enum wsc_status status);
/* New reference: the exception that describes how the connection ended, for recv() and
 * send(); what failed it as its __cause__. */
PyObject *pywsc_close_exception(struct pywsc_state *state, const struct wsc_conn *conn);
/* New reference: what failed the connection from this end, or None. */
PyObject *pywsc_error(struct pywsc_state *state, const struct wsc_conn *conn);
/* New reference: why the opening handshake failed, or None. */
PyObject *
pywsc_handshake_exception(struct pywsc_state *state, const struct wsc_conn *conn);

/* --- heads.c --- */

/* New references made from the head at hand. */
PyObject *pywsc_request_new(struct pywsc_state *state, const struct wsc_conn *conn);
PyObject *
pywsc_head_request(struct pywsc_state *state, const struct wsc_http_head *head);
PyObject *pywsc_response_new(struct pywsc_state *state, const struct wsc_conn *conn);
PyObject *pywsc_headers_new(struct pywsc_state *state,
                            const struct wsc_http_header *headers, size_t count);
/* Header text as str: ASCII, other bytes as surrogate escapes. */
PyObject *pywsc_header_text(struct wsc_str text);
/* Python headers (Headers, mapping or iterable of pairs) as an array for the core. */
struct pywsc_headers {
    struct wsc_http_header *items;
    size_t count;
    PyObject *held; /* list of the bytes objects that the items point into */
};
int pywsc_headers_get(struct pywsc_state *state, PyObject *object,
                      struct pywsc_headers *out);
/* The same as a list of pairs, not looked at: Headers.raw_items(), mapping.items(), or
 * what the iterable gives. */
PyObject *pywsc_header_pairs(PyObject *object);
void pywsc_headers_release(struct pywsc_headers *headers);
/* A str of visible ASCII as bytes, held in `held` (a list); ValueError otherwise. */
int pywsc_ascii_get(PyObject *object, const char *what, PyObject *held,
                    struct wsc_str *out);

#endif

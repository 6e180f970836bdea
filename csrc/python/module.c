#include "config.h"

#include "wsc/crypto.h"
#include "wsc/deflate.h"
#include "wsc/simd.h"

static const struct {
    const char *module;
    const char *name;
} objects[PYWSC_OBJECTS] = {
    [PYWSC_CONNECTION_CLOSED_OK] = {"pywscore.exceptions", "ConnectionClosedOK"},
    [PYWSC_CONNECTION_CLOSED_ERROR] = {"pywscore.exceptions", "ConnectionClosedError"},
    [PYWSC_PROTOCOL_ERROR] = {"pywscore.exceptions", "ProtocolError"},
    [PYWSC_PAYLOAD_TOO_BIG] = {"pywscore.exceptions", "PayloadTooBig"},
    [PYWSC_INVALID_STATE] = {"pywscore.exceptions", "InvalidState"},
    [PYWSC_CONCURRENCY_ERROR] = {"pywscore.exceptions", "ConcurrencyError"},
    [PYWSC_INVALID_HANDSHAKE] = {"pywscore.exceptions", "InvalidHandshake"},
    [PYWSC_INVALID_MESSAGE] = {"pywscore.exceptions", "InvalidMessage"},
    [PYWSC_REQUEST_LINE_TOO_LONG] = {"pywscore.exceptions", "RequestLineTooLong"},
    [PYWSC_STATUS_LINE_TOO_LONG] = {"pywscore.exceptions", "StatusLineTooLong"},
    [PYWSC_INVALID_METHOD] = {"pywscore.exceptions", "InvalidMethod"},
    [PYWSC_INVALID_PROTOCOL] = {"pywscore.exceptions", "InvalidProtocol"},
    [PYWSC_INVALID_STATUS] = {"pywscore.exceptions", "InvalidStatus"},
    [PYWSC_INVALID_HEADER] = {"pywscore.exceptions", "InvalidHeader"},
    [PYWSC_INVALID_HEADER_VALUE] = {"pywscore.exceptions", "InvalidHeaderValue"},
    [PYWSC_INVALID_UPGRADE] = {"pywscore.exceptions", "InvalidUpgrade"},
    [PYWSC_NEGOTIATION_ERROR] = {"pywscore.exceptions", "NegotiationError"},
    [PYWSC_DUPLICATE_PARAMETER] = {"pywscore.exceptions", "DuplicateParameter"},
    [PYWSC_INVALID_PARAMETER_NAME] = {"pywscore.exceptions", "InvalidParameterName"},
    [PYWSC_INVALID_PARAMETER_VALUE] = {"pywscore.exceptions", "InvalidParameterValue"},
    [PYWSC_STATE] = {"pywscore.enums", "State"},
    [PYWSC_HEADERS] = {"pywscore.http", "Headers"},
    [PYWSC_PACKED_HEADERS] = {"pywscore.http", "packed_headers"},
    [PYWSC_REQUEST] = {"pywscore.http", "Request"},
    [PYWSC_RESPONSE] = {"pywscore.http", "Response"},
    [PYWSC_PER_MESSAGE_DEFLATE] = {"pywscore.extensions", "PerMessageDeflate"},
    [PYWSC_INIT_SUBCLASS] = {"pywscore._overrides", "init_subclass"},
#if PY_VERSION_HEX < 0x030C0000
    [PYWSC_CURRENT_TASK] = {"asyncio.tasks", "_current_tasks"},
#else
    [PYWSC_CURRENT_TASK] = {"asyncio", "current_task"},
    [PYWSC_ENTER_TASK] = {"asyncio.tasks", "_enter_task"},
    [PYWSC_LEAVE_TASK] = {"asyncio.tasks", "_leave_task"},
#endif
    [PYWSC_CANCELLED_ERROR] = {"asyncio", "CancelledError"},
    [PYWSC_INVALID_STATE_ERROR] = {"asyncio", "InvalidStateError"},
};

static const char *const names[PYWSC_NAMES] = {
    [PYWSC_NAME_FLUSH] = "flush",
    [PYWSC_NAME_WRITE] = "write",
    [PYWSC_NAME_TIME] = "time",
    [PYWSC_NAME_CALL_AT] = "call_at",
    [PYWSC_NAME_CANCEL] = "cancel",
    [PYWSC_NAME_FIRED] = "_fired",
    [PYWSC_NAME_GET_WRITE_BUFFER_SIZE] = "get_write_buffer_size",
    [PYWSC_NAME_CALL_SOON] = "call_soon",
    [PYWSC_NAME_CONTEXT] = "context",
    [PYWSC_NAME_FUTURE_BLOCKING] = "_asyncio_future_blocking",
    [PYWSC_NAME_ADD_DONE_CALLBACK] = "add_done_callback",
    [PYWSC_NAME_GET_LOOP] = "get_loop",
    [PYWSC_NAME_PAUSE_READING] = "pause_reading",
    [PYWSC_NAME_RESUME_READING] = "resume_reading",
    [PYWSC_NAME_CALL_EXCEPTION_HANDLER] = "call_exception_handler",
    [PYWSC_NAME_ON_REQUEST] = "_on_request",
    [PYWSC_NAME_ON_RESPONSE] = "_on_response",
    [PYWSC_NAME_ON_HANDSHAKE_FAILED] = "_on_handshake_failed",
    [PYWSC_NAME_ON_PING] = "_on_ping",
    [PYWSC_NAME_ON_PONG] = "_on_pong",
    [PYWSC_NAME_ON_CLOSING] = "_on_closing",
    [PYWSC_NAME_ON_OUTPUT_TAKEN] = "_on_output_taken",
    [PYWSC_NAME_ON_CLOSE_RECEIVED] = "_on_close_received",
    [PYWSC_NAME_ON_LOST] = "_on_lost",
    [PYWSC_NAME_CAUSE] = "_cause",
    [PYWSC_NAME_UNDECODABLE] = "_undecodable",
    [PYWSC_NAME_ON_OPEN_TIMEOUT] = "_on_open_timeout",
    [PYWSC_NAME_SEND_KEEPALIVE_PING] = "_send_keepalive_ping",
    [PYWSC_NAME_START_CLOSE] = "_start_close",
    [PYWSC_NAME_FAIL] = "_fail",
    [PYWSC_NAME_ABORT] = "_abort",
    [PYWSC_NAME_SEND_SLOW] = "_send_slow",
    [PYWSC_NAME_RECEIVE_SLOW] = "_receive_slow",
    [PYWSC_NAME_NEXT_SLOW] = "_next_slow",
    [PYWSC_NAME_RECEIVE_END] = "_receive_end",
    [PYWSC_NAME_NEXT_END] = "_next_end",
    [PYWSC_NAME_SEND_TEXT_SLOW] = "_send_text_slow",
    [PYWSC_NAME_SEND_BINARY_SLOW] = "_send_binary_slow",
    [PYWSC_NAME_SEND_LOST] = "_send_lost",
    [PYWSC_NAME_READY] = "ready",
    [PYWSC_NAME_WAKE] = "_wake",
    [PYWSC_NAME_EOF_RECEIVED] = "eof_received",
    [PYWSC_NAME_CONNECTION_LOST] = "connection_lost",
    [PYWSC_NAME_PAUSE_WRITING] = "pause_writing",
    [PYWSC_NAME_RESUME_WRITING] = "resume_writing",
    [PYWSC_NAME_DETACH] = "_detach",
    [PYWSC_NAME_LOST] = "_lost",
    [PYWSC_NAME_ON_LISTENER_FAILED] = "_on_listener_failed",
    [PYWSC_NAME_ON_OPEN] = "on_open",
    [PYWSC_NAME_ON_MESSAGE] = "on_message",
    [PYWSC_NAME_LISTENER_ON_PING] = "on_ping",
    [PYWSC_NAME_LISTENER_ON_PONG] = "on_pong",
    [PYWSC_NAME_ON_CLOSE] = "on_close",
    [PYWSC_NAME_DATA] = "_data",
    [PYWSC_NAME_GET] = "GET",
    [PYWSC_NAME_HTTP_1_1] = "HTTP/1.1",
    [PYWSC_NAME_SWITCHING_PROTOCOLS] = "Switching Protocols",
    [PYWSC_NAME_STATUS_CODE] = "status_code",
    [PYWSC_NAME_REASON_PHRASE] = "reason_phrase",
    [PYWSC_NAME_HEADERS] = "headers",
    [PYWSC_NAME_BODY] = "body",
};

struct pywsc_state *pywsc_type_state(PyTypeObject *type)
{
    PyObject *module = PyType_GetModuleByDef(type, &pywsc_module);
    assert(module != NULL);
    return pywsc_module_state(module);
}

PyTypeObject *pywsc_add_type(PyObject *module, PyType_Spec *spec, PyTypeObject *base)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, (PyObject *)base);
    if (type == NULL) {
        return NULL;
    }
    if (PyModule_AddType(module, (PyTypeObject *)type) < 0) {
        Py_DECREF(type);
        return NULL;
    }
    return (PyTypeObject *)type;
}

static int import_objects(struct pywsc_state *state)
{
    for (size_t i = 0; i < PYWSC_OBJECTS; i++) {
        PyObject *module = PyImport_ImportModule(objects[i].module);
        if (module == NULL) {
            return -1;
        }
        state->objects[i] = PyObject_GetAttrString(module, objects[i].name);
        Py_DECREF(module);
        if (state->objects[i] == NULL) {
            return -1;
        }
    }
    for (size_t i = 0; i < PYWSC_NAMES; i++) {
        state->names[i] = PyUnicode_InternFromString(names[i]);
        if (state->names[i] == NULL) {
            return -1;
        }
    }
    for (int i = WSC_CONN_CONNECTING; i <= WSC_CONN_CLOSED; i++) {
        state->states[i] = PyObject_CallFunction(state->objects[PYWSC_STATE], "i", i);
        if (state->states[i] == NULL) {
            return -1;
        }
    }
    return 0;
}

/* THREATS INF-9, TLS-8: libraries too old to be trusted with hostile input. */
static int check_libraries(void)
{
    if (wsc_deflate_check_zlib() != WSC_OK) {
        PyErr_Format(PyExc_ImportError, "pywscore needs zlib 1.2.13 or later, found %s",
                     wsc_deflate_zlib_version());
        return -1;
    }
    if (wsc_crypto_check_openssl() != WSC_OK) {
        PyErr_SetString(PyExc_ImportError, "pywscore needs OpenSSL 3.0 or later");
        return -1;
    }
    return 0;
}

static int module_exec(PyObject *module)
{
    struct pywsc_state *state = pywsc_module_state(module);
    if (check_libraries() < 0 || import_objects(state) < 0 ||
        pywsc_functions_init(module, state) < 0 ||
        pywsc_events_init(module, state) < 0 ||
        pywsc_protocol_init(module, state) < 0 ||
        pywsc_waiter_init(module, state) < 0 || pywsc_stepper_init(module, state) < 0 ||
        pywsc_timers_init(module, state) < 0 ||
        pywsc_connection_init(module, state) < 0 ||
        pywsc_broadcast_init(module, state) < 0 ||
        pywsc_message_stream_init(module, state) < 0 ||
        pywsc_engine_init(module, state) < 0 || pywsc_tls_init(module, state) < 0 ||
        pywsc_compression_init(module, state) < 0) {
        return -1;
    }
    return PyModule_AddStringConstant(module, "simd", wsc_simd_name());
}

/* The types of the state, in one place for traverse and clear. */
#define STATE_TYPES(apply)                                                             \
    apply(text_message) apply(binary_message) apply(ping) apply(pong) apply(close)     \
        apply(protocol) apply(server_protocol) apply(client_protocol) apply(events)    \
            apply(receive_buffer) apply(timers) apply(waiter) apply(connection)        \
                apply(operation) apply(engine) apply(engine_transport)                 \
                    apply(engine_listener) apply(tls_context) apply(deflater)          \
                        apply(inflater) apply(message_stream) apply(stepper)

static int module_traverse(PyObject *module, visitproc visit, void *arg)
{
    struct pywsc_state *state = pywsc_module_state(module);
#define VISIT(type) Py_VISIT(state->type);
    STATE_TYPES(VISIT)
#undef VISIT
    for (size_t i = 0; i < PYWSC_OBJECTS; i++) {
        Py_VISIT(state->objects[i]);
    }
    for (size_t i = 0; i <= WSC_CONN_CLOSED; i++) {
        Py_VISIT(state->states[i]);
    }
    for (size_t i = 0; i < PYWSC_CONFIG_OPTIONS; i++) {
        Py_VISIT(state->config_options[i]);
    }
    return 0;
}

static int module_clear(PyObject *module)
{
    struct pywsc_state *state = pywsc_module_state(module);
    pywsc_spares_close(&state->spare_waiters);
    pywsc_spares_close(&state->spare_operations);
#define CLEAR(type) Py_CLEAR(state->type);
    STATE_TYPES(CLEAR)
#undef CLEAR
    for (size_t i = 0; i < PYWSC_OBJECTS; i++) {
        Py_CLEAR(state->objects[i]);
    }
    for (size_t i = 0; i < PYWSC_NAMES; i++) {
        Py_CLEAR(state->names[i]);
    }
    for (size_t i = 0; i <= WSC_CONN_CLOSED; i++) {
        Py_CLEAR(state->states[i]);
    }
    pywsc_config_release(state->config);
    state->config = NULL;
    for (size_t i = 0; i < PYWSC_CONFIG_OPTIONS; i++) {
        Py_CLEAR(state->config_options[i]);
    }
    pywsc_pool_release(state->pool);
    state->pool = NULL;
    return 0;
}

static void module_free(void *module)
{
    (void)module_clear((PyObject *)module);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, module_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#if PY_VERSION_HEX >= 0x030D0000
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {0, NULL},
};

PyDoc_STRVAR(
    module_doc,
    "The C extension of pywscore: sans-IO protocol objects (RFC 6455, RFC 7692) "
    "and the hot path of the asyncio connection.");

struct PyModuleDef pywsc_module = {
    PyModuleDef_HEAD_INIT,   .m_name = "pywscore._core",
    .m_doc = module_doc,     .m_size = sizeof(struct pywsc_state),
    .m_slots = module_slots, .m_traverse = module_traverse,
    .m_clear = module_clear, .m_free = module_free,
};

PyMODINIT_FUNC PyInit__core(void);
PyMODINIT_FUNC PyInit__core(void)
{
    return PyModuleDef_Init(&pywsc_module);
}

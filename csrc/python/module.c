#include "common/config.h"
#include "common/coroutine_method.h"
#include "common/pool.h"
#include "common/state.h"
#include "connection/connection_type.h"
#include "connection/message_stream_type.h"
#include "engine/engine_type.h"
#include "engine/tls.h"
#include "functions/functions.h"
#include "load/histogram.h"
#include "load/load.h"
#include "protocol/protocol_type.h"
#include "tasks/stepper.h"
#include "tasks/timers.h"
#include "tasks/waiter.h"
#include "values/events.h"

#include "wsc/crypto.h"
#include "wsc/deflate.h"
#include "wsc/simd.h"

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
    if (check_libraries() < 0 || pywsc_state_init(state) < 0 ||
        pywsc_coroutine_method_init(module, state) < 0 ||
        pywsc_codec_init(module, state) < 0 || pywsc_http_init(module, state) < 0 ||
        pywsc_events_init(module, state) < 0 ||
        pywsc_protocol_init(module, state) < 0 ||
        pywsc_waiter_init(module, state) < 0 || pywsc_stepper_init(module, state) < 0 ||
        pywsc_timers_init(module, state) < 0 ||
        pywsc_connection_init(module, state) < 0 ||
        pywsc_broadcast_init(module, state) < 0 ||
        pywsc_message_stream_init(module, state) < 0 ||
        pywsc_engine_init(module, state) < 0 || pywsc_tls_init(module, state) < 0 ||
        pywsc_histogram_init(module, state) < 0 || pywsc_load_init(module, state) < 0) {
        return -1;
    }
    return PyModule_AddStringConstant(module, "simd", wsc_simd_name());
}

static int module_clear(PyObject *module)
{
    struct pywsc_state *state = pywsc_module_state(module);
    pywsc_config_forget(state);
    pywsc_pool_forget(state);
    pywsc_state_clear(state);
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

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,   .m_name = "pywscore._core",
    .m_doc = module_doc,     .m_size = sizeof(struct pywsc_state),
    .m_slots = module_slots, .m_traverse = pywsc_state_traverse,
    .m_clear = module_clear, .m_free = module_free,
};

PyMODINIT_FUNC PyInit__core(void);
PyMODINIT_FUNC PyInit__core(void)
{
    return pywsc_state_define(&module_definition);
}

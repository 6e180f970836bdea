#include "engine/engine.h"

#if WSC_HAVE_ENGINE

int pywsc_engine_check_thread(const struct pywsc_engine *self)
{
    if (self->loop == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "__init__() was not called");
        return -1;
    }
    if (self->thread != PyThread_get_thread_ident()) {
        PyErr_SetString(PyExc_RuntimeError,
                        "an engine is used in the thread of its event loop only");
        return -1;
    }
    return 0;
}

#endif

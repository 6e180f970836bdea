/* Telling who writes a log of the frames that went in and out. */
#ifndef PYWSC_CONNECTION_TRACE_H
#define PYWSC_CONNECTION_TRACE_H

#include "connection/connection.h"

/* The method _start_trace(): trace it from now on. */
PyObject *pywsc_connection_start_trace(PyObject *op, PyObject *unused);

/* If it is traced, tell _on_frames() of the frames and the state that are new. It runs
 * code of the user's. -1 with an exception that has to leave. */
int pywsc_connection_tell_trace(struct pywsc_connection *self);
static inline int pywsc_connection_trace(struct pywsc_connection *self)
{
    return self->trace.wanted ? pywsc_connection_tell_trace(self) : 0;
}

#endif

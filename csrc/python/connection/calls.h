/* What transports call, and the loop: the methods of a connection by which things come.
 */
#ifndef PYWSC_CONNECTION_CALLS_H
#define PYWSC_CONNECTION_CALLS_H

#include "common/python.h"

/* Of asyncio.BufferedProtocol. */
PyObject *pywsc_connection_made(PyObject *op, PyObject *transport);
PyObject *pywsc_connection_get_buffer(PyObject *op, PyObject *sizehint);
PyObject *pywsc_connection_buffer_updated(PyObject *op, PyObject *nbytes);
PyObject *pywsc_connection_eof_received(PyObject *op, PyObject *unused);
PyObject *pywsc_connection_lost(PyObject *op, PyObject *exc);
PyObject *pywsc_connection_pause_writing(PyObject *op, PyObject *unused);
PyObject *pywsc_connection_resume_writing(PyObject *op, PyObject *unused);
/* See _core.pyi. */
PyObject *pywsc_connection_wake(PyObject *op, PyObject *unused);
PyObject *pywsc_connection_end_receiving(PyObject *op, PyObject *unused);
/* Before the first message. */
PyObject *pywsc_connection_listen(PyObject *op, PyObject *listener);

#endif

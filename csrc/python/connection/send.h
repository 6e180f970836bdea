/* Messages of the user's. */
#ifndef PYWSC_CONNECTION_SEND_H
#define PYWSC_CONNECTION_SEND_H

#include "connection/connection.h"

/* Queue a message; `text` and `compress` are True, False or NULL. Never waits. */
enum pywsc_outcome pywsc_connection_send(struct pywsc_connection *self,
                                         PyObject *message, PyObject *text,
                                         PyObject *compress);
/* The method. */
PyObject *pywsc_connection_send_nowait(PyObject *op, PyObject *const *args,
                                       Py_ssize_t nargs, PyObject *kwnames);

#endif

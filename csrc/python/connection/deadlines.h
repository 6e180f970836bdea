/* All clocks of one connection, on one timer. */
#ifndef PYWSC_CONNECTION_DEADLINES_H
#define PYWSC_CONNECTION_DEADLINES_H

#include "connection/connection.h"

/* ping_interval, ping_timeout and idle_timeout: seconds or None. -1 with an exception.
 */
int pywsc_deadlines_read(PyObject *const options[3], float out[3]);
/* With what that read. */
void pywsc_deadlines_init(struct pywsc_deadlines *self, PyObject *timers,
                          const float seconds[3]);
void pywsc_deadlines_fini(struct pywsc_deadlines *self);

/* What happened. -1 with an exception. */

/* Output rose above the high-water mark, or fell below the low one. */
int pywsc_deadlines_write_paused(struct pywsc_connection *connection);
int pywsc_deadlines_write_resumed(struct pywsc_connection *connection);
/* TCP is gone: there is nothing left to wait for. An exception that is set stays. */
int pywsc_deadlines_lost(struct pywsc_connection *connection);

/* Methods of the connection; see _core.pyi. */
PyObject *pywsc_deadlines_opening(PyObject *op, PyObject *at);
PyObject *pywsc_deadlines_opened(PyObject *op, PyObject *unused);
PyObject *pywsc_deadlines_closing(PyObject *op, PyObject *within);
PyObject *pywsc_deadlines_alive(PyObject *op, PyObject *latency);
PyObject *pywsc_deadlines_keepalive(PyObject *op, void *closure);

#endif

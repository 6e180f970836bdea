/* What a connection has counted. */
#ifndef PYWSC_CONNECTION_TRAFFIC_H
#define PYWSC_CONNECTION_TRAFFIC_H

#include "common/python.h"

/* Its attribute _traffic. */
PyObject *pywsc_traffic_get(PyObject *op, void *closure);
/* The method _add_traffic(). */
PyObject *pywsc_traffic_add(PyObject *op, PyObject *list);

#endif

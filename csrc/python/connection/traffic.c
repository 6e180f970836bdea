#include "connection/traffic.h"

#include "connection/connection.h"

/* Of pywscore.asyncio._stats.Traffic, and how many of its first are sums. */
enum { TRAFFIC_VALUES = 11, TRAFFIC_SUMS = 8 };

static void get_sums(const struct pywsc_connection *self, uint64_t sums[TRAFFIC_SUMS])
{
    const struct wsc_conn *conn = &self->protocol->conn;
    struct wsc_deflate_traffic compressed = wsc_conn_compressed(conn);
    sums[0] = self->messages_received;
    sums[1] = conn->messages_sent;
    sums[2] = conn->bytes_received;
    sums[3] = wsc_conn_bytes_sent(conn);
    sums[4] = compressed.received;
    sums[5] = compressed.inflated;
    sums[6] = compressed.sent;
    sums[7] = compressed.deflated;
}

/* All that the core counts, in the order of _core.pyi. */
PyObject *pywsc_traffic_get(PyObject *op, void *closure)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    uint64_t sums[TRAFFIC_SUMS];
    (void)closure;
    if (pywsc_connection_check_thread(self) < 0) {
        return NULL;
    }
    get_sums(self, sums);
    PyObject *traffic = PyTuple_New(TRAFFIC_SUMS + 1);
    for (Py_ssize_t i = 0; traffic != NULL && i <= TRAFFIC_SUMS; i++) {
        PyObject *value =
            i < TRAFFIC_SUMS
                ? PyLong_FromUnsignedLongLong(sums[i])
                : PyLong_FromSize_t(wsc_conn_output_size(&self->protocol->conn));
        if (value == NULL) {
            Py_CLEAR(traffic);
        }
        else {
            PyTuple_SET_ITEM(traffic, i, value);
        }
    }
    return traffic;
}

/* list[at] += more */
static int add_to(PyObject *list, Py_ssize_t at, uint64_t more)
{
    PyObject *before = PyList_GET_ITEM(list, at);
    if (!PyLong_CheckExact(before)) { /* whose addition might run any code */
        PyErr_SetString(PyExc_TypeError, "not a list of what is counted");
        return -1;
    }
    PyObject *number = PyLong_FromUnsignedLongLong(more);
    PyObject *sum = number == NULL ? NULL : PyNumber_Add(before, number);
    Py_XDECREF(number);
    if (sum == NULL) {
        return -1;
    }
    PyList_SET_ITEM(list, at, sum);
    Py_DECREF(before);
    return 0;
}

/* All but the queues, which are gone with the connection, added to what is in a list.
 */
PyObject *pywsc_traffic_add(PyObject *op, PyObject *list)
{
    struct pywsc_connection *self = (struct pywsc_connection *)op;
    uint64_t values[TRAFFIC_VALUES] = {0};
    int result = 0;
    if (pywsc_connection_check_thread(self) < 0) {
        return NULL;
    }
    if (!PyList_CheckExact(list) || PyList_GET_SIZE(list) != TRAFFIC_VALUES) {
        PyErr_SetString(PyExc_TypeError, "not a list of what is counted");
        return NULL;
    }
    get_sums(self, values);
    values[TRAFFIC_VALUES - 1] = self->broadcasts_skipped;
    Py_BEGIN_CRITICAL_SECTION(list);
    for (Py_ssize_t i = 0; result == 0 && i < TRAFFIC_VALUES; i++) {
        result = values[i] == 0 ? 0 : add_to(list, i, values[i]);
    }
    Py_END_CRITICAL_SECTION();
    return result < 0 ? NULL : Py_NewRef(Py_None);
}

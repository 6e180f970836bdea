#include "connection/batch.h"

#include "common/raised.h"
#include "connection/output.h"
#include "connection/receive.h"
#include "connection/trace.h"

/* --- what follows --- */

/* _on_closing(), which ends TCP when it is time: when it can't, TCP ends right here. */
static int call_on_closing(struct pywsc_connection *self)
{
    PyObject *const *names = self->state->names;
    PyObject *result =
        PyObject_CallMethodNoArgs((PyObject *)self, names[PYWSC_NAME_ON_CLOSING]);
    if (result == NULL) {
        PyObject *raised = pywsc_take_raised();
        PyObject *aborted = PyObject_CallMethod(self->transport, "abort", NULL);
        pywsc_raise_again_after(raised, aborted == NULL ? -1 : 0, (PyObject *)self);
        Py_XDECREF(aborted);
    }
    return pywsc_connection_hook_done(self, result);
}

/* Tell the subclass that the connection is closing, and once more that TCP is to end.
 */
static int report_closing(struct pywsc_connection *self)
{
    const struct wsc_conn *conn = &self->protocol->conn;
    bool closing = conn->state >= WSC_CONN_CLOSING && !self->reported.closing;
    bool end = conn->end_expected && !self->reported.end;
    if (self->ended.tcp || (!closing && !end)) {
        return 0;
    }
    self->reported.closing = true;
    self->reported.end = conn->end_expected;
    if (call_on_closing(self) < 0) {
        return -1;
    }
    if (!self->flow.read_paused || self->ended.tcp) {
        return 0;
    }
    if (pywsc_connection_read_on(self) < 0) {
        return -1;
    }
    return report_closing(self); /* the peer's close frame may have been there */
}

/* --- output leaves --- */

int pywsc_connection_flush(struct pywsc_connection *self)
{
    if (self->transport == Py_None) {
        return 0;
    }
    if (pywsc_connection_write(self) < 0) {
        return -1;
    }
    if (self->batch > 0) {
        return 0;
    }
    if (self->flow.held && self->protocol->conn.state == WSC_CONN_OPEN) {
        if (pywsc_connection_read_on(self) < 0 || pywsc_connection_write(self) < 0) {
            return -1;
        }
    }
    return report_closing(self);
}

int pywsc_connection_flush_message(struct pywsc_connection *self)
{
    self->step.sends++;
    return pywsc_connection_may_hold(self) ? pywsc_connection_trace(self)
                                           : pywsc_connection_flush(self);
}

int pywsc_connection_flush_before_step(struct pywsc_connection *self)
{
    return self->batch > 0 ? pywsc_connection_write_before_step(self)
                           : pywsc_connection_flush(self);
}

/* --- batches --- */

void pywsc_connection_batch_begin(struct pywsc_connection *self)
{
    Py_INCREF((PyObject *)self);
    self->batch++;
}

PyObject *pywsc_connection_batch_end(struct pywsc_connection *self, int result)
{
    PyObject *raised = pywsc_take_raised();
    self->batch--;
    int flushed = pywsc_connection_flush(self);
    pywsc_raise_again_after(raised, flushed, (PyObject *)self);
    Py_DECREF((PyObject *)self);
    if (result < 0 || flushed < 0) {
        return NULL;
    }
    Py_RETURN_NONE;
}

#include "connection/wake.h"

#include "common/raised.h"
#include "connection/carrier.h"
#include "connection/output.h"
#include "connection/steps.h"
#include "tasks/loop.h"
#include "tasks/waiter.h"

bool pywsc_connection_may_resume(struct pywsc_connection *self)
{
    if (self->by_loop) {
        return false;
    }
    PyObject *task = pywsc_current_task(self->state, self->loop);
    if (task == NULL) {
        PyErr_Clear();
        return false;
    }
    Py_DECREF(task);
    return task == Py_None;
}

int pywsc_connection_resume(struct pywsc_connection *self, struct pywsc_waiter *waiter,
                            bool in_place)
{
    bool leave = in_place && !self->carrier->leaves_context;
    PyObject *context = leave ? pywsc_leave_context() : NULL;
    int result = pywsc_waiter_wake(self->state, waiter, in_place);
    pywsc_return_to_context(context);
    return result;
}

int pywsc_connection_wake_receiver(struct pywsc_connection *self, bool in_place)
{
    struct pywsc_waiter *waiter = self->receive_waiter;
    if (waiter == NULL || !pywsc_waiter_is_pending(waiter)) {
        return 0;
    }
    in_place = in_place && pywsc_connection_may_resume(self);
    Py_INCREF(waiter);
    PyObject *first = NULL;
    if (in_place && self->batch > 0) {
        pywsc_keep_first(&first, pywsc_connection_write_before_step(self),
                         (PyObject *)self);
    }
    /* Whatever that was, nobody else wakes it. */
    pywsc_keep_first(&first, pywsc_connection_resume(self, waiter, in_place),
                     (PyObject *)self);
    Py_DECREF(waiter);
    return pywsc_raise_first(first);
}

int pywsc_connection_wake_senders(struct pywsc_connection *self)
{
    PyObject *waiters = self->send_waiters;
    PyObject *first = NULL;
    self->send_waiters = NULL;
    for (Py_ssize_t i = 0; waiters != NULL && i < PyList_GET_SIZE(waiters); i++) {
        struct pywsc_waiter *waiter =
            (struct pywsc_waiter *)PyList_GET_ITEM(waiters, i);
        bool in_place = pywsc_connection_may_resume(self);
        pywsc_connection_next_step(self);
        pywsc_keep_first(&first, pywsc_connection_resume(self, waiter, in_place),
                         (PyObject *)self);
    }
    Py_XDECREF(waiters);
    return pywsc_raise_first(first);
}

#include "tasks/loop.h"

#include "common/raised.h"

void pywsc_exit_context(PyObject *context)
{
    PyObject *raised = pywsc_take_raised();
    (void)PyContext_Exit(context);
    pywsc_raise_again(raised);
}

PyObject *pywsc_leave_context(void)
{
    PyObject *context = PyThreadState_Get()->context;
    Py_XINCREF(context);
    if (context != NULL && PyContext_Exit(context) < 0) {
        /* The thread's own, outside of all callbacks: nobody has entered it. */
        PyErr_Clear();
        Py_CLEAR(context);
    }
    return context;
}

void pywsc_return_to_context(PyObject *context)
{
    if (context != NULL) {
        (void)PyContext_Enter(context); /* never fails: it was entered, and left */
        Py_DECREF(context);
    }
}

int pywsc_call_soon(struct pywsc_state *state, PyObject *loop, PyObject *callback,
                    PyObject *arg, PyObject *context)
{
    PyObject *args[] = {loop, callback, arg, context};
    PyObject *names = PyTuple_Pack(1, state->names[PYWSC_NAME_CONTEXT]);
    if (names == NULL) {
        return -1;
    }
    PyObject *handle =
        PyObject_VectorcallMethod(state->names[PYWSC_NAME_CALL_SOON], args, 3, names);
    Py_DECREF(names);
    Py_XDECREF(handle);
    return handle == NULL ? -1 : 0;
}

#if PY_VERSION_HEX < 0x030C0000

/* current_task() is written in Python there: look where it looks. */
PyObject *pywsc_current_task(struct pywsc_state *state, PyObject *loop)
{
    PyObject *task = PyDict_GetItemWithError(state->objects[PYWSC_CURRENT_TASK], loop);
    if (task == NULL) {
        return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
    }
    return Py_NewRef(task);
}

int pywsc_enter_task(struct pywsc_state *state, PyObject *loop, PyObject *task)
{
    return PyDict_SetItem(state->objects[PYWSC_CURRENT_TASK], loop, task);
}

int pywsc_leave_task(struct pywsc_state *state, PyObject *loop, PyObject *task)
{
    (void)task;
    return PyDict_DelItem(state->objects[PYWSC_CURRENT_TASK], loop);
}

#else

PyObject *pywsc_current_task(struct pywsc_state *state, PyObject *loop)
{
    return PyObject_CallOneArg(state->objects[PYWSC_CURRENT_TASK], loop);
}

static int call_with_task(PyObject *function, PyObject *loop, PyObject *task)
{
    PyObject *args[] = {loop, task};
    PyObject *result = PyObject_Vectorcall(function, args, 2, NULL);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

int pywsc_enter_task(struct pywsc_state *state, PyObject *loop, PyObject *task)
{
    return call_with_task(state->objects[PYWSC_ENTER_TASK], loop, task);
}

int pywsc_leave_task(struct pywsc_state *state, PyObject *loop, PyObject *task)
{
    return call_with_task(state->objects[PYWSC_LEAVE_TASK], loop, task);
}

#endif

/* loop.call_soon(callback); takes `callback`, which may be NULL with an exception. */
static int
call_function_soon(struct pywsc_state *state, PyObject *loop, PyObject *callback)
{
    if (callback == NULL) {
        return -1;
    }
    PyObject *handle =
        PyObject_CallMethodOneArg(loop, state->names[PYWSC_NAME_CALL_SOON], callback);
    Py_DECREF(callback);
    Py_XDECREF(handle);
    return handle == NULL ? -1 : 0;
}

int pywsc_call_method_soon(struct pywsc_state *state, PyObject *loop, PyObject *object,
                           enum pywsc_name name)
{
    return call_function_soon(state, loop,
                              PyObject_GetAttr(object, state->names[name]));
}

static PyObject *raise_exception(PyObject *exception, PyObject *unused)
{
    (void)unused;
    pywsc_raise_again(Py_NewRef(exception));
    return NULL;
}

static int raise_soon(struct pywsc_state *state, PyObject *loop)
{
    static PyMethodDef method = {"raise_exception", raise_exception, METH_NOARGS, NULL};
    PyObject *exception = pywsc_take_raised();
    PyObject *callback = PyCFunction_New(&method, exception);
    Py_DECREF(exception);
    return call_function_soon(state, loop, callback);
}

int pywsc_report_exception(struct pywsc_state *state, PyObject *loop,
                           const char *message)
{
    if (pywsc_raised_leaves()) {
        return -1;
    }
    PyObject *value = pywsc_take_raised();
    PyObject *context =
        Py_BuildValue("{s:s,s:O}", "message", message, "exception", value);
    PyObject *result = NULL;
    if (context != NULL) {
        result = PyObject_CallMethodOneArg(
            loop, state->names[PYWSC_NAME_CALL_EXCEPTION_HANDLER], context);
    }
    Py_XDECREF(context);
    Py_DECREF(value);
    if (result != NULL) {
        Py_DECREF(result);
    }
    else if (pywsc_raised_leaves()) {
        return -1; /* of the handler's */
    }
    else {
        PyErr_WriteUnraisable(loop);
    }
    return 0;
}

void pywsc_settle_exception(struct pywsc_state *state, PyObject *loop,
                            const char *message)
{
    if (pywsc_report_exception(state, loop, message) < 0 &&
        raise_soon(state, loop) < 0) {
        PyErr_WriteUnraisable(loop);
    }
}

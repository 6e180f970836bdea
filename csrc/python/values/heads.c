#include "values/heads.h"

#include <string.h>

/* --- from the core to Python --- */

PyObject *pywsc_header_text(struct wsc_str text)
{
    return PyUnicode_DecodeASCII(text.data, (Py_ssize_t)text.len, "surrogateescape");
}

/* "name: value\r\n" of all, which is what pywscore.http makes lines of when somebody
 * looks: one object instead of three for each line. */
static PyObject *pack(const struct wsc_http_header *headers, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += headers[i].name.len + headers[i].value.len + 4;
    }
    char *block = PyMem_Malloc(size + 1);
    char *end = block;
    if (block == NULL) {
        return PyErr_NoMemory();
    }
    for (size_t i = 0; i < count; i++) {
        memcpy(end, headers[i].name.data, headers[i].name.len);
        end += headers[i].name.len;
        memcpy(end, ": ", 2);
        end += 2;
        if (headers[i].value.len > 0) {
            memcpy(end, headers[i].value.data, headers[i].value.len);
        }
        end += headers[i].value.len;
        memcpy(end, "\r\n", 2);
        end += 2;
    }
    PyObject *packed = pywsc_header_text((struct wsc_str){block, size});
    PyMem_Free(block);
    return packed;
}

/* An object of a class with slots, without a call of Python's; takes the values, of
 * which the first that is NULL has set an exception. */
static PyObject *make(struct pywsc_state *state, enum pywsc_object class,
                      const enum pywsc_name *names, PyObject **values, size_t count)
{
    PyTypeObject *type = (PyTypeObject *)state->objects[class];
    bool complete = true;
    for (size_t i = 0; i < count; i++) {
        complete = complete && values[i] != NULL;
    }
    PyObject *made = complete ? type->tp_alloc(type, 0) : NULL;
    for (size_t i = 0; i < count; i++) {
        if (made != NULL &&
            PyObject_SetAttr(made, state->names[names[i]], values[i]) < 0) {
            Py_CLEAR(made);
        }
        Py_XDECREF(values[i]);
    }
    return made;
}

/* Headers; takes `packed`, which may be NULL with an exception. */
static PyObject *packed_headers(struct pywsc_state *state, PyObject *packed)
{
    static const enum pywsc_name names[] = {PYWSC_NAME_DATA};
    return make(state, PYWSC_HEADERS, names, &packed, 1);
}

PyObject *pywsc_headers_new(struct pywsc_state *state,
                            const struct wsc_http_header *headers, size_t count)
{
    return packed_headers(state, pack(headers, count));
}

static PyObject *method_of(struct pywsc_state *state, const struct wsc_http_head *head)
{
    bool is_get = wsc_str_is(head->method, "GET");
    return is_get ? Py_NewRef(state->names[PYWSC_NAME_GET])
                  : pywsc_header_text(head->method);
}

static PyObject *
protocol_of(struct pywsc_state *state, const struct wsc_http_head *head)
{
    return head->major == 1 && head->minor == 1
               ? Py_NewRef(state->names[PYWSC_NAME_HTTP_1_1])
               : PyUnicode_FromFormat("HTTP/%d.%d", head->major, head->minor);
}

/* The path and query of the target, whichever form that has. */
static PyObject *path_of(const struct wsc_http_head *head)
{
    struct wsc_str path = wsc_http_target_path(head->target);
    PyObject *text = pywsc_header_text(path);
    if (text == NULL || (path.len > 0 && path.data[0] != '?')) {
        return text;
    }
    PyObject *whole = PyUnicode_FromFormat("/%U", text);
    Py_DECREF(text);
    return whole;
}

/* Python code may answer the request, or end the connection, which frees the head: all
 * of it is copied before any runs, as it may when an object is made. */
PyObject *
pywsc_head_request(struct pywsc_state *state, const struct wsc_http_head *head)
{
    static const enum pywsc_name names[] = {PYWSC_NAME_PATH, PYWSC_NAME_METHOD,
                                            PYWSC_NAME_PROTOCOL, PYWSC_NAME_HEADERS};
    PyObject *values[4] = {path_of(head)};
    values[1] = values[0] != NULL ? method_of(state, head) : NULL;
    values[2] = values[1] != NULL ? protocol_of(state, head) : NULL;
    values[3] = values[2] != NULL
                    ? packed_headers(state, pack(head->headers, head->header_count))
                    : NULL;
    return make(state, PYWSC_REQUEST, names, values, 4);
}

PyObject *pywsc_request_new(struct pywsc_state *state, const struct wsc_conn *conn)
{
    return pywsc_head_request(state, wsc_conn_head(conn));
}

PyObject *pywsc_response_of(struct pywsc_state *state, int status, PyObject *reason,
                            PyObject *headers, PyObject *body)
{
    static const enum pywsc_name names[] = {PYWSC_NAME_STATUS_CODE,
                                            PYWSC_NAME_REASON_PHRASE,
                                            PYWSC_NAME_HEADERS, PYWSC_NAME_BODY};
    bool complete = reason != NULL && headers != NULL && body != NULL;
    PyObject *values[] = {complete ? PyLong_FromLong(status) : NULL, reason, headers,
                          body};
    return make(state, PYWSC_RESPONSE, names, values, 4);
}

PyObject *pywsc_head_response(struct pywsc_state *state,
                              const struct wsc_http_head *head, struct wsc_str body)
{
    int status = head->status;
    PyObject *reason = pywsc_header_text(head->reason);
    PyObject *content =
        reason == NULL
            ? NULL
            : PyBytes_FromStringAndSize(body.data, body.data != NULL && status != 101
                                                       ? (Py_ssize_t)body.len
                                                       : 0);
    PyObject *headers =
        content == NULL ? NULL
                        : pywsc_headers_new(state, head->headers, head->header_count);
    return pywsc_response_of(state, status, reason, headers, content);
}

PyObject *pywsc_response_new(struct pywsc_state *state, const struct wsc_conn *conn)
{
    return pywsc_head_response(state, wsc_conn_head(conn),
                               wsc_conn_response_body(conn));
}

/* --- from Python to the core --- */

/* Takes `bytes`, which may be NULL with an exception. */
static int hold(PyObject *bytes, PyObject *held, struct wsc_str *out)
{
    if (bytes == NULL) {
        return -1;
    }
    out->data = PyBytes_AS_STRING(bytes);
    out->len = (size_t)PyBytes_GET_SIZE(bytes);
    int result = PyList_Append(held, bytes);
    Py_DECREF(bytes);
    return result;
}

int pywsc_ascii_borrow(PyObject *object, const char *what, struct wsc_str *out)
{
    if (!PyUnicode_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be str, not %.100s", what,
                     Py_TYPE(object)->tp_name);
        return -1;
    }
    if (!PyUnicode_IS_ASCII(object)) {
        PyErr_Format(PyExc_ValueError, "%s is not ASCII: %A", what, object);
        return -1;
    }
    out->data = (const char *)PyUnicode_1BYTE_DATA(object);
    out->len = (size_t)PyUnicode_GET_LENGTH(object);
    return 0;
}

int pywsc_ascii_get(PyObject *object, const char *what, PyObject *held,
                    struct wsc_str *out)
{
    return pywsc_ascii_borrow(object, what, out) < 0 ? -1 : PyList_Append(held, object);
}

/* obs-text, RFC 9110 §5.5: ISO-8859-1, or bytes as surrogate escapes. */
static int value_get(PyObject *object, PyObject *held, struct wsc_str *out)
{
    if (!PyUnicode_Check(object) || PyUnicode_IS_ASCII(object)) {
        return pywsc_ascii_get(object, "header value", held, out);
    }
    return hold(PyUnicode_AsEncodedString(object, "iso-8859-1", "surrogateescape"),
                held, out);
}

PyObject *pywsc_header_pairs(PyObject *object)
{
    static const char *const methods[] = {"raw_items", "items"};
    if (PyList_CheckExact(object) || PyTuple_CheckExact(object)) {
        return PySequence_List(object);
    }
    for (size_t i = 0; i < 2; i++) {
        PyObject *method = PyObject_GetAttrString(object, methods[i]);
        if (method != NULL) {
            PyObject *items = PyObject_CallNoArgs(method);
            Py_DECREF(method);
            if (items == NULL) {
                return NULL;
            }
            PyObject *list = PySequence_List(items);
            Py_DECREF(items);
            return list;
        }
        if (!PyErr_ExceptionMatches(PyExc_AttributeError)) {
            return NULL;
        }
        PyErr_Clear();
    }
    return PySequence_List(object);
}

static int check_header(const struct wsc_http_header *header, PyObject *source)
{
    if (!wsc_http_is_token(header->name)) {
        PyErr_Format(PyExc_ValueError, "invalid header name: %A", source);
        return -1;
    }
    if (header->value.len > 0 && !wsc_http_is_field_value(header->value)) {
        PyErr_Format(PyExc_ValueError, "invalid header value: %A", source);
        return -1;
    }
    return 0;
}

static int convert_pair(PyObject *item, PyObject *held, struct wsc_http_header *out)
{
    PyObject *both = PySequence_Tuple(item);
    int result = -1;
    if (both == NULL) {
        return -1;
    }
    if (PyTuple_GET_SIZE(both) != 2) {
        PyErr_SetString(PyExc_ValueError, "headers must be pairs of name and value");
    }
    else if (pywsc_ascii_get(PyTuple_GET_ITEM(both, 0), "header name", held,
                             &out->name) == 0) {
        result = value_get(PyTuple_GET_ITEM(both, 1), held, &out->value);
    }
    Py_DECREF(both);
    return result < 0 ? -1 : check_header(out, item);
}

/* "name: value\r\n" again and again, in a str that is kept. */
static int unpack(PyObject *packed, struct pywsc_headers *out)
{
    const char *text = (const char *)PyUnicode_1BYTE_DATA(packed);
    const char *end = text + PyUnicode_GET_LENGTH(packed);
    size_t count = 0;
    for (const char *c = text; c < end; c++) {
        count += *c == '\n';
    }
    out->items = PyMem_New(struct wsc_http_header, count + WSC_ACCEPT_HEADERS);
    if (out->items == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    while (text < end) {
        const char *line_end = memchr(text, '\r', (size_t)(end - text));
        const char *colon = memchr(text, ':', (size_t)(end - text));
        if (line_end == NULL || end - line_end < 2 || line_end[1] != '\n' ||
            colon == NULL || line_end - colon < 2) {
            PyErr_Format(PyExc_ValueError, "invalid header lines: %A", packed);
            return -1;
        }
        struct wsc_http_header *item = &out->items[out->count++];
        item->name = (struct wsc_str){text, (size_t)(colon - text)};
        item->value = (struct wsc_str){colon + 2, (size_t)(line_end - colon - 2)};
        if (check_header(item, packed) < 0) {
            return -1;
        }
        text = line_end + 2;
    }
    return PyList_Append(out->held, packed);
}

/* 1 if they are Headers that nobody has looked at; 0 if not; -1. */
static int
get_packed(struct pywsc_state *state, PyObject *object, struct pywsc_headers *out)
{
    if (Py_TYPE(object) != (PyTypeObject *)state->objects[PYWSC_HEADERS]) {
        return 0;
    }
    PyObject *data = PyObject_GetAttr(object, state->names[PYWSC_NAME_DATA]);
    if (data == NULL) {
        return -1;
    }
    int result = 0;
    if (PyUnicode_CheckExact(data) && PyUnicode_IS_ASCII(data)) {
        result = unpack(data, out) < 0 ? -1 : 1;
    }
    Py_DECREF(data);
    return result;
}

int pywsc_headers_get(struct pywsc_state *state, PyObject *object,
                      struct pywsc_headers *out)
{
    memset(out, 0, sizeof(*out));
    out->held = PyList_New(0);
    int packed = out->held == NULL ? -1 : get_packed(state, object, out);
    if (packed < 0) {
        pywsc_headers_release(out);
        return -1;
    }
    if (packed > 0) {
        return 0;
    }
    PyObject *pairs = out->held != NULL ? pywsc_header_pairs(object) : NULL;
    if (pairs == NULL) {
        pywsc_headers_release(out);
        return -1;
    }
    size_t count = (size_t)PyList_GET_SIZE(pairs);
    out->items = PyMem_New(struct wsc_http_header, count + WSC_ACCEPT_HEADERS);
    if (out->items == NULL) {
        PyErr_NoMemory();
        Py_DECREF(pairs);
        pywsc_headers_release(out);
        return -1;
    }
    for (; out->count < count; out->count++) {
        PyObject *item = PyList_GET_ITEM(pairs, (Py_ssize_t)out->count);
        if (convert_pair(item, out->held, &out->items[out->count]) < 0) {
            Py_DECREF(pairs);
            pywsc_headers_release(out);
            return -1;
        }
    }
    Py_DECREF(pairs);
    return 0;
}

void pywsc_headers_release(struct pywsc_headers *headers)
{
    PyMem_Free(headers->items);
    headers->items = NULL;
    headers->count = 0;
    Py_CLEAR(headers->held);
}

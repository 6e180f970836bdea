/* Requests, responses and their headers: of the core as Python objects, and back. */
#ifndef PYWSC_VALUES_HEADS_H
#define PYWSC_VALUES_HEADS_H

#include "common/state.h"

/* New reference: a Response; takes the objects, of which the first that is NULL has set
 * an exception. */
PyObject *pywsc_response_of(struct pywsc_state *state, int status, PyObject *reason,
                            PyObject *headers, PyObject *body);
/* New references made from the head at hand. */
PyObject *pywsc_request_new(struct pywsc_state *state, const struct wsc_conn *conn);
PyObject *
pywsc_head_request(struct pywsc_state *state, const struct wsc_http_head *head);
PyObject *pywsc_head_response(struct pywsc_state *state,
                              const struct wsc_http_head *head, struct wsc_str body);
PyObject *pywsc_response_new(struct pywsc_state *state, const struct wsc_conn *conn);
PyObject *pywsc_headers_new(struct pywsc_state *state,
                            const struct wsc_http_header *headers, size_t count);
/* Header text as str: ASCII, other bytes as surrogate escapes. */
PyObject *pywsc_header_text(struct wsc_str text);
/* Python headers (Headers, mapping or iterable of pairs) as an array for the core. */
struct pywsc_headers {
    struct wsc_http_header *items;
    size_t count;
    PyObject *held; /* list of the objects that the items point into */
};
int pywsc_headers_get(struct pywsc_state *state, PyObject *object,
                      struct pywsc_headers *out);
/* The same as a list of pairs, not looked at: Headers.raw_items(), mapping.items(), or
 * what the iterable gives. */
PyObject *pywsc_header_pairs(PyObject *object);
void pywsc_headers_release(struct pywsc_headers *headers);
/* The text of a str of ASCII, which is to outlive it; -1 with TypeError or ValueError.
 */
int pywsc_ascii_borrow(PyObject *object, const char *what, struct wsc_str *out);
/* The same, held in `held` (a list). */
int pywsc_ascii_get(PyObject *object, const char *what, PyObject *held,
                    struct wsc_str *out);

#endif

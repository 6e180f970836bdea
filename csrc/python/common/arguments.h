/* Arguments of Python calls as values of C. */
#ifndef PYWSC_COMMON_ARGUMENTS_H
#define PYWSC_COMMON_ARGUMENTS_H

#include "common/python.h"

#include "wsc/conn.h"

/* The bytes of a str (as UTF-8) or bytes-like object. `owner` is an exact bytes object
 * that may be sent by reference, or NULL. */
struct pywsc_bytes {
    const uint8_t *data;
    Py_ssize_t len;
    PyObject *owner; /* borrowed from `held` or the argument */
    bool is_text;    /* it was a str */
    PyObject *held;  /* owned: a temporary */
    Py_buffer view;  /* view.obj NULL when unused */
};
/* -1 with TypeError (not bytes-like, not contiguous) or UnicodeEncodeError. Runs no
 * user code for exact types; the view is held until pywsc_bytes_release. */
int pywsc_bytes_get(PyObject *object, bool accept_str, struct pywsc_bytes *out);
void pywsc_bytes_release(struct pywsc_bytes *bytes);
/* Accept only the keyword arguments in `names`; values (borrowed or NULL) to `out`. */
int pywsc_keywords(const char *function, PyObject *const *values, PyObject *kwnames,
                   const char *const *names, size_t count, PyObject **out);
/* The same of an __init__ that takes no others. */
int pywsc_init_keywords(const char *function, PyObject *args, PyObject *kwargs,
                        const char *const *names, size_t count, PyObject **out);
/* The same where all of them may be given by position too. */
int pywsc_parameters(const char *function, PyObject *const *args, Py_ssize_t nargs,
                     PyObject *kwnames, const char *const *names, size_t count,
                     PyObject **out);
/* Its truth in the place of an argument: True or False; NULL for None or absent. */
int pywsc_truth_argument(PyObject **object);
/* None or absent: AUTO; else by truth. */
int pywsc_compress_argument(PyObject *object, enum wsc_compress *out);
/* None or absent: `none`; an int from 0 to SIZE_MAX/4, else ValueError. */
int pywsc_size_argument(PyObject *object, const char *name, size_t none, size_t *out);

#endif

/* What went wrong, as exceptions. */
#ifndef PYWSC_VALUES_ERRORS_H
#define PYWSC_VALUES_ERRORS_H

#include "common/state.h"

/* Set the exception for a status that one of our own calls returned, OSError of errno
 * for WSC_ERR_IO; returns NULL. */
PyObject *pywsc_raise(struct pywsc_state *state, enum wsc_status status);
/* New reference: the exception that describes how the connection ended, for recv() and
 * send(); what failed it as its __cause__. */
PyObject *pywsc_close_exception(struct pywsc_state *state, const struct wsc_conn *conn);
/* New reference: what failed the connection from this end, or None. */
PyObject *pywsc_error(struct pywsc_state *state, const struct wsc_conn *conn);
/* New reference: why the opening handshake failed, or None. */
PyObject *
pywsc_handshake_exception(struct pywsc_state *state, const struct wsc_conn *conn);

#endif

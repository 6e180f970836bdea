/* Histogram: wsc/histogram.h for the command line. */
#ifndef PYWSC_LOAD_HISTOGRAM_H
#define PYWSC_LOAD_HISTOGRAM_H

#include "common/state.h"

#include "wsc/histogram.h"

/* New reference: a copy. */
PyObject *
pywsc_histogram_of(struct pywsc_state *state, const struct wsc_histogram *values);

int pywsc_histogram_init(PyObject *module, struct pywsc_state *state);

#endif

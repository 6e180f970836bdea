/* Messages and control frames as Python gets them. */
#ifndef PYWSC_VALUES_EVENTS_H
#define PYWSC_VALUES_EVENTS_H

#include "common/state.h"

PyObject *pywsc_message_event(struct pywsc_state *state, PyObject *data, bool text,
                              bool fin, bool compressed);
PyObject *pywsc_ping_event(struct pywsc_state *state, const uint8_t *data, size_t len);
PyObject *pywsc_pong_event(struct pywsc_state *state, const uint8_t *data, size_t len);
PyObject *pywsc_close_event(struct pywsc_state *state, const struct wsc_close *close);

int pywsc_events_init(PyObject *module, struct pywsc_state *state);

#endif

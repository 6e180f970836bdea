/* The way in of the sans-IO objects: bytes, and the events that they become. */
#ifndef PYWSC_PROTOCOL_RECEIVE_H
#define PYWSC_PROTOCOL_RECEIVE_H

#include "protocol/protocol.h"

/* Give input: a bytes object that is kept until it was read (a reference is taken). */
int pywsc_protocol_feed(struct pywsc_protocol *self, PyObject *bytes);
/* The next event of the core, feeding on what is at hand. WSC_NEED_DATA when there is
 * none, also after an error of the peer. The message, if any, is the caller's. */
enum wsc_status pywsc_protocol_next(struct pywsc_protocol *self, struct wsc_event *out);
/* Keep what is left of borrowed input as an object of our own. */
int pywsc_protocol_keep_input(struct pywsc_protocol *self);
/* Is there borrowed input? */
bool pywsc_protocol_borrows(const struct pywsc_protocol *self);
void pywsc_protocol_eof(struct pywsc_protocol *self);
/* Request or Response for the event just got. */
PyObject *pywsc_protocol_head_event(struct pywsc_state *state,
                                    struct pywsc_protocol *self,
                                    enum wsc_event_type type);

/* Keep why the handshake failed; call when an error may have come up. */
int pywsc_protocol_note_failure(struct pywsc_state *state, struct pywsc_protocol *self);

/* Methods. */

PyObject *pywsc_protocol_receive_data(PyObject *op, PyObject *data);
PyObject *pywsc_protocol_receive_eof(PyObject *op, PyObject *unused);
PyObject *pywsc_protocol_next_event(PyObject *op, PyObject *unused);
PyObject *pywsc_protocol_events(PyObject *op, PyObject *unused);

/* The type of what events() returns. */
int pywsc_protocol_receive_init(PyObject *module, struct pywsc_state *state);

#endif

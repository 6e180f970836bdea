/* What both ends are made with, and what they agreed on. */
#ifndef PYWSC_PROTOCOL_OPTIONS_H
#define PYWSC_PROTOCOL_OPTIONS_H

#include "protocol/protocol.h"

/* For __init__, with the arguments that both ends have: see common/config.h. -1 with an
 * exception. */
int pywsc_protocol_construct(struct pywsc_protocol *self, enum wsc_role role,
                             bool any_request,
                             PyObject *const options[PYWSC_CONFIG_OPTIONS]);
/* New reference: the agreed PerMessageDeflate, or None. */
PyObject *pywsc_protocol_agreed_compression(struct pywsc_state *state,
                                            struct pywsc_protocol *self);
/* Note what the response agreed to. */
int pywsc_protocol_note_answer(struct pywsc_state *state, struct pywsc_protocol *self);

#endif

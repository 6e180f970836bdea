/* The type MessageStream. */
#ifndef PYWSC_CONNECTION_MESSAGE_STREAM_TYPE_H
#define PYWSC_CONNECTION_MESSAGE_STREAM_TYPE_H

#include "common/state.h"

int pywsc_message_stream_init(PyObject *module, struct pywsc_state *state);

#endif

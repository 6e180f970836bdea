/* What comes from a transport's link and leaves by it: the carrier of its connection.
 */
#ifndef PYWSC_ENGINE_TRANSPORT_IO_H
#define PYWSC_ENGINE_TRANSPORT_IO_H

#include "engine/transport.h"

#if WSC_HAVE_ENGINE

/* The carrier of connections on such transports. */
extern const struct pywsc_carrier pywsc_engine_carrier;

/* Send the connection's output as far as the socket takes it. */
int pywsc_transport_flush(struct pywsc_transport *self);
/* Bytes that have not left. */
size_t pywsc_transport_output_size(struct pywsc_transport *self);
/* All output has left: do what waited for that. */
int pywsc_transport_output_left(struct pywsc_transport *self);
/* close(): once all output has left. */
int pywsc_transport_close(struct pywsc_transport *self);
/* Handle an event of the transport's link: 0, or -1 with an exception. WSC_IO_READABLE
 * becomes what was received. */
int pywsc_transport_event(struct pywsc_transport *self, struct wsc_io *io);
/* The method _received(): what TLS has kept. */
int pywsc_transport_received(struct pywsc_transport *self);

#endif

#endif

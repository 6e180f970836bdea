/* Python's TLS (engine/ssl_object.h) on a transport's link. */
#ifndef PYWSC_ENGINE_TRANSPORT_TLS_H
#define PYWSC_ENGINE_TRANSPORT_TLS_H

#include "engine/transport.h"

#if WSC_HAVE_ENGINE

/* Is TLS agreed on, if there is any? */
static inline bool pywsc_transport_is_open(const struct pywsc_transport *self)
{
    return self->ssl == NULL ? wsc_link_is_open(self->link) : self->ssl->open;
}

/* Stop or go on reading, as wsc_link_read(); of any link. */
enum wsc_status pywsc_transport_read(struct pywsc_transport *self, bool on);

/* These give 0, or -1 with an exception. The connection is the transport's. */

/* Decrypt what came and give it out. */
int pywsc_transport_receive_tls(struct pywsc_transport *self,
                                struct pywsc_connection *connection,
                                const struct wsc_io *io);
/* The same while TLS is busy: what came, or TCP's end, is kept. */
int pywsc_transport_keep_tls(struct pywsc_transport *self, const struct wsc_io *io);
/* What is kept, if anything, is taken in the loop's next round. */
int pywsc_transport_take_kept_soon(struct pywsc_transport *self);
/* TCP has ended: TLS with it, or it has failed. */
int pywsc_transport_eof_tls(struct pywsc_transport *self);
/* Encrypt what the connection sends, and send it, until `blocked`. */
int pywsc_transport_write_tls(struct pywsc_transport *self,
                              struct pywsc_connection *connection);
/* TLS has failed: so has the link, which is closed, with an alert. */
int pywsc_transport_tls_failed(struct pywsc_transport *self);

#endif

#endif

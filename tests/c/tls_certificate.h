/* A certificate for "localhost" that signs itself, and settings that use it. */
#ifndef TLS_CERTIFICATE_H
#define TLS_CERTIFICATE_H

#include <stdbool.h>

#include "wsc/tls.h"

/* The path of a PEM file with the certificate and its key; made when first asked for,
 * removed at exit. */
const char *tls_certificate(void);

/* A server with the certificate and a client that trusts it. */
struct tls_contexts {
    struct wsc_tls_context *server;
    struct wsc_tls_context *client;
};
/* False without memory, with nothing to free. */
bool tls_contexts_init(struct tls_contexts *contexts,
                       const struct wsc_allocator *allocator);
void tls_contexts_fini(struct tls_contexts *contexts);

#endif

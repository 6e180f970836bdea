/* The insides of a wsc_tls_context, for links. */
#ifndef WSC_TLS_CONTEXT_H
#define WSC_TLS_CONTEXT_H

#include <openssl/ssl.h>
#include <stdatomic.h>

#include "wsc/tls.h"

struct wsc_tls_context {
    const struct wsc_allocator *allocator;
    SSL_CTX *ssl_ctx;
    struct wsc_tls_name *_Atomic names; /* more may come while links use them */
    struct wsc_tls_sessions *sessions;  /* of a client */
    bool server;
    bool check_host_name;
};

#endif

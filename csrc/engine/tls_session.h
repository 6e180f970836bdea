/* What clients resume: the newest session for each of the last 64 hosts. */
#ifndef WSC_TLS_SESSION_H
#define WSC_TLS_SESSION_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "wsc/alloc.h"

struct wsc_tls_sessions;
struct wsc_tls_sessions *wsc_tls_sessions_new(const struct wsc_allocator *allocator);
void wsc_tls_sessions_free(struct wsc_tls_sessions *sessions);
/* Name and port that `fd` is connected to; to be freed. NULL without memory. */
char *wsc_tls_sessions_key(const struct wsc_allocator *allocator,
                           const char *server_name, int fd);
/* A new reference, or NULL. One of TLS 1.3 is given once. */
SSL_SESSION *wsc_tls_sessions_take(struct wsc_tls_sessions *sessions, const char *key);
void wsc_tls_sessions_drop(struct wsc_tls_sessions *sessions, const char *key);

/* The app data of a client's SSL begins with this. */
struct wsc_tls_resumption {
    struct wsc_tls_sessions *sessions;
    char *key; /* NULL: its sessions are not kept */
};
/* OpenSSL's callback for clients: keep the session, and the caller's reference to it.
 */
int wsc_tls_sessions_put(SSL *ssl, SSL_SESSION *session);

#endif

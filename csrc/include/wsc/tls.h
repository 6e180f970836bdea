/* TLS settings for links of the engine: a server's or a client's SSL_CTX. At least TLS
 * 1.2, no renegotiation, no early data, no compression.
 *
 * Links of any thread may use a context once it is set up. From then on names may be
 * added, by any thread, and nothing else may change. */
#ifndef WSC_TLS_H
#define WSC_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wsc/alloc.h"
#include "wsc/api.h"
#include "wsc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct wsc_tls_context;

enum wsc_tls_verify {
    WSC_TLS_VERIFY_NONE,
    WSC_TLS_VERIFY_OPTIONAL, /* of a server: a client may come without certificate */
    WSC_TLS_VERIFY_REQUIRED,
};

#define WSC_TLS_MESSAGE_SIZE 256

/* A client verifies chain and name, a server asks for no certificate, unless told
 * otherwise. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_tls_context_new(const struct wsc_allocator *allocator, bool server,
                    struct wsc_tls_context **out_context);
/* Not before the links that were made with it are closed. NULL is fine. */
WSC_API void wsc_tls_context_free(struct wsc_tls_context *context);

/* These give WSC_ERR_IO and say why in `out_message`, of WSC_TLS_MESSAGE_SIZE. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_tls_context_certificate(struct wsc_tls_context *context, const char *chain_file,
                            const char *key_file, const char *password,
                            char *out_message);
/* The certificates to trust; both NULL: the system's. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_tls_context_trust(struct wsc_tls_context *context, const char *file,
                      const char *folder, char *out_message);
/* For TLS 1.2; OpenSSL's syntax. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_tls_context_ciphers(struct wsc_tls_context *context, const char *ciphers,
                        char *out_message);
/* Clients that ask for `name`, or a subdomain of it if it begins with "*.", get the
 * certificate of `other`, which has to live as long as `context`. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_tls_context_add_name(struct wsc_tls_context *context, const char *name,
                         struct wsc_tls_context *other);
/* What is asked of the peer; `check_host_name` is for clients. */
WSC_API void wsc_tls_context_verify(struct wsc_tls_context *context,
                                    enum wsc_tls_verify verify, bool check_host_name);
/* 1.3 only, rather than 1.2 and 1.3. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_tls_context_only_1_3(struct wsc_tls_context *context, char *out_message);
WSC_API bool wsc_tls_context_is_server(const struct wsc_tls_context *context);

/* What a handshake agreed on; text is static or the link's. */
struct wsc_tls_info {
    const char *cipher; /* NULL if there is none */
    const char *version;
    int secret_bits;
    const uint8_t *alpn; /* NULL if there is none */
    size_t alpn_len;
    bool session_reused;
    uint8_t *certificate; /* the peer's, as DER; NULL if there is none; owned */
    size_t certificate_len;
};
/* Free the certificate. */
WSC_API void wsc_tls_info_fini(struct wsc_tls_info *info);

/* Why TLS failed, in OpenSSL's words; all text is static. */
struct wsc_tls_failure {
    const char *reason;
    const char *library;        /* "SSL", or NULL: another part of OpenSSL, or none */
    const char *verify_message; /* NULL unless the peer isn't trusted; why */
    int verify_code;            /* then X509_V_ERR_... */
    bool ended;                 /* the connection ended in a handshake */
};

#ifdef __cplusplus
}
#endif
#endif

#include "tls_context.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <string.h>
#include <strings.h>

#include "tls_session.h"

struct wsc_tls_name {
    struct wsc_tls_name *next;
    struct wsc_tls_context *context;
    char text[];
};

static const unsigned char http_1_1[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

static enum wsc_status failed(char *out_message)
{
    unsigned long code = ERR_get_error();
    const char *reason = ERR_reason_error_string(code);
#ifdef ERR_SYSTEM_ERROR
    if (reason == NULL && ERR_SYSTEM_ERROR(code)) {
        reason = strerror(ERR_GET_REASON(code));
    }
#endif
    if (reason == NULL) {
        reason = "TLS settings are not usable";
    }
    (void)BIO_snprintf(out_message, WSC_TLS_MESSAGE_SIZE, "%s", reason);
    ERR_clear_error();
    return WSC_ERR_IO;
}

/* We speak HTTP/1.1 only. A client that offers others gets none (RFC 7301 §3.2 would
 * have an alert; websocket clients that offer h2 first would then fail for nothing). */
static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned int in_len, void *arg)
{
    (void)ssl;
    (void)arg;
    for (unsigned int i = 0; i < in_len; i += in[i] + 1U) {
        if (in[i] == http_1_1[0] && i + in[i] < in_len &&
            memcmp(in + i + 1, http_1_1 + 1, in[i]) == 0) {
            *out = in + i + 1;
            *out_len = in[i];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_NOACK;
}

static bool name_matches(const char *pattern, const char *name)
{
    if (pattern[0] == '*' && pattern[1] == '.') {
        const char *rest = strchr(name, '.');
        return rest != NULL && rest != name && strcasecmp(rest, pattern + 1) == 0;
    }
    return strcasecmp(pattern, name) == 0;
}

static int choose_name(SSL *ssl, int *alert, void *arg)
{
    struct wsc_tls_context *context = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    (void)alert;
    if (name == NULL) {
        return SSL_TLSEXT_ERR_OK;
    }
    struct wsc_tls_name *known =
        atomic_load_explicit(&context->names, memory_order_acquire);
    for (; known != NULL; known = known->next) {
        if (name_matches(known->text, name)) {
            return SSL_set_SSL_CTX(ssl, known->context->ssl_ctx) != NULL
                       ? SSL_TLSEXT_ERR_OK
                       : SSL_TLSEXT_ERR_ALERT_FATAL;
        }
    }
    return SSL_TLSEXT_ERR_OK;
}

static bool configure(struct wsc_tls_context *context)
{
    SSL_CTX *ssl_ctx = context->ssl_ctx;
    static const unsigned char id[] = "libwsc";
    (void)SSL_CTX_set_options(ssl_ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                           SSL_OP_CIPHER_SERVER_PREFERENCE);
    (void)SSL_CTX_set_mode(ssl_ctx, SSL_MODE_RELEASE_BUFFERS);
    if (SSL_CTX_set_min_proto_version(ssl_ctx, TLS1_2_VERSION) != 1) {
        return false;
    }
    if (!context->server) {
        (void)SSL_CTX_set_session_cache_mode(ssl_ctx, SSL_SESS_CACHE_CLIENT |
                                                          SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(ssl_ctx, wsc_tls_sessions_put);
        return SSL_CTX_set_alpn_protos(ssl_ctx, http_1_1, sizeof(http_1_1)) == 0;
    }
    (void)SSL_CTX_set_max_early_data(ssl_ctx, 0);
    /* Tickets are the client's to keep. By default 20,480 sessions of those that take
     * no tickets would be ours. */
    (void)SSL_CTX_set_session_cache_mode(ssl_ctx, SSL_SESS_CACHE_OFF);
    /* For the connection that comes in the place of this one. OpenSSL gives two, for
     * clients that open several at once (RFC 8446 §4.6.1): 6 % of a handshake. */
    (void)SSL_CTX_set_num_tickets(ssl_ctx, 1);
    SSL_CTX_set_alpn_select_cb(ssl_ctx, choose_alpn, NULL);
    (void)SSL_CTX_set_tlsext_servername_callback(ssl_ctx, choose_name);
    (void)SSL_CTX_set_tlsext_servername_arg(ssl_ctx, context);
    return SSL_CTX_set_session_id_context(ssl_ctx, id, sizeof(id) - 1) == 1;
}

enum wsc_status wsc_tls_context_new(const struct wsc_allocator *allocator, bool server,
                                    struct wsc_tls_context **out_context)
{
    struct wsc_tls_context *context = wsc_alloc_zeroed(allocator, sizeof(*context));
    if (context == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    ERR_clear_error();
    context->allocator = allocator;
    context->server = server;
    context->check_host_name = !server;
    context->ssl_ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    context->sessions = server ? NULL : wsc_tls_sessions_new(allocator);
    if (context->ssl_ctx == NULL || (!server && context->sessions == NULL) ||
        !configure(context)) {
        wsc_tls_context_free(context);
        ERR_clear_error();
        return WSC_ERR_NO_MEMORY;
    }
    wsc_tls_context_verify(
        context, server ? WSC_TLS_VERIFY_NONE : WSC_TLS_VERIFY_REQUIRED, !server);
    *out_context = context;
    return WSC_OK;
}

void wsc_tls_context_free(struct wsc_tls_context *context)
{
    if (context == NULL) {
        return;
    }
    struct wsc_tls_name *known =
        atomic_load_explicit(&context->names, memory_order_acquire);
    while (known != NULL) {
        struct wsc_tls_name *next = known->next;
        wsc_free(context->allocator, known);
        known = next;
    }
    SSL_CTX_free(context->ssl_ctx);
    wsc_tls_sessions_free(context->sessions);
    wsc_free(context->allocator, context);
}

/* OpenSSL would ask at the terminal otherwise. */
static int give_password(char *buffer, int size, int writing, void *arg)
{
    const char *password = arg;
    (void)writing;
    size_t len = password == NULL ? 0 : strlen(password);
    if (password == NULL || len >= (size_t)size) {
        return -1;
    }
    memcpy(buffer, password, len + 1);
    return (int)len;
}

enum wsc_status wsc_tls_context_certificate(struct wsc_tls_context *context,
                                            const char *chain_file,
                                            const char *key_file, const char *password,
                                            char *out_message)
{
    SSL_CTX *ssl_ctx = context->ssl_ctx;
    union {
        const char *read_only;
        void *arg;
    } secret = {.read_only = password};
    ERR_clear_error();
    SSL_CTX_set_default_passwd_cb(ssl_ctx, give_password);
    SSL_CTX_set_default_passwd_cb_userdata(ssl_ctx, secret.arg);
    bool good = SSL_CTX_use_certificate_chain_file(ssl_ctx, chain_file) == 1 &&
                SSL_CTX_use_PrivateKey_file(ssl_ctx, key_file, SSL_FILETYPE_PEM) == 1 &&
                SSL_CTX_check_private_key(ssl_ctx) == 1;
    SSL_CTX_set_default_passwd_cb_userdata(ssl_ctx, NULL);
    return good ? WSC_OK : failed(out_message);
}

enum wsc_status wsc_tls_context_trust(struct wsc_tls_context *context, const char *file,
                                      const char *folder, char *out_message)
{
    SSL_CTX *ssl_ctx = context->ssl_ctx;
    ERR_clear_error();
    if (file == NULL && folder == NULL) {
        return SSL_CTX_set_default_verify_paths(ssl_ctx) == 1 ? WSC_OK
                                                              : failed(out_message);
    }
    if (SSL_CTX_load_verify_locations(ssl_ctx, file, folder) != 1) {
        return failed(out_message);
    }
    if (context->server && file != NULL) {
        STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(file);
        if (names == NULL) {
            return failed(out_message);
        }
        SSL_CTX_set_client_CA_list(ssl_ctx, names);
    }
    return WSC_OK;
}

enum wsc_status wsc_tls_context_ciphers(struct wsc_tls_context *context,
                                        const char *ciphers, char *out_message)
{
    ERR_clear_error();
    return SSL_CTX_set_cipher_list(context->ssl_ctx, ciphers) == 1
               ? WSC_OK
               : failed(out_message);
}

enum wsc_status wsc_tls_context_add_name(struct wsc_tls_context *context,
                                         const char *name,
                                         struct wsc_tls_context *other)
{
    size_t len = strlen(name);
    struct wsc_tls_name *known =
        wsc_alloc(context->allocator, sizeof(*known) + len + 1);
    if (known == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    memcpy(known->text, name, len + 1);
    known->context = other;
    known->next = atomic_load_explicit(&context->names, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&context->names, &known->next, known,
                                                  memory_order_release,
                                                  memory_order_relaxed)) {
    }
    return WSC_OK;
}

void wsc_tls_context_verify(struct wsc_tls_context *context, enum wsc_tls_verify verify,
                            bool check_host_name)
{
    int mode = SSL_VERIFY_NONE;
    if (verify != WSC_TLS_VERIFY_NONE) {
        mode = SSL_VERIFY_PEER;
    }
    if (verify == WSC_TLS_VERIFY_REQUIRED) {
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    }
    SSL_CTX_set_verify(context->ssl_ctx, mode, NULL);
    context->check_host_name = check_host_name;
}

enum wsc_status
wsc_tls_context_only_1_3(struct wsc_tls_context *context, char *out_message)
{
    ERR_clear_error();
    return SSL_CTX_set_min_proto_version(context->ssl_ctx, TLS1_3_VERSION) == 1
               ? WSC_OK
               : failed(out_message);
}

bool wsc_tls_context_is_server(const struct wsc_tls_context *context)
{
    return context->server;
}

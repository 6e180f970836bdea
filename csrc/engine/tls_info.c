#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

#include "tls.h"

void wsc_tls_get_info(const struct wsc_tls *tls, struct wsc_tls_info *out_info)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(tls->ssl);
    unsigned int alpn_len = 0;
    memset(out_info, 0, sizeof(*out_info));
    SSL_get0_alpn_selected(tls->ssl, &out_info->alpn, &alpn_len);
    out_info->alpn_len = alpn_len;
    out_info->version = SSL_get_version(tls->ssl);
    out_info->session_reused = SSL_session_reused(tls->ssl) != 0;
    if (cipher != NULL) {
        out_info->cipher = SSL_CIPHER_get_name(cipher);
        out_info->secret_bits = SSL_CIPHER_get_bits(cipher, NULL);
    }
    X509 *certificate = SSL_get1_peer_certificate(tls->ssl);
    int len = certificate == NULL ? 0 : i2d_X509(certificate, &out_info->certificate);
    out_info->certificate_len = len > 0 ? (size_t)len : 0;
    X509_free(certificate);
    if (len < 0) {
        ERR_clear_error(); /* for others in this thread */
    }
}

void wsc_tls_info_fini(struct wsc_tls_info *info)
{
    OPENSSL_free(info->certificate);
    info->certificate = NULL;
    info->certificate_len = 0;
}

bool wsc_tls_get_failure(const struct wsc_tls *tls, struct wsc_tls_failure *out)
{
    if (tls->state != WSC_TLS_FAILED || tls->error != 0) {
        return false;
    }
    memset(out, 0, sizeof(*out));
    if (tls->code == 0) {
        out->reason = "connection closed during the TLS handshake";
        out->ended = true;
        return true;
    }
    bool by_ssl = ERR_GET_LIB(tls->code) == ERR_LIB_SSL;
    out->reason = ERR_reason_error_string(tls->code);
    out->library = by_ssl ? "SSL" : NULL;
    if (out->reason == NULL) {
        out->reason = "TLS error";
    }
    if (by_ssl && ERR_GET_REASON(tls->code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        long verified = SSL_get_verify_result(tls->ssl);
        out->verify_code = (int)verified;
        out->verify_message = X509_verify_cert_error_string(verified);
    }
    return true;
}

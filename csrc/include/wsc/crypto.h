/* What the protocol needs of cryptography: SHA-1 and base64 for Sec-WebSocket-Accept
 * (RFC 6455 §4.2.2), and secure random bytes for masking keys (§5.3, §10.3). */
#ifndef WSC_CRYPTO_H
#define WSC_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wsc/api.h"
#include "wsc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* WSC_OK if the OpenSSL that is loaded is 3.0 or later, WSC_ERR_INVALID_STATE if not. A
 * build against 3.x can meet an older library at run time; ask once at start-up. */
WSC_API WSC_NODISCARD enum wsc_status wsc_crypto_check_openssl(void);
/* For example "OpenSSL 3.0.19 27 Jan 2026". Static storage. */
WSC_API const char *wsc_crypto_openssl_version(void);

#define WSC_KEY_SIZE    24 /* base64 of 16 bytes */
#define WSC_ACCEPT_SIZE 28 /* base64 of a SHA-1 digest */

/* The bytes that base64 (RFC 4648 §4, padded) needs for `len` bytes. */
WSC_API size_t wsc_base64_size(size_t len);
/* Write wsc_base64_size(len) characters, no NUL. */
WSC_API void wsc_base64_encode(char *out, const uint8_t *data, size_t len);
/* Is `text` the canonical base64 of exactly 16 bytes (RFC 6455 §4.2.1 item 5)? */
WSC_API bool wsc_key_is_valid(const char *text, size_t len);

/* Sec-WebSocket-Accept for a Sec-WebSocket-Key of WSC_KEY_SIZE characters; no NULs.
 * WSC_ERR_INVALID_STATE: OpenSSL gives no SHA-1 (switched off by its configuration). */
WSC_API WSC_NODISCARD enum wsc_status
wsc_accept_key(const char key[WSC_KEY_SIZE], char out_accept[WSC_ACCEPT_SIZE]);

/* Fill with bytes from the secure generator. WSC_ERR_RANDOM: none to be had; then
 * nothing may be sent that needed them. Thread-safe; after fork() parent and child draw
 * different bytes. */
WSC_API WSC_NODISCARD enum wsc_status wsc_random_fill(void *out, size_t len);

/* Masking keys for one connection: drawn in batches, discarded after fork(). */
#define WSC_KEY_POOL_SIZE 64
struct wsc_key_pool {
    uint8_t bytes[WSC_KEY_POOL_SIZE];
    uint8_t left;             /* unused bytes, at the end of `bytes` */
    uint32_t fork_generation; /* of the process that filled it */
};

/* Start without keys. */
WSC_API void wsc_key_pool_init(struct wsc_key_pool *pool);
/* A fresh masking key; used bytes are wiped. WSC_ERR_RANDOM as wsc_random_fill. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_key_pool_next(struct wsc_key_pool *pool, uint8_t out_masking_key[4]);

#ifdef __cplusplus
}
#endif
#endif

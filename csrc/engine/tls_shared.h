/* What the links of an engine have in common, and what OpenSSL uses in the place of a
 * socket: memory that one recv has filled, or one send empties. */
#ifndef WSC_TLS_SHARED_H
#define WSC_TLS_SHARED_H

#include <openssl/bio.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wsc/alloc.h"

/* RFC 8446 §5.1: the plaintext of a record. */
#define WSC_TLS_RECORD ((size_t)16 << 10)
/* Received at once, at most. */
#define WSC_TLS_IN_SIZE ((size_t)192 << 10)

struct wsc_tls_shared {
    const struct wsc_allocator *allocator;
    BIO_METHOD *method;
    uint8_t *received; /* for WSC_TLS_IN_SIZE bytes */
    const uint8_t *in; /* what was received and OpenSSL has not read yet */
    size_t in_len;
    /* OpenSSL asked for more than there is: what SSL_ERROR_WANT_READ would say. */
    bool in_lacks;
    uint8_t *out; /* what OpenSSL wrote and is not sent yet */
    size_t out_len;
    size_t out_cap;
    bool out_lacks; /* it wrote more than there is room for */
    uint8_t *plain; /* small pieces side by side, for one record */
};

struct wsc_tls_shared *wsc_tls_shared_new(const struct wsc_allocator *allocator);
void wsc_tls_shared_free(struct wsc_tls_shared *shared);
/* One that reads from and writes to `shared`; NULL without memory. */
BIO *wsc_tls_shared_bio(struct wsc_tls_shared *shared);
/* Make room for `needed` bytes of what is to be sent; false without memory, and for
 * more than 160 KiB. */
bool wsc_tls_reserve(const struct wsc_allocator *allocator, uint8_t **data, size_t *cap,
                     size_t needed);

#endif

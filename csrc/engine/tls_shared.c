#include "tls_shared.h"

#include <string.h>

#define OUT_SIZE ((size_t)80 << 10)
/* A peer that asks for answers (KeyUpdate) and reads none gets no more than this. */
#define OUT_MAX ((size_t)160 << 10)

/* --- what OpenSSL uses in the place of a socket --- */

static int bio_read(BIO *bio, char *out, size_t size, size_t *out_len)
{
    struct wsc_tls_shared *shared = BIO_get_data(bio);
    size_t len = shared->in_len < size ? shared->in_len : size;
    BIO_clear_retry_flags(bio);
    if (len == 0) {
        shared->in_lacks = true;
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(out, shared->in, len);
    shared->in += len;
    shared->in_len -= len;
    *out_len = len;
    return 1;
}

bool wsc_tls_reserve(const struct wsc_allocator *allocator, uint8_t **data, size_t *cap,
                     size_t needed)
{
    if (needed <= *cap) {
        return true;
    }
    if (needed > OUT_MAX) {
        return false;
    }
    size_t size = *cap * 2 > needed ? *cap * 2 : needed;
    uint8_t *larger = wsc_realloc(allocator, *data, size);
    if (larger == NULL) {
        return false;
    }
    *data = larger;
    *cap = size;
    return true;
}

static int bio_write(BIO *bio, const char *data, size_t size, size_t *out_written)
{
    struct wsc_tls_shared *shared = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (!wsc_tls_reserve(shared->allocator, &shared->out, &shared->out_cap,
                         shared->out_len + size)) {
        shared->out_lacks = true;
        return 0;
    }
    memcpy(shared->out + shared->out_len, data, size);
    shared->out_len += size;
    *out_written = size;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

struct wsc_tls_shared *wsc_tls_shared_new(const struct wsc_allocator *allocator)
{
    struct wsc_tls_shared *shared = wsc_alloc_zeroed(allocator, sizeof(*shared));
    if (shared == NULL) {
        return NULL;
    }
    shared->allocator = allocator;
    shared->received = wsc_alloc(allocator, WSC_TLS_IN_SIZE);
    shared->plain = wsc_alloc(allocator, WSC_TLS_RECORD);
    shared->out = wsc_alloc(allocator, OUT_SIZE);
    shared->out_cap = OUT_SIZE;
    shared->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "wsc");
    if (shared->received == NULL || shared->plain == NULL || shared->out == NULL ||
        shared->method == NULL || BIO_meth_set_read_ex(shared->method, bio_read) != 1 ||
        BIO_meth_set_write_ex(shared->method, bio_write) != 1 ||
        BIO_meth_set_ctrl(shared->method, bio_ctrl) != 1) {
        wsc_tls_shared_free(shared);
        return NULL;
    }
    return shared;
}

void wsc_tls_shared_free(struct wsc_tls_shared *shared)
{
    if (shared == NULL) {
        return;
    }
    BIO_meth_free(shared->method);
    wsc_free(shared->allocator, shared->received);
    wsc_free(shared->allocator, shared->out);
    wsc_free(shared->allocator, shared->plain);
    wsc_free(shared->allocator, shared);
}

BIO *wsc_tls_shared_bio(struct wsc_tls_shared *shared)
{
    BIO *bio = BIO_new(shared->method);
    if (bio != NULL) {
        BIO_set_data(bio, shared);
        BIO_set_init(bio, 1);
    }
    return bio;
}

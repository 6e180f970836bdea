/* Where records begin in the bytes that come (RFC 8446 §5.1), so that TLS is asked for
 * plaintext when it has a whole one, and not to say that it needs more. */
#ifndef PYWSC_ENGINE_SSL_RECORDS_H
#define PYWSC_ENGINE_SSL_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The plaintext of a record. */
#define PYWSC_SSL_RECORD ((size_t)16 << 10)
/* Given to a MemoryBIO at once: it keeps the memory of the most that it ever held. */
#define PYWSC_SSL_PIECE ((size_t)17 << 10)
/* Type, version and length. */
#define PYWSC_SSL_RECORD_HEAD 5

struct pywsc_ssl_records {
    bool known;       /* whether these are of use: */
    uint8_t head_len; /* of a head that has begun, */
    uint8_t head[PYWSC_SSL_RECORD_HEAD];
    size_t missing; /* of the record whose head is there */
};

/* With `known` nothing has come yet, or whole records only. */
void pywsc_ssl_records_init(struct pywsc_ssl_records *self, bool known);
/* As much of `data` as is to be given to TLS next: at least a byte, if `len` isn't 0.
 */
size_t pywsc_ssl_records_piece(struct pywsc_ssl_records *self, const uint8_t *data,
                               size_t len);
/* Is it known that a record has begun, and isn't there whole? */
bool pywsc_ssl_records_lacks(const struct pywsc_ssl_records *self);
/* Is `data` a record of data, all of it and nothing else, behind whole ones? */
bool pywsc_ssl_records_is_one(const struct pywsc_ssl_records *self, const uint8_t *data,
                              size_t len);

#endif

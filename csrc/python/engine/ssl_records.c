#include "engine/ssl_records.h"

#include <string.h>

#define HEAD PYWSC_SSL_RECORD_HEAD
/* Types. */
#define CHANGE_CIPHER_SPEC 20
#define DATA               23
#define HEARTBEAT          24 /* RFC 6520 */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Of a record with this head; 0 if that is none which could be given in one piece: it
 * is for TLS to refuse. */
static size_t size_of(const uint8_t head[HEAD])
{
    size_t size = HEAD + ((size_t)head[3] << 8 | head[4]);
    bool good = head[0] >= CHANGE_CIPHER_SPEC && head[0] <= HEARTBEAT && head[1] == 3;
    return good && size <= PYWSC_SSL_PIECE ? size : 0;
}

/* What whole records there are, in one piece. */
static size_t whole(const uint8_t *data, size_t len)
{
    size_t most = smaller(len, PYWSC_SSL_PIECE);
    size_t done = 0;
    while (most - done >= HEAD) {
        size_t size = size_of(data + done);
        if (size == 0 || size > most - done) {
            break;
        }
        done += size;
    }
    return done;
}

void pywsc_ssl_records_init(struct pywsc_ssl_records *self, bool known)
{
    memset(self, 0, sizeof(*self));
    self->known = known;
}

/* A record begins with the head and goes on with `data`. */
static size_t begin(struct pywsc_ssl_records *self, const uint8_t *data, size_t len)
{
    size_t part = smaller(len, (size_t)(HEAD - self->head_len));
    memcpy(self->head + self->head_len, data, part);
    if (self->head_len + part < HEAD) {
        self->head_len = (uint8_t)(self->head_len + part);
        return part;
    }
    size_t size = size_of(self->head);
    if (size == 0) {
        self->known = false;
        return smaller(len, PYWSC_SSL_PIECE);
    }
    self->missing = size - self->head_len;
    self->head_len = 0;
    part = smaller(len, self->missing);
    self->missing -= part;
    return part;
}

size_t
pywsc_ssl_records_piece(struct pywsc_ssl_records *self, const uint8_t *data, size_t len)
{
    if (!self->known) {
        return smaller(len, PYWSC_SSL_PIECE);
    }
    if (self->missing > 0) {
        size_t part = smaller(len, self->missing);
        self->missing -= part;
        return part;
    }
    size_t done = self->head_len > 0 ? 0 : whole(data, len);
    return done > 0 ? done : begin(self, data, len);
}

bool pywsc_ssl_records_lacks(const struct pywsc_ssl_records *self)
{
    return self->known && (self->missing > 0 || self->head_len > 0);
}

bool pywsc_ssl_records_is_one(const struct pywsc_ssl_records *self, const uint8_t *data,
                              size_t len)
{
    return self->known && !pywsc_ssl_records_lacks(self) && len > HEAD &&
           data[0] == DATA && size_of(data) == len;
}

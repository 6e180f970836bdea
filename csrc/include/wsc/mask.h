/* Masking and unmasking, RFC 6455 §5.3. The operation is its own inverse.
 *
 * `offset` is the position of data[0] in the frame's payload, so that a payload can be
 * handled in pieces: byte i is XORed with masking_key[(offset + i) % 4]. Only the `len`
 * bytes are read or written, at any alignment. `len` may be 0, pointers then NULL.
 * Thread-safe. */
#ifndef WSC_MASK_H
#define WSC_MASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wsc/api.h"

#ifdef __cplusplus
extern "C" {
#endif

/* In place. */
WSC_API void
wsc_mask_apply(uint8_t *data, size_t len, const uint8_t masking_key[4], size_t offset);
/* From `src` to `dst`, which are the same or do not overlap. */
WSC_API void wsc_mask_copy(uint8_t *dst, const uint8_t *src, size_t len,
                           const uint8_t masking_key[4], size_t offset);
/* As wsc_mask_copy; returns whether every byte written is ASCII (< 0x80): one pass over
 * the payload for unmasking and for the common case of UTF-8 validation. */
WSC_API bool wsc_mask_copy_ascii(uint8_t *dst, const uint8_t *src, size_t len,
                                 const uint8_t masking_key[4], size_t offset);

#ifdef __cplusplus
}
#endif
#endif

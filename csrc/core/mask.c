#include "wsc/mask.h"

#include "simd/simd.h"
#include "simd/words.h"

/* The key as it meets data[0]. RFC 6455 §5.3: the key's octet for octet i is i modulo 4
 * of the payload, wherever the piece begins. */
static inline uint32_t load_key(const uint8_t masking_key[4], size_t offset)
{
    return key_at(load_32(masking_key), offset);
}

void wsc_mask_apply(uint8_t *data, size_t len, const uint8_t masking_key[4],
                    size_t offset)
{
    uint32_t key = load_key(masking_key, offset);
    if (len <= WSC_SIMD_SHORT) {
        (void)mask_short(data, data, len, key);
        return;
    }
    wsc_simd_ops()->mask(data, data, len, key);
}

void wsc_mask_copy(uint8_t *dst, const uint8_t *src, size_t len,
                   const uint8_t masking_key[4], size_t offset)
{
    uint32_t key = load_key(masking_key, offset);
    if (len <= WSC_SIMD_SHORT) {
        (void)mask_short(dst, src, len, key);
        return;
    }
    wsc_simd_ops()->mask(dst, src, len, key);
}

bool wsc_mask_copy_ascii(uint8_t *dst, const uint8_t *src, size_t len,
                         const uint8_t masking_key[4], size_t offset)
{
    uint32_t key = load_key(masking_key, offset);
    if (len <= WSC_SIMD_SHORT) {
        return word_is_ascii(mask_short(dst, src, len, key));
    }
    return wsc_simd_ops()->mask_ascii(dst, src, len, key);
}

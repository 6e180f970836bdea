/* The portable variant, and the oracle of the others. */
#include "simd.h"

#include "code_point.h"
#include "words.h"

/* The ends are loaded before the middle is stored and stored after it, as in words.h;
 * lengths are above WSC_SIMD_SHORT here and in is_ascii(), so never below 8. */
static inline uint64_t
mask_words(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key)
{
    uint64_t wide = key_64(key);
    uint64_t tail = load_64(src + len - 8) ^ key_64(key_at(key, len));
    uint64_t seen = tail;
    size_t i = 0;
    for (; len - i > 8; i += 8) {
        uint64_t word = load_64(src + i) ^ wide;
        store_64(dst + i, word);
        seen |= word;
    }
    store_64(dst + len - 8, tail);
    return seen;
}

static void mask(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key)
{
    (void)mask_words(dst, src, len, key);
}

static bool mask_ascii(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key)
{
    return word_is_ascii(mask_words(dst, src, len, key));
}

static bool is_ascii(const uint8_t *data, size_t len)
{
    if (!word_is_ascii(load_64(data + len - 8))) {
        return false;
    }
    for (size_t i = 0; len - i > 8; i += 8) {
        if (!word_is_ascii(load_64(data + i))) {
            return false;
        }
    }
    return true;
}

static size_t utf8_prefix(const uint8_t *data, size_t len)
{
    size_t i = 0;
    while (i < len) {
        if (data[i] < 0x80) {
            while (len - i >= 8 && word_is_ascii(load_64(data + i))) {
                i += 8;
            }
            while (i < len && data[i] < 0x80) {
                i++;
            }
            continue;
        }
        size_t size = code_point_size(data + i, len - i);
        if (size == 0) {
            break;
        }
        i += size;
    }
    return i;
}

const struct wsc_simd_ops wsc_simd_scalar = {
    .name = "scalar",
    .mask = mask,
    .mask_ascii = mask_ascii,
    .is_ascii = is_ascii,
    .utf8_prefix = utf8_prefix,
};

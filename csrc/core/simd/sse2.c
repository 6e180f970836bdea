/* SSE2: part of every x86-64. It has no byte shuffle, so only ASCII is validated by
 * vectors. */
#include "simd.h"

#if WSC_SIMD_X86

#include "words.h"
#include "x86.h"

#define VEC_SIZE   16
#define VEC_FN     static inline __attribute__((always_inline, target("sse2")))
#define BLOCK_SIZE (4 * VEC_SIZE)
#define VEC_ENTRY  static __attribute__((target("sse2")))

typedef __m128i vec;

VEC_FN vec vec_load(const uint8_t *data)
{
    return _mm_loadu_si128((const void *)data);
}

VEC_FN void vec_store(uint8_t *data, vec v)
{
    _mm_storeu_si128((void *)data, v);
}

VEC_FN vec vec_splat_32(uint32_t word)
{
    return _mm_set1_epi32((int)word);
}

VEC_FN vec vec_or(vec a, vec b)
{
    return _mm_or_si128(a, b);
}

VEC_FN vec vec_xor(vec a, vec b)
{
    return _mm_xor_si128(a, b);
}

VEC_FN bool vec_is_ascii(vec v)
{
    return _mm_movemask_epi8(v) == 0;
}

/* No length is below a vector and above WSC_SIMD_SHORT. */
#define mask_below     mask_pair_16
#define is_ascii_below is_ascii_pair_16

#include "mask_impl.h"

VEC_ENTRY size_t utf8_prefix(const uint8_t *data, size_t len)
{
    size_t i = 0;
    while (len - i >= BLOCK_SIZE) {
        if (block_is_ascii(data + i)) {
            i += BLOCK_SIZE;
            continue;
        }
        size_t size = wsc_simd_scalar.utf8_prefix(data + i, BLOCK_SIZE);
        i += size;
        /* The end of the block cuts off three bytes at most; more is an error. */
        if (BLOCK_SIZE - size > 3) {
            return i;
        }
    }
    if (len - i > WSC_SIMD_SHORT && is_ascii(data + i, len - i)) {
        return len;
    }
    return i + wsc_simd_scalar.utf8_prefix(data + i, len - i);
}

const struct wsc_simd_ops wsc_simd_sse2 = {
    .name = "sse2",
    .mask = mask,
    .mask_ascii = mask_ascii,
    .is_ascii = is_ascii,
    .utf8_prefix = utf8_prefix,
};

#endif

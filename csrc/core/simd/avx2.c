/* AVX2: 32 bytes at a time. */
#include "simd.h"

#if WSC_SIMD_X86

#include "code_point.h"
#include "words.h"
#include "x86.h"

#define VEC_SIZE     32
#define UTF8_VECTORS 2
#define VEC_FN       static inline __attribute__((always_inline, target("avx2")))
#define VEC_ENTRY    static __attribute__((target("avx2")))

typedef __m256i vec;

VEC_FN vec vec_load(const uint8_t *data)
{
    return _mm256_loadu_si256((const void *)data);
}

VEC_FN void vec_store(uint8_t *data, vec v)
{
    _mm256_storeu_si256((void *)data, v);
}

VEC_FN vec vec_splat_32(uint32_t word)
{
    return _mm256_set1_epi32((int)word);
}

VEC_FN vec vec_splat_8(uint8_t byte)
{
    return _mm256_set1_epi8((char)byte);
}

VEC_FN vec vec_or(vec a, vec b)
{
    return _mm256_or_si256(a, b);
}

VEC_FN vec vec_xor(vec a, vec b)
{
    return _mm256_xor_si256(a, b);
}

VEC_FN vec vec_and(vec a, vec b)
{
    return _mm256_and_si256(a, b);
}

VEC_FN vec vec_sub_saturated(vec a, vec b)
{
    return _mm256_subs_epu8(a, b);
}

VEC_FN bool vec_is_ascii(vec v)
{
    return _mm256_movemask_epi8(v) == 0;
}

VEC_FN bool vec_is_zero(vec v)
{
    return _mm256_testz_si256(v, v) != 0;
}

VEC_FN vec vec_table(const uint8_t table[16])
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)table));
}

VEC_FN vec vec_lookup(vec table, vec indexes)
{
    return _mm256_shuffle_epi8(table, indexes);
}

VEC_FN vec vec_high_nibble(vec v)
{
    return _mm256_and_si256(_mm256_srli_epi16(v, 4), _mm256_set1_epi8(0x0F));
}

#define mask_below     mask_pair_16
#define is_ascii_below is_ascii_pair_16

#include "mask_impl.h"
#include "utf8_impl.h"

const struct wsc_simd_ops wsc_simd_avx2 = {
    .name = "avx2",
    .mask = mask,
    .mask_ascii = mask_ascii,
    .is_ascii = is_ascii,
    .utf8_prefix = utf8_prefix,
};

#endif

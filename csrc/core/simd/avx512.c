/* AVX-512 (F, BW, VL): 64 bytes at a time. */
#include "simd.h"

#if WSC_SIMD_X86

#include "code_point.h"
#include "words.h"
#include "x86.h"

#ifdef WSC_SIMD_EMULATE_AVX512
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#define TARGET target("avx2")
#else
#define TARGET target("avx512f,avx512bw,avx512vl")
#endif

#define VEC_SIZE     64
#define UTF8_VECTORS 1
#define VEC_FN       static inline __attribute__((always_inline, TARGET))
#define VEC_ENTRY    static __attribute__((TARGET))

typedef __m512i vec;

VEC_FN vec vec_load(const uint8_t *data)
{
    return _mm512_loadu_si512((const void *)data);
}

VEC_FN void vec_store(uint8_t *data, vec v)
{
    _mm512_storeu_si512((void *)data, v);
}

VEC_FN vec vec_splat_32(uint32_t word)
{
    return _mm512_set1_epi32((int)word);
}

VEC_FN vec vec_splat_8(uint8_t byte)
{
    return _mm512_set1_epi8((char)byte);
}

VEC_FN vec vec_or(vec a, vec b)
{
    return _mm512_or_si512(a, b);
}

VEC_FN vec vec_xor(vec a, vec b)
{
    return _mm512_xor_si512(a, b);
}

VEC_FN vec vec_and(vec a, vec b)
{
    return _mm512_and_si512(a, b);
}

VEC_FN vec vec_sub_saturated(vec a, vec b)
{
    return _mm512_subs_epu8(a, b);
}

VEC_FN bool vec_is_ascii(vec v)
{
    return _mm512_movepi8_mask(v) == 0;
}

VEC_FN bool vec_is_zero(vec v)
{
    return _mm512_test_epi8_mask(v, v) == 0;
}

VEC_FN vec vec_table(const uint8_t table[16])
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)table));
}

VEC_FN vec vec_lookup(vec table, vec indexes)
{
    return _mm512_shuffle_epi8(table, indexes);
}

VEC_FN vec vec_high_nibble(vec v)
{
    return _mm512_and_si512(_mm512_srli_epi16(v, 4), _mm512_set1_epi8(0x0F));
}

#define mask_below     mask_pair_32
#define is_ascii_below is_ascii_pair_32

#include "mask_impl.h"
#include "utf8_impl.h"

const struct wsc_simd_ops wsc_simd_avx512 = {
    .name = "avx512",
    .mask = mask,
    .mask_ascii = mask_ascii,
    .is_ascii = is_ascii,
    .utf8_prefix = utf8_prefix,
};

#endif

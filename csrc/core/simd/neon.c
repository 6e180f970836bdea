/* NEON: part of every AArch64, 16 bytes at a time. */
#include "simd.h"

#if WSC_SIMD_NEON

#include <arm_neon.h>

#include "code_point.h"
#include "words.h"

#define VEC_SIZE     16
#define UTF8_VECTORS 4
#define VEC_FN       static inline __attribute__((always_inline))
#define VEC_ENTRY    static

typedef uint8x16_t vec;

VEC_FN vec vec_load(const uint8_t *data)
{
    return vld1q_u8(data);
}

VEC_FN void vec_store(uint8_t *data, vec v)
{
    vst1q_u8(data, v);
}

VEC_FN vec vec_splat_32(uint32_t word)
{
    return vreinterpretq_u8_u32(vdupq_n_u32(word));
}

VEC_FN vec vec_splat_8(uint8_t byte)
{
    return vdupq_n_u8(byte);
}

VEC_FN vec vec_or(vec a, vec b)
{
    return vorrq_u8(a, b);
}

VEC_FN vec vec_xor(vec a, vec b)
{
    return veorq_u8(a, b);
}

VEC_FN vec vec_and(vec a, vec b)
{
    return vandq_u8(a, b);
}

VEC_FN vec vec_sub_saturated(vec a, vec b)
{
    return vqsubq_u8(a, b);
}

VEC_FN bool vec_is_ascii(vec v)
{
    return vmaxvq_u8(v) < 0x80;
}

VEC_FN bool vec_is_zero(vec v)
{
    return vmaxvq_u8(v) == 0;
}

VEC_FN vec vec_table(const uint8_t table[16])
{
    return vld1q_u8(table);
}

VEC_FN vec vec_lookup(vec table, vec indexes)
{
    return vqtbl1q_u8(table, indexes);
}

VEC_FN vec vec_high_nibble(vec v)
{
    return vshrq_n_u8(v, 4);
}

/* No length is below a vector and above WSC_SIMD_SHORT. */
VEC_FN bool mask_below(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key)
{
    return word_is_ascii(mask_short(dst, src, len, key));
}

VEC_FN bool is_ascii_below(const uint8_t *data, size_t len)
{
    return is_ascii_short(data, len);
}

#include "mask_impl.h"
#include "utf8_impl.h"

const struct wsc_simd_ops wsc_simd_neon = {
    .name = "neon",
    .mask = mask,
    .mask_ascii = mask_ascii,
    .is_ascii = is_ascii,
    .utf8_prefix = utf8_prefix,
};

#endif

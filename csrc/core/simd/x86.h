/* Private: payloads from one to two 16- or 32-byte vectors, for the wider variants. */
#ifndef WSC_SIMD_X86_H
#define WSC_SIMD_X86_H

#include <immintrin.h>

#include "words.h"

/* Mask 16 to 32 bytes; whether all that was written is ASCII. */
__attribute__((target("sse2"))) static inline bool
mask_pair_16(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key)
{
    __m128i head =
        _mm_xor_si128(_mm_loadu_si128((const void *)src), _mm_set1_epi32((int)key));
    __m128i tail = _mm_xor_si128(_mm_loadu_si128((const void *)(src + len - 16)),
                                 _mm_set1_epi32((int)key_at(key, len)));
    _mm_storeu_si128((void *)dst, head);
    _mm_storeu_si128((void *)(dst + len - 16), tail);
    return _mm_movemask_epi8(_mm_or_si128(head, tail)) == 0;
}

__attribute__((target("sse2"))) static inline bool
is_ascii_pair_16(const uint8_t *data, size_t len)
{
    return _mm_movemask_epi8(
               _mm_or_si128(_mm_loadu_si128((const void *)data),
                            _mm_loadu_si128((const void *)(data + len - 16)))) == 0;
}

/* Mask 17 to 64 bytes. */
__attribute__((target("avx2"))) static inline bool
mask_pair_32(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key)
{
    if (len < 32) {
        return mask_pair_16(dst, src, len, key);
    }
    __m256i head = _mm256_xor_si256(_mm256_loadu_si256((const void *)src),
                                    _mm256_set1_epi32((int)key));
    __m256i tail = _mm256_xor_si256(_mm256_loadu_si256((const void *)(src + len - 32)),
                                    _mm256_set1_epi32((int)key_at(key, len)));
    _mm256_storeu_si256((void *)dst, head);
    _mm256_storeu_si256((void *)(dst + len - 32), tail);
    return _mm256_movemask_epi8(_mm256_or_si256(head, tail)) == 0;
}

__attribute__((target("avx2"))) static inline bool
is_ascii_pair_32(const uint8_t *data, size_t len)
{
    if (len < 32) {
        return is_ascii_pair_16(data, len);
    }
    return _mm256_movemask_epi8(_mm256_or_si256(
               _mm256_loadu_si256((const void *)data),
               _mm256_loadu_si256((const void *)(data + len - 32)))) == 0;
}

#endif

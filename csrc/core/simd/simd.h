/* Private: the operations that each SIMD variant implements, and the one in use.
 *
 * The scalar variant is the oracle; every other one returns the same for every input.
 * No variant reads or writes a byte outside the len bytes it was given. */
#ifndef WSC_SIMD_OPS_H
#define WSC_SIMD_OPS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which variants this build has. WSC_SIMD_EMULATE_AVX512 (tests only) runs the AVX-512
 * source on SIMDe, on machines without AVX-512. */
#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
#define WSC_SIMD_X86 1
#else
#define WSC_SIMD_X86 0
#endif
#if defined(__GNUC__) && defined(__aarch64__) && !defined(__AARCH64EB__)
#define WSC_SIMD_NEON 1
#else
#define WSC_SIMD_NEON 0
#endif

/* Masking and ASCII checks of up to this many bytes never get to a variant: a pair of
 * overlapping words is faster than the indirect call (words.h). */
#define WSC_SIMD_SHORT 16

struct wsc_simd_ops {
    const char *name;
    /* Mask src into dst, which is src or does not overlap it. len > WSC_SIMD_SHORT. The
     * key's bytes in memory are those for src[0], src[1] ... */
    void (*mask)(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key);
    /* The same; whether all that was written is ASCII. */
    bool (*mask_ascii)(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key);
    /* len > WSC_SIMD_SHORT. */
    bool (*is_ascii)(const uint8_t *data, size_t len);
    /* data[0], if there is one, begins a code point. The size of the valid whole code
     * points at the start: what follows is the end, or a bad or a cut code point. */
    size_t (*utf8_prefix)(const uint8_t *data, size_t len);
};

extern const struct wsc_simd_ops wsc_simd_scalar;
#if WSC_SIMD_X86
extern const struct wsc_simd_ops wsc_simd_sse2;
extern const struct wsc_simd_ops wsc_simd_avx2;
extern const struct wsc_simd_ops wsc_simd_avx512;
#endif
#if WSC_SIMD_NEON
extern const struct wsc_simd_ops wsc_simd_neon;
#endif

/* NULL until the first use. */
extern _Atomic(const struct wsc_simd_ops *) wsc_simd_current;
const struct wsc_simd_ops *wsc_simd_choose(void);

static inline const struct wsc_simd_ops *wsc_simd_ops(void)
{
    /* Relaxed: what it points to is constant from the start of the program. */
    const struct wsc_simd_ops *ops =
        atomic_load_explicit(&wsc_simd_current, memory_order_relaxed);
    return ops != NULL ? ops : wsc_simd_choose();
}

#endif

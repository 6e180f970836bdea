#include "wsc/simd.h"

#include <stdlib.h>
#include <string.h>

#include "simd.h"

_Atomic(const struct wsc_simd_ops *) wsc_simd_current;

/* Each variant needs what the one before it needs and more, so what a CPU can run is a
 * number of variants from the start of this list. */
static const struct wsc_simd_ops *const variants[] = {
    &wsc_simd_scalar,
#if WSC_SIMD_X86
    &wsc_simd_sse2,   &wsc_simd_avx2, &wsc_simd_avx512,
#endif
#if WSC_SIMD_NEON
    &wsc_simd_neon,
#endif
};

/* One constant list of names for each possible number, so that nothing is filled in at
 * run time and no thread can see it half done. */
#if WSC_SIMD_X86
static const char *const names[][5] = {
    {"scalar", NULL},
    {"scalar", "sse2", NULL},
    {"scalar", "sse2", "avx2", NULL},
    {"scalar", "sse2", "avx2", "avx512", NULL},
};
#elif WSC_SIMD_NEON
static const char *const names[][3] = {
    {"scalar", NULL},
    {"scalar", "neon", NULL},
};
#else
static const char *const names[][2] = {
    {"scalar", NULL},
};
#endif

static size_t variant_count(void)
{
#if WSC_SIMD_X86
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("sse2")) {
        return 1;
    }
    if (!__builtin_cpu_supports("avx2")) {
        return 2;
    }
#ifndef WSC_SIMD_EMULATE_AVX512
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512vl")) {
        return 3;
    }
#endif
#endif
    return sizeof(variants) / sizeof(variants[0]);
}

static const struct wsc_simd_ops *find_variant(const char *name)
{
    size_t count = variant_count();
    for (size_t i = 0; i < count; i++) {
        if (strcmp(variants[i]->name, name) == 0) {
            return variants[i];
        }
    }
    return NULL;
}

const struct wsc_simd_ops *wsc_simd_choose(void)
{
    const char *wanted = getenv("WSC_SIMD");
    const struct wsc_simd_ops *ops = wanted != NULL ? find_variant(wanted) : NULL;
    if (ops == NULL) {
        ops = variants[variant_count() - 1];
    }
    /* A wsc_simd_select of another thread in the meantime stays. */
    const struct wsc_simd_ops *expected = NULL;
    if (!atomic_compare_exchange_strong(&wsc_simd_current, &expected, ops)) {
        ops = expected;
    }
    return ops;
}

const char *wsc_simd_name(void)
{
    return wsc_simd_ops()->name;
}

const char *const *wsc_simd_available(void)
{
    return names[variant_count() - 1];
}

enum wsc_status wsc_simd_select(const char *name)
{
    const struct wsc_simd_ops *ops = name != NULL ? find_variant(name) : NULL;
    if (ops == NULL) {
        return WSC_ERR_INVALID_ARGUMENT;
    }
    atomic_store(&wsc_simd_current, ops);
    return WSC_OK;
}

/* Which implementation of masking and UTF-8 validation is in use.
 *
 * The best one the CPU has is chosen at the first use, once per process; the
 * environment variable WSC_SIMD (a name below) overrides the choice if this CPU and
 * build have it, and is ignored otherwise. Thread-safe. */
#ifndef WSC_SIMD_H
#define WSC_SIMD_H

#include <stddef.h>

#include "wsc/api.h"
#include "wsc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "scalar", "sse2", "avx2", "avx512" or "neon". Static storage. */
WSC_API const char *wsc_simd_name(void);
/* The names that this CPU and build can run, "scalar" first, best last, NULL after the
 * last. Static storage. */
WSC_API const char *const *wsc_simd_available(void);
/* Use this one from now on (for tests and benchmarks).
 * WSC_ERR_INVALID_ARGUMENT: unknown name, or not available here. */
WSC_API WSC_NODISCARD enum wsc_status wsc_simd_select(const char *name);

#ifdef __cplusplus
}
#endif
#endif

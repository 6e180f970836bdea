/* The clock of whoever drives connections; the core has none. */
#ifndef WSC_CLOCK_H
#define WSC_CLOCK_H

#include <stdint.h>

#include "wsc/api.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The monotonic clock, in nanoseconds. */
WSC_API uint64_t wsc_clock_ns(void);

#ifdef __cplusplus
}
#endif
#endif

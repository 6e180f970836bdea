/* A histogram of durations with three significant digits and a bounded size, as HDR
 * histograms have it: below 2048 a value has a bucket of its own, above it shares one
 * whose width is at most 1/1024 of it. Not for several threads at once. */
#ifndef WSC_HISTOGRAM_H
#define WSC_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wsc/api.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Values from 2^42 on, 73 minutes in nanoseconds, are counted as the largest below it;
 * `min`, `max` and `sum` are exact all the same. */
#define WSC_HISTOGRAM_BITS     11
#define WSC_HISTOGRAM_MAX_BITS 42
#define WSC_HISTOGRAM_BUCKETS                                                          \
    ((size_t)(WSC_HISTOGRAM_MAX_BITS - WSC_HISTOGRAM_BITS + 2)                         \
     << (WSC_HISTOGRAM_BITS - 1))

/* 264 KiB. All zero is an empty one; the fields are to be read. */
struct wsc_histogram {
    uint64_t count;
    uint64_t min; /* 0 while it is empty, as max */
    uint64_t max;
    double sum;
    uint64_t buckets[WSC_HISTOGRAM_BUCKETS];
};

WSC_API void wsc_histogram_add(struct wsc_histogram *histogram, uint64_t value);
/* Add all that `other` has seen. */
WSC_API void
wsc_histogram_merge(struct wsc_histogram *histogram, const struct wsc_histogram *other);
/* The value that `percent` of the values, 0 to 100, do not pass: the nearest rank, and
 * of its bucket the largest value, but never more than `max`. 0 if it is empty. */
WSC_API uint64_t wsc_histogram_percentile(const struct wsc_histogram *histogram,
                                          double percent);

#ifdef __cplusplus
}
#endif
#endif

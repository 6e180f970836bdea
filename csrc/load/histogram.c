#include "wsc/histogram.h"

/* Values with one bit more have buckets twice as wide: half of the numbers that
 * WSC_HISTOGRAM_BITS bits can have, since the highest bit is set. */
#define HALF_BITS (WSC_HISTOGRAM_BITS - 1)
#define HALF      ((size_t)1 << HALF_BITS)
#define VALUE_MAX (((uint64_t)1 << WSC_HISTOGRAM_MAX_BITS) - 1)

static size_t bucket_of(uint64_t value)
{
    unsigned shift = 0;
    if (value > VALUE_MAX) {
        value = VALUE_MAX;
    }
    if (value >> WSC_HISTOGRAM_BITS != 0) {
        shift = 64U - WSC_HISTOGRAM_BITS - (unsigned)__builtin_clzll(value);
    }
    return (shift << HALF_BITS) + (size_t)(value >> shift);
}

static uint64_t largest_of(size_t bucket)
{
    if (bucket < 2 * HALF) {
        return bucket;
    }
    size_t shift = (bucket >> HALF_BITS) - 1;
    return ((uint64_t)((bucket & (HALF - 1)) + HALF + 1) << shift) - 1;
}

void wsc_histogram_add(struct wsc_histogram *histogram, uint64_t value)
{
    histogram->buckets[bucket_of(value)]++;
    if (histogram->count == 0 || value < histogram->min) {
        histogram->min = value;
    }
    if (value > histogram->max) {
        histogram->max = value;
    }
    histogram->sum += (double)value;
    histogram->count++;
}

void wsc_histogram_merge(struct wsc_histogram *histogram,
                         const struct wsc_histogram *other)
{
    if (other->count == 0) {
        return;
    }
    if (histogram->count == 0 || other->min < histogram->min) {
        histogram->min = other->min;
    }
    if (other->max > histogram->max) {
        histogram->max = other->max;
    }
    histogram->count += other->count;
    histogram->sum += other->sum;
    for (size_t i = 0; i < WSC_HISTOGRAM_BUCKETS; i++) {
        histogram->buckets[i] += other->buckets[i];
    }
}

uint64_t wsc_histogram_percentile(const struct wsc_histogram *histogram, double percent)
{
    double wanted = percent * (double)histogram->count / 100;
    uint64_t seen = 0;
    for (size_t i = 0; i < WSC_HISTOGRAM_BUCKETS; i++) {
        seen += histogram->buckets[i];
        if (seen > 0 && (double)seen >= wanted) {
            uint64_t value = largest_of(i);
            return value < histogram->max ? value : histogram->max;
        }
    }
    return histogram->max;
}

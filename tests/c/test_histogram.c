/* The histogram against exact percentiles. */
#include "wsc/histogram.h"

#include <math.h>
#include <stdlib.h>

#include "test.h"

#define VALUES_MAX 5000

static struct wsc_histogram histogram;
static struct wsc_histogram other;

static void clear(void)
{
    memset(&histogram, 0, sizeof(histogram));
    memset(&other, 0, sizeof(other));
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    return (*x > *y) - (*x < *y);
}

static void an_empty_one(void)
{
    clear();
    CHECK_INT(histogram.count, 0);
    CHECK_INT(wsc_histogram_percentile(&histogram, 50), 0);
    wsc_histogram_merge(&histogram, &other);
    CHECK_INT(histogram.count, 0);
}

static void small_values_are_exact(void)
{
    clear();
    for (uint64_t value = 0; value < 2048; value++) {
        wsc_histogram_add(&histogram, value);
    }
    for (uint64_t rank = 1; rank <= 2048; rank++) {
        double percent = 100 * (double)rank / 2048;
        CHECK_INT(wsc_histogram_percentile(&histogram, percent), rank - 1);
    }
}

/* Each bucket's ends, up to the largest: never below the value, at most 1/1024 above.
 */
static void every_bucket_is_narrow(void)
{
    for (unsigned bit = 0; bit < WSC_HISTOGRAM_MAX_BITS; bit++) {
        uint64_t power = (uint64_t)1 << bit;
        const uint64_t values[] = {power, power + power / 2, 2 * power - 1,
                                   power + test_random_below(power)};
        for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
            clear();
            wsc_histogram_add(&histogram, values[i]);
            wsc_histogram_add(&histogram, UINT64_MAX);
            uint64_t got = wsc_histogram_percentile(&histogram, 50);
            CHECK(got >= values[i]);
            CHECK(got - values[i] <= values[i] / 1024);
        }
    }
}

static void what_is_too_large_is_not_lost(void)
{
    clear();
    wsc_histogram_add(&histogram, UINT64_MAX);
    wsc_histogram_add(&histogram, 3);
    CHECK_INT(histogram.count, 2);
    CHECK_INT(histogram.min, 3);
    CHECK(histogram.max == UINT64_MAX);
    CHECK_INT(wsc_histogram_percentile(&histogram, 50), 3);
    CHECK(wsc_histogram_percentile(&histogram, 100) ==
          ((uint64_t)1 << WSC_HISTOGRAM_MAX_BITS) - 1);
}

/* Random values of all sizes, in two histograms that are merged. */
static void percentiles_are_those_of_the_values(void)
{
    static const double percents[] = {0, 1, 25, 50, 75, 90, 99, 99.9, 99.99, 100};
    static uint64_t values[VALUES_MAX];
    for (int turn = 0; turn < 50; turn++) {
        size_t count = 1 + test_random_below(VALUES_MAX);
        double sum = 0;
        clear();
        for (size_t i = 0; i < count; i++) {
            values[i] = ((uint64_t)test_random() << 10) >> test_random_below(40);
            sum += (double)values[i];
            wsc_histogram_add(i % 3 == 0 ? &other : &histogram, values[i]);
        }
        wsc_histogram_merge(&histogram, &other);
        qsort(values, count, sizeof(*values), compare);
        CHECK_INT(histogram.count, count);
        CHECK_INT(histogram.min, values[0]);
        CHECK_INT(histogram.max, values[count - 1]);
        CHECK(histogram.sum == sum);
        for (size_t i = 0; i < sizeof(percents) / sizeof(*percents); i++) {
            double rank = percents[i] * (double)count / 100;
            size_t index = (size_t)ceil(rank);
            uint64_t exact = values[index < 1 ? 0 : index - 1];
            uint64_t got = wsc_histogram_percentile(&histogram, percents[i]);
            CHECK(got >= exact);
            CHECK(got - exact <= exact / 1024);
        }
    }
}

TEST_MAIN(TEST(an_empty_one), TEST(small_values_are_exact),
          TEST(every_bucket_is_narrow), TEST(what_is_too_large_is_not_lost),
          TEST(percentiles_are_those_of_the_values))

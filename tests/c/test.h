/* The harness of the C tests: checks, memory that ends at an unmapped page, an
 * allocator that fails on command, random splits with a printed seed. One program per
 * test file. */
#ifndef TEST_H
#define TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "wsc/alloc.h"

struct test_case {
    const char *name;
    void (*run)(void);
};
#define TEST(function)                                                                 \
    {                                                                                  \
#function, function                                                            \
    }

/* Run all cases, or those whose name contains argv[1]; prints "N passed, N failed" and
 * returns main's exit code. */
int test_main(int argc, char **argv, const struct test_case *cases, size_t count);
#define TEST_MAIN(...)                                                                 \
    int main(int argc, char **argv)                                                    \
    {                                                                                  \
        static const struct test_case cases[] = {__VA_ARGS__};                         \
        return test_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));         \
    }

/* A failed check is printed with its place and fails the case; the case goes on. */
bool test_check(bool ok, const char *file, int line, const char *what);
bool test_check_int(long long got, long long want, const char *file, int line,
                    const char *what);
bool test_check_bytes(const void *got, size_t got_len, const void *want,
                      size_t want_len, const char *file, int line, const char *what);
#define CHECK(condition) test_check((condition), __FILE__, __LINE__, #condition)
#define CHECK_INT(got, want)                                                           \
    test_check_int((long long)(got), (long long)(want), __FILE__, __LINE__,            \
                   #got " == " #want)
#define CHECK_BYTES(got, got_len, want, want_len)                                      \
    test_check_bytes(got, got_len, want, want_len, __FILE__, __LINE__, #got)

/* A copy of `data` whose last byte is the last of a page, the next page unmapped:
 * reading past the end is a crash. Freed all together at the end of the case. */
uint8_t *test_guarded(const void *data, size_t len);

/* Random numbers; the seed is printed when a case fails, and set by TEST_SEED=n. */
uint32_t test_random(void);
/* A number from 0 to bound - 1. */
size_t test_random_below(size_t bound);

/* An allocator that counts, and that fails the `fail_at`-th request (1 is the first; 0
 * never), and all later ones too if `fail_forever`. Every block is guarded by size. */
struct test_allocator {
    struct wsc_allocator base;
    size_t requests;
    size_t fail_at;
    bool fail_forever;
    size_t live_blocks;
    size_t live_bytes;
    size_t peak_bytes;
};
void test_allocator_init(struct test_allocator *allocator);

/* Run `scenario` again and again with allocation 1, 2, 3 ... failing, once alone and
 * once with all later ones, until it goes through untouched. The scenario returns false
 * when it met a failure that it reported properly, true when it completed. After each
 * run no block may be left. Prints how many failures were injected. */
void test_every_allocation(bool (*scenario)(const struct wsc_allocator *allocator));

#endif

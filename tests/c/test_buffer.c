/* wsc/status.h, wsc/alloc.h, wsc/buffer.h. */
#include "test.h"

#include "wsc/buffer.h"
#include "wsc/status.h"

static void starts_empty_and_allocates_nothing(void)
{
    struct test_allocator allocator;
    struct wsc_buffer buffer;
    test_allocator_init(&allocator);
    wsc_buffer_init(&buffer, &allocator.base, 100);
    CHECK(buffer.data == NULL);
    CHECK_INT(wsc_buffer_append(&buffer, NULL, 0), WSC_OK);
    CHECK_INT(wsc_buffer_reserve(&buffer, 0), WSC_OK);
    wsc_buffer_consume(&buffer, 0);
    wsc_buffer_clear(&buffer, 0);
    wsc_buffer_fini(&buffer);
    CHECK_INT(allocator.requests, 0);
}

static void holds_what_was_appended(void)
{
    struct test_allocator allocator;
    struct wsc_buffer buffer;
    uint8_t expected[3000];
    size_t len = 0;
    test_allocator_init(&allocator);
    wsc_buffer_init(&buffer, &allocator.base, sizeof(expected));
    while (len < sizeof(expected)) {
        size_t part = 1 + test_random_below(97);
        part = part < sizeof(expected) - len ? part : sizeof(expected) - len;
        for (size_t i = 0; i < part; i++) {
            expected[len + i] = (uint8_t)test_random();
        }
        if (!CHECK_INT(wsc_buffer_append(&buffer, expected + len, part), WSC_OK)) {
            break;
        }
        len += part;
        CHECK(buffer.cap <= buffer.max);
    }
    CHECK_BYTES(buffer.data, buffer.len, expected, sizeof(expected));
    wsc_buffer_fini(&buffer);
    CHECK_INT(allocator.live_blocks, 0);
}

/* From 1 byte to each maximum: never above it, and exactly full at the end. */
static void reaches_but_never_passes_its_maximum(void)
{
    for (size_t max = 0; max < 700; max++) {
        struct test_allocator allocator;
        struct wsc_buffer buffer;
        test_allocator_init(&allocator);
        wsc_buffer_init(&buffer, &allocator.base, max);
        for (size_t i = 0; i < max; i++) {
            CHECK_INT(wsc_buffer_append(&buffer, "x", 1), WSC_OK);
        }
        size_t cap = buffer.cap;
        CHECK_INT(wsc_buffer_append(&buffer, "x", 1), WSC_ERR_TOO_BIG);
        CHECK_INT(buffer.len, max);
        CHECK_INT(buffer.cap, cap);
        CHECK(allocator.peak_bytes <= max);
        wsc_buffer_fini(&buffer);
    }
}

static void growth_is_geometric(void)
{
    struct test_allocator allocator;
    struct wsc_buffer buffer;
    test_allocator_init(&allocator);
    wsc_buffer_init(&buffer, &allocator.base, SIZE_MAX);
    for (size_t i = 0; i < 1000000; i++) {
        if (!CHECK_INT(wsc_buffer_append(&buffer, "x", 1), WSC_OK)) {
            break;
        }
    }
    /* 128 x 1.5^23 is above a million */
    CHECK(allocator.requests <= 25);
    CHECK(buffer.cap <= buffer.len + buffer.len / 2);
    wsc_buffer_fini(&buffer);
}

/* LEN: sums that would wrap must not look small. */
static void sizes_that_would_wrap_are_too_big(void)
{
    struct test_allocator allocator;
    struct wsc_buffer buffer;
    test_allocator_init(&allocator);
    wsc_buffer_init(&buffer, &allocator.base, 1000);
    CHECK_INT(wsc_buffer_append(&buffer, "abc", 3), WSC_OK);
    size_t requests = allocator.requests;
    const size_t extras[] = {998,          SIZE_MAX,     SIZE_MAX - 1,
                             SIZE_MAX - 2, SIZE_MAX - 3, SIZE_MAX / 2};
    for (size_t i = 0; i < sizeof(extras) / sizeof(extras[0]); i++) {
        CHECK_INT(wsc_buffer_reserve(&buffer, extras[i]), WSC_ERR_TOO_BIG);
    }
    CHECK_INT(allocator.requests, requests);
    CHECK_BYTES(buffer.data, buffer.len, "abc", 3);
    CHECK_INT(wsc_buffer_reserve(&buffer, 997), WSC_OK);
    CHECK_INT(buffer.cap, 1000);
    wsc_buffer_fini(&buffer);

    wsc_buffer_init(&buffer, &allocator.base, SIZE_MAX);
    CHECK_INT(wsc_buffer_append(&buffer, "abc", 3), WSC_OK);
    CHECK_INT(wsc_buffer_reserve(&buffer, SIZE_MAX - 2), WSC_ERR_TOO_BIG);
    wsc_buffer_fini(&buffer);
}

static void consume_moves_the_rest_down(void)
{
    for (size_t n = 0; n <= 10; n++) {
        struct test_allocator allocator;
        struct wsc_buffer buffer;
        test_allocator_init(&allocator);
        wsc_buffer_init(&buffer, &allocator.base, 10);
        CHECK_INT(wsc_buffer_append_str(&buffer, "0123456789"), WSC_OK);
        wsc_buffer_consume(&buffer, n);
        CHECK_BYTES(buffer.data, buffer.len, &"0123456789"[n], 10 - n);
        wsc_buffer_fini(&buffer);
    }
}

static void clear_keeps_small_memory_only(void)
{
    struct test_allocator allocator;
    struct wsc_buffer buffer;
    test_allocator_init(&allocator);
    wsc_buffer_init(&buffer, &allocator.base, 5000);
    CHECK_INT(wsc_buffer_reserve(&buffer, 1000), WSC_OK);
    wsc_buffer_clear(&buffer, 1000);
    CHECK_INT(buffer.cap, 1000);
    wsc_buffer_clear(&buffer, 999);
    CHECK_INT(allocator.live_blocks, 0);
    CHECK_INT(buffer.max, 5000);
    CHECK_INT(wsc_buffer_append(&buffer, "again", 5), WSC_OK);
    CHECK_BYTES(buffer.data, buffer.len, "again", 5);
    wsc_buffer_fini(&buffer);
}

static bool append_scenario(const struct wsc_allocator *allocator)
{
    struct wsc_buffer buffer;
    enum wsc_status status = WSC_OK;
    wsc_buffer_init(&buffer, allocator, 10000);
    for (size_t i = 0; i < 10000 && status == WSC_OK; i++) {
        size_t len = buffer.len;
        status = wsc_buffer_append(&buffer, "y", 1);
        CHECK(status == WSC_OK || status == WSC_ERR_NO_MEMORY);
        CHECK_INT(buffer.len, len + (status == WSC_OK));
        CHECK(buffer.len == 0 || buffer.data[buffer.len - 1] == 'y');
    }
    wsc_buffer_fini(&buffer);
    return status == WSC_OK;
}

static void survives_every_failed_allocation(void)
{
    test_every_allocation(append_scenario);
}

static void default_allocator_works(void)
{
    const struct wsc_allocator *allocator = wsc_allocator_default();
    uint8_t *bytes = wsc_alloc_zeroed(allocator, 100);
    uint8_t zeros[100] = {0};
    if (CHECK(bytes != NULL)) {
        CHECK_BYTES(bytes, 100, zeros, 100);
        bytes = wsc_realloc(allocator, bytes, 200);
        CHECK(bytes != NULL && bytes[99] == 0);
    }
    wsc_free(allocator, bytes);
    wsc_free(allocator, NULL);
    bytes = wsc_alloc(allocator, 1);
    CHECK(bytes != NULL);
    wsc_free(allocator, bytes);
}

static void zeroed_reports_no_memory(void)
{
    struct test_allocator allocator;
    test_allocator_init(&allocator);
    allocator.fail_at = 1;
    CHECK(wsc_alloc_zeroed(&allocator.base, 10) == NULL);
}

static void every_status_has_its_name(void)
{
#define NAMED(status) CHECK(strcmp(wsc_status_name(status), #status) == 0)
    NAMED(WSC_OK);
    NAMED(WSC_NEED_DATA);
    NAMED(WSC_NEED_SPACE);
    NAMED(WSC_ERR_NO_MEMORY);
    NAMED(WSC_ERR_INVALID_ARGUMENT);
    NAMED(WSC_ERR_INVALID_STATE);
    NAMED(WSC_ERR_TOO_BIG);
    NAMED(WSC_ERR_PROTOCOL);
    NAMED(WSC_ERR_UTF8);
    NAMED(WSC_ERR_POLICY);
    NAMED(WSC_ERR_RANDOM);
    NAMED(WSC_ERR_HANDSHAKE);
#undef NAMED
    CHECK(wsc_status_name((enum wsc_status) - 100) != NULL);
}

TEST_MAIN(TEST(starts_empty_and_allocates_nothing), TEST(holds_what_was_appended),
          TEST(reaches_but_never_passes_its_maximum), TEST(growth_is_geometric),
          TEST(sizes_that_would_wrap_are_too_big), TEST(consume_moves_the_rest_down),
          TEST(clear_keeps_small_memory_only), TEST(survives_every_failed_allocation),
          TEST(default_allocator_works), TEST(zeroed_reports_no_memory),
          TEST(every_status_has_its_name))

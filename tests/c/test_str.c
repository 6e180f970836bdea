/* wsc/str.h: equality, with and without case, and what absent and empty are. */
#include "wsc/str.h"

#include "test.h"

static const struct wsc_str absent = {NULL, 0};

static void the_same_bytes(void)
{
    CHECK(wsc_str_equal(wsc_str_of("chat"), wsc_str_of("chat")));
    CHECK(!wsc_str_equal(wsc_str_of("chat"), wsc_str_of("Chat")));
    CHECK(!wsc_str_equal(wsc_str_of("chat"), wsc_str_of("chats")));
    CHECK(!wsc_str_equal(wsc_str_of("chats"), wsc_str_of("chat")));
    struct wsc_str with_nul = {"a\0b", 3};
    CHECK(wsc_str_equal(with_nul, with_nul));
    CHECK(!wsc_str_equal(with_nul, wsc_str_of("a")));
}

static void the_bytes_of_a_text(void)
{
    CHECK(wsc_str_is(wsc_str_of("GET"), "GET"));
    CHECK(!wsc_str_is(wsc_str_of("GET"), "get"));
    CHECK(!wsc_str_is(wsc_str_of("GET"), "GE"));
    CHECK(!wsc_str_is(wsc_str_of("GE"), "GET"));
    struct wsc_str with_nul = {"a\0b", 3};
    CHECK(!wsc_str_is(with_nul, "a"));
}

static void absent_equals_empty(void)
{
    CHECK(wsc_str_of(NULL).data == NULL);
    CHECK_INT(wsc_str_of(NULL).len, 0);
    CHECK(wsc_str_equal(absent, absent));
    CHECK(wsc_str_equal(absent, wsc_str_of("")));
    CHECK(wsc_str_is(absent, ""));
    CHECK(wsc_str_is_nocase(absent, ""));
    CHECK(!wsc_str_equal(absent, wsc_str_of("a")));
    CHECK(!wsc_str_is(absent, "a"));
    CHECK(!wsc_str_is_nocase(absent, "a"));
}

static void case_is_that_of_ascii(void)
{
    CHECK(wsc_str_is_nocase(wsc_str_of("Upgrade"), "uPGRADE"));
    CHECK(wsc_str_is_nocase(wsc_str_of(""), ""));
    CHECK(!wsc_str_is_nocase(wsc_str_of("Upgrade"), "Upgrad"));
    CHECK(!wsc_str_is_nocase(wsc_str_of("Upgrad"), "Upgrade"));
    /* differ in the case bit only */
    CHECK(!wsc_str_is_nocase(wsc_str_of("a@"), "a`"));
    CHECK(!wsc_str_is_nocase(wsc_str_of("["), "{"));
    CHECK(!wsc_str_is_nocase(wsc_str_of("\xc4"), "\xe4"));
}

static void nothing_is_read_past_the_end(void)
{
    struct wsc_str text = {(const char *)test_guarded("abc", 3), 3};
    CHECK(wsc_str_equal(text, wsc_str_of("abc")));
    CHECK(!wsc_str_is(text, "abcd"));
    CHECK(!wsc_str_is_nocase(text, "ABCD"));
    struct wsc_str with_nul = {"a\0b", 3};
    CHECK(!wsc_str_is_nocase(with_nul, (const char *)test_guarded("a", 2)));
}

TEST_MAIN(TEST(the_same_bytes), TEST(the_bytes_of_a_text), TEST(absent_equals_empty),
          TEST(case_is_that_of_ascii), TEST(nothing_is_read_past_the_end))

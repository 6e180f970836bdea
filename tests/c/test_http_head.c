/* wsc/http_head.h: the reader itself, its limits and its cost. The tables of what is a
 * good head are in test_handshake.c. */
#define _POSIX_C_SOURCE 200809L
#include "test.h"

#include <stdlib.h>
#include <time.h>

#include "wsc/http_head.h"

#define CHECK_STR(got, want) CHECK_BYTES((got).data, (got).len, want, strlen(want))

static enum wsc_status feed_text(struct wsc_http_head *head, const char *text)
{
    size_t len = strlen(text);
    size_t used;
    return wsc_http_head_feed(head, test_guarded(text, len), len, &used);
}

static void start(struct wsc_http_head *head, enum wsc_http_kind kind)
{
    struct wsc_http_limits limits;
    wsc_http_limits_init(&limits);
    wsc_http_head_init(head, kind, &limits, wsc_allocator_default());
}

static void default_limits(void)
{
    struct wsc_http_limits limits;
    wsc_http_limits_init(&limits);
    CHECK_INT(limits.start_line, 8192);
    CHECK_INT(limits.header_line, 8192);
    CHECK_INT(limits.block, 32768);
    CHECK_INT(limits.count, 128);
}

static void results_of_a_request(void)
{
    struct wsc_http_head head;
    start(&head, WSC_HTTP_REQUEST);
    CHECK_INT(
        feed_text(&head, "OPTIONS * HTTP/3.7\r\na:\r\nB: c:d, \te \r\nA:\t f\r\n\r\n"),
        WSC_OK);
    CHECK_STR(head.method, "OPTIONS");
    CHECK_STR(head.target, "*");
    CHECK_INT(head.major, 3);
    CHECK_INT(head.minor, 7);
    if (CHECK_INT(head.header_count, 3)) {
        CHECK_STR(head.headers[0].name, "a");
        CHECK_STR(head.headers[0].value, "");
        CHECK(head.headers[0].value.data != NULL); /* NULL would say absent */
        CHECK_STR(head.headers[1].name, "B");
        CHECK_STR(head.headers[1].value, "c:d, \te");
        CHECK_STR(head.headers[2].value, "f");
        const struct wsc_http_header *first = wsc_http_head_find(&head, "A", NULL);
        CHECK(first == &head.headers[0]);
        CHECK(wsc_http_head_find(&head, "A", first) == &head.headers[2]);
        CHECK(wsc_http_head_find(&head, "A", &head.headers[2]) == NULL);
        CHECK(wsc_http_head_find(&head, "AA", NULL) == NULL);
        CHECK(wsc_http_head_find(&head, "", NULL) == NULL);
    }
    wsc_http_head_fini(&head);
    /* and again with the same storage */
    CHECK_INT(feed_text(&head, "GET / HTTP/1.1\r\n\r\n"), WSC_OK);
    CHECK_INT(head.header_count, 0);
    CHECK(wsc_http_head_find(&head, "A", NULL) == NULL);
    wsc_http_head_fini(&head);
}

static void results_of_a_response(void)
{
    struct wsc_http_head head;
    start(&head, WSC_HTTP_RESPONSE);
    CHECK_INT(feed_text(&head, "HTTP/1.1 599 a b\r\nX: y\r\n\r\n"), WSC_OK);
    CHECK_INT(head.status, 599);
    CHECK_STR(head.reason, "a b");
    CHECK_INT(head.header_count, 1);
    wsc_http_head_fini(&head);
    CHECK_INT(feed_text(&head, "HTTP/1.0 100\r\n\r\n"), WSC_OK);
    CHECK_INT(head.status, 100);
    CHECK_INT(head.minor, 0);
    CHECK_STR(head.reason, "");
    wsc_http_head_fini(&head);
}

static bool is_tchar(unsigned c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != 0 && strchr("!#$%&'*+-.^_`|~", (int)c) != NULL);
}

/* What RFC 9112 §3 and RFC 9110 §5 say of a byte at a place. */
enum place { IN_METHOD, IN_TARGET, IN_NAME, IN_VALUE, FIRST_OF_ALL, PLACES };

static enum wsc_http_error error_of(enum place place, unsigned c)
{
    bool visible = c > 0x20 && c < 0x7f;
    switch (place) {
    case FIRST_OF_ALL:
        return is_tchar(c) ? WSC_HTTP_OK : WSC_HTTP_NOT_HTTP;
    case IN_METHOD:
        return is_tchar(c) ? WSC_HTTP_OK : WSC_HTTP_START_LINE;
    case IN_TARGET:
        return visible ? WSC_HTTP_OK : WSC_HTTP_START_LINE;
    case IN_NAME: /* ':' makes the rest of the line the value */
        return is_tchar(c) || c == ':' ? WSC_HTTP_OK : WSC_HTTP_HEADER_NAME;
    case IN_VALUE:
        return visible || c == ' ' || c == '\t' || c >= 0x80 ? WSC_HTTP_OK
               : c == '\r' || c == '\n'                      ? WSC_HTTP_LINE_END
                                                             : WSC_HTTP_HEADER_VALUE;
    case PLACES:
        break;
    }
    return WSC_HTTP_OK;
}

/* HSK-5 */
static void every_byte_at_every_place(void)
{
    static const char text[] = "GET /abc HTTP/1.1\r\nNam: val\r\n\r\n";
    static const size_t at[] = {1, 6, 20, 25, 0};
    for (enum place place = IN_METHOD; place < PLACES; place++) {
        for (unsigned c = 0; c < 256; c++) {
            struct wsc_http_head head;
            uint8_t changed[sizeof(text)];
            size_t used;
            start(&head, WSC_HTTP_REQUEST);
            memcpy(changed, text, sizeof(text));
            changed[at[place]] = (uint8_t)c;
            enum wsc_http_error want = error_of(place, c);
            if (place == IN_METHOD && c == ' ') {
                want =
                    WSC_HTTP_START_LINE; /* "G T /abc": T is the target, then "/abc" */
            }
            enum wsc_status status =
                wsc_http_head_feed(&head, changed, sizeof(text) - 1, &used);
            CHECK_INT(status, want == WSC_HTTP_OK ? WSC_OK : WSC_ERR_HANDSHAKE);
            if (!CHECK_INT(head.error, want)) {
                printf("    byte %u at %zu\n", c, at[place]);
            }
            if (want != WSC_HTTP_OK) {
                /* A CR is fine until what follows is no LF; a space ends the method
                 * or the target, and what follows is not what it should be. */
                size_t late = place == IN_METHOD && c == ' '   ? 3
                              : place == IN_TARGET && c == ' ' ? 1
                              : place == IN_VALUE && c == '\r' ? 1
                                                               : 0;
                CHECK_INT(head.error_position, at[place] + late);
            }
            wsc_http_head_fini(&head);
        }
    }
}

/* HSK-3: each limit, at its value and one above, whatever the split; and the memory
 * that is spent on it. */
static void limits_hold_before_memory_is_spent(void)
{
    for (size_t limit = 20; limit < 40; limit++) {
        for (size_t len = 20; len < 42; len++) {
            for (int which = 0; which < 3; which++) {
                struct test_allocator allocator;
                struct wsc_http_head head;
                struct wsc_http_limits limits = {1000, 1000, 2000, 10};
                char text[128];
                size_t used;
                *(which == 0   ? &limits.start_line
                  : which == 1 ? &limits.header_line
                               : &limits.block) = limit;
                test_allocator_init(&allocator);
                wsc_http_head_init(&head, WSC_HTTP_REQUEST, &limits, &allocator.base);
                /* `len` bytes: the request line; the header line; the block */
                int n =
                    which == 0 ? snprintf(text, sizeof(text),
                                          "GET %0*d HTTP/1.1\r\n\r\n", (int)len - 13, 0)
                    : which == 1
                        ? snprintf(text, sizeof(text),
                                   "GET / HTTP/1.1\r\nX: %0*d\r\n\r\n", (int)len - 3, 0)
                        : snprintf(text, sizeof(text), "GET %0*d HTTP/1.1\r\n\r\n",
                                   (int)len - 17, 0);
                enum wsc_status status =
                    wsc_http_head_feed(&head, (const uint8_t *)text, (size_t)n, &used);
                CHECK_INT(status, len <= limit ? WSC_OK : WSC_ERR_HANDSHAKE);
                if (len > limit) {
                    CHECK_INT(head.error, which == 0 ? WSC_HTTP_START_LINE_TOO_LONG
                                                     : WSC_HTTP_HEADER_TOO_LARGE);
                    CHECK_INT(head.error_position, which == 1 ? 16 + limit : limit);
                }
                wsc_http_head_fini(&head);
                CHECK_INT(allocator.live_blocks, 0);
            }
        }
    }
}

/* HSK-4: one limit says nothing about the other kind of line. */
static void limits_are_those_of_the_line(void)
{
    static const char text[] = "GET /0123456789 HTTP/1.1\r\nX: y\r\n\r\n";
    static const char other[] = "GET / HTTP/1.1\r\nX: 0123456789012345\r\n\r\n";
    const struct wsc_http_limits short_headers = {24, 4, 1000, 1};
    const struct wsc_http_limits short_start = {14, 19, 1000, 1};
    struct wsc_http_head head;
    wsc_http_head_init(&head, WSC_HTTP_REQUEST, &short_headers,
                       wsc_allocator_default());
    CHECK_INT(feed_text(&head, text), WSC_OK);
    wsc_http_head_fini(&head);
    CHECK_INT(feed_text(&head, other), WSC_ERR_HANDSHAKE);
    CHECK_INT(head.error, WSC_HTTP_HEADER_TOO_LARGE);
    CHECK_INT(head.error_position, 16 + 4);
    wsc_http_head_fini(&head);
    wsc_http_head_init(&head, WSC_HTTP_REQUEST, &short_start, wsc_allocator_default());
    CHECK_INT(feed_text(&head, other), WSC_OK);
    wsc_http_head_fini(&head);
    CHECK_INT(feed_text(&head, text), WSC_ERR_HANDSHAKE);
    CHECK_INT(head.error, WSC_HTTP_START_LINE_TOO_LONG);
    CHECK_INT(head.error_position, 14);
    wsc_http_head_fini(&head);
}

/* HSK-1, HSK-3: a peer that never ends a line gets the limit and no more memory. */
static void endless_heads_cost_the_block_limit(void)
{
    static const char *const starts[] = {"G", "GET /", "GET / HTTP/1.1\r\nX",
                                         "GET / HTTP/1.1\r\nX: "};
    for (size_t i = 0; i < 4; i++) {
        struct test_allocator allocator;
        struct wsc_http_limits limits;
        struct wsc_http_head head;
        size_t used;
        size_t fed = strlen(starts[i]);
        test_allocator_init(&allocator);
        wsc_http_limits_init(&limits);
        wsc_http_head_init(&head, WSC_HTTP_REQUEST, &limits, &allocator.base);
        enum wsc_status status =
            wsc_http_head_feed(&head, (const uint8_t *)starts[i], fed, &used);
        while (status == WSC_NEED_DATA && fed < 100000) {
            status = wsc_http_head_feed(&head, (const uint8_t *)"aaaaaaa", 7, &used);
            fed += 7;
        }
        CHECK_INT(status, WSC_ERR_HANDSHAKE);
        CHECK(fed < 8192 + 32);
        CHECK(allocator.peak_bytes <= limits.block);
        size_t requests = allocator.requests;
        CHECK_INT(wsc_http_head_feed(&head, (const uint8_t *)"\r\n\r\n", 4, &used),
                  WSC_ERR_HANDSHAKE);
        CHECK_INT(allocator.requests, requests);
        wsc_http_head_fini(&head);
    }
}

/* HSK-2: the count limit, at 127, 128, 129 and 10,000, the last one being the one that
 * matters. */
static void header_counts(void)
{
    static const size_t counts[] = {0, 1, 127, 128, 129, 10000};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct wsc_http_head head;
        char *text = malloc(64 + 4 * counts[i]);
        size_t used;
        if (text == NULL) {
            return;
        }
        size_t len = (size_t)snprintf(text, 64, "GET / HTTP/1.1\r\n");
        for (size_t k = 0; k < counts[i]; k++) {
            memcpy(text + len, k + 1 < counts[i] ? "a:\r\n" : "U:\r\n", 4);
            len += 4;
        }
        memcpy(text + len, "\r\n", 2);
        start(&head, WSC_HTTP_REQUEST);
        enum wsc_status status =
            wsc_http_head_feed(&head, (const uint8_t *)text, len + 2, &used);
        CHECK_INT(status, counts[i] <= 128 ? WSC_OK : WSC_ERR_HANDSHAKE);
        if (counts[i] <= 128) {
            CHECK_INT(head.header_count, counts[i]);
            CHECK((wsc_http_head_find(&head, "u", NULL) != NULL) == (counts[i] > 0));
        }
        else {
            CHECK_INT(head.error, WSC_HTTP_HEADER_TOO_LARGE);
            CHECK_INT(head.error_position, 16 + 128 * 4);
        }
        wsc_http_head_fini(&head);
        free(text);
    }
}

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Seconds for a head of `size` bytes, a byte at a time: the best of three. */
static double one_at_a_time(size_t size, size_t value_len)
{
    double best = 1e9;
    uint8_t *text = malloc(size + 64);
    if (text == NULL) {
        return 0;
    }
    size_t len = (size_t)snprintf((char *)text, 64, "GET / HTTP/1.1\r\n");
    while (len + value_len + 5 < size) {
        memcpy(text + len, "X: ", 3);
        memset(text + len + 3, ' ', value_len);
        text[len + 3] = 'b';
        text[len + 2 + value_len] = 'x';
        memcpy(text + len + 3 + value_len, "\r\n", 2);
        len += value_len + 5;
    }
    memcpy(text + len, "\r\n", 2);
    len += 2;
    for (int i = 0; i < 3; i++) {
        struct wsc_http_limits limits = {size, size, 2 * size, size};
        struct wsc_http_head head;
        enum wsc_status status = WSC_NEED_DATA;
        size_t used;
        wsc_http_head_init(&head, WSC_HTTP_REQUEST, &limits, wsc_allocator_default());
        double begin = cpu_seconds();
        for (size_t k = 0; k < len && status == WSC_NEED_DATA; k++) {
            status = wsc_http_head_feed(&head, text + k, 1, &used);
        }
        double seconds = cpu_seconds() - begin;
        best = seconds < best ? seconds : best;
        CHECK_INT(status, WSC_OK);
        wsc_http_head_fini(&head);
    }
    free(text);
    return best;
}

/* HSK-1: linear. A quadratic reader takes minutes for a mebibyte; the bounds here leave
 * room for sanitizers and busy machines. */
static void a_mebibyte_byte_by_byte_is_linear(void)
{
    static const size_t value_lens[] = {2, 100, 100000};
    for (size_t i = 0; i < 3; i++) {
        double part = one_at_a_time(1 << 17, value_lens[i]);
        double whole = one_at_a_time(1 << 20, value_lens[i]);
        printf("  1 MiB, lines of %zu: %.1f ms, %.2f times an eighth\n",
               value_lens[i] + 5, whole * 1e3, whole / part);
        CHECK(whole < 1.0);
        CHECK(whole < 24 * part + 0.005);
    }
}

/* Growth is by 1.5: the bytes are moved a few times, not once for each byte. */
static void few_allocations(void)
{
    struct test_allocator allocator;
    struct wsc_http_limits limits;
    struct wsc_http_head head;
    enum wsc_status status = WSC_OK;
    size_t used;
    test_allocator_init(&allocator);
    wsc_http_limits_init(&limits);
    wsc_http_head_init(&head, WSC_HTTP_REQUEST, &limits, &allocator.base);
    CHECK_INT(allocator.requests, 0);
    static const char text[] = "GET / HTTP/1.1\r\n";
    static const char line[] = "X: 0123456789012345678901234567890123456789\r\n";
    status = wsc_http_head_feed(&head, (const uint8_t *)text, sizeof(text) - 1, &used);
    for (size_t i = 0; i < 120 * (sizeof(line) - 1) && status == WSC_NEED_DATA; i++) {
        status = wsc_http_head_feed(
            &head, (const uint8_t *)&line[i % (sizeof(line) - 1)], 1, &used);
    }
    CHECK_INT(wsc_http_head_feed(&head, (const uint8_t *)"\r\n", 2, &used), WSC_OK);
    CHECK_INT(head.header_count, 120);
    CHECK(allocator.requests <= 12);
    wsc_http_head_fini(&head);
}

static bool read_scenario(const struct wsc_allocator *allocator)
{
    static const char text[] =
        "GET / HTTP/1.1\r\nHost: 0123456789012345678901234567890123456"
        "789\r\nX: 0123456789012345678901234567890123456789012345\r\n"
        "Y: 012345678901234567890123456789012345678901234\r\n\r\n";
    struct wsc_http_limits limits;
    struct wsc_http_head head;
    enum wsc_status status = WSC_NEED_DATA;
    size_t used;
    wsc_http_limits_init(&limits);
    wsc_http_head_init(&head, WSC_HTTP_REQUEST, &limits, allocator);
    for (size_t i = 0; i < sizeof(text) - 1 && status == WSC_NEED_DATA; i++) {
        status = wsc_http_head_feed(&head, (const uint8_t *)&text[i], 1, &used);
    }
    CHECK(status == WSC_OK || status == WSC_ERR_NO_MEMORY);
    CHECK_INT(wsc_http_head_feed(&head, (const uint8_t *)"x", 1, &used), status);
    wsc_http_head_fini(&head);
    return status == WSC_OK;
}

static void survives_every_failed_allocation(void)
{
    test_every_allocation(read_scenario);
}

static void empty_pieces_change_nothing(void)
{
    struct wsc_http_head head;
    size_t used = 7;
    start(&head, WSC_HTTP_REQUEST);
    CHECK_INT(wsc_http_head_feed(&head, NULL, 0, &used), WSC_NEED_DATA);
    CHECK_INT(used, 0);
    CHECK_INT(feed_text(&head, "GET / HTTP/1.1\r\n\r"), WSC_NEED_DATA);
    CHECK_INT(wsc_http_head_feed(&head, NULL, 0, &used), WSC_NEED_DATA);
    CHECK_INT(feed_text(&head, "\n"), WSC_OK);
    wsc_http_head_fini(&head);
}

static void tokens_of_a_list(void)
{
    static const char text[] = ", a ,\t,b,,\tc\t,";
    struct wsc_str list = {
        .data = (const char *)test_guarded(text, sizeof(text) - 1),
        .len = sizeof(text) - 1,
    };
    struct wsc_str token;
    size_t position = 0;
    for (const char *want = "abc"; *want != '\0'; want++) {
        CHECK_INT(wsc_http_token_next(list, &position, &token), WSC_OK);
        CHECK_BYTES(token.data, token.len, want, 1);
    }
    CHECK_INT(wsc_http_token_next(list, &position, &token), WSC_NEED_DATA);
    CHECK_INT(wsc_http_token_next(list, &position, &token), WSC_NEED_DATA);

    position = 0;
    CHECK_INT(wsc_http_token_next(wsc_str_of("a b, c"), &position, &token),
              WSC_ERR_HANDSHAKE);
    CHECK_STR(token, "a b");
    CHECK_INT(wsc_http_token_next(wsc_str_of("a b, c"), &position, &token), WSC_OK);
    CHECK_STR(token, "c");
    position = 0;
    CHECK_INT(wsc_http_token_next(wsc_str_of(""), &position, &token), WSC_NEED_DATA);
    struct wsc_str none = {NULL, 0};
    CHECK_INT(wsc_http_token_next(none, &position, &token), WSC_NEED_DATA);
}

/* RFC 9112 §3.2: the four forms of a target, and what looks like one of them. */
static void paths_of_targets(void)
{
    static const char *const targets[][2] = {
        {"/chat?a=b", "/chat?a=b"},
        {"http://h/chat?a=b", "/chat?a=b"},
        {"ws://h", ""},
        {"ws://h?a=/b", "?a=/b"},
        {"http://[::1]:80/", "/"},
        {"//h/chat", "//h/chat"},
        {"/http://h/", "/http://h/"},
        {"*", "*"},
        {"h:80", "h:80"},
        {"://h/", "://h/"},
        {"http:/h", "http:/h"},
        {"http:", "http:"},
        {"http", "http"},
    };
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
        size_t len = strlen(targets[i][0]);
        struct wsc_str target = {(const char *)test_guarded(targets[i][0], len), len};
        CHECK_STR(wsc_http_target_path(target), targets[i][1]);
    }
}

/* INJ-1: each byte alone, and between others. */
static void character_classes(void)
{
    for (unsigned c = 0; c < 256; c++) {
        char text[3] = {'x', (char)c, 'x'};
        struct wsc_str alone = {.data = (const char *)test_guarded(&text[1], 1),
                                .len = 1};
        struct wsc_str inside = {.data = text, .len = 3};
        bool visible = c > 0x20 && c < 0x7f;
        CHECK_INT(wsc_http_is_token(alone), is_tchar(c));
        CHECK_INT(wsc_http_is_token(inside), is_tchar(c));
        CHECK_INT(wsc_http_is_field_value(alone), visible || c >= 0x80);
        CHECK_INT(wsc_http_is_field_value(inside),
                  visible || c >= 0x80 || c == ' ' || c == '\t');
        CHECK_INT(wsc_http_is_target(alone), visible && c != '#');
        CHECK_INT(wsc_http_is_target(inside), visible && c != '#');
    }
    CHECK(!wsc_http_is_token(wsc_str_of("")));
    CHECK(!wsc_http_is_target(wsc_str_of("")));
    CHECK(wsc_http_is_field_value(wsc_str_of("")));
}

TEST_MAIN(TEST(default_limits), TEST(results_of_a_request), TEST(results_of_a_response),
          TEST(every_byte_at_every_place), TEST(limits_hold_before_memory_is_spent),
          TEST(limits_are_those_of_the_line), TEST(endless_heads_cost_the_block_limit),
          TEST(header_counts), TEST(a_mebibyte_byte_by_byte_is_linear),
          TEST(few_allocations), TEST(survives_every_failed_allocation),
          TEST(empty_pieces_change_nothing), TEST(tokens_of_a_list),
          TEST(paths_of_targets), TEST(character_classes))

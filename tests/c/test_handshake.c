/* wsc/handshake.h: what is accepted, by the tables of tests/c/vectors. */
#include "test.h"

#include <stdlib.h>

#include "vectors.h"
#include "wsc/handshake.h"

#define RFC_KEY "dGhlIHNhbXBsZSBub25jZQ=="

static const char *const head_errors[] = {
    [WSC_HTTP_OK] = "OK",
    [WSC_HTTP_START_LINE_TOO_LONG] = "START_LINE_TOO_LONG",
    [WSC_HTTP_HEADER_TOO_LARGE] = "HEADER_TOO_LARGE",
    [WSC_HTTP_START_LINE] = "START_LINE",
    [WSC_HTTP_HEADER_NAME] = "HEADER_NAME",
    [WSC_HTTP_HEADER_VALUE] = "HEADER_VALUE",
    [WSC_HTTP_LINE_END] = "LINE_END",
    [WSC_HTTP_NOT_HTTP] = "NOT_HTTP",
};

static const char *const handshake_errors[] = {
    [WSC_HANDSHAKE_OK] = "OK",
    [WSC_HANDSHAKE_HEAD] = "HEAD",
    [WSC_HANDSHAKE_METHOD] = "METHOD",
    [WSC_HANDSHAKE_HTTP_VERSION] = "HTTP_VERSION",
    [WSC_HANDSHAKE_HOST] = "HOST",
    [WSC_HANDSHAKE_BODY] = "BODY",
    [WSC_HANDSHAKE_UPGRADE] = "UPGRADE",
    [WSC_HANDSHAKE_CONNECTION] = "CONNECTION",
    [WSC_HANDSHAKE_KEY] = "KEY",
    [WSC_HANDSHAKE_VERSION] = "VERSION",
    [WSC_HANDSHAKE_ORIGIN] = "ORIGIN",
    [WSC_HANDSHAKE_PROTOCOL] = "PROTOCOL",
    [WSC_HANDSHAKE_EXTENSIONS] = "EXTENSIONS",
    [WSC_HANDSHAKE_STATUS] = "STATUS",
    [WSC_HANDSHAKE_ACCEPT] = "ACCEPT",
};

/* How a head is handed over. */
enum split {
    SPLIT_WHOLE,
    SPLIT_BYTES,
    SPLIT_ONE_CUT, /* at `cut` */
    SPLIT_RANDOM,
};

struct fed {
    enum wsc_status status;
    size_t used;
};

static struct fed feed(struct wsc_http_head *head, const uint8_t *data, size_t len,
                       enum split split, size_t cut)
{
    struct fed fed = {WSC_NEED_DATA, 0};
    do {
        size_t left = len - fed.used;
        size_t part = left;
        size_t used;
        if (split == SPLIT_BYTES && left > 1) {
            part = 1;
        }
        else if (split == SPLIT_ONE_CUT && fed.used < cut) {
            part = cut;
        }
        else if (split == SPLIT_RANDOM) {
            part = test_random_below(left < 200 ? left + 1 : 200);
        }
        fed.status = wsc_http_head_feed(head, data + fed.used, part, &used);
        CHECK(used <= part);
        if (fed.status != WSC_OK) {
            CHECK_INT(used, part);
        }
        fed.used += used;
    } while (fed.status == WSC_NEED_DATA && fed.used < len);
    return fed;
}

static void check_text(const struct vector_case *c, const char *what, const char *key,
                       size_t index, struct wsc_str got)
{
    struct vector_bytes want = vector_field(c, "outcome", key, index);
    bool same = (want.data == NULL) == (got.data == NULL) && want.len == got.len &&
                (got.len == 0 || memcmp(want.data, got.data, got.len) == 0);
    if (!CHECK(same)) {
        printf("    %s, %s: %s: got '%.*s', want '%s'\n", c->name, what, key,
               (int)(got.len < 60 ? got.len : 60), got.data == NULL ? "" : got.data,
               want.data == NULL ? "(none)" : (const char *)want.data);
    }
}

static void
check_number(const struct vector_case *c, const char *what, const char *key, size_t got)
{
    struct vector_bytes want = vector_field(c, "outcome", key, 0);
    if (want.data != NULL && !CHECK_INT(got, atoll((const char *)want.data))) {
        printf("    %s, %s: %s\n", c->name, what, key);
    }
}

static void check_failure(const struct vector_case *c, const char *what,
                          const struct wsc_handshake_failure *failure, bool check_value)
{
    struct wsc_str no = {NULL, 0};
    check_text(c, what, "error", 0, wsc_str_of(handshake_errors[failure->error]));
    check_text(c, what, "header", 0,
               failure->header == NULL ? no : wsc_str_of(failure->header));
    if (check_value) {
        check_text(c, what, "value", 0, failure->value);
    }
    check_text(c, what, "duplicate", 0, failure->duplicate ? wsc_str_of("yes") : no);
    CHECK(failure->reason != NULL && strlen(failure->reason) > 5);
}

static void check_unreadable(const struct vector_case *c, const char *what,
                             const struct wsc_http_head *head)
{
    struct wsc_handshake_failure failure;
    check_text(c, what, "result", 0, wsc_str_of("unreadable"));
    check_text(c, what, "error", 0, wsc_str_of(head_errors[head->error]));
    check_number(c, what, "at", head->error_position);
    wsc_handshake_head_failure(head, &failure);
    CHECK_INT(failure.error, WSC_HANDSHAKE_HEAD);
    CHECK(failure.reason != NULL);
    check_number(c, what, "status", failure.status);
}

/* True if the head was read; then `rest` has been checked. */
static bool read_head(const struct vector_case *c, const char *what,
                      struct wsc_http_head *head, enum split split, size_t cut)
{
    struct vector_bytes bytes = vector_block(c);
    if (split != SPLIT_ONE_CUT) { /* too many for a page each */
        bytes.data = test_guarded(bytes.data, bytes.len);
    }
    struct fed fed = feed(head, bytes.data, bytes.len, split, cut);
    size_t used;
    if (fed.status == WSC_NEED_DATA) {
        check_text(c, what, "result", 0, wsc_str_of("incomplete"));
        return false;
    }
    if (fed.status != WSC_OK) {
        check_unreadable(c, what, head);
        CHECK_INT(wsc_http_head_feed(head, (const uint8_t *)"x", 1, &used),
                  WSC_ERR_HANDSHAKE); /* sticky */
        CHECK_INT(used, 1);
        return false;
    }
    struct vector_bytes rest = vector_field(c, "outcome", "rest", 0);
    CHECK_BYTES(bytes.data + fed.used, bytes.len - fed.used, rest.data, rest.len);
    CHECK_INT(wsc_http_head_feed(head, (const uint8_t *)"x", 1, &used), WSC_OK);
    CHECK_INT(used, 0);
    return true;
}

static void check_request(const struct vector_case *c, const char *what,
                          enum split split, size_t cut,
                          const struct wsc_allocator *allocator)
{
    struct wsc_http_limits limits;
    struct wsc_http_head head;
    struct wsc_handshake_request request;
    struct wsc_handshake_failure failure;
    wsc_http_limits_init(&limits);
    wsc_http_head_init(&head, WSC_HTTP_REQUEST, &limits, allocator);
    if (!read_head(c, what, &head, split, cut)) {
        wsc_http_head_fini(&head);
        return;
    }
    if (wsc_handshake_check_request(&head, &request, &failure) == WSC_OK) {
        struct wsc_str protocol = {NULL, 0};
        size_t position = 0;
        size_t count = 0;
        check_text(c, what, "result", 0, wsc_str_of("accepted"));
        check_text(c, what, "target", 0, request.target);
        check_text(c, what, "host", 0, request.host);
        check_text(c, what, "key", 0, request.key);
        check_text(c, what, "origin", 0, request.origin);
        while (wsc_handshake_protocol_next(&head, &position, &protocol) == WSC_OK) {
            check_text(c, what, "subprotocol", count, protocol);
            count++;
        }
        CHECK(vector_field(c, "outcome", "subprotocol", count).data == NULL);
        CHECK_INT(failure.error, WSC_HANDSHAKE_OK);
    }
    else {
        check_text(c, what, "result", 0, wsc_str_of("refused"));
        check_failure(c, what, &failure, true);
        check_number(c, what, "status", failure.status);
    }
    wsc_http_head_fini(&head);
}

static void check_response(const struct vector_case *c, const char *what,
                           enum split split, size_t cut,
                           const struct wsc_allocator *allocator)
{
    struct wsc_http_limits limits;
    struct wsc_http_head head;
    struct wsc_handshake_answer answer;
    struct wsc_handshake_failure failure;
    struct wsc_deflate_settings settings;
    struct wsc_buffer scratch;
    struct wsc_str protocols[4];
    struct wsc_str no = {NULL, 0};
    struct vector_bytes field = vector_field(c, "offer", "key", 0);
    struct wsc_handshake_offer offer = {.key = RFC_KEY, .protocols = protocols};

    if (field.data != NULL) {
        offer.key = (const char *)field.data;
    }
    while (
        (field = vector_field(c, "offer", "subprotocol", offer.protocol_count)).data !=
        NULL) {
        protocols[offer.protocol_count++] =
            (struct wsc_str){(const char *)field.data, field.len};
    }
    wsc_deflate_settings_init(&settings);
    if (vector_field_is(c, "offer", "extension", "permessage-deflate")) {
        offer.deflate = &settings;
    }
    wsc_http_limits_init(&limits);
    wsc_buffer_init(&scratch, allocator, 64 * 1024);
    wsc_http_head_init(&head, WSC_HTTP_RESPONSE, &limits, allocator);
    if (read_head(c, what, &head, split, cut)) {
        enum wsc_status status =
            wsc_handshake_check_response(&head, &offer, &scratch, &answer, &failure);
        if (status == WSC_OK) {
            check_text(c, what, "result", 0, wsc_str_of("accepted"));
            check_text(c, what, "subprotocol", 0, answer.protocol);
            check_text(c, what, "extension", 0,
                       answer.deflate ? wsc_str_of("permessage-deflate") : no);
            CHECK_INT(failure.error, WSC_HANDSHAKE_OK);
        }
        else {
            bool extensions = failure.error == WSC_HANDSHAKE_EXTENSIONS;
            CHECK_INT(status, WSC_ERR_HANDSHAKE);
            check_text(c, what, "result", 0, wsc_str_of("refused"));
            check_failure(c, what, &failure, !extensions);
            CHECK_INT(failure.status, 0);
            CHECK_INT(answer.extension_error != WSC_EXTENSION_OK, extensions);
        }
    }
    wsc_http_head_fini(&head);
    wsc_buffer_fini(&scratch);
}

typedef void (*check)(const struct vector_case *c, const char *what, enum split split,
                      size_t cut, const struct wsc_allocator *allocator);

static void check_all_splits(const char *file, const char *block, check check_case)
{
    struct test_allocator allocator;
    struct vectors vectors;
    test_allocator_init(&allocator);
    vectors_load(&vectors, file, block);
    for (size_t i = 0; i < vectors.count; i++) {
        const struct vector_case *c = &vectors.cases[i];
        size_t len = vector_block(c).len;
        check_case(c, "whole", SPLIT_WHOLE, 0, &allocator.base);
        check_case(c, "byte by byte", SPLIT_BYTES, 0, &allocator.base);
        for (size_t cut = 1; cut < len && len < 2000; cut++) {
            check_case(c, "one cut", SPLIT_ONE_CUT, cut, &allocator.base);
        }
        for (int k = 0; k < 20; k++) {
            check_case(c, "random splits", SPLIT_RANDOM, 0, &allocator.base);
        }
        if (!CHECK(allocator.live_blocks == 0)) {
            printf("    leak in %s\n", c->name);
        }
    }
    printf("  %zu cases of %s\n", vectors.count, file);
    vectors_free(&vectors);
}

/* LEN-9, HSK-1, HSK-2, HSK-3, HSK-5, HSK-6 */
static void requests_of_the_table(void)
{
    check_all_splits("handshake_request.md", "request", check_request);
}

/* HSK-9, HSK-5 */
static void responses_of_the_table(void)
{
    check_all_splits("handshake_response.md", "response", check_response);
}

static enum wsc_status read_text(struct wsc_http_head *head, enum wsc_http_kind kind,
                                 const uint8_t *data, size_t len,
                                 const struct wsc_allocator *allocator)
{
    struct wsc_http_limits limits;
    size_t used;
    wsc_http_limits_init(&limits);
    wsc_http_head_init(head, kind, &limits, allocator);
    return wsc_http_head_feed(head, data, len, &used);
}

/* HSK-2: every change of a single byte, in every short good head of the tables. */
static size_t mutate(const struct vector_case *c, enum wsc_http_kind kind,
                     const struct wsc_allocator *allocator)
{
    struct vector_bytes bytes = vector_block(c);
    struct wsc_deflate_settings settings;
    wsc_deflate_settings_init(&settings);
    const struct wsc_str offered[] = {wsc_str_of("chat"), wsc_str_of("superchat")};
    const struct wsc_handshake_offer offer = {.key = RFC_KEY,
                                              .protocols = offered,
                                              .protocol_count = 2,
                                              .deflate = &settings};
    uint8_t *copy = test_guarded(bytes.data, bytes.len);
    size_t done = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        for (unsigned value = 0; value < 256; value++) {
            struct wsc_http_head head;
            struct wsc_handshake_request request;
            struct wsc_handshake_answer answer;
            struct wsc_handshake_failure failure = {.reason = "read"};
            copy[i] = (uint8_t)value;
            enum wsc_status status = read_text(&head, kind, copy, bytes.len, allocator);
            if (status == WSC_OK && kind == WSC_HTTP_REQUEST) {
                status = wsc_handshake_check_request(&head, &request, &failure);
            }
            else if (status == WSC_OK) {
                struct wsc_buffer scratch;
                wsc_buffer_init(&scratch, allocator, 64 * 1024);
                status = wsc_handshake_check_response(&head, &offer, &scratch, &answer,
                                                      &failure);
                wsc_buffer_fini(&scratch);
            }
            CHECK(status == WSC_OK || status == WSC_NEED_DATA ||
                  status == WSC_ERR_HANDSHAKE);
            CHECK(status != WSC_ERR_HANDSHAKE || failure.reason != NULL);
            wsc_http_head_fini(&head);
            done++;
        }
        copy[i] = bytes.data[i];
    }
    return done;
}

static void every_single_byte_change_is_answered(void)
{
    static const char *const files[] = {"handshake_request.md",
                                        "handshake_response.md"};
    static const char *const blocks[] = {"request", "response"};
    struct test_allocator allocator;
    size_t heads = 0;
    size_t done = 0;
    test_allocator_init(&allocator);
    for (size_t f = 0; f < 2; f++) {
        struct vectors vectors;
        vectors_load(&vectors, files[f], blocks[f]);
        for (size_t i = 0; i < vectors.count; i++) {
            const struct vector_case *c = &vectors.cases[i];
            if (vector_block(c).len < 400 &&
                vector_field_is(c, "outcome", "result", "accepted")) {
                done += mutate(c, f == 0 ? WSC_HTTP_REQUEST : WSC_HTTP_RESPONSE,
                               &allocator.base);
                heads++;
            }
        }
        vectors_free(&vectors);
    }
    CHECK_INT(allocator.live_blocks, 0);
    CHECK(heads >= 20);
    printf("  %zu changes of %zu heads\n", done, heads);
}

static const char request_start[] =
    "GET /chat HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: " RFC_KEY "\r\n";

/* HSK-1: as many subprotocols as fit into a head must not cost the square of them. */
static void many_subprotocols_are_refused(void)
{
    for (size_t count = 127; count <= 129; count++) {
        char text[8192];
        int len =
            snprintf(text, sizeof(text), "%sSec-WebSocket-Protocol: p0", request_start);
        for (size_t i = 1; i < count; i++) {
            len += snprintf(text + len, sizeof(text) - (size_t)len, ",p%zu", i);
        }
        len += snprintf(text + len, sizeof(text) - (size_t)len, "\r\n\r\n");
        struct wsc_http_head head;
        struct wsc_handshake_request request;
        struct wsc_handshake_failure failure;
        CHECK_INT(read_text(&head, WSC_HTTP_REQUEST, (const uint8_t *)text, (size_t)len,
                            wsc_allocator_default()),
                  WSC_OK);
        CHECK_INT(wsc_handshake_check_request(&head, &request, &failure),
                  count <= WSC_HANDSHAKE_PROTOCOLS_MAX ? WSC_OK : WSC_ERR_HANDSHAKE);
        CHECK_INT(failure.error, count <= WSC_HANDSHAKE_PROTOCOLS_MAX
                                     ? WSC_HANDSHAKE_OK
                                     : WSC_HANDSHAKE_PROTOCOL);
        CHECK_INT(failure.status, count <= WSC_HANDSHAKE_PROTOCOLS_MAX ? 0 : 400);
        wsc_http_head_fini(&head);
    }
}

/* ORI-1: exact match, and absence only where it is listed. */
static void origins_are_matched_exactly(void)
{
    const struct wsc_str list[] = {wsc_str_of("https://good.example"),
                                   wsc_str_of("http://b.example:1")};
    const struct wsc_str with_none[] = {wsc_str_of("https://good.example"), {NULL, 0}};
    struct wsc_handshake_request request = {.origin =
                                                wsc_str_of("https://good.example")};
    CHECK(wsc_handshake_origin_is_allowed(&request, list, 2));
    CHECK(wsc_handshake_origin_is_allowed(&request, with_none, 2));
    CHECK(!wsc_handshake_origin_is_allowed(&request, list, 0));
    static const char *const others[] = {
        "",
        "null",
        "https://good.example.evil",
        "https://evil.good.example",
        "https://GOOD.example",
        "http://good.example",
        "https://good.example:443",
        "https://good.example/",
        "https://good.exampl",
        "http://b.example",
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        request.origin = wsc_str_of(others[i]);
        CHECK(!wsc_handshake_origin_is_allowed(&request, list, 2));
        CHECK(!wsc_handshake_origin_is_allowed(&request, with_none, 2));
    }
    request.origin = (struct wsc_str){NULL, 0};
    CHECK(!wsc_handshake_origin_is_allowed(&request, list, 2));
    CHECK(wsc_handshake_origin_is_allowed(&request, with_none, 2));
}

static void join_puts_commas_between(void)
{
    static const char text[] =
        "GET / HTTP/1.1\r\nX: a\r\nY: b\r\nx:\r\nX:  c, d \r\n\r\n";
    struct wsc_http_head head;
    struct wsc_buffer out;
    CHECK_INT(read_text(&head, WSC_HTTP_REQUEST, (const uint8_t *)text,
                        sizeof(text) - 1, wsc_allocator_default()),
              WSC_OK);
    wsc_buffer_init(&out, wsc_allocator_default(), 10);
    CHECK_INT(wsc_handshake_join(&head, "Z", &out), WSC_OK);
    CHECK_INT(out.len, 0);
    CHECK_INT(wsc_handshake_join(&head, "X", &out), WSC_OK);
    CHECK_BYTES(out.data, out.len, "a, , c, d", 9);
    CHECK_INT(wsc_handshake_join(&head, "X", &out), WSC_ERR_TOO_BIG);
    CHECK_INT(out.len, 9); /* nothing more */
    wsc_buffer_fini(&out);
    wsc_http_head_fini(&head);
}

/* HSK-9 */
static void more_than_was_offered_is_refused(void)
{
    static const char text[] =
        "HTTP/1.1 101\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=12\r\n"
        "Sec-WebSocket-Extensions: \r\n\r\n";
    struct wsc_deflate_settings settings;
    struct wsc_http_head head;
    struct wsc_handshake_answer answer;
    struct wsc_handshake_failure failure;
    struct wsc_buffer scratch;
    const struct wsc_handshake_offer offer = {.key = RFC_KEY, .deflate = &settings};
    wsc_deflate_settings_init(&settings);
    settings.server_max_window_bits = 10;
    CHECK_INT(read_text(&head, WSC_HTTP_RESPONSE, (const uint8_t *)text,
                        sizeof(text) - 1, wsc_allocator_default()),
              WSC_OK);
    wsc_buffer_init(&scratch, wsc_allocator_default(), 1000);
    CHECK_INT(wsc_handshake_check_response(&head, &offer, &scratch, &answer, &failure),
              WSC_ERR_HANDSHAKE);
    CHECK_INT(failure.error, WSC_HANDSHAKE_EXTENSIONS);
    CHECK_INT(answer.extension_error, WSC_EXTENSION_NOT_AGREED);
    wsc_buffer_fini(&scratch);
    /* A scratch buffer that is too small is the caller's, not the server's fault. */
    wsc_buffer_init(&scratch, wsc_allocator_default(), 20);
    CHECK_INT(wsc_handshake_check_response(&head, &offer, &scratch, &answer, &failure),
              WSC_ERR_TOO_BIG);
    CHECK_INT(failure.error, WSC_HANDSHAKE_OK);
    wsc_buffer_fini(&scratch);
    wsc_http_head_fini(&head);
}

/* A client asks, a server answers, the client checks; pieces of 7 bytes. */
static bool whole_handshake(const struct wsc_allocator *allocator)
{
    static const char answer_text[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
        "Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n"
        "Sec-WebSocket-Extensions:\r\n\r\n"; /* the second line has to be joined */
    struct wsc_deflate_settings settings;
    struct wsc_http_limits limits;
    struct wsc_http_head head;
    struct wsc_handshake_request request;
    struct wsc_handshake_answer answer;
    struct wsc_handshake_failure failure;
    struct wsc_outgoing out;
    struct wsc_buffer scratch;
    size_t used;
    const struct wsc_http_header headers[] = {
        {wsc_str_of("Host"), wsc_str_of("a")},
        {wsc_str_of("Upgrade"), wsc_str_of("websocket")},
        {wsc_str_of("Connection"), wsc_str_of("Upgrade")},
        {wsc_str_of("Sec-WebSocket-Key"), wsc_str_of(RFC_KEY)},
        {wsc_str_of("Sec-WebSocket-Version"), wsc_str_of("13")},
    };
    const struct wsc_handshake_offer offer = {.key = RFC_KEY, .deflate = &settings};
    wsc_deflate_settings_init(&settings);
    wsc_http_limits_init(&limits);
    wsc_outgoing_init(&out, allocator);
    wsc_buffer_init(&scratch, allocator, 10000);
    wsc_http_head_init(&head, WSC_HTTP_REQUEST, &limits, allocator);

    enum wsc_status status =
        wsc_handshake_write_request(&out, wsc_str_of("/"), headers, 5);
    CHECK(status == WSC_OK || out.size == 0);
    if (status == WSC_OK) { /* what was in it before must not matter */
        status = wsc_buffer_append_str(&scratch, "old; things");
    }
    for (size_t i = 0; i < out.size && status >= 0; i += 7) {
        status = wsc_http_head_feed(&head, out.bytes.data + i,
                                    out.size - i < 7 ? out.size - i : 7, &used);
    }
    if (status == WSC_OK) {
        status = wsc_handshake_check_request(&head, &request, &failure);
    }
    wsc_http_head_fini(&head);
    wsc_http_head_init(&head, WSC_HTTP_RESPONSE, &limits, allocator);
    if (status == WSC_OK) {
        status = wsc_http_head_feed(&head, (const uint8_t *)answer_text,
                                    sizeof(answer_text) - 1, &used);
    }
    if (status == WSC_OK) {
        status =
            wsc_handshake_check_response(&head, &offer, &scratch, &answer, &failure);
        CHECK(status != WSC_OK || answer.deflate_params.server_no_context_takeover);
    }
    CHECK(status == WSC_OK || status == WSC_ERR_NO_MEMORY);
    if (status == WSC_ERR_NO_MEMORY && head.raw.len > 0 && head.headers == NULL) {
        CHECK_INT(wsc_http_head_feed(&head, (const uint8_t *)"x", 1, &used),
                  WSC_ERR_NO_MEMORY); /* sticky */
    }
    wsc_http_head_fini(&head);
    wsc_outgoing_fini(&out);
    wsc_buffer_fini(&scratch);
    return status == WSC_OK;
}

static void survives_every_failed_allocation(void)
{
    test_every_allocation(whole_handshake);
}

TEST_MAIN(TEST(requests_of_the_table), TEST(responses_of_the_table),
          TEST(every_single_byte_change_is_answered),
          TEST(many_subprotocols_are_refused), TEST(origins_are_matched_exactly),
          TEST(join_puts_commas_between), TEST(more_than_was_offered_is_refused),
          TEST(survives_every_failed_allocation))

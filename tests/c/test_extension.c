/* Sec-WebSocket-Extensions and the negotiation of permessage-deflate. The expected
 * answers are those that RFC 6455 §9.1 and RFC 7692 §5 and §7.1 ask for. */
#include "test.h"

#include <stdlib.h>
#include <time.h>

#include "vectors.h"
#include "wsc/extension.h"

#define PMD   "permessage-deflate"
#define SNCT  "server_no_context_takeover"
#define CNCT  "client_no_context_takeover"
#define SMWB  "server_max_window_bits"
#define CMWB  "client_max_window_bits"
#define LIMIT 4096

enum setting_name {
    PLAIN,       /* no limits */
    NO_TAKEOVER, /* both */
    SERVER_12,   /* server_max_window_bits 12 */
    CLIENT_12,
    BOTH_10,
    SERVER_8,
    CLIENT_NOT_OFFERED, /* client: client_max_window_bits stays out of the offer */
};

static struct wsc_deflate_settings settings_of(enum setting_name name)
{
    struct wsc_deflate_settings s;
    wsc_deflate_settings_init(&s);
    switch (name) {
    case PLAIN:
        break;
    case NO_TAKEOVER:
        s.server_no_context_takeover = true;
        s.client_no_context_takeover = true;
        break;
    case SERVER_12:
        s.server_max_window_bits = 12;
        break;
    case CLIENT_12:
        s.client_max_window_bits = 12;
        break;
    case BOTH_10:
        s.server_max_window_bits = 10;
        s.client_max_window_bits = 10;
        break;
    case SERVER_8:
        s.server_max_window_bits = 8;
        break;
    case CLIENT_NOT_OFFERED:
        s.offer_client_max_window_bits = false;
        break;
    }
    return s;
}

/* ---- Fixtures ---- */

static bool is_yes(const struct vector_case *c, const char *block, const char *key)
{
    return vector_field_is(c, block, key, "yes");
}

static uint8_t
number_of(const struct vector_case *c, const char *block, const char *key)
{
    struct vector_bytes value = vector_field(c, block, key, 0);
    return value.data != NULL ? (uint8_t)atoi((const char *)value.data) : 0;
}

static struct wsc_deflate_settings settings_of_case(const struct vector_case *c)
{
    struct wsc_deflate_settings s;
    wsc_deflate_settings_init(&s);
    s.server_no_context_takeover = is_yes(c, "settings", SNCT);
    s.client_no_context_takeover = is_yes(c, "settings", CNCT);
    s.server_max_window_bits = number_of(c, "settings", SMWB);
    s.client_max_window_bits = number_of(c, "settings", CMWB);
    s.require_client_max_window_bits = is_yes(c, "settings", "require_" CMWB);
    if (vector_field_is(c, "settings", "offer_" CMWB, "no")) {
        s.offer_client_max_window_bits = false;
    }
    return s;
}

/* The header ends at an unmapped page. */
static struct wsc_str header_of_case(const struct vector_case *c)
{
    struct vector_bytes value = vector_field(c, "header", "value", 0);
    struct wsc_str str = {NULL, 0};
    if (value.data != NULL) {
        str.len = value.len;
        str.data = (const char *)test_guarded(value.data, value.len);
    }
    return str;
}

static bool params_ok(const struct vector_case *c, const struct wsc_deflate_params *got)
{
    bool ok = true;
    ok &= CHECK_INT(got->server_no_context_takeover, is_yes(c, "outcome", SNCT));
    ok &= CHECK_INT(got->client_no_context_takeover, is_yes(c, "outcome", CNCT));
    ok &= CHECK_INT(got->server_max_window_bits, number_of(c, "outcome", SMWB));
    ok &= CHECK_INT(got->client_max_window_bits, number_of(c, "outcome", CMWB));
    return ok;
}

static void for_each_case(const char *file, bool (*ok)(const struct vector_case *c))
{
    struct vectors vectors;
    vectors_load(&vectors, file, "");
    for (size_t i = 0; i < vectors.count; i++) {
        if (!ok(&vectors.cases[i])) {
            printf("  %s:%d: %s\n", vectors.path, vectors.cases[i].line,
                   vectors.cases[i].name);
        }
    }
    CHECK(vectors.count >= 40);
    vectors_free(&vectors);
}

/* ---- Server ---- */

static bool offer_ok(const struct vector_case *c)
{
    struct wsc_deflate_settings settings = settings_of_case(c);
    struct wsc_deflate_params params;
    struct wsc_buffer answer;
    bool accepted = true;
    bool ok = true;
    memset(&params, 0xEE, sizeof(params));
    wsc_buffer_init(&answer, wsc_allocator_default(), LIMIT);
    /* The answer is appended to what is there. */
    CHECK_INT(wsc_buffer_append_str(&answer, "> "), WSC_OK);
    enum wsc_status status =
        wsc_extension_accept(&settings, header_of_case(c), &accepted, &params, &answer);
    struct vector_bytes want = vector_field(c, "outcome", "answer", 0);
    bool refused = vector_field_is(c, "outcome", "result", "refused");
    ok &= CHECK_INT(status, refused ? WSC_ERR_HANDSHAKE : WSC_OK);
    ok &= CHECK_INT(accepted, vector_field_is(c, "outcome", "result", "accepted"));
    ok &= CHECK_BYTES(answer.data + 2, answer.len - 2, want.data, want.len);
    if (accepted) {
        ok &= params_ok(c, &params);
    }
    wsc_buffer_fini(&answer);
    return ok;
}

/* INF-6 INF-7 */
static void accepts_and_declines(void)
{
    for_each_case("extension_offer.md", offer_ok);
}

/* ---- Client: the offer ---- */

struct offer_row {
    enum setting_name settings;
    const char *offer;
};

static const struct offer_row OFFER_ROWS[] = {
    {PLAIN, PMD "; " CMWB},
    {CLIENT_NOT_OFFERED, PMD},
    {NO_TAKEOVER, PMD "; " SNCT "; " CNCT "; " CMWB},
    {SERVER_12, PMD "; " SMWB "=12; " CMWB},
    {CLIENT_12, PMD "; " CMWB "=12"},
    {BOTH_10, PMD "; " SMWB "=10; " CMWB "=10"},
    {SERVER_8, PMD "; " SMWB "=8; " CMWB},
};

static void offers(void)
{
    for (size_t i = 0; i < sizeof(OFFER_ROWS) / sizeof(OFFER_ROWS[0]); i++) {
        struct wsc_deflate_settings settings = settings_of(OFFER_ROWS[i].settings);
        struct wsc_buffer out;
        wsc_buffer_init(&out, wsc_allocator_default(), LIMIT);
        CHECK_INT(wsc_extension_offer(&settings, &out), WSC_OK);
        CHECK_BYTES(out.data, out.len, OFFER_ROWS[i].offer,
                    strlen(OFFER_ROWS[i].offer));
        wsc_buffer_fini(&out);
    }
}

/* ---- Client: the answer ---- */

static enum wsc_extension_error error_of_case(const struct vector_case *c)
{
    static const char *const names[] = {
        [WSC_EXTENSION_OK] = "OK",
        [WSC_EXTENSION_GRAMMAR] = "GRAMMAR",
        [WSC_EXTENSION_UNKNOWN] = "UNKNOWN",
        [WSC_EXTENSION_DUPLICATE] = "DUPLICATE",
        [WSC_EXTENSION_UNKNOWN_PARAMETER] = "UNKNOWN_PARAMETER",
        [WSC_EXTENSION_DUPLICATE_PARAMETER] = "DUPLICATE_PARAMETER",
        [WSC_EXTENSION_PARAMETER_VALUE] = "PARAMETER_VALUE",
        [WSC_EXTENSION_NOT_AGREED] = "NOT_AGREED",
    };
    for (size_t i = 1; i < sizeof(names) / sizeof(names[0]); i++) {
        if (vector_field_is(c, "outcome", "error", names[i])) {
            return (enum wsc_extension_error)i;
        }
    }
    return WSC_EXTENSION_OK;
}

static bool answer_ok(const struct vector_case *c)
{
    struct wsc_deflate_settings settings = settings_of_case(c);
    bool offered = !vector_field_is(c, "settings", "offered", "no");
    struct wsc_deflate_params params;
    enum wsc_extension_error error = WSC_EXTENSION_UNKNOWN;
    struct wsc_str where = {NULL, 0};
    bool agreed = true;
    bool ok = true;
    memset(&params, 0xEE, sizeof(params));
    enum wsc_status status =
        wsc_extension_check_answer(offered ? &settings : NULL, header_of_case(c),
                                   &agreed, &params, &error, &where);
    bool refused = vector_field_is(c, "outcome", "result", "refused");
    ok &= CHECK_INT(status, refused ? WSC_ERR_HANDSHAKE : WSC_OK);
    ok &= CHECK_INT(error, error_of_case(c));
    ok &= CHECK_INT(agreed, vector_field_is(c, "outcome", "result", "agreed"));
    struct vector_bytes want = vector_field(c, "outcome", "where", 0);
    ok &= CHECK_BYTES(where.data, where.len, want.data, want.len);
    if (agreed) {
        ok &= params_ok(c, &params);
    }
    return ok;
}

/* INF-6 */
static void checks_answers(void)
{
    for_each_case("extension_answer.md", answer_ok);
}

/* Whatever one end is set to, the other end understands its answer. */
static void both_ends_agree(void)
{
    size_t agreements = 0;
    for (unsigned i = 0; i < 3000; i++) {
        static const uint8_t limits[] = {0, 0, 8, 9, 10, 12, 14, 15};
        struct wsc_deflate_settings ends[2];
        for (int e = 0; e < 2; e++) {
            wsc_deflate_settings_init(&ends[e]);
            ends[e].server_no_context_takeover = test_random_below(2) != 0;
            ends[e].client_no_context_takeover = test_random_below(2) != 0;
            ends[e].server_max_window_bits = limits[test_random_below(8)];
            ends[e].client_max_window_bits = limits[test_random_below(8)];
            ends[e].offer_client_max_window_bits = test_random_below(2) != 0;
            ends[e].require_client_max_window_bits = test_random_below(2) != 0;
        }
        struct wsc_buffer offer;
        struct wsc_buffer answer;
        wsc_buffer_init(&offer, wsc_allocator_default(), LIMIT);
        wsc_buffer_init(&answer, wsc_allocator_default(), LIMIT);
        CHECK_INT(wsc_extension_offer(&ends[0], &offer), WSC_OK);
        struct wsc_str header = {(const char *)offer.data, offer.len};
        struct wsc_deflate_params server;
        struct wsc_deflate_params client;
        bool accepted = false;
        bool agreed = false;
        enum wsc_extension_error error;
        struct wsc_str where;
        CHECK_INT(wsc_extension_accept(&ends[1], header, &accepted, &server, &answer),
                  WSC_OK);
        header.data = (const char *)answer.data;
        header.len = answer.len;
        CHECK_INT(wsc_extension_check_answer(&ends[0], header, &agreed, &client, &error,
                                             &where),
                  WSC_OK);
        CHECK_INT(agreed, accepted);
        if (accepted && agreed) {
            agreements++;
            CHECK_INT(client.server_no_context_takeover,
                      server.server_no_context_takeover);
            CHECK_INT(client.client_no_context_takeover,
                      server.client_no_context_takeover);
            CHECK_INT(client.server_max_window_bits, server.server_max_window_bits);
            CHECK(client.client_max_window_bits <= server.client_max_window_bits);
        }
        wsc_buffer_fini(&offer);
        wsc_buffer_fini(&answer);
    }
    CHECK(agreements > 1000);
}

/* ---- Hostile headers ---- */

static void read_in_both_roles(const char *text, size_t len, enum wsc_status *server,
                               enum wsc_status *client)
{
    struct wsc_deflate_settings settings = settings_of(PLAIN);
    struct wsc_deflate_params params;
    struct wsc_buffer answer;
    struct wsc_str header = {text, len};
    struct wsc_str where;
    enum wsc_extension_error error;
    bool done;
    wsc_buffer_init(&answer, wsc_allocator_default(), LIMIT);
    *server = wsc_extension_accept(&settings, header, &done, &params, &answer);
    *client =
        wsc_extension_check_answer(&settings, header, &done, &params, &error, &where);
    wsc_buffer_fini(&answer);
}

/* `head`, `count` times `unit`, `tail`. */
static char *repeated(const char *head, const char *unit, size_t count,
                      const char *tail, size_t *out_len)
{
    size_t unit_len = strlen(unit);
    *out_len = strlen(head) + count * unit_len + strlen(tail);
    char *text = malloc(*out_len + 1);
    if (text == NULL) {
        abort();
    }
    char *at = text;
    memcpy(at, head, strlen(head));
    at += strlen(head);
    for (size_t i = 0; i < count; i++, at += unit_len) {
        memcpy(at, unit, unit_len);
    }
    memcpy(at, tail, strlen(tail) + 1);
    return text;
}

static double
seconds_for(const char *head, const char *unit, size_t count, const char *tail)
{
    size_t len;
    char *text = repeated(head, unit, count, tail, &len);
    double best = 1e9;
    for (int i = 0; i < 5; i++) {
        enum wsc_status server;
        enum wsc_status client;
        clock_t start = clock();
        read_in_both_roles(text, len, &server, &client);
        double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        best = seconds < best ? seconds : best;
    }
    free(text);
    return best;
}

/* HSK-1 */
static void linear_time(void)
{
    static const struct {
        const char *head, *unit, *tail;
    } inputs[] = {
        {PMD "; " SMWB "=\"", "\\a", ""},
        {PMD "; " SMWB "=\"", "\\", ""},
        {PMD, "; " SMWB "=10", ""},
        {"", PMD "; foo, ", PMD},
        {"", "x; y=\"z\", ", ""},
        {"b", " ", "x"},
        {"", ",", ""},
        {"", "a", ""},
    };
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        size_t count = 250000 / strlen(inputs[i].unit);
        double once =
            seconds_for(inputs[i].head, inputs[i].unit, count, inputs[i].tail);
        double longer =
            seconds_for(inputs[i].head, inputs[i].unit, 8 * count, inputs[i].tail);
        /* Of 2 MB; quadratic work would be 64 times as much. */
        if (!CHECK(longer <= 24 * once + 0.02)) {
            printf("  %s...: %.4f s, 8 times as long: %.4f s\n", inputs[i].unit, once,
                   longer);
        }
    }
}

static void thousand_offers(void)
{
    size_t len;
    char *text = repeated("", PMD "; " SMWB "=8, ", 1000, PMD "; " SMWB "=9", &len);
    struct wsc_deflate_settings settings = settings_of(PLAIN);
    struct wsc_deflate_params params = {0};
    struct wsc_buffer answer;
    bool accepted = false;
    wsc_buffer_init(&answer, wsc_allocator_default(), LIMIT);
    struct wsc_str header = {text, len};
    CHECK_INT(wsc_extension_accept(&settings, header, &accepted, &params, &answer),
              WSC_OK);
    CHECK(accepted);
    CHECK_INT(params.server_max_window_bits, 9);
    wsc_buffer_fini(&answer);
    free(text);
}

/* Every beginning of every fixture, ending at an unmapped page. */
static bool beginnings_ok(const struct vector_case *c)
{
    bool ok = true;
    struct vector_bytes value = vector_field(c, "header", "value", 0);
    for (size_t len = 0; len <= value.len && value.data != NULL; len += 1 + len / 20) {
        enum wsc_status server;
        enum wsc_status client;
        read_in_both_roles((const char *)test_guarded(value.data, len), len, &server,
                           &client);
        ok &= CHECK(server == WSC_OK || server == WSC_ERR_HANDSHAKE);
        ok &= CHECK(client == WSC_OK || client == WSC_ERR_HANDSHAKE);
    }
    return ok;
}

static void never_reads_beyond(void)
{
    for_each_case("extension_offer.md", beginnings_ok);
}

static void random_headers(void)
{
    static const char *const parts[] = {PMD,  SNCT, CMWB, ";", ",", "=",   "\"",
                                        "\\", " ",  "10", "8", "x", "\x80"};
    for (int i = 0; i < 50000; i++) {
        char text[256];
        size_t len = 0;
        for (size_t n = test_random_below(9); n > 0; n--) {
            const char *part = parts[test_random_below(13)];
            memcpy(text + len, part, strlen(part));
            len += strlen(part);
        }
        enum wsc_status server;
        enum wsc_status client;
        char *copy = malloc(len > 0 ? len : 1); /* ASan watches its end */
        if (copy == NULL) {
            abort();
        }
        memcpy(copy, text, len);
        read_in_both_roles(copy, len, &server, &client);
        CHECK(server == WSC_OK || server == WSC_ERR_HANDSHAKE);
        /* What is no answer's grammar is no offer's either. */
        CHECK(server == WSC_OK || client == WSC_ERR_HANDSHAKE);
        free(copy);
    }
}

/* ---- Arguments and memory ---- */

static void settings_are_checked(void)
{
    struct wsc_deflate_settings good;
    wsc_deflate_settings_init(&good);
    CHECK_INT(good.level, -1);
    CHECK_INT(good.mem_level, 8);
    CHECK_INT(good.threshold, 0);
    CHECK(good.offer_client_max_window_bits);
    CHECK_INT(wsc_deflate_settings_check(&good), WSC_OK);
    for (int value = 0; value < 256; value++) {
        enum wsc_status want = value == 0 || (value >= 8 && value <= 15)
                                   ? WSC_OK
                                   : WSC_ERR_INVALID_ARGUMENT;
        struct wsc_deflate_settings s = good;
        s.server_max_window_bits = (uint8_t)value;
        CHECK_INT(wsc_deflate_settings_check(&s), want);
        s = good;
        s.client_max_window_bits = (uint8_t)value;
        CHECK_INT(wsc_deflate_settings_check(&s), want);
    }
    for (int value = -3; value < 13; value++) {
        struct wsc_deflate_settings s = good;
        s.level = value;
        CHECK_INT(wsc_deflate_settings_check(&s),
                  value >= -1 && value <= 9 ? WSC_OK : WSC_ERR_INVALID_ARGUMENT);
        s = good;
        s.mem_level = value;
        CHECK_INT(wsc_deflate_settings_check(&s),
                  value >= 1 && value <= 9 ? WSC_OK : WSC_ERR_INVALID_ARGUMENT);
    }
    struct wsc_deflate_settings bad = good;
    struct wsc_buffer out;
    struct wsc_str none = {NULL, 0};
    struct wsc_deflate_params params;
    enum wsc_extension_error error;
    bool done;
    bad.level = 10;
    wsc_buffer_init(&out, wsc_allocator_default(), LIMIT);
    CHECK_INT(wsc_extension_offer(&bad, &out), WSC_ERR_INVALID_ARGUMENT);
    CHECK_INT(wsc_extension_accept(&bad, none, &done, &params, &out),
              WSC_ERR_INVALID_ARGUMENT);
    CHECK_INT(wsc_extension_check_answer(&bad, none, &done, &params, &error, &none),
              WSC_ERR_INVALID_ARGUMENT);
    CHECK_INT(out.len, 0);
}

static bool negotiates(const struct wsc_allocator *allocator)
{
    struct wsc_deflate_settings settings = settings_of(BOTH_10);
    struct wsc_deflate_params params;
    struct wsc_buffer out;
    bool accepted = false;
    wsc_buffer_init(&out, allocator, LIMIT);
    enum wsc_status status = wsc_extension_offer(&settings, &out);
    bool ok = status == WSC_OK;
    if (!ok) {
        CHECK_INT(status, WSC_ERR_NO_MEMORY);
        CHECK_INT(out.len, 0);
    }
    else {
        struct wsc_buffer answer;
        struct wsc_str header = {(const char *)out.data, out.len};
        wsc_buffer_init(&answer, allocator, LIMIT);
        status = wsc_extension_accept(&settings, header, &accepted, &params, &answer);
        ok = status == WSC_OK;
        if (!ok) {
            CHECK_INT(status, WSC_ERR_NO_MEMORY);
            CHECK(!accepted);
            CHECK_INT(answer.len, 0);
        }
        wsc_buffer_fini(&answer);
    }
    wsc_buffer_fini(&out);
    return ok;
}

static void without_memory(void)
{
    test_every_allocation(negotiates);
}

/* A buffer with too small a maximum: nothing is left of the attempt. */
static void without_room(void)
{
    struct wsc_deflate_settings settings = settings_of(BOTH_10);
    size_t want = strlen(PMD "; " SMWB "=10; " CMWB "=10");
    for (size_t max = 1; max <= want; max++) {
        struct wsc_buffer out;
        wsc_buffer_init(&out, wsc_allocator_default(), max);
        CHECK_INT(wsc_extension_offer(&settings, &out),
                  max < want ? WSC_ERR_TOO_BIG : WSC_OK);
        CHECK_INT(out.len, max < want ? 0 : want);
        wsc_buffer_fini(&out);
    }
}

TEST_MAIN(TEST(accepts_and_declines), TEST(offers), TEST(checks_answers),
          TEST(both_ends_agree), TEST(linear_time), TEST(thousand_offers),
          TEST(never_reads_beyond), TEST(random_headers), TEST(settings_are_checked),
          TEST(without_memory), TEST(without_room))

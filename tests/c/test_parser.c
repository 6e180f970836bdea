/* The parser: frames out of pieces, and the rules of RFC 6455 §5 that need no payload,
 * for every two-byte header in every state, against a table of our own. */
#include "wsc/parser.h"

#include "pair.h"

enum state { IDLE, MID_MESSAGE, STATE_COUNT };

/* RFC 6455 §5.1, §5.2, §5.4, §5.5, RFC 7692 §6: is a frame that begins so allowed? */
static bool allowed(unsigned first, unsigned second, enum wsc_role role,
                    enum state state, bool deflate)
{
    bool fin = first >= 128;
    bool rsv1 = first / 64 % 2 != 0;
    if (first / 16 % 4 != 0) {
        return false; /* RSV2, RSV3 */
    }
    if ((second >= 128) != (role == WSC_ROLE_SERVER)) {
        return false; /* CTL-4 */
    }
    switch (first % 16) {
    case 0x0:
        return state == MID_MESSAGE && !rsv1;
    case 0x1:
    case 0x2:
        return state == IDLE && (!rsv1 || deflate);
    case 0x8:
    case 0x9:
    case 0xA:
        return fin && !rsv1 && second % 128 <= 125;
    default:
        return false;
    }
}

static void
start(struct wsc_parser *parser, enum wsc_role role, enum state state, bool deflate)
{
    struct wsc_slice slice;
    uint8_t bytes[6] = {0x01, role == WSC_ROLE_SERVER ? 0x80 : 0x00};
    const uint8_t *data = bytes;
    size_t len = role == WSC_ROLE_SERVER ? 6 : 2;
    wsc_parser_init(parser, role, deflate);
    if (state == MID_MESSAGE) {
        CHECK_INT(wsc_parser_next(parser, &data, &len, &slice), WSC_OK);
        CHECK(slice.begins && slice.ends && slice.len == 0);
    }
}

/* LEN-8, CTL-4, INF-8, FRG-5: refused at the second byte, whole or in two pieces; else
 * the frame begins. */
static void every_two_byte_header(void)
{
    for (unsigned n = 0; n < 65536 * 8; n++) {
        enum wsc_role role = n >> 16 & 1 ? WSC_ROLE_CLIENT : WSC_ROLE_SERVER;
        enum state state = n >> 17 & 1 ? MID_MESSAGE : IDLE;
        bool deflate = n >> 18 & 1;
        uint8_t bytes[2] = {(uint8_t)(n >> 8), (uint8_t)n};
        bool want = allowed(bytes[0], bytes[1], role, state, deflate);
        bool whole = bytes[1] < 126; /* no longer length, no masking key */
        enum wsc_status status = !want   ? WSC_ERR_PROTOCOL
                                 : whole ? WSC_OK
                                         : WSC_NEED_DATA;
        struct wsc_parser parser;
        struct wsc_slice slice;
        const uint8_t *data = bytes;
        size_t len = 2;
        start(&parser, role, state, deflate);
        bool good = CHECK_INT(wsc_parser_next(&parser, &data, &len, &slice), status);
        good = good && CHECK((parser.reason != NULL) == !want);
        start(&parser, role, state, deflate);
        data = bytes;
        len = 1;
        good = good &&
               CHECK_INT(wsc_parser_next(&parser, &data, &len, &slice), WSC_NEED_DATA);
        len = 1;
        good = good && CHECK_INT(wsc_parser_next(&parser, &data, &len, &slice), status);
        if (good && status == WSC_OK) {
            good = CHECK_INT(parser.header.payload_len, bytes[1]) &&
                   CHECK(slice.begins && slice.len == 0) &&
                   CHECK_INT(slice.ends, bytes[1] == 0);
        }
        if (!good) {
            printf("header %02x %02x role %d state %d deflate %d\n", bytes[0], bytes[1],
                   (int)role, (int)state, (int)deflate);
            return;
        }
    }
}

/* Slices of one run through the parser: the payload bytes unmasked, frame by frame. */
static void
collect(struct blob *log, struct wsc_parser *parser, const uint8_t *data, size_t len)
{
    const uint8_t *start_of_piece = data;
    size_t given = len;
    for (;;) {
        struct wsc_slice slice;
        enum wsc_status status = wsc_parser_next(parser, &data, &len, &slice);
        CHECK(data >= start_of_piece && data + len == start_of_piece + given);
        if (status != WSC_OK) {
            CHECK(status != WSC_NEED_DATA || len == 0);
            if (status != WSC_NEED_DATA) {
                blob_add_str(log, "error\n");
            }
            return;
        }
        if (slice.begins) {
            blob_printf(log, "(%u %d %d %llu ", parser->header.opcode,
                        (int)parser->header.fin, (int)parser->header.rsv1,
                        (unsigned long long)parser->header.payload_len);
            CHECK(slice.offset == 0);
        }
        for (size_t i = 0; i < slice.len; i++) {
            uint8_t byte =
                slice.data[i] ^ parser->header.masking_key[(slice.offset + i) % 4];
            blob_add(log, &byte, 1);
        }
        if (slice.ends) {
            CHECK(slice.offset + slice.len == parser->header.payload_len);
            blob_add_str(log, ")\n");
        }
    }
}

static void every_split_is_the_same(void)
{
    for (int r = 0; r < 2; r++) {
        enum wsc_role role = r == 0 ? WSC_ROLE_SERVER : WSC_ROLE_CLIENT;
        enum wsc_role from = other_role(role);
        uint8_t payload[70000];
        struct blob wire = {0};
        for (size_t i = 0; i < sizeof(payload); i++) {
            payload[i] = (uint8_t)test_random();
        }
        static const size_t lengths[] = {0, 1, 125, 126, 127, 300, 65535, 65536, 70000};
        for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
            wire_frame(&wire, from, 0x02, payload, lengths[i]);
            wire_frame(&wire, from, 0x89, payload, lengths[i] % 126);
            wire_frame(&wire, from, 0x80, payload, lengths[i] / 7);
        }
        struct blob want = {0};
        struct wsc_parser parser;
        wsc_parser_init(&parser, role, false);
        collect(&want, &parser, wire.data, wire.len);
        for (int round = 0; round < 10; round++) {
            struct blob got = {0};
            wsc_parser_init(&parser, role, false);
            for (size_t done = 0; done < wire.len;) {
                size_t most = round == 0 ? 1 : round < 5 ? 20 : 5000;
                size_t n = 1 + test_random_below(most);
                n = n < wire.len - done ? n : wire.len - done;
                collect(&got, &parser, wire.data + done, n);
                done += n;
            }
            CHECK_BYTES(got.data, got.len, want.data, want.len);
            blob_free(&got);
        }
        blob_free(&want);
        blob_free(&wire);
    }
}

/* The frames that come out are those that went in, nothing is read past the end. */
static void what_comes_out_is_what_went_in(void)
{
    for (int r = 0; r < 2; r++) {
        enum wsc_role role = r == 0 ? WSC_ROLE_SERVER : WSC_ROLE_CLIENT;
        struct blob wire = {0};
        struct blob log = {0};
        struct wsc_parser parser;
        wire_frames(&wire, other_role(role),
                    "text+ Hel|ping x|cont+|cont lo|bin|pong yz");
        wsc_parser_init(&parser, role, true);
        for (size_t i = 0; i < wire.len; i++) {
            collect(&log, &parser, test_guarded(wire.data + i, 1), 1);
        }
        blob_add(&log, "", 1);
        CHECK(strcmp((const char *)log.data,
                     "(1 0 0 3 Hel)\n(9 1 0 1 x)\n(0 0 0 0 )\n"
                     "(0 1 0 2 lo)\n(2 1 0 0 )\n(10 1 0 2 yz)\n") == 0);
        blob_free(&log);
        blob_free(&wire);
    }
}

/* LEN-1, LEN-2, LEN-7: refused when the length is there, before the masking key. */
static void bad_lengths(void)
{
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
        {"\x82\x7e\x00\x05", 4},
        {"\x82\x7e\x00\x7d", 4},
        {"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", 10},
        {"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", 10},
        {"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", 10},
        {"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xfc", 10},
        {"\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xf2", 10},
        {"\x82\x7f\xff\xff\xff\x00\xff\xff\xf0\x00", 10},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int r = 0; r < 2; r++) {
            struct wsc_parser parser;
            struct wsc_slice slice;
            uint8_t bytes[10];
            memcpy(bytes, cases[i].bytes, cases[i].len);
            bytes[1] |= r == 0 ? 0x80 : 0;
            wsc_parser_init(&parser, r == 0 ? WSC_ROLE_SERVER : WSC_ROLE_CLIENT, false);
            enum wsc_status status = WSC_NEED_DATA;
            for (size_t k = 0; k < cases[i].len; k++) {
                CHECK_INT(status, WSC_NEED_DATA);
                const uint8_t *data = test_guarded(bytes + k, 1);
                size_t len = 1;
                status = wsc_parser_next(&parser, &data, &len, &slice);
            }
            CHECK_INT(status, WSC_ERR_PROTOCOL);
        }
    }
}

/* LEN-3: a frame of 2^63 - 1 bytes is legal here; its offsets do not wrap. */
static void the_longest_frame(void)
{
    struct wsc_parser parser;
    struct wsc_slice slice;
    static const uint8_t header[] = "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff";
    const uint8_t *data = header;
    size_t len = 10;
    wsc_parser_init(&parser, WSC_ROLE_CLIENT, false);
    CHECK_INT(wsc_parser_next(&parser, &data, &len, &slice), WSC_OK);
    CHECK(slice.begins && !slice.ends && slice.len == 0);
    for (uint64_t done = 0; done < 100000; done += 1000) {
        static const uint8_t payload[1000];
        data = payload;
        len = 1000;
        CHECK_INT(wsc_parser_next(&parser, &data, &len, &slice), WSC_OK);
        CHECK(!slice.begins && !slice.ends && slice.len == 1000 &&
              slice.offset == done);
        CHECK_INT(wsc_parser_next(&parser, &data, &len, &slice), WSC_NEED_DATA);
    }
}

TEST_MAIN(TEST(every_two_byte_header), TEST(every_split_is_the_same),
          TEST(what_comes_out_is_what_went_in), TEST(bad_lengths),
          TEST(the_longest_frame))

/* The frame header codec against RFC 6455 §5.2 written down a second time. */
#include "wsc/frame.h"

#include "test.h"

/* What §5.2 and §5.5 say of the first two bytes. */
static bool two_bytes_are_legal(uint8_t first, uint8_t second)
{
    static const bool known[16] = {true, true, true, false, false, false, false, false,
                                   true, true, true, false, false, false, false, false};
    bool control = (first % 16) >= 8;
    return known[first % 16] && (!control || (first >= 128 && second % 128 <= 125));
}

/* LEN-8: all 65,536 two-byte headers; a control frame dies on its 7-bit field. */
static void every_two_byte_header(void)
{
    for (unsigned n = 0; n < 65536; n++) {
        uint8_t bytes[2] = {(uint8_t)(n >> 8), (uint8_t)n};
        struct wsc_frame_header header;
        size_t size = 99;
        unsigned field = bytes[1] % 128;
        enum wsc_status want = !two_bytes_are_legal(bytes[0], bytes[1])
                                   ? WSC_ERR_PROTOCOL
                               : bytes[1] >= 126 ? WSC_NEED_DATA
                                                 : WSC_OK;
        if (!CHECK_INT(wsc_frame_header_decode(bytes, 0, &header, &size),
                       WSC_NEED_DATA) ||
            !CHECK_INT(wsc_frame_header_decode(bytes, 1, &header, &size),
                       WSC_NEED_DATA) ||
            !CHECK_INT(wsc_frame_header_decode(bytes, 2, &header, &size), want)) {
            printf("header %04x\n", n);
            return;
        }
        if (want == WSC_OK) {
            CHECK_INT(size, 2);
            CHECK_INT(header.payload_len, field);
            CHECK_INT(header.opcode, bytes[0] % 16);
            CHECK_INT(header.fin, bytes[0] / 128);
            CHECK_INT(header.rsv1, bytes[0] / 64 % 2);
            CHECK_INT(header.rsv2, bytes[0] / 32 % 2);
            CHECK_INT(header.rsv3, bytes[0] / 16 % 2);
            CHECK(!header.masked);
            CHECK_BYTES(header.masking_key, 4, "\0\0\0\0", 4);
        }
    }
}

static void put_len(uint8_t *out, size_t size, uint64_t len)
{
    for (size_t i = 0; i < size; i++) {
        out[i] = (uint8_t)(len >> (8 * (size - 1 - i)));
    }
}

/* Decode `81 fe` or `81 ff` + length, one byte more each time. */
static enum wsc_status decode_extended(size_t size, uint64_t len, bool masked,
                                       struct wsc_frame_header *out_header,
                                       size_t *out_needed)
{
    uint8_t bytes[14] = {0x82,
                         (uint8_t)((masked ? 0x80 : 0) | (size == 2 ? 126 : 127))};
    put_len(bytes + 2, size, len);
    memcpy(bytes + 2 + size, "\x01\x02\x03\x04", 4);
    for (size_t n = 0; n <= 2 + size + (masked ? 4U : 0U); n++) {
        size_t used = 0;
        enum wsc_status status = wsc_frame_header_decode(bytes, n, out_header, &used);
        if (status != WSC_NEED_DATA) {
            *out_needed = n;
            CHECK(status != WSC_OK || used == n);
            return status;
        }
    }
    return WSC_NEED_DATA;
}

/* LEN-7: all 16-bit lengths, below 126 in the longer form than needed. */
static void every_16_bit_length(void)
{
    for (unsigned len = 0; len < 65536; len++) {
        for (int masked = 0; masked < 2; masked++) {
            struct wsc_frame_header header;
            size_t needed = 0;
            enum wsc_status status =
                decode_extended(2, len, masked != 0, &header, &needed);
            CHECK_INT(status, len < 126 ? WSC_ERR_PROTOCOL : WSC_OK);
            CHECK_INT(needed, len < 126 ? 4 : masked != 0 ? 8 : 4);
            if (status == WSC_OK) {
                CHECK_INT(header.payload_len, len);
                CHECK_BYTES(header.masking_key, 4,
                            masked != 0 ? "\x01\x02\x03\x04" : "\0\0\0\0", 4);
            }
        }
    }
}

/* LEN-1 LEN-2 LEN-3 LEN-7: boundaries of the 64-bit form; refused at the tenth byte,
 * before the masking key. */
static void boundaries_of_64_bit_lengths(void)
{
    static const struct {
        uint64_t len;
        bool legal;
    } cases[] = {
        {0, false},
        {1, false},
        {125, false},
        {126, false},
        {65535, false},
        {65536, true},
        {65537, true},
        {1U << 20, true},
        {INT32_MAX, true},
        {(uint64_t)INT32_MAX + 1, true},
        {UINT32_MAX, true},
        {(uint64_t)UINT32_MAX + 6, true},
        {1ULL << 30, true},
        {INT64_MAX - 1, true},
        {INT64_MAX, true},
        {(uint64_t)INT64_MAX + 1, false},
        {(uint64_t)INT64_MAX + 2, false},
        {0xFFFFFF00FFFFF000, false},
        {UINT64_MAX - 99, false},
        {UINT64_MAX - 13, false},
        {UINT64_MAX - 3, false},
        {UINT64_MAX, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int masked = 0; masked < 2; masked++) {
            struct wsc_frame_header header;
            size_t needed = 0;
            enum wsc_status status =
                decode_extended(8, cases[i].len, masked != 0, &header, &needed);
            CHECK_INT(status, cases[i].legal ? WSC_OK : WSC_ERR_PROTOCOL);
            CHECK_INT(needed, cases[i].legal && masked != 0 ? 14 : 10);
            CHECK(status != WSC_OK || header.payload_len == cases[i].len);
        }
    }
}

/* Every shape of header there and back, in memory that ends where it has to. */
static void encode_is_the_inverse(void)
{
    static const uint64_t lengths[] = {0,     1,     125,        126,        127,
                                       65535, 65536, UINT32_MAX, 1ULL << 32, INT64_MAX};
    static const size_t sizes[] = {2, 2, 2, 4, 4, 4, 10, 10, 10, 10};
    for (unsigned first = 0; first < 256; first++) {
        for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
            for (int masked = 0; masked < 2; masked++) {
                struct wsc_frame_header header = {
                    .fin = first >= 128,
                    .rsv1 = first / 64 % 2 != 0,
                    .rsv2 = first / 32 % 2 != 0,
                    .rsv3 = first / 16 % 2 != 0,
                    .masked = masked != 0,
                    .opcode = (uint8_t)(first % 16),
                    .masking_key = {0xA1, 0xB2, 0xC3, 0xD4},
                    .payload_len = lengths[i],
                };
                uint8_t out[WSC_FRAME_HEADER_MAX + 1];
                memset(out, 0x5A, sizeof(out));
                size_t want = sizes[i] + (masked != 0 ? 4U : 0U);
                CHECK_INT(wsc_frame_header_size(lengths[i], masked != 0), want);
                CHECK_INT(wsc_frame_header_encode(&header, out), want);
                CHECK_INT(out[0], first);
                CHECK_INT(out[want], 0x5A);
                if (!two_bytes_are_legal(out[0], out[1])) {
                    continue;
                }
                struct wsc_frame_header back;
                size_t used = 0;
                CHECK_INT(wsc_frame_header_decode(test_guarded(out, want), want, &back,
                                                  &used),
                          WSC_OK);
                CHECK_INT(used, want);
                CHECK(back.payload_len == lengths[i]);
                CHECK_INT(back.masked, masked);
                CHECK_BYTES(back.masking_key, 4,
                            masked != 0 ? "\xA1\xB2\xC3\xD4" : "\0\0\0\0", 4);
            }
        }
    }
}

/* RFC 6455 §5.7, the examples. */
static void the_examples_of_the_rfc(void)
{
    static const struct {
        const char *bytes;
        size_t size;
        uint8_t opcode;
        bool fin;
        bool masked;
        uint64_t len;
    } cases[] = {
        {"\x81\x05", 2, WSC_OPCODE_TEXT, true, false, 5},
        {"\x81\x85\x37\xfa\x21\x3d", 6, WSC_OPCODE_TEXT, true, true, 5},
        {"\x01\x03", 2, WSC_OPCODE_TEXT, false, false, 3},
        {"\x80\x02", 2, WSC_OPCODE_CONTINUATION, true, false, 2},
        {"\x89\x05", 2, WSC_OPCODE_PING, true, false, 5},
        {"\x8a\x85\x37\xfa\x21\x3d", 6, WSC_OPCODE_PONG, true, true, 5},
        {"\x82\x7e\x01\x00", 4, WSC_OPCODE_BINARY, true, false, 256},
        {"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10, WSC_OPCODE_BINARY, true, false,
         65536},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wsc_frame_header header;
        size_t size = 0;
        CHECK_INT(wsc_frame_header_decode((const uint8_t *)cases[i].bytes,
                                          cases[i].size, &header, &size),
                  WSC_OK);
        CHECK_INT(size, cases[i].size);
        CHECK_INT(header.opcode, cases[i].opcode);
        CHECK_INT(header.fin, cases[i].fin);
        CHECK_INT(header.masked, cases[i].masked);
        CHECK_INT(header.payload_len, cases[i].len);
        uint8_t out[WSC_FRAME_HEADER_MAX];
        CHECK_BYTES(out, wsc_frame_header_encode(&header, out), cases[i].bytes,
                    cases[i].size);
    }
}

TEST_MAIN(TEST(every_two_byte_header), TEST(every_16_bit_length),
          TEST(boundaries_of_64_bit_lengths), TEST(encode_is_the_inverse),
          TEST(the_examples_of_the_rfc))

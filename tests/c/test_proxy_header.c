/* wsc/proxy_header.h: headers of both versions, whole, byte by byte and in pieces.
 * inet_pton() says what an address is. */
#include "test.h"

#include <arpa/inet.h>

#include "wsc/proxy_header.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define IPV6      "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"

/* Fed in pieces of at most `piece` bytes (0: of any), with something behind it. */
static enum wsc_status
feed(const void *text, size_t len, size_t piece, struct wsc_proxy_source *out)
{
    static const char behind[] = "GET / HTTP/1.1\r\n";
    struct wsc_proxy_header header;
    uint8_t data[2 * WSC_PROXY_HEADER_MAX];
    size_t all = len + sizeof(behind);
    memcpy(data, text, len);
    memcpy(data + len, behind, sizeof(behind));
    wsc_proxy_header_init(&header);
    for (size_t done = 0; done < all;) {
        size_t used;
        size_t n = piece == 0 ? 1 + test_random_below(20) : piece;
        n = n < all - done ? n : all - done;
        enum wsc_status status =
            wsc_proxy_header_feed(&header, test_guarded(data + done, n), n, &used, out);
        CHECK(status == WSC_NEED_DATA ? used == n : used <= n);
        done += used;
        if (status != WSC_NEED_DATA) {
            CHECK(status != WSC_OK || done == len);
            return status;
        }
        CHECK(done <= len);
    }
    return WSC_NEED_DATA;
}

static void check(const void *text, size_t len, enum wsc_status want,
                  enum wsc_proxy_family family, const void *address, size_t address_len,
                  unsigned port)
{
    const size_t pieces[] = {2 * (size_t)WSC_PROXY_HEADER_MAX, 1, 0, 0};
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        struct wsc_proxy_source source;
        if (!CHECK_INT(feed(text, len, pieces[i], &source), want)) {
            printf("  of: %.60s\n", (const char *)text);
        }
        if (want == WSC_OK) {
            CHECK_INT(source.family, family);
            CHECK_INT(source.port, port);
            CHECK_BYTES(source.address, source.len, address, address_len);
        }
    }
}

/* FWD-4 */
static void good_lines(void)
{
    static const struct {
        const char *text;
        enum wsc_proxy_family family;
        const char *address;
        size_t len;
        unsigned port;
    } table[] = {
        {"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n", WSC_PROXY_IPV4,
         "\xc0\0\x02\x01", 4, 56324},
        {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", WSC_PROXY_IPV4,
         "\xff\xff\xff\xff", 4, 65535},
        {"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", WSC_PROXY_IPV4, "\0\0\0\0", 4, 0},
        {"PROXY TCP6 2001:db8::1 ::1 1 2\r\n", WSC_PROXY_IPV6, IPV6, 16, 1},
        {"PROXY TCP6 2001:DB8:0:0:0:0:0:1 :: 9 2\r\n", WSC_PROXY_IPV6, IPV6, 16, 9},
        {"PROXY UNKNOWN\r\n", WSC_PROXY_NONE, "", 0, 0},
        /* The longest there is, §2.1. */
        {"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535 "
         "01234567890123456789012345678901234567890123456\r\n",
         WSC_PROXY_NONE, "", 0, 0},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        check(table[i].text, strlen(table[i].text), WSC_OK, table[i].family,
              table[i].address, table[i].len, table[i].port);
    }
    CHECK_INT(strlen(table[6].text), 107);
}

/* FWD-5 */
static void bad_lines(void)
{
    static const char *const table[] = {
        "GET / HTTP/1.1\r\n",
        "PROXY\r\n",
        "PROXY \r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY UNKNOWN\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 \r\n",
        "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1  1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 4294967297 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 + 2\r\n",
        "PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
        "PROXY TCP4 ::1 192.0.2.2 1 2\r\n",
        "PROXY TCP6 192.0.2.1 ::1 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n\r\n",
        ("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535 "
         "012345678901234567890123456789012345678901234567\r\n"),
        "\r\n\r\n\r\n\r\n\r\n",
        "",
    };
    for (size_t i = 0; table[i][0] != '\0'; i++) {
        check(table[i], strlen(table[i]), WSC_ERR_PROTOCOL, WSC_PROXY_NONE, "", 0, 0);
    }
}

/* What the parser says of a text as an IPv6 address is what inet_pton() says. */
static void addresses_as_inet_pton(void)
{
    static const char *const seeds[] = {
        "::",
        "::1",
        "1::",
        "1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7::",
        "::2:3:4:5:6:7:8",
        "::ffff:192.0.2.1",
        "1:2:3:4:5:6:192.0.2.1",
        "fe80::1:2",
        "1::8:192.0.2.1",
        "a:B::c:D",
        "0:0:0:0:0:0:0:0",
    };
    static const char letters[] = "0123456789abcdefAF:::::...g";
    size_t good = 0;
    for (size_t i = 0; i < 200000; i++) {
        char text[64];
        char line[128];
        uint8_t want[16];
        struct wsc_proxy_source source;
        struct wsc_proxy_header header;
        size_t used;
        (void)snprintf(text, sizeof(text), "%s",
                       seeds[test_random_below(sizeof(seeds) / sizeof(seeds[0]))]);
        for (size_t changes = test_random_below(4); changes > 0; changes--) {
            size_t at = test_random_below(strlen(text) + 1);
            char *place = text + at;
            switch (test_random_below(3)) {
            case 0: /* one more */
                memmove(place + 1, place, strlen(place) + 1);
                *place = letters[test_random_below(sizeof(letters) - 1)];
                break;
            case 1: /* one less */
                memmove(place, place + (*place != '\0'),
                        strlen(place) + (*place == '\0'));
                break;
            default:
                if (*place != '\0') {
                    *place = letters[test_random_below(sizeof(letters) - 1)];
                }
            }
        }
        int len = snprintf(line, sizeof(line), "PROXY TCP6 %s :: 1 2\r\n", text);
        bool is_address = inet_pton(AF_INET6, text, want) == 1;
        wsc_proxy_header_init(&header);
        enum wsc_status status = wsc_proxy_header_feed(&header, (const uint8_t *)line,
                                                       (size_t)len, &used, &source);
        if (!CHECK_INT(status, is_address ? WSC_OK : WSC_ERR_PROTOCOL)) {
            printf("  of: %s\n", text);
            return;
        }
        if (is_address) {
            CHECK_BYTES(source.address, source.len, want, 16);
            good++;
        }
    }
    CHECK(good > 20000 && good < 180000);
}

/* A header of version 2 with `len` bytes after the first 16. */
static size_t binary(uint8_t *out, unsigned command, unsigned family, size_t len,
                     const void *rest, size_t rest_len)
{
    memset(out, 0xAA, 16 + len);
    memcpy(out, SIGNATURE, 12);
    out[12] = (uint8_t)command;
    out[13] = (uint8_t)family;
    out[14] = (uint8_t)(len >> 8);
    out[15] = (uint8_t)len;
    memcpy(out + 16, rest, rest_len);
    return 16 + len;
}

static void binary_headers(void)
{
    static const char ipv4[] = "\xc0\0\x02\x01\xc6\x33\x64\x07\x12\x34\x01\xbb";
    static const char ipv6[] = IPV6 IPV6 "\x12\x34\x01\xbb";
    static char paths[2 * WSC_PROXY_ADDRESS_MAX] = "/run/client.sock";
    const struct {
        unsigned command;
        unsigned family;
        size_t len;
        const char *rest;
        size_t rest_len;
        enum wsc_proxy_family want; /* or WSC_PROXY_NONE: see `status` */
        enum wsc_status status;
    } table[] = {
        {0x21, 0x11, 12, ipv4, 12, WSC_PROXY_IPV4, WSC_OK},
        {0x21, 0x12, 12, ipv4, 12, WSC_PROXY_IPV4, WSC_OK},
        {0x21, 0x11, 300, ipv4, 12, WSC_PROXY_IPV4, WSC_OK}, /* TLVs */
        {0x21, 0x21, 36, ipv6, 36, WSC_PROXY_IPV6, WSC_OK},
        {0x21, 0x21, WSC_PROXY_HEADER_MAX - 16, ipv6, 36, WSC_PROXY_IPV6, WSC_OK},
        {0x21, 0x31, 216, paths, 216, WSC_PROXY_UNIX, WSC_OK},
        {0x21, 0x31, 240, paths, 216, WSC_PROXY_UNIX, WSC_OK},
        {0x21, 0x00, 0, "", 0, WSC_PROXY_NONE, WSC_OK},
        {0x21, 0x00, 40, "", 0, WSC_PROXY_NONE, WSC_OK},
        {0x20, 0x00, 0, "", 0, WSC_PROXY_NONE, WSC_OK},
        {0x20, 0x11, 12, ipv4, 12, WSC_PROXY_NONE, WSC_OK}, /* LOCAL: to be ignored */
        {0x20, 0xFF, 7, "", 0, WSC_PROXY_NONE, WSC_OK},
        {0x21, 0x11, 11, ipv4, 11, WSC_PROXY_NONE, WSC_ERR_PROTOCOL},
        {0x21, 0x21, 35, ipv6, 35, WSC_PROXY_NONE, WSC_ERR_PROTOCOL},
        {0x21, 0x31, 215, paths, 215, WSC_PROXY_NONE, WSC_ERR_PROTOCOL},
        {0x21, 0x41, 216, paths, 216, WSC_PROXY_NONE, WSC_ERR_PROTOCOL},
        {0x21, 0x13, 12, ipv4, 12, WSC_PROXY_NONE, WSC_ERR_PROTOCOL},
        {0x22, 0x11, 12, ipv4, 12, WSC_PROXY_NONE, WSC_ERR_PROTOCOL},
        {0x11, 0x11, 12, ipv4, 12, WSC_PROXY_NONE, WSC_ERR_PROTOCOL},
        {0x31, 0x11, 12, ipv4, 12, WSC_PROXY_NONE, WSC_ERR_PROTOCOL},
        {0x21, 0x11, WSC_PROXY_HEADER_MAX - 15, ipv4, 12, WSC_PROXY_NONE,
         WSC_ERR_PROTOCOL},
    };
    static const size_t sizes[] = {
        [WSC_PROXY_IPV4] = 4, [WSC_PROXY_IPV6] = 16, [WSC_PROXY_UNIX] = 108};
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        uint8_t data[2 * WSC_PROXY_HEADER_MAX];
        size_t len = binary(data, table[i].command, table[i].family, table[i].len,
                            table[i].rest, table[i].rest_len);
        bool has_port =
            table[i].want == WSC_PROXY_IPV4 || table[i].want == WSC_PROXY_IPV6;
        check(data, len, table[i].status, table[i].want, table[i].rest,
              sizes[table[i].want], has_port ? 0x1234 : 0);
    }
}

/* Each of the first 12 bytes counts, and is known to be wrong when it comes. */
static void signatures_with_one_other_byte(void)
{
    for (size_t at = 0; at < 12; at++) {
        for (unsigned value = 0; value < 256; value++) {
            struct wsc_proxy_header header;
            struct wsc_proxy_source source;
            uint8_t data[16];
            size_t used;
            size_t len = binary(data, 0x20, 0, 0, "", 0);
            if (data[at] == value) {
                continue;
            }
            data[at] = (uint8_t)value;
            wsc_proxy_header_init(&header);
            bool other = at == 0 && value == 'P'; /* of version 1, up to the next */
            CHECK_INT(wsc_proxy_header_feed(&header, data, len, &used, &source),
                      WSC_ERR_PROTOCOL);
            CHECK_INT(used, at + 1 + other);
        }
    }
}

TEST_MAIN(TEST(good_lines), TEST(bad_lines), TEST(addresses_as_inet_pton),
          TEST(binary_headers), TEST(signatures_with_one_other_byte))

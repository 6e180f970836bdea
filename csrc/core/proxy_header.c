#include "wsc/proxy_header.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

/* --- version 1, §2.1 --- */

#define LINE_MAX 107

/* The rest of a line, without its CRLF. */
struct line {
    const char *at;
    const char *end;
};

/* The bytes up to a space or the end, taken with that space. */
static struct line next_field(struct line *line)
{
    size_t left = (size_t)(line->end - line->at);
    const char *space = left == 0 ? NULL : memchr(line->at, ' ', left);
    struct line field = {line->at, space == NULL ? line->end : space};
    line->at = space == NULL ? line->end : space + 1;
    return field;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A decimal number that fills the field, without leading zeros. */
static bool read_number(struct line field, unsigned max, unsigned *out_number)
{
    unsigned number = 0;
    if (field.at == field.end || (*field.at == '0' && field.end - field.at > 1)) {
        return false;
    }
    for (; field.at < field.end; field.at++) {
        if (!is_digit(*field.at)) {
            return false;
        }
        number = number * 10 + (unsigned)(*field.at - '0');
        if (number > max) {
            return false;
        }
    }
    *out_number = number;
    return true;
}

static bool read_ipv4(struct line field, uint8_t out[4])
{
    for (int i = 0; i < 4; i++) {
        unsigned number;
        size_t left = (size_t)(field.end - field.at);
        const char *dot = left == 0 ? NULL : memchr(field.at, '.', left);
        struct line part = {field.at, dot == NULL ? field.end : dot};
        if ((dot == NULL) != (i == 3) || !read_number(part, UINT8_MAX, &number)) {
            return false;
        }
        out[i] = (uint8_t)number;
        field.at = dot == NULL ? field.end : dot + 1;
    }
    return true;
}

static int hex_digit(char c)
{
    if (is_digit(c)) {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Up to four hexadecimal digits; false if there are none. */
static bool read_group(struct line *field, unsigned *out_group)
{
    int digits = 0;
    unsigned group = 0;
    for (; digits < 4 && field->at < field->end; digits++, field->at++) {
        int digit = hex_digit(*field->at);
        if (digit < 0) {
            break;
        }
        group = group << 4 | (unsigned)digit;
    }
    *out_group = group;
    return digits > 0;
}

static bool skip(struct line *field, const char *text)
{
    size_t len = strlen(text);
    if ((size_t)(field->end - field->at) < len || memcmp(field->at, text, len) != 0) {
        return false;
    }
    field->at += len;
    return true;
}

/* RFC 4291 §2.2, all three forms. */
static bool read_ipv6(struct line field, uint8_t out[16])
{
    size_t len = 0; /* bytes of `out` there are */
    size_t gap = SIZE_MAX;
    memset(out, 0, 16);
    if (skip(&field, "::")) {
        gap = 0;
    }
    while (field.at < field.end) {
        unsigned group;
        struct line rest = field;
        if (len <= 12 && memchr(field.at, '.', (size_t)(field.end - field.at)) &&
            read_ipv4(field, out + len)) {
            len += 4;
            break;
        }
        if (len == 16 || !read_group(&rest, &group)) {
            return false;
        }
        field = rest;
        out[len++] = (uint8_t)(group >> 8);
        out[len++] = (uint8_t)group;
        if (gap == SIZE_MAX && skip(&field, "::")) {
            gap = len;
        }
        else if (field.at < field.end &&
                 (!skip(&field, ":") || field.at == field.end)) {
            return false;
        }
    }
    if (gap == SIZE_MAX) {
        return len == 16;
    }
    if (len == 16) {
        return false; /* a gap stands for one group at least */
    }
    memmove(out + 16 - (len - gap), out + gap, len - gap);
    memset(out + gap, 0, 16 - len);
    return true;
}

static bool read_address(struct line field, bool ipv6, uint8_t out[16])
{
    return ipv6 ? read_ipv6(field, out) : read_ipv4(field, out);
}

/* What follows the protocol's name: source, destination and their ports. */
static bool read_addresses(struct line line, bool ipv6, struct wsc_proxy_source *out)
{
    uint8_t destination[16];
    unsigned ports[2];
    struct line source = next_field(&line);
    if (!read_address(source, ipv6, out->address) ||
        !read_address(next_field(&line), ipv6, destination) ||
        !read_number(next_field(&line), UINT16_MAX, &ports[0]) ||
        !read_number(line, UINT16_MAX, &ports[1])) {
        return false;
    }
    out->family = ipv6 ? WSC_PROXY_IPV6 : WSC_PROXY_IPV4;
    out->len = ipv6 ? 16 : 4;
    out->port = (uint16_t)ports[0];
    return true;
}

static const char line_start[] = "PROXY ";

static enum wsc_status
read_line(const struct wsc_proxy_header *header, struct wsc_proxy_source *out)
{
    const char *text = (const char *)header->kept;
    struct line line = {text + sizeof(line_start) - 1, text + header->len - 2};
    struct line rest = line;
    if (skip(&rest, "UNKNOWN") && (rest.at == rest.end || *rest.at == ' ')) {
        return WSC_OK;
    }
    bool ipv4 = skip(&line, "TCP4 ");
    return (ipv4 || skip(&line, "TCP6 ")) && read_addresses(line, !ipv4, out)
               ? WSC_OK
               : WSC_ERR_PROTOCOL;
}

/* The header's last byte is the one that came last. */
static enum wsc_status
take_line(const struct wsc_proxy_header *header, struct wsc_proxy_source *out)
{
    size_t last = header->len - 1;
    if (last < sizeof(line_start) - 1) {
        return header->kept[last] == (uint8_t)line_start[last] ? WSC_NEED_DATA
                                                               : WSC_ERR_PROTOCOL;
    }
    if (header->kept[last] == '\n') {
        return header->kept[last - 1] == '\r' ? read_line(header, out)
                                              : WSC_ERR_PROTOCOL;
    }
    return header->len < LINE_MAX ? WSC_NEED_DATA : WSC_ERR_PROTOCOL;
}

/* --- version 2, §2.2 --- */

static const uint8_t signature[12] = {0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D,
                                      0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A};
enum { FIXED = 16, VERSION_AND_COMMAND = 12, FAMILY_AND_PROTOCOL = 13, LENGTH = 14 };
enum { COMMAND_LOCAL = 0x20, COMMAND_PROXY = 0x21 };
enum { FAMILY_NONE, FAMILY_IPV4, FAMILY_IPV6, FAMILY_UNIX, FAMILIES };
enum { PROTOCOL_DATAGRAM = 2 };

/* Bytes of one address, and the family that it is of. */
static const struct {
    enum wsc_proxy_family family;
    uint16_t len;
} families[FAMILIES] = {
    {WSC_PROXY_NONE, 0},
    {WSC_PROXY_IPV4, 4},
    {WSC_PROXY_IPV6, 16},
    {WSC_PROXY_UNIX, WSC_PROXY_ADDRESS_MAX},
};

/* The family that the header's addresses are of. */
static unsigned family_of(const struct wsc_proxy_header *header)
{
    return header->kept[VERSION_AND_COMMAND] == COMMAND_LOCAL
               ? FAMILY_NONE
               : header->kept[FAMILY_AND_PROTOCOL] >> 4;
}

static enum wsc_status read_fixed(struct wsc_proxy_header *header)
{
    uint8_t command = header->kept[VERSION_AND_COMMAND];
    size_t rest = (size_t)header->kept[LENGTH] << 8 | (size_t)header->kept[LENGTH + 1];
    if (command != COMMAND_LOCAL && command != COMMAND_PROXY) {
        return WSC_ERR_PROTOCOL;
    }
    unsigned family = family_of(header);
    if (family >= FAMILIES ||
        (command == COMMAND_PROXY &&
         (header->kept[FAMILY_AND_PROTOCOL] & 0x0F) > PROTOCOL_DATAGRAM)) {
        return WSC_ERR_PROTOCOL;
    }
    size_t ports = family == FAMILY_IPV4 || family == FAMILY_IPV6 ? 4 : 0;
    if (rest < 2U * families[family].len + ports ||
        rest > WSC_PROXY_HEADER_MAX - FIXED) {
        return WSC_ERR_PROTOCOL;
    }
    header->size = FIXED + rest;
    return WSC_OK;
}

static void
read_binary(const struct wsc_proxy_header *header, struct wsc_proxy_source *out)
{
    unsigned family = family_of(header);
    const uint8_t *addresses = header->kept + FIXED;
    assert(family < FAMILIES);
    out->family = families[family].family;
    out->len = families[family].len;
    memcpy(out->address, addresses, out->len);
    if (family == FAMILY_IPV4 || family == FAMILY_IPV6) {
        const uint8_t *port = addresses + 2 * (size_t)out->len;
        out->port = (uint16_t)(port[0] << 8 | port[1]);
    }
}

static enum wsc_status
take_binary(struct wsc_proxy_header *header, struct wsc_proxy_source *out)
{
    size_t last = header->len - 1;
    if (last < sizeof(signature)) {
        return header->kept[last] == signature[last] ? WSC_NEED_DATA : WSC_ERR_PROTOCOL;
    }
    if (header->len == FIXED && read_fixed(header) != WSC_OK) {
        return WSC_ERR_PROTOCOL;
    }
    if (header->len != header->size) {
        return WSC_NEED_DATA;
    }
    read_binary(header, out);
    return WSC_OK;
}

/* --- either --- */

void wsc_proxy_header_init(struct wsc_proxy_header *header)
{
    memset(header, 0, sizeof(*header));
}

enum wsc_status wsc_proxy_header_feed(struct wsc_proxy_header *header,
                                      const uint8_t *data, size_t len, size_t *out_used,
                                      struct wsc_proxy_source *out_source)
{
    memset(out_source, 0, sizeof(*out_source));
    for (size_t i = 0; i < len; i++) {
        /* What follows the addresses are TLVs, which nobody asks for. */
        if (header->len < sizeof(header->kept)) {
            header->kept[header->len] = data[i];
        }
        header->len++;
        enum wsc_status status = header->kept[0] == (uint8_t)line_start[0]
                                     ? take_line(header, out_source)
                                     : take_binary(header, out_source);
        if (status != WSC_NEED_DATA) {
            *out_used = i + 1;
            return status;
        }
    }
    *out_used = len;
    return WSC_NEED_DATA;
}

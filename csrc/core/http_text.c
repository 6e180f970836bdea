#include "http_chars.h"

#include <string.h>

#include "wsc/http_head.h"

/* clang-format off */
const uint8_t wsc_http_chars[256] = {
     0,  0,  0,  0,  0,  0,  0,  0,  0,  4,  0,  0,  0,  0,  0,  0, /* 00 */
     0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0, /* 10 */
     4, 19,  2,  3, 19, 19, 19, 19, 18, 18, 19, 19, 18, 19, 19,  2, /* 20 */
    19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 18, 18,  2, 18,  2,  2, /* 30 */
     2, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19, /* 40 */
    19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 18,  2, 18,  3, 19, /* 50 */
     3, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19, /* 60 */
    19, 19, 19, 19, 19, 19, 19, 19, 19, 19, 19,  2,  3,  2, 19,  0, /* 70 */
     8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8, /* 80 */
     8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8, /* 90 */
     8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8, /* a0 */
     8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8, /* b0 */
     8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8, /* c0 */
     8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8, /* d0 */
     8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8, /* e0 */
     8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8,  8, /* f0 */
};
/* clang-format on */

static bool all_chars_are(struct wsc_str text, unsigned classes)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!wsc_char_is((uint8_t)text.data[i], classes)) {
            return false;
        }
    }
    return true;
}

static bool is_blank(char c)
{
    return wsc_char_is((uint8_t)c, WSC_CHAR_BLANK);
}

struct wsc_str wsc_http_target_path(struct wsc_str target)
{
    static const char mark[] = "://";
    size_t at = 0;
    while (at < target.len && wsc_char_is((uint8_t)target.data[at], WSC_CHAR_TOKEN)) {
        at++; /* a scheme, or anything but a path */
    }
    if (at == 0 || target.len - at < sizeof(mark) - 1 ||
        memcmp(target.data + at, mark, sizeof(mark) - 1) != 0) {
        return target;
    }
    at += sizeof(mark) - 1;
    while (at < target.len && target.data[at] != '/' && target.data[at] != '?') {
        at++;
    }
    struct wsc_str path = {target.data + at, target.len - at};
    return path;
}

bool wsc_http_is_token(struct wsc_str text)
{
    return text.len > 0 && all_chars_are(text, WSC_CHAR_TOKEN);
}

bool wsc_http_is_field_value(struct wsc_str text)
{
    if (text.len == 0) {
        return true;
    }
    return !is_blank(text.data[0]) && !is_blank(text.data[text.len - 1]) &&
           all_chars_are(text, WSC_CHAR_VISIBLE | WSC_CHAR_BLANK | WSC_CHAR_OBS);
}

bool wsc_http_is_target(struct wsc_str text)
{
    /* RFC 6455 §3: fragment identifiers MUST NOT be used; a '#' would start one. */
    return text.len > 0 && all_chars_are(text, WSC_CHAR_VISIBLE) &&
           memchr(text.data, '#', text.len) == NULL;
}

const struct wsc_http_header *wsc_http_head_find(const struct wsc_http_head *head,
                                                 const char *name,
                                                 const struct wsc_http_header *previous)
{
    size_t i = previous == NULL ? 0 : (size_t)(previous - head->headers) + 1;
    size_t len = strlen(name);
    for (; i < head->header_count; i++) {
        /* Most names differ in length already. */
        const struct wsc_http_header *header = &head->headers[i];
        if (header->name.len == len && wsc_str_is_nocase(header->name, name)) {
            return header;
        }
    }
    return NULL;
}

static struct wsc_str trimmed(const char *start, const char *end)
{
    while (start < end && is_blank(*start)) {
        start++;
    }
    while (start < end && is_blank(end[-1])) {
        end--;
    }
    return (struct wsc_str){.data = start, .len = (size_t)(end - start)};
}

bool wsc_http_list_next(struct wsc_str list, size_t *position,
                        struct wsc_str *out_element)
{
    while (*position < list.len) {
        const char *start = list.data + *position;
        const char *end = list.data + list.len;
        const char *comma = memchr(start, ',', (size_t)(end - start));
        *position = comma == NULL ? list.len : (size_t)(comma - list.data) + 1;
        *out_element = trimmed(start, comma == NULL ? end : comma);
        if (out_element->len > 0) {
            return true;
        }
    }
    return false;
}

enum wsc_status
wsc_http_token_next(struct wsc_str list, size_t *position, struct wsc_str *out_token)
{
    if (!wsc_http_list_next(list, position, out_token)) {
        return WSC_NEED_DATA;
    }
    return wsc_http_is_token(*out_token) ? WSC_OK : WSC_ERR_HANDSHAKE;
}

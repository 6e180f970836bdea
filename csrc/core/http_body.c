#include "http_body.h"

#include <stdbool.h>
#include <string.h>

/* A chunk's size in hexadecimal digits at *position, which is moved behind its line. */
static bool read_size(const struct wsc_buffer *body, size_t *position, size_t *out_size)
{
    size_t size = 0;
    size_t digits = 0;
    size_t i = *position;
    for (; i < body->len; i++, digits++) {
        uint8_t c = body->data[i];
        uint8_t lower = c | 0x20U;
        if (c >= '0' && c <= '9') {
            size = size << 4 | (size_t)(c - '0');
        }
        else if (lower >= 'a' && lower <= 'f') {
            size = size << 4 | (size_t)(lower - 'a' + 10);
        }
        else {
            break;
        }
        if (size > body->max) {
            return false;
        }
    }
    const uint8_t *line_end =
        i < body->len ? memchr(body->data + i, '\n', body->len - i) : NULL;
    if (digits == 0 || line_end == NULL) {
        return false;
    }
    *position = (size_t)(line_end - body->data) + 1;
    *out_size = size;
    return true;
}

void wsc_http_dechunk(struct wsc_buffer *body)
{
    size_t read = 0;
    size_t written = 0;
    size_t size;
    /* read <= len: behind a line end that is there, then behind no more than is. */
    while (read_size(body, &read, &size) && size > 0) {
        size_t at_hand = size < body->len - read ? size : body->len - read;
        memmove(body->data + written, body->data + read, at_hand);
        written += at_hand;
        read += at_hand;
        /* The line end after the data; without it the rest is not there or malformed.
         */
        if (body->len - read < 2 || memcmp(body->data + read, "\r\n", 2) != 0) {
            break;
        }
        read += 2;
    }
    body->len = written;
}

#include "http_body.h"

#include <string.h>

enum found {
    THERE,
    MISSING,  /* up to now */
    MALFORMED /* whatever comes */
};

/* A chunk's size in hexadecimal digits at *position, which is moved behind its line. */
static enum found
read_size(const struct wsc_buffer *body, size_t *position, size_t *out_size)
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
            return MALFORMED;
        }
    }
    if (i == body->len) {
        return MISSING;
    }
    if (digits == 0) {
        return MALFORMED;
    }
    const uint8_t *line_end = memchr(body->data + i, '\n', body->len - i);
    if (line_end == NULL) {
        return MISSING;
    }
    *position = (size_t)(line_end - body->data) + 1;
    *out_size = size;
    return THERE;
}

/* "\r\n" at *position, which is moved behind it. */
static enum found read_line_end(const struct wsc_buffer *body, size_t *position)
{
    if (body->len - *position < 2) {
        return MISSING;
    }
    if (memcmp(body->data + *position, "\r\n", 2) != 0) {
        return MALFORMED;
    }
    *position += 2;
    return THERE;
}

bool wsc_http_has_last_chunk(const struct wsc_buffer *body)
{
    size_t at = 0;
    size_t size = 1;
    enum found found = THERE;
    /* at <= len: behind a line end that is there, then behind no more than is. */
    while (found == THERE && size > 0) {
        found = read_size(body, &at, &size);
        if (found == THERE && size > 0) {
            if (size > body->len - at) {
                return false;
            }
            at += size;
            found = read_line_end(body, &at);
        }
    }
    if (found != THERE) {
        return found == MALFORMED;
    }
    for (;;) { /* trailers */
        found = read_line_end(body, &at);
        if (found != MALFORMED) {
            return found == THERE;
        }
        const uint8_t *end = memchr(body->data + at, '\n', body->len - at);
        if (end == NULL) {
            return false;
        }
        at = (size_t)(end - body->data) + 1;
    }
}

void wsc_http_dechunk(struct wsc_buffer *body)
{
    size_t read = 0;
    size_t written = 0;
    size_t size;
    /* read <= len: behind a line end that is there, then behind no more than is. */
    while (read_size(body, &read, &size) == THERE && size > 0) {
        size_t at_hand = size < body->len - read ? size : body->len - read;
        memmove(body->data + written, body->data + read, at_hand);
        written += at_hand;
        read += at_hand;
        /* The line end after the data; without it the rest is not there or malformed.
         */
        if (read_line_end(body, &read) != THERE) {
            break;
        }
    }
    body->len = written;
}

/* Private: one code point of UTF-8 (RFC 3629 §4), and the ends of validated text. */
#ifndef WSC_SIMD_CODE_POINT_H
#define WSC_SIMD_CODE_POINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "simd.h"

static inline bool is_continuation(uint8_t byte)
{
    return (byte & 0xC0) == 0x80;
}

/* The size of the code point at data[0], 1 to 4; 0 if it is bad or cut. len > 0. */
static inline size_t code_point_size(const uint8_t *data, size_t len)
{
    uint8_t lead = data[0];
    if (lead < 0x80) {
        return 1;
    }
    if (lead < 0xE0) {
        /* C0 and C1 could only begin overlong forms. */
        return lead >= 0xC2 && len >= 2 && is_continuation(data[1]) ? 2 : 0;
    }
    if (lead < 0xF0) {
        /* Below U+0800 is overlong, U+D800 to U+DFFF are surrogates. */
        uint8_t low = lead == 0xE0 ? 0xA0 : 0x80;
        uint8_t high = lead == 0xED ? 0x9F : 0xBF;
        bool good =
            len >= 3 && data[1] >= low && data[1] <= high && is_continuation(data[2]);
        return good ? 3 : 0;
    }
    /* Below U+10000 is overlong, above U+10FFFF is nothing. */
    uint8_t low = lead == 0xF0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xF4 ? 0x8F : 0xBF;
    bool good = lead <= 0xF4 && len >= 4 && data[1] >= low && data[1] <= high &&
                is_continuation(data[2]) && is_continuation(data[3]);
    return good ? 4 : 0;
}

/* data[0..end) has no error, but its last code point may be cut: where that begins, or
 * `end` if it is whole. */
static inline size_t last_boundary(const uint8_t *data, size_t end)
{
    for (size_t back = 1; back <= 3 && back <= end; back++) {
        uint8_t byte = data[end - back];
        if (!is_continuation(byte)) {
            size_t size = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1;
            return size > back ? end - back : end;
        }
    }
    return end;
}

/* Go on by the scalar version from the last boundary before `end`. */
static inline size_t finish_prefix(const uint8_t *data, size_t len, size_t end)
{
    size_t start = last_boundary(data, end);
    if (start == len) {
        return len;
    }
    return start + wsc_simd_scalar.utf8_prefix(data + start, len - start);
}

#endif

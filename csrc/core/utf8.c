#include "wsc/utf8.h"

#include "simd/simd.h"
#include "simd/words.h"

/* What may come next, RFC 3629 §4. */
enum {
    BOUNDARY,
    TAIL_1, /* one continuation is missing, 80 to BF */
    TAIL_2,
    TAIL_3,
    AFTER_E0, /* A0 to BF (else overlong), then TAIL_1 */
    AFTER_ED, /* 80 to 9F (else a surrogate), then TAIL_1 */
    AFTER_F0, /* 90 to BF (else overlong), then TAIL_2 */
    AFTER_F4, /* 80 to 8F (else above U+10FFFF), then TAIL_2 */
    BAD,
};

static uint8_t after_lead(uint8_t lead)
{
    if (lead < 0x80) {
        return BOUNDARY;
    }
    if (lead < 0xC2 || lead > 0xF4) {
        return BAD;
    }
    if (lead < 0xE0) {
        return TAIL_1;
    }
    if (lead < 0xF0) {
        return lead == 0xE0 ? AFTER_E0 : lead == 0xED ? AFTER_ED : TAIL_2;
    }
    return lead == 0xF0 ? AFTER_F0 : lead == 0xF4 ? AFTER_F4 : TAIL_3;
}

static uint8_t next_state(uint8_t state, uint8_t byte)
{
    static const struct {
        uint8_t low;
        uint8_t high;
        uint8_t next;
    } rules[] = {
        [TAIL_1] = {0x80, 0xBF, BOUNDARY}, [TAIL_2] = {0x80, 0xBF, TAIL_1},
        [TAIL_3] = {0x80, 0xBF, TAIL_2},   [AFTER_E0] = {0xA0, 0xBF, TAIL_1},
        [AFTER_ED] = {0x80, 0x9F, TAIL_1}, [AFTER_F0] = {0x90, 0xBF, TAIL_2},
        [AFTER_F4] = {0x80, 0x8F, TAIL_2},
    };
    if (state == BOUNDARY) {
        return after_lead(byte);
    }
    if (state >= BAD || byte < rules[state].low || byte > rules[state].high) {
        return BAD;
    }
    return rules[state].next;
}

/* The size of the valid whole code points at the start; most short texts are ASCII. */
static size_t valid_prefix(const uint8_t *data, size_t len)
{
    if (len <= WSC_SIMD_SHORT && is_ascii_short(data, len)) {
        return len;
    }
    return wsc_simd_ops()->utf8_prefix(data, len);
}

void wsc_utf8_init(struct wsc_utf8 *utf8)
{
    utf8->state = BOUNDARY;
}

enum wsc_status
wsc_utf8_feed(struct wsc_utf8 *utf8, const uint8_t *data, size_t len, size_t *out_error)
{
    uint8_t state = utf8->state;
    size_t i = 0;
    while (i < len) {
        if (state == BOUNDARY) {
            /* What is left is at most one bad or cut code point: byte by byte then. */
            i += valid_prefix(data + i, len - i);
            if (i == len) {
                break;
            }
        }
        do {
            state = next_state(state, data[i]);
            if (state == BAD) {
                utf8->state = BAD;
                if (out_error != NULL) {
                    *out_error = i;
                }
                return WSC_ERR_UTF8;
            }
            i++;
        } while (i < len && state != BOUNDARY);
    }
    utf8->state = state;
    return WSC_OK;
}

enum wsc_status wsc_utf8_finish(const struct wsc_utf8 *utf8)
{
    return utf8->state == BOUNDARY ? WSC_OK : WSC_ERR_UTF8;
}

bool wsc_utf8_is_valid(const uint8_t *data, size_t len)
{
    return valid_prefix(data, len) == len;
}

bool wsc_utf8_is_ascii(const uint8_t *data, size_t len)
{
    if (len <= WSC_SIMD_SHORT) {
        return is_ascii_short(data, len);
    }
    return wsc_simd_ops()->is_ascii(data, len);
}

/* Character classes of HTTP, shared by the reader and by the checks of what is written.
 */
#ifndef WSC_CORE_HTTP_CHARS_H
#define WSC_CORE_HTTP_CHARS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    WSC_CHAR_TOKEN = 1,   /* tchar, RFC 9110 §5.6.2 */
    WSC_CHAR_VISIBLE = 2, /* VCHAR: 0x21-0x7e */
    WSC_CHAR_BLANK = 4,   /* space, tab */
    WSC_CHAR_OBS = 8,     /* obs-text, RFC 9110 §5.5: 0x80-0xff */
    WSC_CHAR_HOST = 16,   /* uri-host [ ":" port ], RFC 3986 §3.2.2 */
};

/* The classes of each byte, or-ed. */
extern const uint8_t wsc_http_chars[256];

static inline bool wsc_char_is(uint8_t c, unsigned classes)
{
    return (wsc_http_chars[c] & classes) != 0;
}

#endif

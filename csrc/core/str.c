#include "wsc/str.h"

bool wsc_str_equal(struct wsc_str a, struct wsc_str b)
{
    /* memcmp takes no NULL, not even for no bytes. */
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool wsc_str_is(struct wsc_str str, const char *text)
{
    return wsc_str_equal(str, wsc_str_of(text));
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool wsc_str_is_nocase(struct wsc_str str, const char *text)
{
    for (size_t i = 0; i < str.len; i++) {
        /* The NUL ends `text`: one in `str` must not match it and read on. */
        if (text[i] == '\0' || lower(str.data[i]) != lower(text[i])) {
            return false;
        }
    }
    return text[str.len] == '\0';
}

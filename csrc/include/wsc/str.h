/* A borrowed piece of text, and how two of them are compared. */
#ifndef WSC_STR_H
#define WSC_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "wsc/api.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Not NUL-terminated; any bytes. */
struct wsc_str {
    const char *data; /* NULL means absent */
    size_t len;
};

/* All of `text`, which stays the caller's; NULL is absent. */
static inline struct wsc_str wsc_str_of(const char *text)
{
    struct wsc_str str = {text, text == NULL ? 0 : strlen(text)};
    return str;
}

/* The same bytes. What is absent equals what is empty. */
WSC_API bool wsc_str_equal(struct wsc_str a, struct wsc_str b);
/* The bytes of `text`, without its NUL. */
WSC_API bool wsc_str_is(struct wsc_str str, const char *text);
/* The same but for the case of ASCII letters, whatever the locale. */
WSC_API bool wsc_str_is_nocase(struct wsc_str str, const char *text);

#ifdef __cplusplus
}
#endif
#endif

/* UTF-8 validation (RFC 3629, as RFC 6455 §8.1 asks), incremental and failing at the
 * first byte that cannot be right: overlong forms, surrogates and code points above
 * U+10FFFF are refused at the byte that makes them so. */
#ifndef WSC_UTF8_H
#define WSC_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wsc/api.h"
#include "wsc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* State between two pieces of one text. Zero-initialised means "start of text". */
struct wsc_utf8 {
    uint8_t state; /* private: what may come next; 0 at a code point boundary */
};

/* Start of text. */
WSC_API void wsc_utf8_init(struct wsc_utf8 *utf8);
/* Validate the next piece. WSC_OK, or WSC_ERR_UTF8 with *out_error (may be NULL) set to
 * the index in this piece of the first byte that cannot be right. After an error the
 * state is unspecified until wsc_utf8_init. */
WSC_API WSC_NODISCARD enum wsc_status wsc_utf8_feed(struct wsc_utf8 *utf8,
                                                    const uint8_t *data, size_t len,
                                                    size_t *out_error);
/* The text ends here: WSC_ERR_UTF8 if in the middle of a code point. */
WSC_API WSC_NODISCARD enum wsc_status wsc_utf8_finish(const struct wsc_utf8 *utf8);

/* Whole texts. Thread-safe; `len` may be 0, `data` then NULL. */
WSC_API bool wsc_utf8_is_valid(const uint8_t *data, size_t len);
WSC_API bool wsc_utf8_is_ascii(const uint8_t *data, size_t len);

#ifdef __cplusplus
}
#endif
#endif

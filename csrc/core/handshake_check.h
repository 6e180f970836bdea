/* What the checks of requests and responses share. */
#ifndef WSC_CORE_HANDSHAKE_CHECK_H
#define WSC_CORE_HANDSHAKE_CHECK_H

#include "wsc/handshake.h"

/* How often a header is there. */
enum wsc_presence {
    WSC_ABSENT,
    WSC_ONCE,
    WSC_REPEATED,
};
/* *out_header is the first, or the second if repeated, or NULL. */
enum wsc_presence wsc_handshake_presence(const struct wsc_http_head *head,
                                         const char *name,
                                         const struct wsc_http_header **out_header);

/* Fill in *out_failure and return WSC_ERR_HANDSHAKE. `name` and `header` may be NULL.
 */
enum wsc_status
wsc_handshake_refuse(struct wsc_handshake_failure *out_failure,
                     enum wsc_handshake_error error, uint16_t status, const char *name,
                     const struct wsc_http_header *header, const char *reason);
/* The same, for a header that came more than once. */
enum wsc_status wsc_handshake_refuse_repeated(struct wsc_handshake_failure *out_failure,
                                              enum wsc_handshake_error error,
                                              uint16_t status, const char *name,
                                              const struct wsc_http_header *header,
                                              const char *reason);

/* Is `element` in the comma-separated list that all lines of this name make, without
 * regard to case? */
bool wsc_handshake_lists(const struct wsc_http_head *head, const char *name,
                         const char *element);

/* HTTP/1.1, or a later minor version, which means no less (RFC 9110 §2.5). */
bool wsc_handshake_http_version_is_good(const struct wsc_http_head *head);

#endif

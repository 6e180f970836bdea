/* What both ends of the opening handshake share. */
#include "wsc/handshake.h"

#include <string.h>

#include "handshake_check.h"

enum wsc_presence wsc_handshake_presence(const struct wsc_http_head *head,
                                         const char *name,
                                         const struct wsc_http_header **out_header)
{
    *out_header = wsc_http_head_find(head, name, NULL);
    if (*out_header == NULL) {
        return WSC_ABSENT;
    }
    const struct wsc_http_header *second = wsc_http_head_find(head, name, *out_header);
    if (second == NULL) {
        return WSC_ONCE;
    }
    *out_header = second;
    return WSC_REPEATED;
}

enum wsc_status
wsc_handshake_refuse(struct wsc_handshake_failure *out_failure,
                     enum wsc_handshake_error error, uint16_t status, const char *name,
                     const struct wsc_http_header *header, const char *reason)
{
    memset(out_failure, 0, sizeof(*out_failure));
    out_failure->error = error;
    out_failure->status = status;
    out_failure->header = name;
    if (header != NULL) {
        out_failure->value = header->value;
    }
    out_failure->reason = reason;
    return WSC_ERR_HANDSHAKE;
}

enum wsc_status wsc_handshake_refuse_repeated(struct wsc_handshake_failure *out_failure,
                                              enum wsc_handshake_error error,
                                              uint16_t status, const char *name,
                                              const struct wsc_http_header *header,
                                              const char *reason)
{
    enum wsc_status refused =
        wsc_handshake_refuse(out_failure, error, status, name, header, reason);
    out_failure->duplicate = true;
    return refused;
}

bool wsc_handshake_lists(const struct wsc_http_head *head, const char *name,
                         const char *element)
{
    const struct wsc_http_header *header = NULL;
    while ((header = wsc_http_head_find(head, name, header)) != NULL) {
        struct wsc_str listed;
        size_t position = 0;
        while (wsc_http_list_next(header->value, &position, &listed)) {
            if (wsc_str_is_nocase(listed, element)) {
                return true;
            }
        }
    }
    return false;
}

bool wsc_handshake_http_version_is_good(const struct wsc_http_head *head)
{
    return head->major == 1 && head->minor >= 1;
}

static enum wsc_status
join_values(const struct wsc_http_head *head, const char *name, struct wsc_buffer *out)
{
    const struct wsc_http_header *header = wsc_http_head_find(head, name, NULL);
    enum wsc_status status = WSC_OK;
    bool first = true;
    for (; header != NULL && status == WSC_OK;
         header = wsc_http_head_find(head, name, header)) {
        if (!first) {
            status = wsc_buffer_append_str(out, ", ");
        }
        if (status == WSC_OK) {
            status = wsc_buffer_append(out, header->value.data, header->value.len);
        }
        first = false;
    }
    return status;
}

enum wsc_status wsc_handshake_join(const struct wsc_http_head *head, const char *name,
                                   struct wsc_buffer *out)
{
    size_t len = out->len;
    enum wsc_status status = join_values(head, name, out);
    if (status != WSC_OK) {
        out->len = len;
    }
    return status;
}

void wsc_handshake_head_failure(const struct wsc_http_head *head,
                                struct wsc_handshake_failure *out_failure)
{
    uint16_t status = 400;
    const char *reason = "The message could not be read.";
    switch (head->error) {
    case WSC_HTTP_OK: /* out of memory, or not complete */
        break;
    case WSC_HTTP_START_LINE_TOO_LONG:
        status = 414;
        reason = "The first line is too long.";
        break;
    case WSC_HTTP_HEADER_TOO_LARGE:
        status = 431;
        reason = "The headers are too large or too many.";
        break;
    case WSC_HTTP_START_LINE:
        reason = "The first line is malformed.";
        break;
    case WSC_HTTP_HEADER_NAME:
        reason = "A header name is malformed.";
        break;
    case WSC_HTTP_HEADER_VALUE:
        reason = "A header value contains a control character.";
        break;
    case WSC_HTTP_LINE_END:
        reason = "A line does not end with CR LF, or is folded.";
        break;
    case WSC_HTTP_NOT_HTTP:
        reason = "This is not HTTP.";
        break;
    }
    (void)wsc_handshake_refuse(out_failure, WSC_HANDSHAKE_HEAD, status, NULL, NULL,
                               reason);
}

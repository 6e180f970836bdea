/* The body of a refusal that a client keeps the beginning of. */
#ifndef WSC_HTTP_BODY_H
#define WSC_HTTP_BODY_H

#include "wsc/buffer.h"

#include <stdbool.h>

/* Has the last chunk come (RFC 9112 §7.1), with the empty line behind its trailers?
 * False also for what is malformed. */
bool wsc_http_has_last_chunk(const struct wsc_buffer *body);

/* Take the chunked coding (RFC 9112 §7.1) off what has come of a body, in place: chunk
 * sizes, extensions and trailers go, data stays, up to what is missing or malformed. */
void wsc_http_dechunk(struct wsc_buffer *body);

#endif

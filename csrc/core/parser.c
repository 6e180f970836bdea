#include "wsc/parser.h"

#include <string.h>

#define FIRST_BYTES 2 /* enough to know opcode, RSV bits and masking */

void wsc_parser_init(struct wsc_parser *parser, enum wsc_role role, bool allow_rsv1)
{
    memset(parser, 0, sizeof(*parser));
    parser->allow_rsv1 = allow_rsv1;
    /* RFC 6455 §5.1: frames from a client are masked, frames from a server are not */
    parser->want_masked = role == WSC_ROLE_SERVER;
}

static enum wsc_status refuse(struct wsc_parser *parser, const char *reason)
{
    parser->reason = reason;
    return WSC_ERR_PROTOCOL;
}

/* The rules about one frame that depend on the connection and need only two bytes, so
 * that a wrong frame is refused before its length has come. */
static enum wsc_status
check_first_bytes(struct wsc_parser *parser, const uint8_t *bytes)
{
    bool fin = (bytes[0] & 0x80U) != 0;
    bool rsv1 = (bytes[0] & 0x40U) != 0;
    uint8_t opcode = bytes[0] & 0x0FU;
    /* RFC 6455 §5.2: RSV bits are 0 unless an extension gives them a meaning; RFC 7692
     * §6.1: RSV1 is on the first frame of a data message only */
    if ((bytes[0] & 0x30U) != 0) {
        return refuse(parser, "reserved bits must be 0");
    }
    if (rsv1 && (!parser->allow_rsv1 || wsc_opcode_is_control(opcode) ||
                 opcode == WSC_OPCODE_CONTINUATION)) {
        return refuse(parser, "unexpected RSV1");
    }
    if (((bytes[1] & 0x80U) != 0) != parser->want_masked) {
        return refuse(parser, parser->want_masked
                                  ? "a client's frame must be masked"
                                  : "a server's frame must not be masked");
    }
    if (wsc_opcode_is_control(opcode)) {
        if (opcode > WSC_OPCODE_PONG) {
            return refuse(parser, "reserved opcode");
        }
        if (!fin) {
            return refuse(parser, "fragmented control frame");
        }
        if ((bytes[1] & 0x7FU) > WSC_CONTROL_PAYLOAD_MAX) {
            return refuse(parser, "control frame too long");
        }
        return WSC_OK;
    }
    if (opcode > WSC_OPCODE_BINARY) {
        return refuse(parser, "reserved opcode");
    }
    /* RFC 6455 §5.4: a message's frames are not interleaved with another's */
    if (parser->in_message != (opcode == WSC_OPCODE_CONTINUATION)) {
        return refuse(parser, parser->in_message ? "expected a continuation frame"
                                                 : "unexpected continuation frame");
    }
    return WSC_OK;
}

static enum wsc_status
decode(struct wsc_parser *parser, const uint8_t *bytes, size_t len, size_t *out_size)
{
    if (len >= FIRST_BYTES) {
        enum wsc_status status = check_first_bytes(parser, bytes);
        if (status != WSC_OK) {
            return status;
        }
    }
    enum wsc_status status =
        wsc_frame_header_decode(bytes, len, &parser->header, out_size);
    return status == WSC_ERR_PROTOCOL ? refuse(parser, "invalid payload length")
                                      : status;
}

/* Complete the header from the input, keeping what is too short aside. */
static enum wsc_status
read_header(struct wsc_parser *parser, const uint8_t **data, size_t *len)
{
    size_t size = 0;
    if (parser->partial_len == 0) {
        enum wsc_status status = decode(parser, *data, *len, &size);
        if (status == WSC_NEED_DATA) {
            /* Shorter than the longest header, or it would have been complete. */
            memcpy(parser->partial, *data, *len);
            parser->partial_len = (uint8_t)*len;
            *data += *len;
            *len = 0;
        }
        else if (status == WSC_OK) {
            *data += size;
            *len -= size; /* of a header that is there whole */
        }
        return status;
    }
    while (*len > 0) {
        parser->partial[parser->partial_len++] = **data;
        (*data)++;
        (*len)--;
        enum wsc_status status =
            decode(parser, parser->partial, parser->partial_len, &size);
        if (status != WSC_NEED_DATA) {
            parser->partial_len = 0;
            return status;
        }
    }
    return WSC_NEED_DATA;
}

enum wsc_status wsc_parser_next(struct wsc_parser *parser, const uint8_t **data,
                                size_t *len, struct wsc_slice *out_slice)
{
    if (*len == 0) {
        return WSC_NEED_DATA;
    }
    out_slice->begins = !parser->in_frame;
    if (!parser->in_frame) {
        enum wsc_status status = read_header(parser, data, len);
        if (status != WSC_OK) {
            return status;
        }
        parser->in_frame = true;
        parser->offset = 0;
        if (!wsc_opcode_is_control(parser->header.opcode)) {
            parser->in_message = !parser->header.fin;
        }
    }
    /* What came of the payload is never more than it: `missing` bounds each slice. */
    uint64_t missing = parser->header.payload_len - parser->offset;
    out_slice->data = *data;
    out_slice->len = *len < missing ? *len : (size_t)missing;
    out_slice->offset = parser->offset;
    out_slice->ends = out_slice->len == missing;
    parser->offset += out_slice->len;
    parser->in_frame = !out_slice->ends;
    *data += out_slice->len;
    *len -= out_slice->len;
    return WSC_OK;
}

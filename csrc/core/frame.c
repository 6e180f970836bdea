#include "wsc/frame.h"

#include <string.h>

/* The 7-bit length field's values that announce a longer form, RFC 6455 §5.2. */
#define LEN_16_BIT 126
#define LEN_64_BIT 127

#define FIN_BIT     0x80U
#define RSV1_BIT    0x40U
#define RSV2_BIT    0x20U
#define RSV3_BIT    0x10U
#define OPCODE_BITS 0x0FU
#define MASK_BIT    0x80U
#define LEN_BITS    0x7FU

static uint64_t read_big_endian(const uint8_t *data, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++) {
        value = value << 8 | data[i];
    }
    return value;
}

static bool opcode_is_known(uint8_t opcode)
{
    /* 3-7 and B-F are reserved, RFC 6455 §5.2. */
    return opcode <= WSC_OPCODE_BINARY ||
           (opcode >= WSC_OPCODE_CLOSE && opcode <= WSC_OPCODE_PONG);
}

/* What the first two bytes show already. */
static enum wsc_status check_first_bytes(uint8_t first, uint8_t len_field)
{
    uint8_t opcode = first & OPCODE_BITS;
    if (!opcode_is_known(opcode)) {
        return WSC_ERR_PROTOCOL;
    }
    /* RFC 6455 §5.5: control frames have at most 125 bytes and are not fragmented */
    if (wsc_opcode_is_control(opcode) &&
        ((first & FIN_BIT) == 0 || len_field > WSC_CONTROL_PAYLOAD_MAX)) {
        return WSC_ERR_PROTOCOL;
    }
    return WSC_OK;
}

/* The extended length at `data`; RFC 6455 §5.2: the minimal form, MSB 0. */
static enum wsc_status
decode_extended_len(const uint8_t *data, size_t size, uint64_t *out_len)
{
    uint64_t value = read_big_endian(data, size);
    uint64_t smallest = size == 2 ? LEN_16_BIT : (uint64_t)UINT16_MAX + 1;
    if (value < smallest || value > WSC_PAYLOAD_LEN_MAX) {
        return WSC_ERR_PROTOCOL;
    }
    *out_len = value;
    return WSC_OK;
}

enum wsc_status wsc_frame_header_decode(const uint8_t *data, size_t len,
                                        struct wsc_frame_header *out_header,
                                        size_t *out_size)
{
    if (len < 2) {
        return WSC_NEED_DATA;
    }
    uint8_t len_field = data[1] & LEN_BITS;
    enum wsc_status status = check_first_bytes(data[0], len_field);
    if (status != WSC_OK) {
        return status;
    }
    size_t size = 2; /* never above len */
    uint64_t payload_len = len_field;
    if (len_field >= LEN_16_BIT) {
        size_t extended = len_field == LEN_16_BIT ? 2 : 8;
        if (len - size < extended) {
            return WSC_NEED_DATA;
        }
        status = decode_extended_len(data + size, extended, &payload_len);
        if (status != WSC_OK) {
            return status;
        }
        size += extended;
    }
    bool masked = (data[1] & MASK_BIT) != 0;
    if (masked) {
        if (len - size < sizeof(out_header->masking_key)) {
            return WSC_NEED_DATA;
        }
        memcpy(out_header->masking_key, data + size, sizeof(out_header->masking_key));
        size += sizeof(out_header->masking_key);
    }
    else {
        memset(out_header->masking_key, 0, sizeof(out_header->masking_key));
    }
    out_header->fin = (data[0] & FIN_BIT) != 0;
    out_header->rsv1 = (data[0] & RSV1_BIT) != 0;
    out_header->rsv2 = (data[0] & RSV2_BIT) != 0;
    out_header->rsv3 = (data[0] & RSV3_BIT) != 0;
    out_header->masked = masked;
    out_header->opcode = data[0] & OPCODE_BITS;
    out_header->payload_len = payload_len;
    *out_size = size;
    return WSC_OK;
}

static size_t extended_size(uint64_t payload_len)
{
    if (payload_len < LEN_16_BIT) {
        return 0;
    }
    return payload_len <= UINT16_MAX ? 2 : 8;
}

size_t wsc_frame_header_size(uint64_t payload_len, bool masked)
{
    return 2 + extended_size(payload_len) + (masked ? 4U : 0U);
}

size_t wsc_frame_header_encode(const struct wsc_frame_header *header, uint8_t *out)
{
    size_t extended = extended_size(header->payload_len);
    uint8_t mask_bit = header->masked ? MASK_BIT : 0;
    out[0] = (uint8_t)((header->fin ? FIN_BIT : 0U) | (header->rsv1 ? RSV1_BIT : 0U) |
                       (header->rsv2 ? RSV2_BIT : 0U) | (header->rsv3 ? RSV3_BIT : 0U) |
                       header->opcode);
    if (extended == 0) {
        out[1] = (uint8_t)(mask_bit | header->payload_len);
    }
    else {
        out[1] = mask_bit | (extended == 2 ? LEN_16_BIT : LEN_64_BIT);
        for (size_t i = 0; i < extended; i++) {
            out[2 + i] = (uint8_t)(header->payload_len >> (8 * (extended - 1 - i)));
        }
    }
    size_t size = 2 + extended;
    if (header->masked) {
        memcpy(out + size, header->masking_key, sizeof(header->masking_key));
        size += sizeof(header->masking_key);
    }
    return size;
}

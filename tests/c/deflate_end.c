#include "deflate_end.h"

#include <stdlib.h>

const struct feeding WHOLE = {0, 0, false};
const struct feeding BY_BYTES = {1, 1, false};
const struct feeding IN_RANDOM_SPLITS = {40, 300, true};

struct wsc_deflate *end_new(struct end_options o)
{
    struct wsc_deflate_settings settings;
    wsc_deflate_settings_init(&settings);
    settings.level = o.level == -2 ? 0 : o.level == 0 ? -1 : o.level;
    settings.mem_level = o.mem_level == 0 ? 8 : o.mem_level;
    uint8_t own = o.own_bits == 0 ? 15 : o.own_bits;
    uint8_t peer = o.peer_bits == 0 ? 15 : o.peer_bits;
    bool server = o.role == WSC_ROLE_SERVER;
    struct wsc_deflate_params params = {
        .server_no_context_takeover = server ? o.own_no_takeover : o.peer_no_takeover,
        .client_no_context_takeover = server ? o.peer_no_takeover : o.own_no_takeover,
        .server_max_window_bits = server ? own : peer,
        .client_max_window_bits = server ? peer : own,
    };
    struct wsc_deflate *end = NULL;
    enum wsc_status status =
        wsc_deflate_new(o.allocator != NULL ? o.allocator : wsc_allocator_default(),
                        o.pool, o.role, &settings, &params, &end);
    CHECK(status == WSC_OK || status == WSC_ERR_NO_MEMORY);
    return end;
}

static size_t pick(size_t left, size_t max, bool random)
{
    size_t n = random ? test_random_below(max + 1) : max;
    return max == 0 || n > left ? left : n;
}

/* Call until the piece is used and everything is written. */
static enum wsc_status receive_piece(struct wsc_deflate *end, struct feeding feeding,
                                     const uint8_t *piece, size_t len, bool is_end,
                                     size_t limit, struct bytes *message)
{
    enum wsc_status status;
    size_t idle = 0;
    do {
        size_t cap = pick(limit - message->len, feeding.out_step, feeding.random);
        uint8_t *room = malloc(cap > 0 ? cap : 1);
        size_t used = 0;
        size_t written = 0;
        if (room == NULL) {
            abort();
        }
        if (is_end) {
            status = wsc_deflate_decompress_end(end, room, cap, &written);
        }
        else {
            status =
                wsc_deflate_decompress(end, piece, len, &used, room, cap, &written);
        }
        CHECK(used <= len && written <= cap);
        /* WSC_NEED_SPACE is only said when the room was used. */
        CHECK(status != WSC_NEED_SPACE || written == cap);
        CHECK(status != WSC_OK || used == len);
        bytes_append(message, room, written);
        free(room);
        piece = used > 0 ? piece + used : piece;
        len -= used;
        idle = used == 0 && written == 0 ? idle + 1 : 0;
    } while (status == WSC_NEED_SPACE && message->len < limit && idle < 100);
    return status;
}

enum wsc_status end_receive(struct wsc_deflate *end, struct feeding feeding,
                            const uint8_t *wire, size_t len, size_t limit,
                            struct bytes *message)
{
    message->len = 0;
    size_t at = 0;
    do {
        size_t n = pick(len - at, feeding.in_max, feeding.random);
        uint8_t *piece = malloc(n > 0 ? n : 1);
        if (piece == NULL) {
            abort();
        }
        if (n > 0) {
            memcpy(piece, wire + at, n);
        }
        enum wsc_status status =
            receive_piece(end, feeding, piece, n, false, limit, message);
        free(piece);
        if (status != WSC_OK) {
            return status;
        }
        at += n;
    } while (at < len);
    return receive_piece(end, feeding, NULL, 0, true, limit, message);
}

enum wsc_status
end_send(struct wsc_deflate *end, const uint8_t *data, size_t len, struct bytes *wire)
{
    struct wsc_buffer out;
    wsc_buffer_init(&out, wsc_allocator_default(), SIZE_MAX / 4);
    enum wsc_status status = wsc_deflate_compress(end, data, len, true, &out);
    wire->len = 0;
    bytes_append(wire, out.data, out.len);
    wsc_buffer_fini(&out);
    return status;
}

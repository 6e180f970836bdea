/* Bytes after the opening handshake, whole and in pieces: the same events, the same
 * error, the same output; memory within the limit; nothing after an error.
 * Input: role, compression, streaming and limit (1 byte), seed of the split (1), wire.
 */
#include "fuzz_conn.h"

static const size_t limits[] = {0, 1, 125, 126, 1000, 65535, 65536, 1 << 20};

static void run(const struct input *wire, uint8_t flags, uint32_t seed, bool whole,
                struct text *log)
{
    struct end end;
    size_t max_size = limits[flags >> 3 & 7];
    enum wsc_role role = (flags & 1) != 0 ? WSC_ROLE_CLIENT : WSC_ROLE_SERVER;
    bool deflate = (flags & 2) != 0;
    end_open(&end, role, max_size, deflate);
    wsc_conn_set_streaming(&end.conn, (flags & 4) != 0);
    end.counter.peak = end.counter.live;
    enum wsc_status status = WSC_NEED_DATA;
    for (size_t done = 0; done < wire->size;) {
        size_t n = whole ? wire->size : next_piece(&seed, wire->size - done);
        size_t room = 0;
        uint8_t *space = whole ? NULL : wsc_conn_receive_space(&end.conn, &room);
        n = space != NULL && n > room ? room : n;
        uint8_t *piece = exact_copy(wire->data + done, n);
        if (space != NULL) {
            memcpy(space, piece, n);
        }
        REQUIRE(wsc_conn_feed(&end.conn, space != NULL ? space : piece, n) == WSC_OK);
        size_t before = log->len;
        bool failed = status < 0;
        status = end_events(&end, log);
        REQUIRE(wsc_conn_input_left(&end.conn) == 0);
        REQUIRE(!failed || (status < 0 && log->len == before));
        free(piece);
        done += n;
    }
    /* Joined bytes grow by half, and move: old and new block are there at once only
     * inside realloc. zlib's contexts are on top. */
    REQUIRE(end.counter.peak <=
            max_size + max_size / 2 + 65536 + (deflate ? 65536 : 0));
    text_add_int(log, end.conn.error);
    text_add_int(log, end.conn.state);
    text_add_int(log, end.conn.received ? end.conn.received->code : 0);
    text_add_int(log, end.conn.sent ? end.conn.sent->code : 0);
    text_add_int(log, (long long)wsc_conn_outgoing(&end.conn)->size);
    end_fini(&end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    uint8_t flags = take_byte(&input);
    uint8_t seed = take_byte(&input);
    struct text whole = {0};
    struct text pieces = {0};
    run(&input, flags, seed, true, &whole);
    run(&input, flags, seed, false, &pieces);
    REQUIRE(text_equal(&whole, &pieces));
    text_free(&whole);
    text_free(&pieces);
    return 0;
}

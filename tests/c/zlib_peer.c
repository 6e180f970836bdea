#include "zlib_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "test.h"

static void must(bool ok, const char *what)
{
    if (!ok) {
        printf("zlib_peer: %s\n", what);
        abort();
    }
}

void bytes_append(struct bytes *bytes, const void *data, size_t len)
{
    if (bytes->cap - bytes->len < len) {
        bytes->cap = bytes->len + len + bytes->cap / 2 + 64;
        bytes->data = realloc(bytes->data, bytes->cap);
        must(bytes->data != NULL, "no memory");
    }
    if (len > 0) {
        memcpy(bytes->data + bytes->len, data, len);
        bytes->len += len;
    }
}

void bytes_free(struct bytes *bytes)
{
    free(bytes->data);
    memset(bytes, 0, sizeof(*bytes));
}

void zlib_peer_init_sender(struct zlib_peer *peer, int level, int bits, int mem_level,
                           int strategy, bool takeover)
{
    memset(peer, 0, sizeof(*peer));
    peer->deflate_takeover = takeover;
    must(deflateInit2(&peer->deflater, level, Z_DEFLATED, -bits, mem_level, strategy) ==
             Z_OK,
         "deflateInit2");
    must(inflateInit2(&peer->inflater, -15) == Z_OK, "inflateInit2");
}

void zlib_peer_init(struct zlib_peer *peer, int deflate_bits, bool deflate_takeover,
                    int inflate_bits, bool inflate_takeover)
{
    zlib_peer_init_sender(peer, -1, deflate_bits, 8, Z_DEFAULT_STRATEGY,
                          deflate_takeover);
    must(inflateReset2(&peer->inflater, -inflate_bits) == Z_OK, "inflateReset2");
    peer->inflate_takeover = inflate_takeover;
}

void zlib_peer_fini(struct zlib_peer *peer)
{
    (void)deflateEnd(&peer->deflater);
    (void)inflateEnd(&peer->inflater);
}

void zlib_peer_deflate(struct zlib_peer *peer, const uint8_t *data, size_t len,
                       int flush, struct bytes *wire)
{
    uint8_t chunk[4096];
    peer->deflater.next_in = data;
    peer->deflater.avail_in = (uInt)len;
    do {
        peer->deflater.next_out = chunk;
        peer->deflater.avail_out = sizeof(chunk);
        int code = deflate(&peer->deflater, flush);
        must(code == Z_OK || code == Z_BUF_ERROR || code == Z_STREAM_END, "deflate");
        bytes_append(wire, chunk, sizeof(chunk) - peer->deflater.avail_out);
    } while (peer->deflater.avail_out == 0);
}

void zlib_peer_send(struct zlib_peer *peer, const uint8_t *data, size_t len,
                    struct bytes *wire)
{
    if (len == 0) {
        bytes_append(wire, "\0", 1);
        return;
    }
    zlib_peer_deflate(peer, data, len, Z_SYNC_FLUSH, wire);
    must(wire->len >= 4 && memcmp(wire->data + wire->len - 4, "\0\0\xff\xff", 4) == 0,
         "no tail");
    wire->len -= 4;
    if (!peer->deflate_takeover) {
        must(deflateReset(&peer->deflater) == Z_OK, "deflateReset");
    }
}

static bool
inflate_bytes(z_stream *stream, const uint8_t *data, size_t len, struct bytes *message)
{
    uint8_t chunk[4096];
    int code;
    stream->next_in = data;
    stream->avail_in = (uInt)len;
    do {
        stream->next_out = chunk;
        stream->avail_out = sizeof(chunk);
        code = inflate(stream, Z_SYNC_FLUSH);
        bytes_append(message, chunk, sizeof(chunk) - stream->avail_out);
    } while (code == Z_OK && stream->avail_out == 0);
    return (code == Z_OK || code == Z_BUF_ERROR) && stream->avail_in == 0;
}

bool zlib_peer_receive(struct zlib_peer *peer, const uint8_t *wire, size_t len,
                       struct bytes *message)
{
    static const uint8_t tail[4] = {0, 0, 0xFF, 0xFF};
    bool ok = inflate_bytes(&peer->inflater, wire, len, message) &&
              inflate_bytes(&peer->inflater, tail, 4, message) &&
              peer->inflater.data_type == 128;
    if (!peer->inflate_takeover) {
        must(inflateReset(&peer->inflater) == Z_OK, "inflateReset");
    }
    return ok;
}

void random_message(struct bytes *message, size_t len)
{
    static const char *const words[] = {
        "{\"id\":",
        ",\"name\":\"",
        "\",\"value\":",
        "true",
        "null",
        "price",
        "}",
        "\xc3\xa9",
        "the quick brown fox ",
        "0000000000",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    message->len = 0;
    while (message->len < len) {
        uint8_t noise[48];
        size_t n = test_random_below(sizeof(noise)) + 1;
        size_t kind = test_random_below(8);
        if (kind == 0) {
            for (size_t i = 0; i < n; i++) {
                noise[i] = (uint8_t)test_random();
            }
            bytes_append(message, noise, n);
        }
        else if (kind == 1 && message->len > n) {
            memcpy(noise, message->data + test_random_below(message->len - n), n);
            bytes_append(message, noise, n);
        }
        else {
            const char *word =
                words[test_random_below(sizeof(words) / sizeof(words[0]))];
            bytes_append(message, word, strlen(word));
        }
    }
    message->len = len;
}

/* The other end of a permessage-deflate connection, written with zlib alone: the
 * independent half of every round trip. */
#ifndef ZLIB_PEER_H
#define ZLIB_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZLIB_CONST
#include <zlib.h>

struct zlib_peer {
    z_stream deflater;
    z_stream inflater;
    bool deflate_takeover;
    bool inflate_takeover;
};

/* Bytes that grow; freed by the test. */
struct bytes {
    uint8_t *data;
    size_t len;
    size_t cap;
};
void bytes_append(struct bytes *bytes, const void *data, size_t len);
void bytes_free(struct bytes *bytes);

/* What the peer sends with (bits 9-15) and what it receives with (8-15). */
void zlib_peer_init(struct zlib_peer *peer, int deflate_bits, bool deflate_takeover,
                    int inflate_bits, bool inflate_takeover);
/* The same, with everything that a sender can choose. */
void zlib_peer_init_sender(struct zlib_peer *peer, int level, int bits, int mem_level,
                           int strategy, bool takeover);
void zlib_peer_fini(struct zlib_peer *peer);
/* Append the compressed message, without its tail. */
void zlib_peer_send(struct zlib_peer *peer, const uint8_t *data, size_t len,
                    struct bytes *wire);
/* Append compressed bytes, flushed as told, tail and all. */
void zlib_peer_deflate(struct zlib_peer *peer, const uint8_t *data, size_t len,
                       int flush, struct bytes *wire);
/* Append the message that these bytes are; false if zlib does not understand them or
 * they do not end at a block boundary. */
bool zlib_peer_receive(struct zlib_peer *peer, const uint8_t *wire, size_t len,
                       struct bytes *message);

/* A message of that length: words, numbers, noise, and pieces of itself. */
void random_message(struct bytes *message, size_t len);

#endif

/* The end under test, with what every deflate test does with it. */
#ifndef DEFLATE_END_H
#define DEFLATE_END_H

#include "test.h"
#include "zlib_peer.h"

#include "wsc/deflate.h"

struct end_options {
    enum wsc_role role;
    uint8_t own_bits; /* 0: 15 */
    uint8_t peer_bits;
    bool own_no_takeover;
    bool peer_no_takeover;
    int level;     /* 0: -1; use -2 for level 0 */
    int mem_level; /* 0: 8 */
    struct wsc_deflate_pool *pool;
    const struct wsc_allocator *allocator; /* NULL: the default */
};
/* NULL when there is no memory. */
struct wsc_deflate *end_new(struct end_options options);

/* How a message is handed in: pieces of at most in_max bytes (0: in one), random if
 * `random`; room in steps of out_step (0: as much as there is). */
struct feeding {
    size_t in_max;
    size_t out_step;
    bool random;
};
extern const struct feeding WHOLE;
extern const struct feeding BY_BYTES;
extern const struct feeding IN_RANDOM_SPLITS;

/* The message that arrives as `wire`. The first status that is an error, WSC_NEED_SPACE
 * if the message is longer than `limit`. Every piece has its exact size in memory. */
enum wsc_status end_receive(struct wsc_deflate *end, struct feeding feeding,
                            const uint8_t *wire, size_t len, size_t limit,
                            struct bytes *message);
/* Compress in one fragment. */
enum wsc_status
end_send(struct wsc_deflate *end, const uint8_t *data, size_t len, struct bytes *wire);

#endif

/* Many connections with context takeover on one pool, which may hold less than they
 * would: whoever has to give up its contexts, the peers must not notice. */
#include "deflate_end.h"

#include <stdlib.h>

#include "../../csrc/core/deflate_context.h"

#define MIB   ((size_t)1 << 20)
#define CROWD 24

struct member {
    struct wsc_deflate *end;
    struct zlib_peer peer;
    struct end_options options;
    struct bytes half; /* of a message that goes out, as sent so far */
    struct bytes half_wire;
    bool in_message;
    struct bytes coming; /* of one that comes in */
    struct bytes coming_wire;
    size_t coming_used;
    struct bytes coming_got;
    size_t sent; /* by sends_again */
};

/* ---- Members ---- */

static void member_join(struct member *member, struct end_options options)
{
    memset(member, 0, sizeof(*member));
    int peer_bits = options.peer_bits < 9 ? 9 : options.peer_bits;
    zlib_peer_init(&member->peer, peer_bits, !options.peer_no_takeover,
                   options.own_bits, !options.own_no_takeover);
    member->options = options;
    member->end = end_new(options);
}

static void member_leave(struct member *member)
{
    wsc_deflate_free(member->end);
    zlib_peer_fini(&member->peer);
    bytes_free(&member->half);
    bytes_free(&member->half_wire);
    bytes_free(&member->coming);
    bytes_free(&member->coming_wire);
    bytes_free(&member->coming_got);
}

static size_t message_size(void)
{
    return test_random_below(20) == 0 ? test_random_below(20000)
                                      : test_random_below(400);
}

/* A fragment out. The peer has to understand each message when it is whole. A
 * compressor without memory leaves the message as if it had not been begun: `may_fail`.
 */
static bool sends(struct member *member, bool fin, bool may_fail)
{
    struct bytes piece = {0};
    struct bytes got = {0};
    struct wsc_buffer out;
    random_message(&piece, message_size());
    wsc_buffer_init(&out, wsc_allocator_default(), MIB);
    enum wsc_status status =
        wsc_deflate_compress(member->end, piece.data, piece.len, fin, &out);
    CHECK(status == WSC_OK || (may_fail && status == WSC_ERR_NO_MEMORY));
    bool ok = status == WSC_OK;
    if (ok) {
        member->in_message = !fin;
        bytes_append(&member->half, piece.data, piece.len);
        bytes_append(&member->half_wire, out.data, out.len);
    }
    if (ok && fin) {
        CHECK(zlib_peer_receive(&member->peer, member->half_wire.data,
                                member->half_wire.len, &got));
        CHECK_BYTES(got.data, got.len, member->half.data, member->half.len);
        member->half.len = 0;
        member->half_wire.len = 0;
    }
    wsc_buffer_fini(&out);
    bytes_free(&piece);
    bytes_free(&got);
    return ok;
}

/* Some bytes in, of a new message if there is none under way; all the rest if `whole`.
 * WSC_ERR_NO_MEMORY: try again, nothing was used. */
static enum wsc_status receives(struct member *member, bool whole)
{
    uint8_t room[512];
    size_t used;
    size_t len;
    enum wsc_status status;
    if (member->coming_wire.len == 0) {
        random_message(&member->coming, message_size());
        zlib_peer_send(&member->peer, member->coming.data, member->coming.len,
                       &member->coming_wire);
        member->coming_used = 0;
        member->coming_got.len = 0;
    }
    size_t left = member->coming_wire.len - member->coming_used;
    size_t take = whole ? left : test_random_below(left + 1);
    do {
        status = wsc_deflate_decompress(member->end,
                                        member->coming_wire.data + member->coming_used,
                                        take, &used, room, sizeof(room), &len);
        bytes_append(&member->coming_got, room, len);
        member->coming_used += used;
        take -= used;
    } while (status == WSC_NEED_SPACE);
    if (status != WSC_OK || !whole) {
        return status;
    }
    do {
        status = wsc_deflate_decompress_end(member->end, room, sizeof(room), &len);
        bytes_append(&member->coming_got, room, len);
    } while (status == WSC_NEED_SPACE);
    CHECK_BYTES(member->coming_got.data, member->coming_got.len, member->coming.data,
                member->coming.len);
    member->coming_wire.len = 0;
    return status;
}

/* A message that the end under test has not compressed. */
static void sends_foreign(struct member *member)
{
    struct zlib_peer other;
    struct bytes message = {0};
    struct bytes wire = {0};
    struct bytes got = {0};
    zlib_peer_init(&other, member->options.own_bits, false, 15, false);
    random_message(&message, message_size());
    zlib_peer_send(&other, message.data, message.len, &wire);
    wsc_deflate_restart(member->end);
    CHECK(zlib_peer_receive(&member->peer, wire.data, wire.len, &got));
    CHECK_BYTES(got.data, got.len, message.data, message.len);
    zlib_peer_fini(&other);
    bytes_free(&message);
    bytes_free(&wire);
    bytes_free(&got);
}

static void something_happens(struct member *member)
{
    switch (test_random_below(16)) {
    case 0:
        wsc_deflate_release_idle(member->end);
        break;
    case 1:
        if (!member->in_message) {
            sends_foreign(member);
        }
        break;
    case 2:
    case 3:
        CHECK(sends(member, false, false));
        break;
    case 4:
    case 5:
        CHECK_INT(receives(member, false), WSC_OK);
        break;
    case 6: /* an empty message, in one frame */
        if (!member->in_message) {
            struct wsc_buffer out;
            struct bytes got = {0};
            wsc_buffer_init(&out, wsc_allocator_default(), MIB);
            CHECK_INT(wsc_deflate_compress(member->end, NULL, 0, true, &out), WSC_OK);
            CHECK(zlib_peer_receive(&member->peer, out.data, out.len, &got));
            CHECK_INT(got.len, 0);
            wsc_buffer_fini(&out);
            bytes_free(&got);
        }
        break;
    default:
        if (test_random_below(2) == 0) {
            CHECK(sends(member, true, false));
        }
        else {
            CHECK_INT(receives(member, true), WSC_OK);
        }
        break;
    }
}

/* Send a message, every time the same. Had the compressor been kept until then? If not,
 * enough of what it had seen was. */
static bool sends_again(struct member *member)
{
    static const uint8_t text[] =
        "the quick brown fox jumps over the lazy dog, and again";
    struct bytes wire = {0};
    struct bytes got = {0};
    bool kept = wsc_deflate_memory(member->end) > 8192;
    CHECK_INT(end_send(member->end, text, sizeof(text) - 1, &wire), WSC_OK);
    CHECK(zlib_peer_receive(&member->peer, wire.data, wire.len, &got));
    CHECK_BYTES(got.data, got.len, text, sizeof(text) - 1);
    CHECK_INT(wire.len<sizeof(text) / 2, member->sent> 0);
    member->sent++;
    bytes_free(&wire);
    bytes_free(&got);
    return kept;
}

/* ---- The crowd ---- */

static struct end_options
some_options(struct wsc_deflate_pool *pool, const struct wsc_allocator *allocator)
{
    return (struct end_options){
        .role = test_random_below(2) ? WSC_ROLE_SERVER : WSC_ROLE_CLIENT,
        .own_bits = (uint8_t)(9 + test_random_below(7)),
        .peer_bits = (uint8_t)(8 + test_random_below(8)),
        .own_no_takeover = test_random_below(4) == 0,
        .peer_no_takeover = test_random_below(4) == 0,
        .level = (int)test_random_below(12) - 2,
        .mem_level = 1 + (int)test_random_below(9),
        .pool = pool,
        .allocator = allocator,
    };
}

/* INF-11 INF-12: any parameters, any order, messages in the middle of which others have
 * theirs, connections that come and go. */
static void any_order(void)
{
    static const size_t limits[] = {0, 8000, 40000, 200000, MIB, 100 * MIB};
    struct test_allocator allocator;
    struct member crowd[CROWD];
    for (size_t k = 0; k < sizeof(limits) / sizeof(limits[0]); k++) {
        struct wsc_deflate_pool *pool = NULL;
        test_allocator_init(&allocator);
        CHECK_INT(wsc_deflate_pool_new(&allocator.base, 3, limits[k], &pool), WSC_OK);
        for (int i = 0; i < CROWD; i++) {
            member_join(&crowd[i], some_options(pool, &allocator.base));
        }
        for (int i = 0; i < 6000; i++) {
            struct member *member = &crowd[test_random_below(CROWD)];
            if (test_random_below(200) == 0) {
                member_leave(member);
                member_join(member, some_options(pool, &allocator.base));
            }
            something_happens(member);
            CHECK(wsc_deflate_pool_resting(pool) <= limits[k]);
        }
        for (int i = 0; i < CROWD; i++) {
            member_leave(&crowd[i]);
        }
        CHECK_INT(wsc_deflate_pool_resting(pool), 0);
        wsc_deflate_pool_free(pool);
        CHECK_INT(allocator.live_blocks, 0);
    }
}

static struct end_options
usual(struct wsc_deflate_pool *pool, const struct wsc_allocator *allocator)
{
    return (struct end_options){.role = WSC_ROLE_SERVER,
                                .own_bits = 12,
                                .peer_bits = 12,
                                .mem_level = 5,
                                .pool = pool,
                                .allocator = allocator};
}

/* What a deflater of the usual parameters takes, with this zlib. */
static size_t deflater_size(void)
{
    struct wsc_deflate_pool *pool = NULL;
    struct member member;
    CHECK_INT(wsc_deflate_pool_new(wsc_allocator_default(), 0, MIB, &pool), WSC_OK);
    member_join(&member, usual(pool, NULL));
    CHECK(!sends_again(&member));
    size_t size = wsc_deflate_pool_resting(pool);
    CHECK(size > 30000 && size < 50000);
    member_leave(&member);
    wsc_deflate_pool_free(pool);
    return size;
}

/* A crowd of the usual parameters that each had one message both ways. */
static void usual_crowd(struct member *crowd, size_t count,
                        struct wsc_deflate_pool *pool,
                        const struct wsc_allocator *allocator)
{
    for (size_t i = 0; i < count; i++) {
        member_join(&crowd[i], usual(pool, allocator));
        CHECK_INT(receives(&crowd[i], true), WSC_OK);
        CHECK(sends(&crowd[i], true, false));
    }
}

/* INF-12: what a thousand connections hold is the limit, a window each, and what the
 * pool may keep. */
static void memory_of_many(void)
{
    enum { MANY = 1000, LIMIT = 20, IDLE = 4 };
    static struct member crowd[MANY];
    struct test_allocator allocator;
    struct wsc_deflate_pool *pool = NULL;
    const size_t size = deflater_size();
    test_allocator_init(&allocator);
    CHECK_INT(wsc_deflate_pool_new(&allocator.base, IDLE, LIMIT * size, &pool), WSC_OK);
    usual_crowd(crowd, MANY, pool, &allocator.base);
    CHECK(wsc_deflate_pool_resting(pool) > (LIMIT - 1) * size);
    CHECK(allocator.live_bytes <
          MANY * (4096 + 1024 + 256) + (LIMIT + IDLE + 1) * size);
    for (size_t i = 0; i < MANY; i++) {
        CHECK_INT(receives(&crowd[i], true), WSC_OK);
        CHECK(sends(&crowd[i], true, false));
    }
    CHECK(allocator.live_bytes <
          MANY * (4096 + 1024 + 256) + (LIMIT + IDLE + 1) * size);
    for (size_t i = 0; i < MANY; i++) {
        member_leave(&crowd[i]);
    }
    wsc_deflate_pool_free(pool);
    CHECK_INT(allocator.live_blocks, 0);
}

/* ---- Who gives up ---- */

static void
join_senders(struct member *crowd, size_t count, struct wsc_deflate_pool *pool)
{
    for (size_t i = 0; i < count; i++) {
        member_join(&crowd[i], usual(pool, NULL));
    }
}

/* Those that take turns: as many keep their contexts as there is room for. */
static void turns(void)
{
    struct member crowd[12];
    struct wsc_deflate_pool *pool = NULL;
    CHECK_INT(
        wsc_deflate_pool_new(wsc_allocator_default(), 2, 4 * deflater_size(), &pool),
        WSC_OK);
    join_senders(crowd, 12, pool);
    for (int round = 0; round < 10; round++) {
        for (size_t i = 0; i < 12; i++) {
            CHECK_INT(sends_again(&crowd[i]), round > 0 && i < 4);
        }
    }
    for (size_t i = 0; i < 12; i++) {
        member_leave(&crowd[i]);
    }
    wsc_deflate_pool_free(pool);
}

/* Those that have fallen silent make room, the one that did so first before others. */
static void silent_ones(void)
{
    struct member crowd[6];
    struct wsc_deflate_pool *pool = NULL;
    CHECK_INT(
        wsc_deflate_pool_new(wsc_allocator_default(), 2, 4 * deflater_size(), &pool),
        WSC_OK);
    join_senders(crowd, 6, pool);
    for (size_t i = 0; i < 4; i++) {
        CHECK(!sends_again(&crowd[i]));
    }
    CHECK(sends_again(&crowd[0])); /* now crowd[1] is the oldest */
    int lost = 0;
    while (!sends_again(&crowd[4]) && lost < 1000) {
        lost++;
    }
    CHECK(lost > 4 && lost < 100);
    CHECK(sends_again(&crowd[0]));
    CHECK(sends_again(&crowd[2]));
    CHECK(sends_again(&crowd[3]));
    CHECK(sends_again(&crowd[4]));
    CHECK(!sends_again(&crowd[1]));
    for (size_t i = 0; i < 6; i++) {
        member_leave(&crowd[i]);
    }
    wsc_deflate_pool_free(pool);
}

/* ---- Without memory ---- */

/* A window that can't be saved stays where it is, and nothing is lost: whichever
 * allocation fails, messages go on once there is memory again. */
static void without_memory(void)
{
    enum { FEW = 5 };
    const size_t size = deflater_size();
    struct member crowd[FEW];
    for (size_t n = 1; n < 50; n++) {
        size_t limit = n % 2 == 0 ? size : 0;
        struct test_allocator allocator;
        struct wsc_deflate_pool *pool = NULL;
        test_allocator_init(&allocator);
        CHECK_INT(wsc_deflate_pool_new(&allocator.base, 2, limit, &pool), WSC_OK);
        usual_crowd(crowd, FEW, pool, &allocator.base);
        allocator.fail_at = allocator.requests + (n + 1) / 2;
        for (int i = 0; i < 30 * FEW; i++) {
            struct member *member = &crowd[test_random_below(FEW)];
            if (i % 2 == 0) {
                enum wsc_status status = receives(member, true);
                CHECK(status == WSC_OK || status == WSC_ERR_NO_MEMORY);
                if (status != WSC_OK && receives(member, true) != WSC_OK) {
                    /* It struck zlib in the middle: the connection is lost. */
                    member_leave(member);
                    usual_crowd(member, 1, pool, &allocator.base);
                }
            }
            else if (!sends(member, true, true)) {
                CHECK(sends(member, true, false));
            }
        }
        CHECK(limit > 0 || allocator.requests >= allocator.fail_at);
        /* But for a window that could not be saved, after the last message. */
        CHECK(wsc_deflate_pool_resting(pool) <= limit + size / 2);
        for (int i = 0; i < FEW; i++) {
            member_leave(&crowd[i]);
        }
        wsc_deflate_pool_free(pool);
        CHECK_INT(allocator.live_blocks, 0);
    }
}

TEST_MAIN(TEST(any_order), TEST(memory_of_many), TEST(turns), TEST(silent_ones),
          TEST(without_memory))

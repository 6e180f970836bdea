/* Short polling: the policy, and a try with a real socket. */
#include "wsc/clock.h"
#include "wsc/short_poll.h"

#include <sys/socket.h>
#include <unistd.h>

#include "test.h"

static void it_is_tried_when_little_was_ready(void)
{
    struct wsc_short_poll policy = {0, 0};
    CHECK(!wsc_short_poll_wanted(&policy, 0));
    CHECK(wsc_short_poll_wanted(&policy, 1));
    CHECK(wsc_short_poll_wanted(&policy, WSC_SHORT_POLL_SOCKETS));
    CHECK(!wsc_short_poll_wanted(&policy, WSC_SHORT_POLL_SOCKETS + 1));
}

/* How many of `turns` turns have a try, none of which finds anything. */
static unsigned tries_in_vain(struct wsc_short_poll *policy, unsigned turns)
{
    unsigned tries = 0;
    for (unsigned turn = 0; turn < turns; turn++) {
        if (wsc_short_poll_wanted(policy, 1)) {
            tries++;
            wsc_short_poll_note(policy, false);
        }
    }
    return tries;
}

static void what_does_not_pay_becomes_rare(void)
{
    struct wsc_short_poll policy = {0, 0};
    /* 1, 3, 7, 15, 31, 63 turns apart, and then always 63. */
    CHECK_INT(tries_in_vain(&policy, 1 + 2 + 4 + 8 + 16 + 32 + 64), 7);
    CHECK_INT(tries_in_vain(&policy, 640), 10);
}

static void what_pays_is_done_each_time(void)
{
    struct wsc_short_poll policy = {0, 0};
    CHECK(tries_in_vain(&policy, 1000) < 30);
    while (!wsc_short_poll_wanted(&policy, 1)) {
    }
    wsc_short_poll_note(&policy, true);
    for (int turn = 0; turn < 100; turn++) {
        CHECK(wsc_short_poll_wanted(&policy, 1));
        wsc_short_poll_note(&policy, true);
    }
}

static void a_try_ends(void)
{
    struct test_allocator allocator;
    struct wsc_engine *engine;
    struct wsc_link *link;
    struct wsc_io io;
    int ends[2];
    test_allocator_init(&allocator);
    CHECK(wsc_engine_new(&allocator.base, 4096, &engine) == WSC_OK);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    CHECK(wsc_link_new(engine, ends[0], NULL, &link) == WSC_OK);
    uint64_t start = wsc_clock_ns();
    CHECK_INT(wsc_engine_poll_short(engine), 0);
    CHECK(wsc_clock_ns() - start >= WSC_SHORT_POLL_NS);
    CHECK(write(ends[1], "x", 1) == 1);
    CHECK_INT(wsc_engine_poll_short(engine), 1);
    /* What one poll has found isn't lost by the next. */
    CHECK_INT(wsc_engine_poll(engine, 0), 1);
    CHECK(wsc_engine_next(engine, &io));
    CHECK_INT(io.type, WSC_IO_DATA);
    CHECK_INT(io.len, 1);
    CHECK(!wsc_engine_next(engine, &io));
    CHECK_INT(wsc_engine_poll(engine, 0), 0);
    wsc_engine_free(engine);
    (void)close(ends[1]);
    CHECK_INT(allocator.live_blocks, 0);
}

TEST_MAIN(TEST(it_is_tried_when_little_was_ready), TEST(what_does_not_pay_becomes_rare),
          TEST(what_pays_is_done_each_time), TEST(a_try_ends))

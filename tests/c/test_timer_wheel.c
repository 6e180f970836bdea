/* The timer wheel against a list that is searched through. */
#include "wsc/timer_wheel.h"

#include <stdlib.h>

#include "test.h"

#define TIMERS 200

static struct wsc_timer_wheel wheel;

/* The model: an array of timers, and when each is due. */
static struct {
    struct wsc_timer *timer; /* of its own allocation: freed owners are noticed */
    bool added;
    uint64_t at;
} model[TIMERS];
static uint64_t model_now;

static void start(uint64_t now)
{
    memset(model, 0, sizeof(model));
    for (size_t i = 0; i < TIMERS; i++) {
        model[i].timer = calloc(1, sizeof(struct wsc_timer));
    }
    model_now = now;
    wsc_timers_init(&wheel, now);
}

static void finish(void)
{
    for (size_t i = 0; i < TIMERS; i++) {
        wsc_timers_cancel(&wheel, model[i].timer);
        free(model[i].timer);
    }
    CHECK(wheel.levels_in_use == 0);
    for (size_t level = 0; level < WSC_TIMER_LEVELS; level++) {
        CHECK(wheel.slots_in_use[level] == 0);
        for (size_t slot = 0; slot < WSC_TIMER_SLOTS; slot++) {
            CHECK(wheel.slots[level][slot] == NULL);
        }
    }
    CHECK(wsc_timers_next_time(&wheel) == WSC_TIMERS_NEVER);
}

static void add(size_t i, uint64_t at)
{
    wsc_timers_add(&wheel, model[i].timer, at);
    model[i].added = true;
    model[i].at = at > model_now ? at : model_now + 1;
}

static void cancel(size_t i)
{
    wsc_timers_cancel(&wheel, model[i].timer);
    model[i].added = false;
}

/* The index of the first one, TIMERS if there is none. */
static size_t model_first(void)
{
    size_t first = TIMERS;
    for (size_t i = 0; i < TIMERS; i++) {
        if (model[i].added && (first == TIMERS || model[i].at < model[first].at)) {
            first = i;
        }
    }
    return first;
}

static size_t model_count(void)
{
    size_t count = 0;
    for (size_t i = 0; i < TIMERS; i++) {
        count += model[i].added;
    }
    return count;
}

/* The exact time if there are few of them. */
static void check_next_time(void)
{
    size_t first = model_first();
    uint64_t got = wsc_timers_next_time(&wheel);
    if (first == TIMERS) {
        CHECK(got == WSC_TIMERS_NEVER);
    }
    else if (model_count() <= 16) {
        CHECK(got == model[first].at);
    }
    else {
        CHECK(got <= model[first].at);
        /* After all due ones were taken it is no call for nothing right away. */
        CHECK(got > model_now || model[first].at <= model_now);
    }
}

/* Take one due timer; false when neither has one. */
static bool take(uint64_t now)
{
    if (now > model_now) {
        model_now = now;
    }
    size_t first = model_first();
    struct wsc_timer *timer = wsc_timers_next(&wheel, now);
    bool due = first < TIMERS && model[first].at <= model_now;
    CHECK(due == (timer != NULL));
    if (!due || timer == NULL) {
        return false;
    }
    CHECK(!wsc_timer_is_added(timer));
    for (size_t i = 0; i < TIMERS; i++) {
        if (model[i].timer == timer) {
            CHECK(model[i].added && model[i].at == model[first].at);
            CHECK(timer->at == model[i].at);
            model[i].added = false;
            return true;
        }
    }
    CHECK(timer == NULL); /* of none of the owners */
    return false;
}

static void take_all(uint64_t now)
{
    while (take(now)) {
    }
}

/* Of any size: as many bits as chance wants. */
static uint64_t random_time(unsigned bits)
{
    uint64_t value = (uint64_t)test_random() << 32 | test_random();
    unsigned used = (unsigned)test_random_below(bits + 1);
    return used == 0 ? 0 : value >> (64 - used);
}

/* DED-8: anything happens between two due timers. */
static void something(unsigned bits)
{
    size_t i = test_random_below(TIMERS);
    switch (test_random_below(5)) {
    case 0:
    case 1:
        add(i, model_now + random_time(bits));
        break;
    case 2:
        add(i, random_time(bits)); /* mostly gone by */
        break;
    case 3:
        cancel(i);
        break;
    default:
        cancel(i);
        free(model[i].timer); /* its owner is gone, another one comes */
        model[i].timer = calloc(1, sizeof(struct wsc_timer));
        break;
    }
}

static void run_random(uint64_t now, unsigned bits, size_t often)
{
    start(now);
    for (size_t round = 0; round < 3000; round++) {
        for (size_t i = test_random_below(often); i > 0; i--) {
            something(bits);
        }
        check_next_time();
        now = model_now + random_time(bits);
        if (test_random_below(4) == 0) {
            size_t first = model_first();
            now = first < TIMERS ? model[first].at : now; /* to the very tick */
        }
        while (take(now)) {
            if (test_random_below(2) == 0) {
                something(bits);
            }
        }
        check_next_time();
    }
    finish();
}

static void random_operations(void)
{
    run_random(0, 5, 8);
    run_random(0, 8, 8);
    run_random(1000, 14, 8);
    run_random(UINT64_C(1) << 40, 20, 30);
    run_random(12345678901, 40, 8);
    run_random(UINT64_MAX / 3, 50, 100);
}

static void every_distance_to_the_tick(void)
{
    for (unsigned bit = 0; bit < 63; bit++) {
        for (int64_t off = -2; off <= 2; off++) {
            uint64_t now = UINT64_C(0x0123456789ABCDEF);
            start(now);
            uint64_t at = now + (UINT64_C(1) << bit) + (uint64_t)off;
            if (at <= now) {
                at = now + 1;
            }
            add(0, at);
            CHECK(wsc_timers_next_time(&wheel) == at);
            CHECK(wsc_timers_next(&wheel, at - 1) == NULL);
            CHECK(wsc_timers_next_time(&wheel) == at);
            CHECK(wsc_timers_next(&wheel, at) == model[0].timer);
            CHECK(wsc_timers_next(&wheel, at) == NULL);
            finish();
        }
    }
}

/* As a loop does it: sleep to the next time, which may be for nothing but comes to an
 * end soon. */
static void waking_by_next_time(void)
{
    start(5);
    for (size_t i = 0; i < TIMERS; i++) {
        add(i, 5 + random_time(40));
    }
    size_t wakes = 0;
    size_t due = 0;
    for (;;) {
        uint64_t at = wsc_timers_next_time(&wheel);
        if (at == WSC_TIMERS_NEVER) {
            break;
        }
        CHECK(at > model_now);
        size_t first = model_first();
        CHECK(first < TIMERS && at <= model[first].at);
        wakes++;
        while (take(at)) {
            due++;
        }
    }
    CHECK_INT(due, TIMERS);
    CHECK(wakes <= TIMERS * WSC_TIMER_LEVELS);
    finish();
}

/* DED-8: a suspend is a jump of the clock; all that were due come once, in order. */
static void jumps(void)
{
    start(1);
    for (size_t i = 0; i < TIMERS; i++) {
        add(i, 2 + i * i * 1000);
    }
    uint64_t far = UINT64_C(1) << 60;
    size_t count = 0;
    uint64_t last = 0;
    for (struct wsc_timer *timer; (timer = wsc_timers_next(&wheel, far)) != NULL;) {
        CHECK(timer->at >= last);
        last = timer->at;
        count++;
        /* Again, for a time that has come: not in this round. */
        wsc_timers_add(&wheel, timer, 7);
        CHECK(timer->at == far + 1);
    }
    CHECK_INT(count, TIMERS);
    CHECK(wsc_timers_next(&wheel, 3) == NULL); /* backwards */
    CHECK(wsc_timers_next_time(&wheel) == far + 1);
    for (count = 0; wsc_timers_next(&wheel, far + 1) != NULL; count++) {
    }
    CHECK_INT(count, TIMERS);
    finish();
}

static void the_end_of_time(void)
{
    start(UINT64_MAX - 100);
    add(0, UINT64_MAX - 1);
    add(1, UINT64_MAX);
    add(2, UINT64_MAX - 50);
    take_all(UINT64_MAX - 50);
    CHECK(!model[2].added && model[0].added);
    take_all(UINT64_MAX - 1);
    CHECK(!model[0].added && model[1].added);
    take_all(UINT64_MAX);
    CHECK(!model[1].added);
    wsc_timers_add(&wheel, model[0].timer, 3);
    CHECK(wsc_timers_next(&wheel, UINT64_MAX) == model[0].timer);
    finish();
}

/* Several due at one tick: each may take the others away. */
static void due_ones_are_cancelled(void)
{
    for (size_t others = 1; others < 20; others++) {
        start(0);
        for (size_t i = 0; i <= others; i++) {
            add(i, 100);
        }
        CHECK(take(100));
        for (size_t i = 0; i <= others; i++) {
            if (i % 3 == 0) {
                cancel(i);
            }
            else if (i % 3 == 1) {
                add(i, 300); /* moved, whether it was taken or not */
            }
        }
        take_all(100);
        take_all(299);
        take_all(300);
        CHECK_INT(model_count(), 0);
        finish();
    }
}

TEST_MAIN(TEST(random_operations), TEST(every_distance_to_the_tick),
          TEST(waking_by_next_time), TEST(jumps), TEST(the_end_of_time),
          TEST(due_ones_are_cancelled))

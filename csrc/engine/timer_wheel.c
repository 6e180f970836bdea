#include "wsc/timer_wheel.h"

#include <string.h>

/* A timer lies in the wheel of the highest group of bits in which its time differs from
 * the cursor, in the slot that this group of its time names. So all of a finer wheel is
 * earlier than all of a coarser one, slots in use are ahead of the cursor, and the
 * first of them is found by counting zero bits, however far the time jumps. The cursor
 * enters a coarse slot only to spread it over the finer wheels; as long as it does not,
 * the place of a timer can be told from its time alone. */

/* Times of so many timers are looked at for the exact answer. */
#define LOOK_AT 16

static unsigned first_bit(uint64_t bits)
{
#if defined(__GNUC__) || defined(__clang__)
    return (unsigned)__builtin_ctzll(bits);
#else
    unsigned n = 0;
    while ((bits & 0xFF) == 0) {
        bits >>= 8;
        n += 8;
    }
    while ((bits & 1) == 0) {
        bits >>= 1;
        n++;
    }
    return n;
#endif
}

static unsigned level_of(uint64_t difference)
{
    unsigned level = 0;
    while (difference >= WSC_TIMER_SLOTS) {
        difference >>= WSC_TIMER_BITS;
        level++;
    }
    return level;
}

static unsigned slot_of(uint64_t at, unsigned level)
{
    return (unsigned)(at >> (level * WSC_TIMER_BITS)) & (WSC_TIMER_SLOTS - 1);
}

/* The first tick of a slot ahead. */
static uint64_t
start_of(const struct wsc_timer_wheel *wheel, unsigned level, unsigned slot)
{
    unsigned shift = level * WSC_TIMER_BITS;
    uint64_t slots = (wheel->cursor >> shift) & ~(uint64_t)(WSC_TIMER_SLOTS - 1);
    return (slots | slot) << shift;
}

void wsc_timers_init(struct wsc_timer_wheel *wheel, uint64_t now)
{
    memset(wheel, 0, sizeof(*wheel));
    wheel->now = now;
    wheel->cursor = now;
}

static void insert(struct wsc_timer_wheel *wheel, struct wsc_timer *timer)
{
    unsigned level = level_of(timer->at ^ wheel->cursor);
    unsigned slot = slot_of(timer->at, level);
    struct wsc_timer **head = &wheel->slots[level][slot];
    timer->next = *head;
    timer->link = head;
    if (timer->next != NULL) {
        timer->next->link = &timer->next;
    }
    *head = timer;
    wheel->slots_in_use[level] |= UINT64_C(1) << slot;
    wheel->levels_in_use |= UINT32_C(1) << level;
}

void wsc_timers_cancel(struct wsc_timer_wheel *wheel, struct wsc_timer *timer)
{
    if (timer->link == NULL) {
        return;
    }
    unsigned level = level_of(timer->at ^ wheel->cursor);
    unsigned slot = slot_of(timer->at, level);
    *timer->link = timer->next;
    if (timer->next != NULL) {
        timer->next->link = timer->link;
    }
    timer->next = NULL;
    timer->link = NULL;
    if (wheel->slots[level][slot] == NULL) {
        wheel->slots_in_use[level] &= ~(UINT64_C(1) << slot);
        if (wheel->slots_in_use[level] == 0) {
            wheel->levels_in_use &= ~(UINT32_C(1) << level);
        }
    }
}

void wsc_timers_add(struct wsc_timer_wheel *wheel, struct wsc_timer *timer, uint64_t at)
{
    wsc_timers_cancel(wheel, timer);
    if (at <= wheel->now) {
        at = wheel->now < WSC_TIMERS_NEVER ? wheel->now + 1 : WSC_TIMERS_NEVER;
    }
    timer->at = at;
    insert(wheel, timer);
}

/* Spread a coarse slot, whose time has come, over the finer wheels. */
static void spread(struct wsc_timer_wheel *wheel, unsigned level, unsigned slot)
{
    struct wsc_timer *timer = wheel->slots[level][slot];
    wheel->slots[level][slot] = NULL;
    wheel->slots_in_use[level] &= ~(UINT64_C(1) << slot);
    if (wheel->slots_in_use[level] == 0) {
        wheel->levels_in_use &= ~(UINT32_C(1) << level);
    }
    wheel->cursor = start_of(wheel, level, slot);
    while (timer != NULL) {
        struct wsc_timer *next = timer->next;
        insert(wheel, timer);
        timer = next;
    }
}

struct wsc_timer *wsc_timers_next(struct wsc_timer_wheel *wheel, uint64_t now)
{
    if (now > wheel->now) {
        wheel->now = now;
    }
    while (wheel->levels_in_use != 0) {
        unsigned level = first_bit(wheel->levels_in_use);
        unsigned slot = first_bit(wheel->slots_in_use[level]);
        uint64_t start = start_of(wheel, level, slot);
        if (start > wheel->now) {
            break;
        }
        if (level == 0) {
            struct wsc_timer *timer = wheel->slots[0][slot];
            wheel->cursor = start;
            wsc_timers_cancel(wheel, timer);
            return timer;
        }
        spread(wheel, level, slot);
    }
    wheel->cursor = wheel->now;
    return NULL;
}

uint64_t wsc_timers_next_time(const struct wsc_timer_wheel *wheel)
{
    if (wheel->levels_in_use == 0) {
        return WSC_TIMERS_NEVER;
    }
    unsigned level = first_bit(wheel->levels_in_use);
    unsigned slot = first_bit(wheel->slots_in_use[level]);
    uint64_t first = WSC_TIMERS_NEVER;
    unsigned looked = 0;
    for (const struct wsc_timer *timer = wheel->slots[level][slot]; timer != NULL;
         timer = timer->next) {
        if (level == 0 || ++looked > LOOK_AT) {
            return start_of(wheel, level, slot);
        }
        first = timer->at < first ? timer->at : first;
    }
    return first;
}

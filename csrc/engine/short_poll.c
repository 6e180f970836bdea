#include "wsc/short_poll.h"

#include "wsc/clock.h"

bool wsc_short_poll_wanted(struct wsc_short_poll *policy, size_t handled)
{
    if (handled == 0 || handled > WSC_SHORT_POLL_SOCKETS) {
        return false;
    }
    if (policy->rest > 0) {
        policy->rest--;
        return false;
    }
    return true;
}

void wsc_short_poll_note(struct wsc_short_poll *policy, bool found)
{
    policy->penalty = found ? 0 : policy->penalty * 2 + 1;
    if (policy->penalty >= WSC_SHORT_POLL_REST) {
        policy->penalty = WSC_SHORT_POLL_REST - 1;
    }
    policy->rest = policy->penalty;
}

size_t wsc_engine_poll_short(struct wsc_engine *engine)
{
    uint64_t end = wsc_clock_ns() + WSC_SHORT_POLL_NS;
    size_t ready;
    do {
        ready = wsc_engine_poll(engine, 0);
    } while (ready == 0 && wsc_clock_ns() < end);
    return ready;
}

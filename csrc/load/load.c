#include "wsc/load.h"

#include <string.h>

#include "member.h"
#include "opening.h"
#include "room.h"
#include "state.h"
#include "wsc/clock.h"

#define RECEIVE_SIZE  ((size_t)256 << 10)
#define MILLISECOND   ((uint64_t)1000000)
#define CHECK_EVERY   (50 * MILLISECOND)
#define CLOSING_LASTS (1000 * MILLISECOND)
#define POLL_MAX_MS   50
/* A second: times of less than 2^63 nanoseconds, and never more of them than can be
 * made up for. */
#define RATE_MIN 1e-6
#define RATE_MAX 1e9
#define TIME_MAX (UINT64_MAX / 4)

/* --- a new one --- */

static bool is_rate(double rate)
{
    return rate == 0 || (rate >= RATE_MIN && rate <= RATE_MAX);
}

static bool is_possible(const struct wsc_load_config *config)
{
    return config->connections > 0 && config->room_size > 0 && config->depth > 0 &&
           config->opening_max > 0 && config->connections % config->room_size == 0 &&
           is_rate(config->rate) && is_rate(config->ramp) &&
           config->duration <= TIME_MAX && config->timeout <= TIME_MAX &&
           !(config->handshakes && config->rate > 0) &&
           (config->messages > 0 || config->duration > 0);
}

static void *make(const struct wsc_load *load, size_t count, size_t size)
{
    return count > SIZE_MAX / 2 / size
               ? NULL
               : wsc_alloc_zeroed(load->config.allocator, count * size);
}

static enum wsc_status make_members(struct wsc_load *load)
{
    const struct wsc_load_config *config = &load->config;
    size_t rooms = config->connections / config->room_size;
    if (rooms > SIZE_MAX / config->depth) {
        return WSC_ERR_NO_MEMORY;
    }
    load->room_count = rooms;
    load->members = make(load, config->connections, sizeof(*load->members));
    load->rooms = make(load, rooms, sizeof(*load->rooms));
    load->slots = make(load, rooms * config->depth, sizeof(*load->slots));
    load->connecting =
        make(load, config->opening_max, sizeof(struct wsc_load_member *));
    load->watched = make(load, config->opening_max + 1, sizeof(*load->watched));
    if (load->members == NULL || load->rooms == NULL || load->slots == NULL ||
        load->connecting == NULL || load->watched == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < config->connections; i++) {
        struct wsc_load_room *room = &load->rooms[i / config->room_size];
        struct wsc_load_member *member = &load->members[i];
        if (i % config->room_size == 0) {
            room->members = member;
            room->slots = &load->slots[i / config->room_size * config->depth];
        }
        member->room = room;
        wsc_member_wait(load, member);
    }
    return WSC_OK;
}

enum wsc_status
wsc_load_new(const struct wsc_load_config *config, struct wsc_load **out_load)
{
    if (!is_possible(config)) {
        return WSC_ERR_INVALID_ARGUMENT;
    }
    struct wsc_load *load = wsc_alloc_zeroed(config->allocator, sizeof(*load));
    if (load == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    load->config = *config;
    load->budget = config->messages > 0 ? config->messages : UINT64_MAX;
    load->end_at = UINT64_MAX;
    load->figures.phase = config->handshakes ? WSC_LOAD_READY : WSC_LOAD_OPENING;
    wsc_payload_memory_init(&load->payload_memory, config->allocator);
    wsc_conn_config_init(&load->conn_config, WSC_ROLE_CLIENT);
    load->conn_config.allocator = config->allocator;
    load->conn_config.payload_memory = &load->payload_memory;
    load->conn_config.max_size = config->max_size;
    load->conn_config.deflate = config->deflate;
    enum wsc_status status =
        wsc_opening_set_address(load) ? WSC_OK : WSC_ERR_INVALID_ARGUMENT;
    if (status == WSC_OK) {
        status = make_members(load);
    }
    if (status == WSC_OK) {
        status = wsc_engine_new(config->allocator, RECEIVE_SIZE, &load->engine);
    }
    if (status != WSC_OK) {
        wsc_load_free(load);
        return status;
    }
    *out_load = load;
    return WSC_OK;
}

static void drop_all(struct wsc_load *load, uint64_t now)
{
    wsc_opening_forget(load, now);
    for (size_t i = 0; i < load->config.connections; i++) {
        if (load->members[i].link != NULL) {
            wsc_member_drop(load, &load->members[i], now);
        }
    }
}

void wsc_load_free(struct wsc_load *load)
{
    if (load == NULL) {
        return;
    }
    const struct wsc_allocator *allocator = load->config.allocator;
    if (load->engine != NULL) {
        drop_all(load, wsc_clock_ns());
    }
    wsc_engine_free(load->engine);
    wsc_free(allocator, load->watched);
    wsc_free(allocator, load->connecting);
    wsc_free(allocator, load->slots);
    wsc_free(allocator, load->rooms);
    wsc_free(allocator, load->members);
    wsc_free(allocator, load);
}

const struct wsc_load_figures *wsc_load_figures(const struct wsc_load *load)
{
    return &load->figures;
}

const struct wsc_histogram *wsc_load_latencies(const struct wsc_load *load)
{
    return &load->latencies;
}

const struct wsc_histogram *wsc_load_openings(const struct wsc_load *load)
{
    return &load->openings;
}

const struct wsc_load_fault *
wsc_load_faults(const struct wsc_load *load, size_t *out_count)
{
    *out_count = load->fault_count;
    return load->faults;
}

/* --- phases --- */

static void enter(struct wsc_load *load, enum wsc_load_phase phase, uint64_t end_at)
{
    load->figures.phase = phase;
    load->end_at = end_at;
}

void wsc_load_start(struct wsc_load *load, uint64_t at)
{
    const struct wsc_load_config *config = &load->config;
    if (load->figures.phase != WSC_LOAD_READY) {
        return;
    }
    load->figures.started_at = at;
    load->ramp_from = at;
    load->ramp_count = 0;
    enter(load, WSC_LOAD_RUNNING,
          config->duration > 0 ? at + config->duration : UINT64_MAX);
}

/* Nothing falls due any more. */
static void drain(struct wsc_load *load, uint64_t now)
{
    load->figures.stopped_at = now;
    load->budget = 0;
    enter(load, WSC_LOAD_DRAINING, now + load->config.timeout);
}

static void close_all(struct wsc_load *load, uint64_t now)
{
    load->budget = 0;
    load->waiting = NULL;
    wsc_opening_forget(load, now);
    enter(load, WSC_LOAD_CLOSING, now + CLOSING_LASTS);
    for (size_t i = 0; i < load->config.connections; i++) {
        struct wsc_load_member *member = &load->members[i];
        if (member->state == WSC_MEMBER_OPEN) {
            wsc_member_close(load, member, now);
        }
        else if (member->state == WSC_MEMBER_OPENING) {
            wsc_member_drop(load, member, now);
        }
    }
}

void wsc_load_stop(struct wsc_load *load)
{
    uint64_t now = wsc_clock_ns();
    if (load->figures.stopped_at == 0) {
        load->figures.stopped_at = now;
    }
    if (load->figures.phase < WSC_LOAD_CLOSING) {
        close_all(load, now);
    }
}

static bool is_drained(const struct wsc_load *load)
{
    return load->figures.outstanding == 0 && load->owed == 0 &&
           load->opening_count == 0;
}

static void advance(struct wsc_load *load, uint64_t now)
{
    bool late = now >= load->end_at;
    bool alone = load->figures.open == 0;
    switch (load->figures.phase) {
    case WSC_LOAD_OPENING:
        if (load->waiting == NULL && load->opening_count == 0) {
            enter(load, alone ? WSC_LOAD_OVER : WSC_LOAD_READY, UINT64_MAX);
        }
        break;
    case WSC_LOAD_RUNNING:
        if (late || load->budget == 0 || (alone && !load->config.handshakes)) {
            drain(load, now);
        }
        break;
    case WSC_LOAD_DRAINING:
        if (late || is_drained(load)) {
            close_all(load, now);
        }
        break;
    case WSC_LOAD_CLOSING:
        if (late || load->link_count == 0) {
            drop_all(load, now);
            enter(load, WSC_LOAD_OVER, UINT64_MAX);
        }
        break;
    case WSC_LOAD_READY:
    case WSC_LOAD_OVER:
        break;
    }
}

/* --- running --- */

/* The first messages of a closed loop; each next one follows on an earlier one. */
static void begin(struct wsc_load *load, uint64_t now)
{
    load->begun = true;
    for (size_t i = 0; i < load->room_count; i++) {
        wsc_member_send(load, load->rooms[i].members, now);
    }
}

static void send_due(struct wsc_load *load, uint64_t now)
{
    struct wsc_load_room *room;
    while (wsc_load_next_due(load, now, &room)) {
        wsc_member_send(load, room->members, now);
    }
}

static void check(struct wsc_load *load, uint64_t now)
{
    uint64_t timeout = load->config.timeout;
    uint64_t before = now > timeout ? now - timeout : 0;
    load->check_at = now + CHECK_EVERY;
    wsc_opening_give_up(load, before, now);
    for (size_t i = 0; i < load->config.connections; i++) {
        struct wsc_load_member *member = &load->members[i];
        uint64_t since = member->state == WSC_MEMBER_OPENING ? member->since
                         : member->state == WSC_MEMBER_OPEN
                             ? wsc_room_waits_since(load, member)
                             : UINT64_MAX;
        if (since <= before) {
            wsc_member_time_out(load, member, now);
        }
    }
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What need not be met exactly is slept for, to the next millisecond; before a time to
 * send at, the last millisecond is not. */
static int timeout_of(const struct wsc_load *load, uint64_t now, uint64_t until)
{
    bool runs = load->figures.phase == WSC_LOAD_RUNNING;
    uint64_t exact = !runs               ? UINT64_MAX
                     : !load->begun      ? load->figures.started_at
                     : load->config.spin ? now
                                         : wsc_load_due_at(load);
    uint64_t rough = least(least(until, load->end_at),
                           least(load->check_at, wsc_opening_next_at(load)));
    if (exact <= now || rough <= now) {
        return 0;
    }
    uint64_t ms = least((rough - now + MILLISECOND - 1) / MILLISECOND,
                        (exact - now) / MILLISECOND);
    return (int)least(ms, POLL_MAX_MS);
}

/* Until a time at most: a server may send without end. */
static void serve(struct wsc_load *load, uint64_t until)
{
    struct wsc_io io;
    uint64_t now = 0;
    while (now < until && wsc_engine_next(load->engine, &io)) {
        now = wsc_clock_ns();
        wsc_member_handle(load, io.owner, &io, now);
        send_due(load, now);
    }
}

enum wsc_load_phase wsc_load_run(struct wsc_load *load, uint64_t until)
{
    enum wsc_load_phase phase = load->figures.phase;
    uint64_t now = wsc_clock_ns();
    while (load->figures.phase == phase && phase != WSC_LOAD_OVER && now < until) {
        wsc_opening_poll(load, timeout_of(load, now, until));
        serve(load, least(until, load->end_at));
        now = wsc_clock_ns();
        if (phase == WSC_LOAD_RUNNING && !load->begun &&
            now >= load->figures.started_at) {
            begin(load, now);
        }
        send_due(load, now);
        wsc_opening_go_on(load, now);
        if (now >= load->check_at) {
            check(load, now);
        }
        advance(load, now);
    }
    return load->figures.phase;
}

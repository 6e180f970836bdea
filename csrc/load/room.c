#include "room.h"

#include <string.h>

#define NANOSECONDS 1e9
/* With more waiting than that, the socket comes first. */
#define OUTPUT_MAX ((size_t)1 << 20)
/* Of the payload, what is looked for in a message of a room. */
#define MARK_MAX ((size_t)32)

static struct wsc_load_slot *
slot_of(const struct wsc_load *load, const struct wsc_load_room *room, uint64_t number)
{
    return &room->slots[number % load->config.depth];
}

/* The rooms take turns, so that their messages are evenly spread. */
static uint64_t time_of(const struct wsc_load *load, uint64_t number)
{
    return load->figures.started_at +
           (uint64_t)((double)number * NANOSECONDS / load->config.rate);
}

uint64_t wsc_load_due_at(const struct wsc_load *load)
{
    return load->budget == 0 || !wsc_load_is_open_loop(load)
               ? UINT64_MAX
               : time_of(load, load->due_next);
}

bool wsc_load_next_due(struct wsc_load *load, uint64_t now,
                       struct wsc_load_room **out_room)
{
    if (now >= load->end_at) {
        now = load->end_at - 1; /* which is there when the loop comes late */
    }
    while (load->begun && wsc_load_due_at(load) <= now) {
        struct wsc_load_room *room = &load->rooms[load->due_next % load->room_count];
        load->due_next++;
        load->budget--;
        if (!room->over) {
            room->due++;
            load->owed++;
            *out_room = room;
            return true;
        }
        load->figures.unsent++;
    }
    return false;
}

static bool may_send(const struct wsc_load *load, const struct wsc_load_room *room)
{
    if (room->over || room->sent - room->completed >= load->config.depth ||
        wsc_conn_output_size(&room->members->conn) > OUTPUT_MAX) {
        return false;
    }
    if (wsc_load_is_open_loop(load)) {
        return room->due > room->sent;
    }
    return load->begun && load->budget > 0;
}

static enum wsc_status
send_one(struct wsc_load *load, struct wsc_load_room *room, uint64_t now)
{
    const struct wsc_load_config *config = &load->config;
    struct wsc_load_slot *slot = slot_of(load, room, room->sent);
    enum wsc_opcode opcode = config->text ? WSC_OPCODE_TEXT : WSC_OPCODE_BINARY;
    enum wsc_status status = wsc_conn_send_message(
        &room->members->conn, opcode, config->payload, config->payload_len);
    if (status != WSC_OK) {
        return status;
    }
    slot->left = room->open;
    if (wsc_load_is_open_loop(load)) {
        size_t index = (size_t)(room - load->rooms);
        slot->at = time_of(load, index + room->sent * load->room_count);
        load->owed--;
    }
    else {
        slot->at = now;
        load->budget--;
    }
    room->sent++;
    load->figures.sent++;
    load->figures.outstanding += room->open;
    return WSC_OK;
}

enum wsc_status
wsc_room_send(struct wsc_load *load, struct wsc_load_room *room, uint64_t now)
{
    struct wsc_load_member *sender = room->members;
    enum wsc_status status = WSC_OK;
    do {
        while (status == WSC_OK && may_send(load, room)) {
            status = send_one(load, room, now);
        }
        if (status == WSC_OK && wsc_conn_wants_send(&sender->conn)) {
            status = wsc_link_flush(sender->link, &sender->conn);
        }
    } while (status == WSC_OK && may_send(load, room));
    return status == WSC_NEED_SPACE ? WSC_OK : status;
}

/* --- receiving --- */

static bool
equals(const struct wsc_load_config *config, const uint8_t *data, size_t len)
{
    return len == config->payload_len &&
           (len == 0 || memcmp(data, config->payload, len) == 0);
}

/* A chat may wrap what was sent. */
static bool
contains(const struct wsc_load_config *config, const uint8_t *data, size_t len)
{
    size_t wanted = config->payload_len;
    size_t mark = wanted < MARK_MAX ? wanted : MARK_MAX;
    const uint8_t *at = data;
    if (wanted == 0 || wanted > len) {
        return wanted == 0;
    }
    const uint8_t *end = data + (len - wanted) + 1;
    while (at < end &&
           (at = memchr(at, config->payload[0], (size_t)(end - at))) != NULL) {
        if (memcmp(at, config->payload, mark) == 0 &&
            memcmp(at, config->payload, wanted) == 0) {
            return true;
        }
        at++;
    }
    return false;
}

static bool is_ours(const struct wsc_load *load, const struct wsc_message *message)
{
    const struct wsc_load_config *config = &load->config;
    return equals(config, message->data, message->len) ||
           (config->room_size > 1 && contains(config, message->data, message->len));
}

/* A member has a message, or will not have it any more. */
static void settle(struct wsc_load *load, struct wsc_load_room *room, uint64_t number)
{
    slot_of(load, room, number)->left--;
    load->figures.outstanding--;
    while (room->completed < room->sent &&
           slot_of(load, room, room->completed)->left == 0) {
        room->completed++;
    }
}

void wsc_room_receive(struct wsc_load *load, struct wsc_load_member *member,
                      const struct wsc_message *message, uint64_t now)
{
    struct wsc_load_room *room = member->room;
    if (member->received == room->sent || !is_ours(load, message)) {
        load->figures.other++;
        return;
    }
    uint64_t at = slot_of(load, room, member->received)->at;
    wsc_histogram_add(&load->latencies, now > at ? now - at : 0);
    load->figures.received++;
    load->figures.last_at = now;
    member->since = now;
    settle(load, room, member->received++);
}

uint64_t
wsc_room_waits_since(const struct wsc_load *load, const struct wsc_load_member *member)
{
    if (member->received == member->room->sent) {
        return UINT64_MAX;
    }
    uint64_t at = slot_of(load, member->room, member->received)->at;
    return at > member->since ? at : member->since;
}

void wsc_room_enter(struct wsc_load *load, struct wsc_load_member *member)
{
    member->received = member->room->sent;
    member->room->open++;
    load->figures.open++;
}

void wsc_room_leave(struct wsc_load *load, struct wsc_load_member *member)
{
    struct wsc_load_room *room = member->room;
    while (member->received < room->sent) {
        settle(load, room, member->received++);
        load->figures.lost++;
    }
    room->open--;
    load->figures.open--;
    if (member == room->members) {
        uint64_t owed = wsc_load_is_open_loop(load) ? room->due - room->sent : 0;
        room->over = true;
        load->owed -= owed;
        load->figures.unsent += owed;
    }
}

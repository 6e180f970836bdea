/* The messages of a room: when they are sent, and who has received them. */
#ifndef WSC_LOAD_ROOM_H
#define WSC_LOAD_ROOM_H

#include "state.h"

static inline bool wsc_load_is_open_loop(const struct wsc_load *load)
{
    return load->config.rate > 0;
}

/* When the number of the next message is due. */
uint64_t wsc_load_due_at(const struct wsc_load *load);
/* Give the messages that are due by `now` to their rooms. *out_room: one of those to be
 * sent by, with `false` at the end. */
bool wsc_load_next_due(struct wsc_load *load, uint64_t now,
                       struct wsc_load_room **out_room);
/* Send what the room may send now. Not WSC_OK: its first member has failed, by an errno
 * if WSC_ERR_IO. */
WSC_NODISCARD enum wsc_status
wsc_room_send(struct wsc_load *load, struct wsc_load_room *room, uint64_t now);
/* A message has come. */
void wsc_room_receive(struct wsc_load *load, struct wsc_load_member *member,
                      const struct wsc_message *message, uint64_t now);
/* Since when a message is waited for; UINT64_MAX: none is. */
uint64_t
wsc_room_waits_since(const struct wsc_load *load, const struct wsc_load_member *member);
void wsc_room_enter(struct wsc_load *load, struct wsc_load_member *member);
/* Nothing is expected of it any more; without its first one a room sends no more. */
void wsc_room_leave(struct wsc_load *load, struct wsc_load_member *member);

#endif

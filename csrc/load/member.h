/* A connection, from the socket on. */
#ifndef WSC_LOAD_MEMBER_H
#define WSC_LOAD_MEMBER_H

#include "state.h"

/* Its socket is connected: speak TLS, ask for the opening handshake. */
void wsc_member_open(struct wsc_load *load, struct wsc_load_member *member,
                     uint64_t now);
/* The socket has something to say. */
void wsc_member_handle(struct wsc_load *load, struct wsc_load_member *member,
                       const struct wsc_io *io, uint64_t now);
/* Send what its room may send now. */
void wsc_member_send(struct wsc_load *load, struct wsc_load_member *member,
                     uint64_t now);
/* Begin the closing handshake. */
void wsc_member_close(struct wsc_load *load, struct wsc_load_member *member,
                      uint64_t now);
/* Nothing has come for too long. */
void wsc_member_time_out(struct wsc_load *load, struct wsc_load_member *member,
                         uint64_t now);
/* Reset it, whatever it is doing. */
void wsc_member_drop(struct wsc_load *load, struct wsc_load_member *member,
                     uint64_t now);
/* The end of one that has no socket any more: gone, or with `handshakes` waiting for
 * the next time. */
void wsc_member_end(struct wsc_load *load, struct wsc_load_member *member,
                    uint64_t now);
/* Last in the row of those that wait to be connected. */
void wsc_member_wait(struct wsc_load *load, struct wsc_load_member *member);

#endif

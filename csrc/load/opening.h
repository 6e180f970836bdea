/* Connections that wait for their turn, and those that connect. */
#ifndef WSC_LOAD_OPENING_H
#define WSC_LOAD_OPENING_H

#include "state.h"

/* Connect those whose turn it is. */
void wsc_opening_go_on(struct wsc_load *load, uint64_t now);
/* When the next one may connect: UINT64_MAX if that depends on others. */
uint64_t wsc_opening_next_at(const struct wsc_load *load);
/* Wait for the engine and for those that connect, and go on with these. */
void wsc_opening_poll(struct wsc_load *load, int timeout_ms);
/* Those that connect since `before` or longer have timed out. */
void wsc_opening_give_up(struct wsc_load *load, uint64_t before, uint64_t now);
/* Those that connect don't, any more. */
void wsc_opening_forget(struct wsc_load *load, uint64_t now);
/* Whether addresses of this kind are understood. */
bool wsc_opening_set_address(struct wsc_load *load);

#endif

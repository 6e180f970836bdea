/* The target of a connection's request. */
#ifndef WSC_LOAD_TARGET_H
#define WSC_LOAD_TARGET_H

#include "state.h"

/* With the numbers of room and connection; *out_made is to be freed, or NULL. */
WSC_NODISCARD enum wsc_status
wsc_load_make_target(const struct wsc_load *load, const struct wsc_load_member *member,
                     struct wsc_str *out_target, char **out_made);

#endif

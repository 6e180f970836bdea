/* The settings of a sans-IO object. Those of one server's connections are the same, so
 * that they share them. */
#ifndef PYWSC_COMMON_CONFIG_H
#define PYWSC_COMMON_CONFIG_H

#include "common/state.h"

struct pywsc_config {
    size_t users;
    struct wsc_conn_config core;
    struct wsc_deflate_settings settings; /* where core.deflate points to */
    struct pywsc_pool *pool;              /* with compression, or NULL */
};

/* The arguments, in the order of pywsc_config_options. */
enum pywsc_config_option {
    PYWSC_MAX_SIZE,
    PYWSC_COMPRESSION,
    PYWSC_MAX_LINE,
    PYWSC_MAX_HEADER_LINE,
    PYWSC_MAX_HEAD,
    PYWSC_MAX_HEADERS,
};

/* The settings that the options (borrowed; NULL: left out) stand for, to be released:
 * those asked for last, if the options are the same objects. NULL with an exception. */
struct pywsc_config *pywsc_config_get(struct pywsc_state *state, enum wsc_role role,
                                      bool any_request,
                                      PyObject *const options[PYWSC_CONFIG_OPTIONS]);
/* Keep none for the next one. */
void pywsc_config_forget(struct pywsc_state *state);
/* Nothing of NULL. Objects may outlive the module's state. */
void pywsc_config_release(struct pywsc_config *config);

#endif

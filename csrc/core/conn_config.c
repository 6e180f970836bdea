#include "wsc/conn.h"

#include <string.h>

void wsc_conn_config_init(struct wsc_conn_config *config, enum wsc_role role)
{
    memset(config, 0, sizeof(*config));
    config->role = role;
    config->allocator = wsc_allocator_default();
    config->payload_memory = wsc_payload_memory_default();
    config->max_size = WSC_MESSAGE_SIZE_DEFAULT;
    wsc_http_limits_init(&config->http_limits);
}

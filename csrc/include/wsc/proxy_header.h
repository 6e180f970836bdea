/* The header of the PROXY protocol, versions 1 and 2
 * (https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt): what a proxy says
 * first of the client whose bytes follow. Nothing is allocated. */
#ifndef WSC_PROXY_HEADER_H
#define WSC_PROXY_HEADER_H

#include <stddef.h>
#include <stdint.h>

#include "wsc/api.h"
#include "wsc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A longer one is refused; §2.2: what TLVs there are is the proxy's to choose. */
#define WSC_PROXY_HEADER_MAX 8192
/* §2.2: 16 bytes and two addresses of Unix sockets. */
#define WSC_PROXY_HEADER_KEPT 232
#define WSC_PROXY_ADDRESS_MAX 108

enum wsc_proxy_family {
    WSC_PROXY_NONE, /* the proxy speaks for itself (LOCAL), or doesn't know (UNKNOWN) */
    WSC_PROXY_IPV4, /* 4 bytes of address */
    WSC_PROXY_IPV6, /* 16 */
    WSC_PROXY_UNIX, /* 108, ended by a NUL if shorter; no port */
};

/* The client's address, in network byte order, as the proxy has it. */
struct wsc_proxy_source {
    enum wsc_proxy_family family;
    uint16_t port;
    uint16_t len; /* of the address */
    uint8_t address[WSC_PROXY_ADDRESS_MAX];
};

struct wsc_proxy_header {
    size_t len;  /* bytes seen */
    size_t size; /* of all, once known; 0 before */
    uint8_t kept[WSC_PROXY_HEADER_KEPT];
};

WSC_API void wsc_proxy_header_init(struct wsc_proxy_header *header);
/* Read `data`, in any pieces. WSC_OK: the header ends after *out_used bytes of them,
 * and *out_source is what it says; WSC_NEED_DATA: all were used; WSC_ERR_PROTOCOL: this
 * is none. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_proxy_header_feed(struct wsc_proxy_header *header, const uint8_t *data, size_t len,
                      size_t *out_used, struct wsc_proxy_source *out_source);

#ifdef __cplusplus
}
#endif
#endif

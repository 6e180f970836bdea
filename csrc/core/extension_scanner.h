/* The grammar of Sec-WebSocket-Extensions, RFC 6455 §9.1, without meaning: a pull
 * scanner that looks at every byte once, so that a hostile value costs no more than its
 * length. Internal to the core. */
#ifndef WSC_EXTENSION_SCANNER_H
#define WSC_EXTENSION_SCANNER_H

#include "wsc/extension.h"

enum wsc_extension_item_kind {
    WSC_EXTENSION_ITEM_EXTENSION, /* the name of the next extension */
    WSC_EXTENSION_ITEM_PARAM,     /* a parameter of that extension */
    WSC_EXTENSION_ITEM_END,
    WSC_EXTENSION_ITEM_BAD, /* not the grammar; `name` is the rest of the header */
};

struct wsc_extension_item {
    enum wsc_extension_item_kind kind;
    struct wsc_str name;
    struct wsc_str value; /* as written, without quotes; absent if there is none */
    uint8_t window_bits;  /* the value as 8-15 without leading zeros, else 0 */
};

struct wsc_extension_scanner {
    const char *at;
    const char *end;
    bool in_extension;
};

/* `header` is borrowed for the life of the scanner; absent is empty. */
void wsc_extension_scanner_init(struct wsc_extension_scanner *scanner,
                                struct wsc_str header);
/* After WSC_EXTENSION_ITEM_END and WSC_EXTENSION_ITEM_BAD there is no more. */
void wsc_extension_scanner_next(struct wsc_extension_scanner *scanner,
                                struct wsc_extension_item *out_item);

#endif

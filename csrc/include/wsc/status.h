/* Status codes: what every fallible function of the core returns.
 *
 * Zero is success, positive is not an error, negative is an error. An error met
 * while reading from the peer is sticky: the object that returned it returns it
 * again and does no more work. */
#ifndef WSC_STATUS_H
#define WSC_STATUS_H

#include "wsc/api.h"

#ifdef __cplusplus
extern "C" {
#endif

enum wsc_status {
    WSC_OK = 0,
    WSC_NEED_DATA = 1,  /* all input was used; more is needed to go on */
    WSC_NEED_SPACE = 2, /* the caller's output memory is full; call again with more */

    WSC_ERR_NO_MEMORY = -1,        /* the allocator returned NULL */
    WSC_ERR_INVALID_ARGUMENT = -2, /* the caller's mistake; nothing was changed */
    WSC_ERR_INVALID_STATE = -3,    /* not allowed in this state; nothing was changed */
    WSC_ERR_TOO_BIG = -4,          /* a limit would be passed (close code 1009) */
    WSC_ERR_PROTOCOL = -5,         /* RFC 6455 or 7692 violated by the peer (1002) */
    WSC_ERR_UTF8 = -6,             /* text that is not UTF-8 (1007) */
    WSC_ERR_POLICY = -7,           /* a policy limit was passed (1008) */
    WSC_ERR_RANDOM = -8,    /* the operating system gave no random bytes (1011) */
    WSC_ERR_IO = -10,       /* the operating system refused; errno says why */
    WSC_ERR_HANDSHAKE = -9, /* opening handshake refused; see wsc/handshake.h */
};

/* The enumerator's name, for example "WSC_ERR_UTF8". Static storage; never NULL. */
WSC_API const char *wsc_status_name(enum wsc_status status);

#ifdef __cplusplus
}
#endif
#endif

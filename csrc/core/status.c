#include "wsc/status.h"

const char *wsc_status_name(enum wsc_status status)
{
    switch (status) {
    case WSC_OK:
        return "WSC_OK";
    case WSC_NEED_DATA:
        return "WSC_NEED_DATA";
    case WSC_NEED_SPACE:
        return "WSC_NEED_SPACE";
    case WSC_ERR_NO_MEMORY:
        return "WSC_ERR_NO_MEMORY";
    case WSC_ERR_INVALID_ARGUMENT:
        return "WSC_ERR_INVALID_ARGUMENT";
    case WSC_ERR_INVALID_STATE:
        return "WSC_ERR_INVALID_STATE";
    case WSC_ERR_TOO_BIG:
        return "WSC_ERR_TOO_BIG";
    case WSC_ERR_PROTOCOL:
        return "WSC_ERR_PROTOCOL";
    case WSC_ERR_UTF8:
        return "WSC_ERR_UTF8";
    case WSC_ERR_POLICY:
        return "WSC_ERR_POLICY";
    case WSC_ERR_RANDOM:
        return "WSC_ERR_RANDOM";
    case WSC_ERR_IO:
        return "WSC_ERR_IO";
    case WSC_ERR_HANDSHAKE:
        return "WSC_ERR_HANDSHAKE";
    }
    return "unknown status";
}

/* Which libwsc this is. While the major version is 0, each minor version may change
 * the interface; the name of the shared object says both. */
#ifndef WSC_VERSION_H
#define WSC_VERSION_H

#include "wsc/api.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of the headers. */
#define WSC_VERSION_MAJOR 0
#define WSC_VERSION_MINOR 1
#define WSC_VERSION_PATCH 0
#define WSC_VERSION       "0.1.0"

/* WSC_VERSION of the library that is loaded. Static storage. */
WSC_API const char *wsc_version(void);

#ifdef __cplusplus
}
#endif
#endif

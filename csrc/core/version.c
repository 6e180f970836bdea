#include "wsc/version.h"

const char *wsc_version(void)
{
    return WSC_VERSION;
}

/* Prints the SIMD versions that this machine and build can run, on one line. */
#include <stdio.h>

#include "wsc/simd.h"

int main(void)
{
    for (const char *const *name = wsc_simd_available(); *name != NULL; name++) {
        printf("%s ", *name);
    }
    printf("\n");
    return 0;
}

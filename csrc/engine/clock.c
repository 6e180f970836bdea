#define _GNU_SOURCE /* clock_gettime */
#include "wsc/clock.h"

#define NS_PER_SECOND 1000000000U

#ifdef _WIN32

#include <windows.h>

uint64_t wsc_clock_ns(void)
{
    LARGE_INTEGER ticks;
    LARGE_INTEGER frequency;
    (void)QueryPerformanceCounter(&ticks);
    (void)QueryPerformanceFrequency(&frequency);
    uint64_t now = (uint64_t)ticks.QuadPart;
    uint64_t per_second = (uint64_t)frequency.QuadPart;
    /* In two parts: the product of all ticks would overflow after some hours. */
    return now / per_second * NS_PER_SECOND +
           now % per_second * NS_PER_SECOND / per_second;
}

#else

#include <time.h>

uint64_t wsc_clock_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

#endif

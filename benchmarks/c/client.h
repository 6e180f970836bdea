/* What the clients of the benchmarks share: time, latencies, numbers on the command
 * line, opening connections. One thread; an error ends the program. */
#ifndef BENCHMARKS_CLIENT_H
#define BENCHMARKS_CLIENT_H

#include "stream.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CONNECTIONS_MAX 60000
#define SIZE_MAX_BYTES  (64 << 20)
#define SECONDS_MAX     600
#define REQUEST_MAX     8192
#define READY_MAX       256
#define STALL_NS        10000000000U /* nothing comes for so long: give up */
#define NANOSECONDS     1000000000.0

/* Print what went wrong, with errno's text unless that is 0, and exit. */
_Noreturn void die(const char *what);
/* The same with errno left out. */
_Noreturn void die_of(const char *what);

uint64_t now_ns(void);
uint64_t nanoseconds(double seconds);
/* That a process has used so far; 0 if pid is 0. */
double cpu_seconds(pid_t pid);

/* Latencies up to an hour, with 1/32 of precision. */
void latencies_clear(void);
void latencies_add(uint64_t ns);
double latencies_quantile_us(double share);

/* From 0 to max. */
double number(const char *text, double max);

/* A masked frame of a message; its length in *out_len, the caller frees it. */
uint8_t *make_frame(size_t size, bool text, size_t *out_len);

/* The opening request; returns its length. extensions may be NULL. */
size_t write_request(char head[REQUEST_MAX], uint16_t port, const char *path,
                     const char *extensions);
/* A non-blocking socket on its way to 127.0.0.1:port if async, else a connected one. */
int open_socket(uint16_t port, bool async);
/* Connect and do the opening handshake, then make the socket non-blocking. */
struct stream open_stream(uint16_t port, const char *path, const char *extensions);

#endif

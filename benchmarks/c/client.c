#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "client.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SUB_BITS 5
#define BUCKETS  (64 << SUB_BITS)

static uint64_t buckets[BUCKETS];

_Noreturn void die(const char *what)
{
    fprintf(stderr, "client: %s%s%s\n", what, errno != 0 ? ": " : "",
            errno != 0 ? strerror(errno) : "");
    exit(1);
}

_Noreturn void die_of(const char *what)
{
    errno = 0;
    die(what);
}

/* --- time --- */

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

uint64_t nanoseconds(double seconds)
{
    return (uint64_t)(seconds * NANOSECONDS);
}

double cpu_seconds(pid_t pid)
{
    clockid_t clock;
    struct timespec t;
    if (pid == 0) {
        return 0;
    }
    errno = clock_getcpuclockid(pid, &clock);
    if (errno != 0 || clock_gettime(clock, &t) != 0) {
        die("the server's processor time");
    }
    return (double)t.tv_sec + (double)t.tv_nsec / NANOSECONDS;
}

/* --- latencies --- */

static unsigned bucket_of(uint64_t ns)
{
    if (ns < (1U << SUB_BITS)) {
        return (unsigned)ns;
    }
    unsigned exponent = 63U - (unsigned)__builtin_clzll(ns) - SUB_BITS;
    return ((exponent + 1) << SUB_BITS) +
           (unsigned)((ns >> exponent) & ((1U << SUB_BITS) - 1));
}

static double bucket_us(unsigned bucket)
{
    unsigned exponent = bucket >> SUB_BITS;
    double low = bucket & ((1U << SUB_BITS) - 1);
    if (exponent > 0) {
        low = (low + (1U << SUB_BITS)) * (double)(1ULL << (exponent - 1));
    }
    return low / 1000;
}

void latencies_clear(void)
{
    memset(buckets, 0, sizeof(buckets));
}

void latencies_add(uint64_t ns)
{
    buckets[bucket_of(ns)]++;
}

double latencies_quantile_us(double share)
{
    uint64_t total = 0;
    uint64_t seen = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        total += buckets[i];
    }
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += buckets[i];
        if (seen > 0 && (double)seen >= share * (double)total) {
            return bucket_us(i);
        }
    }
    return 0;
}

/* --- the command line --- */

double number(const char *text, double max)
{
    char *end;
    double value = strtod(text, &end);
    if (*text == '\0' || *end != '\0' || !(value >= 0) || value > max) {
        die_of("a number is out of range");
    }
    return value;
}

/* --- what is sent --- */

uint8_t *make_frame(size_t size, bool text, size_t *out_len)
{
    static const uint8_t key[4] = {0x12, 0x34, 0x56, 0x78};
    uint8_t *frame = malloc(size + 14);
    uint8_t *p = frame;
    if (p == NULL) {
        die("memory");
    }
    *p++ = text ? 0x81 : 0x82;
    int len_bytes = size < 126 ? 0 : size < 65536 ? 2 : 8;
    *p++ = (uint8_t)(0x80 | (len_bytes == 0 ? size : len_bytes == 2 ? 126 : 127));
    for (int i = len_bytes - 1; i >= 0; i--) {
        *p++ = (uint8_t)((uint64_t)size >> (8 * i));
    }
    memcpy(p, key, 4);
    p += 4;
    for (size_t i = 0; i < size; i++) {
        *p++ = (uint8_t)('a' + i % 26) ^ key[i % 4];
    }
    *out_len = (size_t)(p - frame);
    return frame;
}

size_t write_request(char head[REQUEST_MAX], uint16_t port, const char *path,
                     const char *extensions)
{
    int len = snprintf(
        head, REQUEST_MAX,
        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s%s%s\r\n",
        path, port, extensions != NULL ? "Sec-WebSocket-Extensions: " : "",
        extensions != NULL ? extensions : "", extensions != NULL ? "\r\n" : "");
    if (len < 0 || len >= REQUEST_MAX) {
        die_of("the request is too long");
    }
    return (size_t)len;
}

/* --- connections --- */

int open_socket(uint16_t port, bool async)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct timeval patience = {.tv_sec = 10};
    int one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | (async ? SOCK_NONBLOCK : 0), 0);
    if (fd < 0) {
        die("socket");
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0 &&
        !(async && errno == EINPROGRESS)) {
        die("connect");
    }
    return fd;
}

struct stream open_stream(uint16_t port, const char *path, const char *extensions)
{
    char head[REQUEST_MAX];
    size_t got = 0;
    size_t len = write_request(head, port, path, extensions);
    int fd = open_socket(port, false);
    struct stream stream = stream_open(fd);
    if (stream_send(&stream, head, len) != (ssize_t)len) {
        die("request");
    }
    /* A byte at a time, so that nothing after the response is taken. */
    while (got < 4 || memcmp(head + got - 4, "\r\n\r\n", 4) != 0) {
        if (got == REQUEST_MAX - 1 || stream_recv(&stream, head + got, 1) != 1) {
            die("response");
        }
        got++;
    }
    head[got] = '\0';
    if (strncmp(head, "HTTP/1.1 101", 12) != 0) {
        die_of("the server refused the connection");
    }
    if (extensions != NULL && strcasestr(head, "permessage-deflate") == NULL) {
        die_of("the server declined the extension");
    }
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        die("fcntl");
    }
    return stream;
}

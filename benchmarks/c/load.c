/* A load client: N connections, each sends a message, waits for the echo and sends the
 * next. It is cheap enough for one core to keep a server busy on another.
 *
 *   load PORT [--connections N] [--size BYTES] [--seconds S] [--warmup S] [--pid PID]
 *             [--text] [--spin] [--frame FILE] [--extensions HEADER] [--path PATH]
 *
 * Prints one line of JSON: messages, seconds, p50_us and p99_us of the time until the
 * echo, and with --pid the processor seconds that this process used meanwhile. --frame
 * sends the bytes of a file instead of a frame of its own, --extensions offers what it
 * needs. The server is on the loopback interface.
 *
 * With --spin it never sleeps, which takes a core of its own. Otherwise the server's
 * processor time includes waking the client on another core, often once per message:
 * that is a lot, differs with the order of the server's calls, and a client on another
 * machine costs none of it. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 60000
#define SIZE_MAX_BYTES  (64 << 20)
#define SECONDS_MAX     600
#define HEAD_MAX        8192
#define INPUT_LEN       (256 << 10)
#define READY_MAX       256
#define SLEEP_MS        1000
#define STALL_NS        10000000000U /* nothing comes for so long: give up */

/* Latencies up to an hour, with 1/32 of precision. */
#define SUB_BITS    5
#define BUCKETS     (64 << SUB_BITS)
#define NANOSECONDS 1000000000.0

struct connection {
    uint64_t sent_at; /* ns */
    uint64_t left;    /* of the payload that is coming in */
    uint64_t got;     /* of the message, in its frames so far */
    size_t unsent;    /* bytes of the frame that the socket did not take */
    int fd;
    uint8_t head[10];
    uint8_t head_len;
    bool watching_output;
};

struct options {
    uint16_t port;
    int connections;
    size_t size;
    double seconds;
    double warmup;
    pid_t pid;
    bool text;
    bool spin;
    const char *frame;
    const char *extensions;
    const char *path;
};

static struct connection *connections;
static uint8_t *frame;
static size_t frame_len;
static uint8_t input[INPUT_LEN];
static uint64_t buckets[BUCKETS];
static uint64_t messages;
static uint64_t expected_len; /* of an echo; 0: any */
static int epoll_fd;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "load: %s%s%s\n", what, errno != 0 ? ": " : "",
            errno != 0 ? strerror(errno) : "");
    exit(1);
}

/* --- time --- */

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

static double cpu_seconds(pid_t pid)
{
    clockid_t clock;
    struct timespec t;
    errno = clock_getcpuclockid(pid, &clock);
    if (errno != 0 || clock_gettime(clock, &t) != 0) {
        die("the server's processor time");
    }
    return (double)t.tv_sec + (double)t.tv_nsec / NANOSECONDS;
}

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

static double quantile_us(double share)
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

/* --- what is sent --- */

static void make_frame(const struct options *options)
{
    static const uint8_t key[4] = {0x12, 0x34, 0x56, 0x78};
    size_t size = options->size;
    uint8_t *p = malloc(size + 14);
    if (p == NULL) {
        die("memory");
    }
    frame = p;
    *p++ = options->text ? 0x81 : 0x82;
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
    frame_len = (size_t)(p - frame);
}

static void read_frame(const char *path)
{
    FILE *file = fopen(path, "rb");
    frame = malloc(SIZE_MAX_BYTES);
    if (file == NULL || frame == NULL) {
        die(path);
    }
    frame_len = fread(frame, 1, SIZE_MAX_BYTES, file);
    if (frame_len == 0) {
        die(path);
    }
    fclose(file);
}

/* --- connections --- */

static void
open_connection(const struct options *options, struct connection *connection)
{
    char head[HEAD_MAX];
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(options->port)};
    struct timeval patience = {.tv_sec = 10};
    int one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        die("connect");
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    int len = snprintf(head, sizeof(head),
                       "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s%s%s\r\n",
                       options->path, options->port,
                       options->extensions != NULL ? "Sec-WebSocket-Extensions: " : "",
                       options->extensions != NULL ? options->extensions : "",
                       options->extensions != NULL ? "\r\n" : "");
    if (len < 0 || len >= HEAD_MAX || send(fd, head, (size_t)len, 0) != len) {
        die("request");
    }
    /* A byte at a time, so that nothing after the response is taken. */
    size_t got = 0;
    while (got < 4 || memcmp(head + got - 4, "\r\n\r\n", 4) != 0) {
        if (got == HEAD_MAX - 1 || recv(fd, head + got, 1, 0) != 1) {
            die("response");
        }
        got++;
    }
    head[got] = '\0';
    if (strncmp(head, "HTTP/1.1 101", 12) != 0) {
        errno = 0;
        die("the server refused the connection");
    }
    if (options->extensions != NULL && strcasestr(head, "permessage-deflate") == NULL) {
        errno = 0;
        die("the server declined the extension");
    }
    connection->fd = fd;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        die("epoll_ctl");
    }
}

static void watch_output(struct connection *connection, bool on)
{
    struct epoll_event event = {.events = on ? EPOLLIN | EPOLLOUT : EPOLLIN,
                                .data.ptr = connection};
    if (connection->watching_output != on) {
        connection->watching_output = on;
        if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, connection->fd, &event) != 0) {
            die("epoll_ctl");
        }
    }
}

static void send_rest(struct connection *connection)
{
    while (connection->unsent > 0) {
        ssize_t sent = send(connection->fd, frame + frame_len - connection->unsent,
                            connection->unsent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
            break;
        }
        if (sent < 0) {
            die("send");
        }
        connection->unsent -= (size_t)sent;
    }
    watch_output(connection, connection->unsent > 0);
}

static void send_message(struct connection *connection)
{
    connection->sent_at = now_ns();
    connection->unsent = frame_len;
    send_rest(connection);
}

/* The bytes of the head of a frame that the server sends, as far as it is known. */
static uint8_t head_size(const struct connection *connection)
{
    if (connection->head_len < 2) {
        return 2;
    }
    uint8_t len = connection->head[1];
    return len < 126 ? 2 : len == 126 ? 4 : 10;
}

static uint64_t payload_len(const struct connection *connection)
{
    uint8_t size = head_size(connection);
    if (size == 2) {
        return connection->head[1];
    }
    uint64_t len = 0;
    for (int i = 2; i < size; i++) {
        len = len << 8 | connection->head[i];
    }
    return len;
}

/* A frame is complete: the next message, if it was one. */
static void end_frame(struct connection *connection)
{
    uint8_t opcode = connection->head[0] & 0x0F;
    bool fin = (connection->head[0] & 0x80) != 0;
    connection->head_len = 0;
    if (opcode == 0x8) {
        errno = 0;
        die("the server closed a connection");
    }
    if (opcode < 0x8 && fin) {
        if (expected_len != 0 && connection->got != expected_len) {
            errno = 0;
            die("an echo has the wrong length");
        }
        connection->got = 0;
        buckets[bucket_of(now_ns() - connection->sent_at)]++;
        messages++;
        send_message(connection);
    }
}

static void take_input(struct connection *connection)
{
    ssize_t got = recv(connection->fd, input, sizeof(input), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        die("a connection was lost");
    }
    size_t at = 0;
    size_t len = (size_t)got;
    while (at < len) {
        if (connection->head_len == 0 || connection->head_len < head_size(connection)) {
            connection->head[connection->head_len++] = input[at++];
            if (connection->head_len < head_size(connection)) {
                continue;
            }
            connection->left = payload_len(connection);
            connection->got += (connection->head[0] & 0x8) != 0 ? 0 : connection->left;
        }
        else {
            size_t part =
                len - at < connection->left ? len - at : (size_t)connection->left;
            connection->left -= part;
            at += part;
        }
        if (connection->left == 0) {
            end_frame(connection);
        }
    }
}

static void run_until(uint64_t end, bool spin)
{
    struct epoll_event ready[READY_MAX];
    uint64_t give_up_at = now_ns() + STALL_NS;
    for (uint64_t now = now_ns(); now < end; now = now_ns()) {
        int count = epoll_wait(epoll_fd, ready, READY_MAX, spin ? 0 : SLEEP_MS);
        if (count > 0) {
            give_up_at = now + STALL_NS;
        }
        else if (now >= give_up_at) {
            errno = 0;
            die("the server does not answer");
        }
        for (int i = 0; i < count; i++) {
            struct connection *connection = ready[i].data.ptr;
            if ((ready[i].events & EPOLLOUT) != 0) {
                send_rest(connection);
            }
            if ((ready[i].events & ~(uint32_t)EPOLLOUT) != 0) {
                take_input(connection);
            }
        }
    }
}

/* --- options --- */

static double number(const char *text, double max)
{
    char *end;
    double value = strtod(text, &end);
    if (*text == '\0' || *end != '\0' || !(value >= 0) || value > max) {
        errno = 0;
        die("a number is out of range");
    }
    return value;
}

static void set_option(struct options *options, const char *name, const char *value)
{
    if (strcmp(name, "--connections") == 0) {
        options->connections = (int)number(value, CONNECTIONS_MAX);
    }
    else if (strcmp(name, "--size") == 0) {
        options->size = (size_t)number(value, SIZE_MAX_BYTES);
    }
    else if (strcmp(name, "--seconds") == 0) {
        options->seconds = number(value, SECONDS_MAX);
    }
    else if (strcmp(name, "--warmup") == 0) {
        options->warmup = number(value, SECONDS_MAX);
    }
    else if (strcmp(name, "--pid") == 0) {
        options->pid = (pid_t)number(value, 1 << 30);
    }
    else if (strcmp(name, "--frame") == 0) {
        options->frame = value;
    }
    else if (strcmp(name, "--extensions") == 0) {
        options->extensions = value;
    }
    else if (strcmp(name, "--path") == 0) {
        options->path = value;
    }
    else {
        errno = 0;
        die("unknown option");
    }
}

static struct options get_options(int argc, char **argv)
{
    struct options options = {
        .connections = 64, .size = 256, .seconds = 2, .warmup = 0.5, .path = "/"};
    if (argc < 2) {
        errno = 0;
        die("PORT is missing");
    }
    options.port = (uint16_t)number(argv[1], UINT16_MAX);
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--text") == 0) {
            options.text = true;
        }
        else if (strcmp(argv[i], "--spin") == 0) {
            options.spin = true;
        }
        else if (i + 1 < argc) {
            set_option(&options, argv[i], argv[i + 1]);
            i++;
        }
        else {
            errno = 0;
            die("an option has no value");
        }
    }
    return options;
}

static uint64_t nanoseconds(double seconds)
{
    return (uint64_t)(seconds * NANOSECONDS);
}

int main(int argc, char **argv)
{
    struct options options = get_options(argc, argv);
    epoll_fd = epoll_create1(0);
    connections = calloc((size_t)options.connections + 1, sizeof(*connections));
    if (epoll_fd < 0 || connections == NULL) {
        die("memory");
    }
    if (options.frame != NULL) {
        read_frame(options.frame);
    }
    else {
        make_frame(&options);
        expected_len = options.size;
    }
    for (int i = 0; i < options.connections; i++) {
        open_connection(&options, &connections[i]);
    }
    for (int i = 0; i < options.connections; i++) {
        send_message(&connections[i]);
    }
    run_until(now_ns() + nanoseconds(options.warmup), options.spin);
    memset(buckets, 0, sizeof(buckets));
    messages = 0;
    double cpu = options.pid != 0 ? cpu_seconds(options.pid) : 0;
    uint64_t start = now_ns();
    run_until(start + nanoseconds(options.seconds), options.spin);
    uint64_t end = now_ns();
    cpu = options.pid != 0 ? cpu_seconds(options.pid) - cpu : 0;
    printf("{\"messages\": %llu, \"seconds\": %.6f, \"server_cpu_seconds\": %.6f, "
           "\"p50_us\": %.1f, \"p99_us\": %.1f}\n",
           (unsigned long long)messages, (double)(end - start) / NANOSECONDS, cpu,
           quantile_us(0.5), quantile_us(0.99));
    return 0;
}

/* A load client: N connections, each sends a message, waits for the echo and sends the
 * next. It is cheap enough for one core to keep a server busy on another.
 *
 *   load PORT [--connections N] [--size BYTES] [--seconds S] [--warmup S] [--pid PID]
 *             [--text] [--spin] [--frame FILE] [--extensions HEADER] [--path PATH]
 *             [--slow N]
 *
 * Prints one line of JSON: messages, seconds, p10_us, p50_us and p99_us of the time
 * until the echo, and with --pid the processor seconds that this process used
 * meanwhile. --frame sends the bytes of a file instead of a frame of its own,
 * --extensions offers what it needs. With --slow there are as many connections more,
 * with the path /slow, of which nothing is counted, and all send at once: the others,
 * then these, and again when all have their echo. The server is on the loopback
 * interface.
 *
 * The program load-tls is the same over TLS.
 *
 * With --spin it never sleeps, which takes a core of its own. Otherwise the server's
 * processor time includes waking the client on another core, often once per message:
 * that is a lot, differs with the order of the server's calls, and a client on another
 * machine costs none of it. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "client.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define INPUT_LEN (256 << 10)
#define SLEEP_MS  1000

struct connection {
    struct stream stream;
    uint64_t sent_at; /* ns */
    uint64_t left;    /* of the payload that is coming in */
    uint64_t got;     /* of the message, in its frames so far */
    size_t unsent;    /* bytes of the frame that the socket did not take */
    uint8_t head[10];
    uint8_t head_len;
    bool watching_output;
};

struct options {
    uint16_t port;
    int connections;
    int slow;
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
static int connections_count;
static int quick_count; /* the first ones; the others are slow */
static int echoes_left; /* of all together */
static uint8_t *frame;
static size_t frame_len;
static uint8_t input[INPUT_LEN];
static uint64_t messages;
static uint64_t expected_len; /* of an echo; 0: any */
static int epoll_fd;

/* --- what is sent --- */

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
    bool slow = connection - connections >= quick_count;
    connection->stream =
        open_stream(options->port, slow ? "/slow" : options->path, options->extensions);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, connection->stream.fd, &event) != 0) {
        die("epoll_ctl");
    }
}

static void watch_output(struct connection *connection, bool on)
{
    struct epoll_event event = {.events = on ? EPOLLIN | EPOLLOUT : EPOLLIN,
                                .data.ptr = connection};
    if (connection->watching_output != on) {
        connection->watching_output = on;
        if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, connection->stream.fd, &event) != 0) {
            die("epoll_ctl");
        }
    }
}

static void send_rest(struct connection *connection)
{
    while (connection->unsent > 0) {
        ssize_t sent =
            stream_send(&connection->stream, frame + frame_len - connection->unsent,
                        connection->unsent);
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

static void send_to_all(void)
{
    echoes_left = connections_count;
    for (int i = 0; i < connections_count; i++) {
        send_message(&connections[i]);
    }
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
        die_of("the server closed a connection");
    }
    if (opcode < 0x8 && fin) {
        if (expected_len != 0 && connection->got != expected_len) {
            die_of("an echo has the wrong length");
        }
        connection->got = 0;
        if (connection - connections < quick_count) {
            latencies_add(now_ns() - connection->sent_at);
            messages++;
        }
        if (quick_count == connections_count) {
            send_message(connection);
        }
        else if (--echoes_left == 0) {
            send_to_all();
        }
    }
}

/* What one recv() gives. */
static void take_some(struct connection *connection)
{
    ssize_t got = stream_recv(&connection->stream, input, sizeof(input));
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

static void take_input(struct connection *connection)
{
    do {
        take_some(connection);
    } while (stream_pending(&connection->stream));
}

/* Until a time, and longer until there were so many messages: a busy machine may let
 * next to nothing through for a while. */
static void run_until(uint64_t end, uint64_t least, bool spin)
{
    struct epoll_event ready[READY_MAX];
    uint64_t give_up_at = now_ns() + STALL_NS;
    for (uint64_t now = now_ns(); now < end || messages < least; now = now_ns()) {
        int count = epoll_wait(epoll_fd, ready, READY_MAX, spin ? 0 : SLEEP_MS);
        if (count > 0) {
            give_up_at = now + STALL_NS;
        }
        else if (now >= give_up_at) {
            die_of("the server does not answer");
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

static void set_option(struct options *options, const char *name, const char *value)
{
    if (strcmp(name, "--connections") == 0) {
        options->connections = (int)number(value, CONNECTIONS_MAX);
    }
    else if (strcmp(name, "--slow") == 0) {
        options->slow = (int)number(value, CONNECTIONS_MAX);
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
        die_of("unknown option");
    }
}

static struct options get_options(int argc, char **argv)
{
    struct options options = {
        .connections = 64, .size = 256, .seconds = 2, .warmup = 0.5, .path = "/"};
    if (argc < 2) {
        die_of("PORT is missing");
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
            die_of("an option has no value");
        }
    }
    return options;
}

int main(int argc, char **argv)
{
    struct options options = get_options(argc, argv);
    epoll_fd = epoll_create1(0);
    quick_count = options.connections;
    connections_count = quick_count + options.slow;
    connections = calloc((size_t)connections_count + 1, sizeof(*connections));
    if (epoll_fd < 0 || connections == NULL) {
        die("memory");
    }
    if (options.frame != NULL) {
        read_frame(options.frame);
    }
    else {
        frame = make_frame(options.size, options.text, &frame_len);
        expected_len = options.size;
    }
    for (int i = 0; i < connections_count; i++) {
        open_connection(&options, &connections[i]);
    }
    send_to_all();
    /* An echo of each may be here already, the other is then the server's work. */
    uint64_t least = 2 * (uint64_t)options.connections;
    run_until(now_ns() + nanoseconds(options.warmup), least, options.spin);
    latencies_clear();
    messages = 0;
    double cpu = cpu_seconds(options.pid);
    uint64_t start = now_ns();
    run_until(start + nanoseconds(options.seconds), least, options.spin);
    uint64_t end = now_ns();
    cpu = cpu_seconds(options.pid) - cpu;
    printf("{\"messages\": %llu, \"seconds\": %.6f, \"server_cpu_seconds\": %.6f, "
           "\"p10_us\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f}\n",
           (unsigned long long)messages, (double)(end - start) / NANOSECONDS, cpu,
           latencies_quantile_us(0.1), latencies_quantile_us(0.5),
           latencies_quantile_us(0.99));
    return 0;
}

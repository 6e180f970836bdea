/* The members of a broadcast: N connections, some of which send a message each that the
 * server sends to all; when all have all of them, the next.
 *
 *   broadcast PORT [--connections N] [--at-once N] [--size BYTES] [--seconds S]
 *                  [--warmup S] [--socketio 1] [--pid PID]
 *
 * Prints one line of JSON as load does: messages are deliveries, p50_us and p99_us the
 * time until all have the messages. Frames are counted by their bytes. With --socketio
 * they are events of Socket.IO 5. Never sleeps. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "client.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define INPUT_LEN  (256 << 10)
#define EVENT_HEAD "42[\"m\",\""
#define EVENT_TAIL "\"]"

static struct stream *streams;
static uint8_t input[INPUT_LEN];
static uint8_t *frame;
static size_t frame_len;
static uint64_t sent_at;
static uint64_t missing; /* bytes until all have the messages */
static uint64_t messages;
static int count = 1000;
static int at_once = 1;
static int epoll_fd;

static void send_frame(const struct stream *stream, const uint8_t *data, size_t len)
{
    if (stream_send(stream, data, len) != (ssize_t)len) {
        die("send");
    }
}

static void send_messages(void)
{
    sent_at = now_ns();
    /* The server's frames have no masking key. */
    missing = (uint64_t)at_once * (uint64_t)count * (frame_len - 4);
    for (int i = 0; i < at_once; i++) {
        send_frame(&streams[i], frame, frame_len);
    }
}

/* --- Socket.IO --- */

static void put_masked(size_t size, size_t at, const char *text)
{
    uint8_t *payload = frame + frame_len - size;
    for (size_t i = 0; text[i] != '\0'; i++) {
        payload[at + i] = (uint8_t)text[i] ^ payload[(int)((at + i) % 4) - 4];
    }
}

static void make_event(size_t size)
{
    size_t tail = strlen(EVENT_TAIL);
    if (size < strlen(EVENT_HEAD) + tail) {
        die_of("an event is larger");
    }
    frame = make_frame(size, true, &frame_len);
    put_masked(size, 0, EVENT_HEAD);
    put_masked(size, size - tail, EVENT_TAIL);
}

static void take_packet(const struct stream *stream)
{
    struct pollfd wait = {.fd = stream->fd, .events = POLLIN};
    if (poll(&wait, 1, STALL_NS / 1000000) != 1 ||
        stream_recv(stream, input, sizeof(input)) <= 0) {
        die_of("Socket.IO's server does not answer");
    }
}

/* It says its session's name, and is asked for the namespace "/". */
static void connect_socketio(const struct stream *stream)
{
    static const uint8_t connect[] = {0x81, 0x82, 0, 0, 0, 0, '4', '0'};
    take_packet(stream);
    send_frame(stream, connect, sizeof(connect));
    take_packet(stream);
}

/* --- */

static void take_input(const struct stream *stream)
{
    ssize_t got = stream_recv(stream, input, sizeof(input));
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (got <= 0) {
        die("a connection was lost");
    }
    if ((uint64_t)got > missing) {
        die_of("more came than was sent");
    }
    missing -= (uint64_t)got;
    if (missing == 0) {
        messages += (uint64_t)at_once * (uint64_t)count;
        latencies_add(now_ns() - sent_at);
    }
}

static void run_until(uint64_t end)
{
    struct epoll_event ready[READY_MAX];
    uint64_t give_up_at = now_ns() + STALL_NS;
    for (uint64_t now = now_ns(); now < end || missing > 0; now = now_ns()) {
        if (missing == 0) {
            send_messages();
        }
        int some = epoll_wait(epoll_fd, ready, READY_MAX, 0);
        if (some > 0) {
            give_up_at = now + STALL_NS;
        }
        else if (now >= give_up_at) {
            die_of("the server does not answer");
        }
        for (int i = 0; i < some; i++) {
            take_input(ready[i].data.ptr);
        }
    }
}

int main(int argc, char **argv)
{
    size_t size = 256;
    double seconds = 2;
    double warmup = 0.5;
    pid_t pid = 0;
    bool socketio = false;
    const char *path = "/";
    if (argc < 2 || argc % 2 != 0) {
        die_of("PORT, then options with their values");
    }
    uint16_t port = (uint16_t)number(argv[1], UINT16_MAX);
    for (int i = 2; i < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--connections") == 0) {
            count = (int)number(value, CONNECTIONS_MAX);
        }
        else if (strcmp(argv[i], "--at-once") == 0) {
            at_once = (int)number(value, CONNECTIONS_MAX);
        }
        else if (strcmp(argv[i], "--socketio") == 0) {
            socketio = number(value, 1) != 0;
        }
        else if (strcmp(argv[i], "--size") == 0) {
            size = (size_t)number(value, UINT16_MAX);
        }
        else if (strcmp(argv[i], "--seconds") == 0) {
            seconds = number(value, SECONDS_MAX);
        }
        else if (strcmp(argv[i], "--warmup") == 0) {
            warmup = number(value, SECONDS_MAX);
        }
        else if (strcmp(argv[i], "--pid") == 0) {
            pid = (pid_t)number(value, 1 << 30);
        }
        else {
            die_of("unknown option");
        }
    }
    epoll_fd = epoll_create1(0);
    streams = calloc((size_t)count + 1, sizeof(*streams));
    if (epoll_fd < 0 || streams == NULL || count < 1 || at_once > count) {
        die("memory");
    }
    if (socketio) {
        path = "/socket.io/?EIO=4&transport=websocket";
        make_event(size);
    }
    else {
        frame = make_frame(size, false, &frame_len);
    }
    for (int i = 0; i < count; i++) {
        streams[i] = open_stream(port, path, NULL);
        if (socketio) {
            connect_socketio(&streams[i]);
        }
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &streams[i]};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, streams[i].fd, &event) != 0) {
            die("epoll_ctl");
        }
    }
    run_until(now_ns() + nanoseconds(warmup));
    latencies_clear();
    messages = 0;
    double cpu = cpu_seconds(pid);
    uint64_t start = now_ns();
    run_until(start + nanoseconds(seconds));
    uint64_t end = now_ns();
    cpu = cpu_seconds(pid) - cpu;
    printf("{\"messages\": %llu, \"seconds\": %.6f, \"server_cpu_seconds\": %.6f, "
           "\"p50_us\": %.1f, \"p99_us\": %.1f}\n",
           (unsigned long long)messages, (double)(end - start) / NANOSECONDS, cpu,
           latencies_quantile_us(0.5), latencies_quantile_us(0.99));
    return 0;
}

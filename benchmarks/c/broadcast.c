/* The members of a broadcast: N connections, the first of which sends a message that
 * the server sends to all; when all have it, the next.
 *
 *   broadcast PORT [--connections N] [--size BYTES] [--seconds S] [--warmup S] [--pid
 * PID]
 *
 * Prints one line of JSON as load does: messages are deliveries, p50_us and p99_us the
 * time until all have a message. Frames are counted by their bytes. Never sleeps. */
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

static struct stream *streams;
static uint8_t input[INPUT_LEN];
static uint8_t *frame;
static size_t frame_len;
static uint64_t sent_at;
static uint64_t missing; /* bytes until all have the message */
static uint64_t messages;
static int count = 1000;
static int epoll_fd;

static void send_message(void)
{
    sent_at = now_ns();
    /* The server's frames have no masking key. */
    missing = (uint64_t)count * (frame_len - 4);
    if (stream_send(&streams[0], frame, frame_len) != (ssize_t)frame_len) {
        die("send");
    }
}

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
        messages += (uint64_t)count;
        latencies_add(now_ns() - sent_at);
    }
}

static void run_until(uint64_t end)
{
    struct epoll_event ready[READY_MAX];
    uint64_t give_up_at = now_ns() + STALL_NS;
    for (uint64_t now = now_ns(); now < end || missing > 0; now = now_ns()) {
        if (missing == 0) {
            send_message();
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
    if (argc < 2 || argc % 2 != 0) {
        die_of("PORT, then options with their values");
    }
    uint16_t port = (uint16_t)number(argv[1], UINT16_MAX);
    for (int i = 2; i < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--connections") == 0) {
            count = (int)number(value, CONNECTIONS_MAX);
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
    frame = make_frame(size, false, &frame_len);
    if (epoll_fd < 0 || streams == NULL || count < 1) {
        die("memory");
    }
    for (int i = 0; i < count; i++) {
        streams[i] = open_stream(port, "/", NULL);
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

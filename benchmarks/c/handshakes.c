/* Opening handshakes: opens connections, some at a time, and drops them.
 *
 *   handshakes PORT --pid PID [--seconds S]
 *
 * Prints one line of JSON as load does: messages are handshakes. What the server does
 * when connections are lost is not counted: that happens between two batches. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "client.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH      256
#define AT_A_TIME  32
#define SETTLE_NS  20000000U /* the server does what is left after an answer */
#define DISPOSE_NS 60000000U

struct opening {
    struct stream stream;
    size_t got;
    uint64_t began_at;
    bool asked;
    char head[REQUEST_MAX];
};

static struct opening openings[BATCH];
static char request[REQUEST_MAX];
static size_t request_len;
static uint16_t port;
static int epoll_fd;

static void begin(struct opening *opening)
{
    opening->began_at = now_ns();
    opening->got = 0;
    opening->asked = false;
    opening->stream = stream_begin(open_socket(port, true));
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = opening};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, opening->stream.fd, &event) != 0) {
        die("epoll_ctl");
    }
}

/* With TLS, that is done first: then it is tried again with what comes. */
static void ask(struct opening *opening)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = opening};
    ssize_t sent = stream_send(&opening->stream, request, request_len);
    opening->asked = sent == (ssize_t)request_len;
    if ((!opening->asked && (sent >= 0 || errno != EAGAIN)) ||
        epoll_ctl(epoll_fd, EPOLL_CTL_MOD, opening->stream.fd, &event) != 0) {
        die("request");
    }
}

/* Whether the response is complete. */
static bool answered(struct opening *opening)
{
    ssize_t got = stream_recv(&opening->stream, opening->head + opening->got,
                              sizeof(opening->head) - opening->got);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    if (got <= 0) {
        die("a connection was lost");
    }
    opening->got += (size_t)got;
    if (opening->got < 4 ||
        memcmp(opening->head + opening->got - 4, "\r\n\r\n", 4) != 0) {
        return false;
    }
    if (strncmp(opening->head, "HTTP/1.1 101", 12) != 0) {
        die_of("the server refused the connection");
    }
    latencies_add(now_ns() - opening->began_at);
    return true;
}

static void open_batch(void)
{
    struct epoll_event ready[READY_MAX];
    int begun = 0;
    int done = 0;
    uint64_t give_up_at = now_ns() + STALL_NS;
    while (done < BATCH) {
        while (begun < BATCH && begun - done < AT_A_TIME) {
            begin(&openings[begun++]);
        }
        int some = epoll_wait(epoll_fd, ready, READY_MAX, 0);
        if (some == 0 && now_ns() >= give_up_at) {
            die_of("the server does not answer");
        }
        for (int i = 0; i < some; i++) {
            struct opening *opening = ready[i].data.ptr;
            if (!opening->asked) {
                ask(opening);
            }
            else {
                done += answered(opening);
            }
        }
    }
}

/* Without leaving ports in TIME_WAIT. */
static void drop_batch(void)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    for (int i = 0; i < BATCH; i++) {
        setsockopt(openings[i].stream.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
        stream_end(&openings[i].stream);
        close(openings[i].stream.fd);
    }
}

static void pause_ns(uint64_t ns)
{
    usleep((useconds_t)(ns / 1000));
}

int main(int argc, char **argv)
{
    double seconds = 1;
    pid_t pid = 0;
    if (argc < 2 || argc % 2 != 0) {
        die_of("PORT, then options with their values");
    }
    port = (uint16_t)number(argv[1], UINT16_MAX);
    for (int i = 2; i < argc; i += 2) {
        if (strcmp(argv[i], "--seconds") == 0) {
            seconds = number(argv[i + 1], SECONDS_MAX);
        }
        else if (strcmp(argv[i], "--pid") == 0) {
            pid = (pid_t)number(argv[i + 1], 1 << 30);
        }
        else {
            die_of("unknown option");
        }
    }
    request_len = write_request(request, port, "/", NULL);
    epoll_fd = epoll_create1(0);
    if (epoll_fd < 0) {
        die("epoll_create1");
    }
    double cpu = 0;
    uint64_t wall = 0;
    uint64_t count = 0;
    uint64_t start = now_ns();
    do {
        double cpu_before = cpu_seconds(pid);
        uint64_t before = now_ns();
        open_batch();
        wall += now_ns() - before;
        pause_ns(SETTLE_NS);
        cpu += cpu_seconds(pid) - cpu_before;
        count += BATCH;
        drop_batch();
        pause_ns(DISPOSE_NS);
    } while (now_ns() - start < nanoseconds(seconds));
    printf("{\"messages\": %llu, \"seconds\": %.6f, \"server_cpu_seconds\": %.6f, "
           "\"p50_us\": %.1f, \"p99_us\": %.1f}\n",
           (unsigned long long)count, (double)wall / NANOSECONDS, cpu,
           latencies_quantile_us(0.5), latencies_quantile_us(0.99));
    return 0;
}

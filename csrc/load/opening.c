#include "opening.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fault.h"
#include "member.h"
#include "wsc/clock.h"

#define NANOSECONDS 1e9

bool wsc_opening_set_address(struct wsc_load *load)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET,
                             .sin_port = htons(load->config.port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
                              .sin6_port = htons(load->config.port)};
    if (inet_pton(AF_INET, load->config.address, &v4.sin_addr) == 1) {
        load->address_len = sizeof(v4);
        memcpy(&load->address, &v4, sizeof(v4));
        return true;
    }
    if (inet_pton(AF_INET6, load->config.address, &v6.sin6_addr) == 1) {
        load->address_len = sizeof(v6);
        memcpy(&load->address, &v6, sizeof(v6));
        return true;
    }
    return false;
}

static int make_socket(const struct wsc_load *load)
{
    int fd = socket(load->address.ss_family, SOCK_STREAM, 0);
    if (fd >= 0 &&
        (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static void
fail(struct wsc_load *load, struct wsc_load_member *member, int error, uint64_t now)
{
    if (member->fd >= 0) {
        (void)close(member->fd);
    }
    wsc_load_note(load, WSC_LOAD_CONNECT, error, wsc_str_of(NULL));
    wsc_member_end(load, member, now);
}

static void
connect_one(struct wsc_load *load, struct wsc_load_member *member, uint64_t now)
{
    member->state = WSC_MEMBER_CONNECTING;
    member->since = now;
    load->opening_count++;
    member->fd = make_socket(load);
    if (member->fd >= 0 && connect(member->fd, (const struct sockaddr *)&load->address,
                                   load->address_len) == 0) {
        wsc_member_open(load, member, now);
    }
    else if (member->fd >= 0 && errno == EINPROGRESS) {
        load->connecting[load->connecting_count++] = member;
    }
    else {
        fail(load, member, errno, now);
    }
}

static bool may_connect(const struct wsc_load *load)
{
    const struct wsc_load_config *config = &load->config;
    return load->waiting != NULL && load->opening_count < config->opening_max &&
           (!config->handshakes ||
            (load->budget > 0 && load->figures.phase == WSC_LOAD_RUNNING));
}

static uint64_t ramp_at(const struct wsc_load *load)
{
    double after = (double)load->ramp_count * NANOSECONDS / load->config.ramp;
    return load->ramp_from + (uint64_t)after;
}

uint64_t wsc_opening_next_at(const struct wsc_load *load)
{
    if (!may_connect(load)) {
        return UINT64_MAX;
    }
    return load->config.ramp > 0 ? ramp_at(load) : 0;
}

void wsc_opening_go_on(struct wsc_load *load, uint64_t now)
{
    /* Those of now: one that fails at once waits behind them. */
    size_t turns = load->config.opening_max;
    if (load->ramp_from == 0) {
        load->ramp_from = now;
    }
    for (; turns > 0 && wsc_opening_next_at(load) <= now; turns--) {
        struct wsc_load_member *member = load->waiting;
        load->waiting = member->next;
        member->opened_from = load->config.ramp > 0 ? ramp_at(load) : now;
        load->ramp_count++;
        if (load->config.handshakes) {
            load->budget--;
        }
        connect_one(load, member, now);
    }
}

/* --- those that connect --- */

static void connected(struct wsc_load *load, size_t index, uint64_t now)
{
    struct wsc_load_member *member = load->connecting[index];
    int error = 0;
    socklen_t len = sizeof(error);
    load->connecting[index] = load->connecting[--load->connecting_count];
    if (getsockopt(member->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0) {
        error = errno;
    }
    if (error != 0) {
        fail(load, member, error, now);
    }
    else {
        wsc_member_open(load, member, now);
    }
}

void wsc_opening_poll(struct wsc_load *load, int timeout_ms)
{
    size_t count = load->connecting_count;
    if (count > 0) {
        for (size_t i = 0; i < count; i++) {
            load->watched[i].fd = load->connecting[i]->fd;
            load->watched[i].events = POLLOUT;
        }
        load->watched[count].fd = wsc_engine_fd(load->engine);
        load->watched[count].events = POLLIN;
        if (poll(load->watched, (nfds_t)count + 1, timeout_ms) > 0) {
            uint64_t now = wsc_clock_ns();
            /* The last one takes the place of one that is done. */
            for (size_t i = count; i > 0; i--) {
                if (load->watched[i - 1].revents != 0) {
                    connected(load, i - 1, now);
                }
            }
        }
        timeout_ms = 0;
    }
    (void)wsc_engine_poll(load->engine, timeout_ms);
}

static void forget(struct wsc_load *load, size_t index, uint64_t now)
{
    struct wsc_load_member *member = load->connecting[index];
    load->connecting[index] = load->connecting[--load->connecting_count];
    (void)close(member->fd);
    wsc_member_end(load, member, now);
}

void wsc_opening_give_up(struct wsc_load *load, uint64_t before, uint64_t now)
{
    for (size_t i = load->connecting_count; i > 0; i--) {
        if (load->connecting[i - 1]->since <= before) {
            wsc_load_note(load, WSC_LOAD_TIMEOUT, WSC_LOAD_WAIT_CONNECT,
                          wsc_str_of("connecting"));
            forget(load, i - 1, now);
        }
    }
}

void wsc_opening_forget(struct wsc_load *load, uint64_t now)
{
    while (load->connecting_count > 0) {
        forget(load, 0, now);
    }
}

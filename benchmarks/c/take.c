/* A client of feed that is measured beside those of libraries: system calls, and of
 * each message as much as nobody can do without.
 *
 *   take [--own] [--compression]
 *
 * Connects to each port that a line of standard input gives, and takes messages until
 * a Close frame: a receive buffer, the heads of frames, a count. With --own, which
 * isn't for TLS, each payload is in memory of its own, as an object of Python's has it:
 * it is copied, or if it is large received to there. With --compression it is inflated
 * by zlib. The program take-tls does the same over TLS. It relies on what feed sends,
 * whole messages in frames without a mask, and is no WebSocket client. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "client.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>
#include <zlib.h>

#define INPUT_LEN (256 << 10)
#define HEAD_MAX  10
#define OWN_MIN   (32 << 10) /* of a payload that is received to its place */
#define REST_LEN  (4 << 10)  /* behind it, at most */
#define CLOSE     0x8U       /* RFC 6455 §5.2 */
#define OFFER     "permessage-deflate; server_max_window_bits=12"

struct message {
    uint8_t head[HEAD_MAX];
    size_t head_len;
    size_t left; /* of the payload */
    size_t len;  /* of what is in `own` */
    uint8_t *own;
};

static bool owning;
static bool inflating;
static z_stream inflater;
static uint8_t input[INPUT_LEN];
static uint8_t plain[INPUT_LEN];
static uint64_t messages;

/* --- messages --- */

static void inflate_some(const uint8_t *data, size_t len)
{
    inflater.next_in = data;
    inflater.avail_in = (uInt)len;
    inflater.next_out = plain;
    inflater.avail_out = sizeof(plain);
    int result = inflate(&inflater, Z_SYNC_FLUSH);
    if ((result != Z_OK && result != Z_BUF_ERROR) || inflater.avail_in > 0) {
        die_of("the message can't be inflated");
    }
}

static void end_message(struct message *message)
{
    static const uint8_t tail[] = {0, 0, 0xff, 0xff}; /* RFC 7692 §7.2.2 */
    if (inflating) {
        inflate_some(tail, sizeof(tail));
    }
    free(message->own);
    *message = (struct message){.left = 0};
    messages++;
}

/* RFC 6455 §5.2: how long a head is whose second byte this is. */
static size_t head_size(uint8_t second)
{
    size_t short_len = second & 0x7fU;
    return short_len < 126 ? 2 : short_len == 126 ? 4 : HEAD_MAX;
}

/* The head is there. */
static void begin_message(struct message *message)
{
    size_t len = 0;
    if (message->head_len == 2) {
        len = message->head[1] & 0x7fU;
    }
    for (size_t i = 2; i < message->head_len; i++) {
        len = len << 8 | message->head[i];
    }
    message->left = len;
    message->own = owning ? malloc(len + 1) : NULL;
    if (owning && message->own == NULL) {
        die("memory");
    }
}

static void take_payload(struct message *message, const uint8_t *data, size_t len)
{
    if (owning) {
        memcpy(message->own + message->len, data, len);
        message->len += len;
    }
    if (inflating) {
        inflate_some(data, len);
    }
    message->left -= len;
}

/* Whether there is more to come: false after a Close frame. */
static bool take(struct message *message, const uint8_t *data, size_t len)
{
    for (size_t at = 0; at < len;) {
        if (message->left > 0) {
            size_t part = message->left < len - at ? message->left : len - at;
            take_payload(message, data + at, part);
            at += part;
        }
        else {
            message->head[message->head_len++] = data[at++];
            if (message->head_len < 2 ||
                message->head_len < head_size(message->head[1])) {
                continue;
            }
            if ((message->head[0] & 0x0fU) == CLOSE) {
                return false;
            }
            begin_message(message);
        }
        if (message->left == 0) {
            end_message(message);
        }
    }
    return true;
}

/* --- connections --- */

/* As recv() into `input`, but what belongs to a payload goes there: *out_placed
 * bytes less are in `input`. */
static ssize_t
receive(const struct stream *stream, struct message *message, size_t *out_placed)
{
    *out_placed = 0;
    if (!owning || message->left == 0 || message->len + message->left < OWN_MIN) {
        return stream_recv(stream, input, sizeof(input));
    }
    const struct iovec places[] = {
        {.iov_base = message->own + message->len, .iov_len = message->left},
        {.iov_base = input, .iov_len = REST_LEN},
    };
    ssize_t got = readv(stream->fd, places, 2);
    if (got > 0) {
        *out_placed = (size_t)got < message->left ? (size_t)got : message->left;
        message->len += *out_placed;
        message->left -= *out_placed;
    }
    if (got > 0 && message->left == 0) {
        end_message(message);
    }
    return got;
}

static void take_all(const struct stream *stream, int epoll)
{
    struct message message = {.left = 0};
    struct epoll_event event;
    for (;;) {
        size_t placed;
        ssize_t got = receive(stream, &message, &placed);
        if (got > 0 ? !take(&message, input, (size_t)got - placed)
                    : got == 0 || errno != EAGAIN) {
            break;
        }
        if (got < 0 || !stream_pending(stream)) {
            (void)epoll_wait(epoll, &event, 1, -1);
        }
    }
    free(message.own);
}

static void connect_to(uint16_t port)
{
    struct stream stream = open_stream(port, "/", inflating ? OFFER : NULL);
    struct epoll_event event = {.events = EPOLLIN};
    int epoll = epoll_create1(0);
    stream_read_ahead(&stream, INPUT_LEN);
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, stream.fd, &event) != 0) {
        die("epoll");
    }
    if (inflating && inflateReset(&inflater) != Z_OK) {
        die_of("zlib");
    }
    take_all(&stream, epoll);
    stream_end(&stream);
    close(stream.fd);
    close(epoll);
}

int main(int argc, char **argv)
{
    char line[64];
    for (int i = 1; i < argc; i++) {
        owning = owning || strcmp(argv[i], "--own") == 0;
        inflating = inflating || strcmp(argv[i], "--compression") == 0;
    }
    if (inflating && inflateInit2(&inflater, -12) != Z_OK) {
        die_of("zlib");
    }
    printf("0\n"); /* it is ready, and has no port */
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        connect_to((uint16_t)number(line, UINT16_MAX));
    }
    return messages > 0 ? 0 : 1;
}

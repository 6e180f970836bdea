/* A server for clients that are measured: it sends one of them messages without end, or
 * takes turns with it.
 *
 *   feed [--size BYTES] [--seconds S] [--pid PID] [--frame FILE]
 *        [--extensions HEADER] [--tls FOLDER] [--turns [--warmup S]]
 *
 * Prints its port, serves the first connection, and prints one line of JSON, as load
 * does: messages, seconds, the processor seconds that the client used until it had
 * taken them all. With --turns it sends a message and waits for one, and p10_us, p50_us
 * and p99_us are of the time until that is there; the client's is as long. It never
 * sleeps, so that no client has to wake it.
 *
 * The program feed-tls is the same over TLS 1.3 with AES-128-GCM, with the certificate
 * of FOLDER; messages fill its records. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "client.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TEXT_LEN  (64 << 10) /* of many messages, sent again and again */
#define INPUT_LEN (256 << 10)
#define END_NS    1000000000U

/* Congestion control that every Linux has. BBR, the default of some, spreads what is
 * sent over time by a timer, even to the same machine: clients then wait for that. */
#define UNPACED "reno"

struct options {
    size_t size;
    double seconds;
    double warmup;
    pid_t pid;
    const char *frame;
    const char *extensions;
    const char *tls;
    bool turns;
};

static struct stream stream;
static uint8_t *text; /* whole frames */
static size_t text_len;
static size_t frame_len;
static uint8_t input[INPUT_LEN];

/* --- what is sent --- */

/* Without the masking key: servers send none (RFC 6455 §5.1). */
static uint8_t *unmasked(uint8_t *frame, size_t *len)
{
    static const size_t sizes[] = {[126] = 2, [127] = 8};
    size_t short_len = frame[1] & 0x7fU;
    size_t head_len = 2 + (short_len < 126 ? 0 : sizes[short_len]);
    uint8_t *key = frame + head_len;
    frame[1] &= 0x7fU;
    *len -= 4;
    for (size_t i = 0; i < *len - head_len; i++) {
        frame[head_len + 4 + i] ^= key[i % 4];
    }
    memmove(key, key + 4, *len - head_len);
    return frame;
}

static uint8_t *read_frame(const char *path, size_t *out_len)
{
    FILE *file = fopen(path, "rb");
    uint8_t *frame = malloc(SIZE_MAX_BYTES);
    if (file == NULL || frame == NULL) {
        die(path);
    }
    *out_len = fread(frame, 1, SIZE_MAX_BYTES, file);
    if (*out_len < 6) {
        die(path);
    }
    fclose(file);
    return frame;
}

static void write_text(const struct options *options)
{
    uint8_t *frame = options->frame != NULL
                         ? read_frame(options->frame, &frame_len)
                         : make_frame(options->size, false, &frame_len);
    frame = unmasked(frame, &frame_len);
    size_t count = options->turns || frame_len > TEXT_LEN ? 1 : TEXT_LEN / frame_len;
    text_len = count * frame_len;
    text = malloc(text_len);
    if (text == NULL) {
        die("memory");
    }
    for (size_t i = 0; i < count; i++) {
        memcpy(text + i * frame_len, frame, frame_len);
    }
    free(frame);
}

/* --- the connection --- */

static int listen_anywhere(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 ||
        listen(fd, 8) != 0 || getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        die("listen");
    }
    printf("%u\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

/* Sec-WebSocket-Accept (RFC 6455 §4.2.2). */
static void write_accept(const char *head, char out_accept[64])
{
    static const char name[] = "sec-websocket-key:";
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char joined[128];
    uint8_t digest[SHA_DIGEST_LENGTH];
    const char *key = strcasestr(head, name);
    if (key == NULL) {
        die_of("no WebSocket client");
    }
    key += sizeof(name) - 1;
    key += strspn(key, " ");
    int len = snprintf(joined, sizeof(joined), "%.24s%s", key, guid);
    SHA1((const uint8_t *)joined, (size_t)len, digest);
    EVP_EncodeBlock((uint8_t *)out_accept, digest, sizeof(digest));
}

static void open_connection(const struct options *options)
{
    char head[REQUEST_MAX];
    char accept_text[64];
    size_t got = 0;
    int one = 1;
    int listening = listen_anywhere();
    int fd = accept(listening, NULL, NULL);
    if (fd < 0) {
        die("accept");
    }
    close(listening);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, UNPACED, strlen(UNPACED)) != 0) {
        die("congestion control");
    }
    stream = stream_accept(fd, options->tls);
    while (got < 4 || memcmp(head + got - 4, "\r\n\r\n", 4) != 0) {
        if (got == REQUEST_MAX - 1 || stream_recv(&stream, head + got, 1) != 1) {
            die("request");
        }
        got++;
    }
    head[got] = '\0';
    write_accept(head, accept_text);
    const char *extensions = options->extensions;
    int len = snprintf(
        head, sizeof(head),
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s%s%s\r\n",
        accept_text, extensions != NULL ? "Sec-WebSocket-Extensions: " : "",
        extensions != NULL ? extensions : "", extensions != NULL ? "\r\n" : "");
    if (stream_send(&stream, head, (size_t)len) != len ||
        fcntl(fd, F_SETFL, O_NONBLOCK) != 0) {
        die("response");
    }
}

/* --- without end, and in turns --- */

static size_t send_some(const uint8_t *data, size_t len)
{
    ssize_t sent = stream_send(&stream, data, len);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        die("send");
    }
    return sent > 0 ? (size_t)sent : 0;
}

/* Whole frames, so many each time that a call costs nothing, and a Close frame (RFC
 * 6455 §5.5.1), which the client answers when it has taken them all: sockets hold a
 * lot. */
static uint64_t send_until(uint64_t end)
{
    static const uint8_t close_frame[] = {0x88, 0x02, 0x03, 0xE8};
    uint64_t bytes = 0;
    size_t at = 0;
    size_t sent = 0; /* 0: TLS wants the same again */
    while (sent == 0 || now_ns() < end || at % frame_len != 0) {
        sent = send_some(text + at, text_len - at);
        bytes += sent;
        at = (at + sent) % text_len;
    }
    for (sent = 0; sent < sizeof(close_frame);) {
        sent += send_some(close_frame + sent, sizeof(close_frame) - sent);
    }
    uint64_t give_up_at = now_ns() + STALL_NS;
    while (stream_recv(&stream, input, sizeof(input)) < 0 && errno == EAGAIN) {
        if (now_ns() > give_up_at) {
            die_of("the client does not answer");
        }
    }
    return bytes / frame_len;
}

/* Frames of clients: of the same payload, with a masking key. */
static uint64_t take_turns_until(uint64_t end)
{
    uint64_t messages = 0;
    while (now_ns() < end) {
        uint64_t sent_at = now_ns();
        for (size_t sent = 0; sent < text_len;) {
            ssize_t some = stream_send(&stream, text + sent, text_len - sent);
            if (some < 0 && errno != EAGAIN) {
                die("send");
            }
            sent += some > 0 ? (size_t)some : 0;
        }
        for (size_t got = 0; got < text_len + 4;) {
            ssize_t some = stream_recv(&stream, input, sizeof(input));
            if (some == 0 || (some < 0 && errno != EAGAIN)) {
                die("the client ended");
            }
            got += some > 0 ? (size_t)some : 0;
            if (now_ns() - sent_at > STALL_NS) {
                die_of("the client does not answer");
            }
        }
        latencies_add(now_ns() - sent_at);
        messages++;
    }
    return messages;
}

/* Until the client has ended TCP, too: a reset would get lost on some of them, which
 * then wait for half a minute. */
static void end_connection(void)
{
    uint64_t give_up_at = now_ns() + END_NS;
    stream_shutdown(&stream);
    while (now_ns() < give_up_at) {
        ssize_t got = stream_recv(&stream, input, sizeof(input));
        if (got == 0 || (got < 0 && errno != EAGAIN)) {
            break;
        }
    }
}

/* --- options --- */

static struct options get_options(int argc, char **argv)
{
    struct options options = {.size = 128, .seconds = 1, .warmup = 0.1};
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        if (strcmp(name, "--turns") == 0) {
            options.turns = true;
            continue;
        }
        if (++i == argc) {
            die_of("an option has no value");
        }
        const char *value = argv[i];
        if (strcmp(name, "--size") == 0) {
            options.size = (size_t)number(value, SIZE_MAX_BYTES);
        }
        else if (strcmp(name, "--seconds") == 0) {
            options.seconds = number(value, SECONDS_MAX);
        }
        else if (strcmp(name, "--warmup") == 0) {
            options.warmup = number(value, SECONDS_MAX);
        }
        else if (strcmp(name, "--pid") == 0) {
            options.pid = (pid_t)number(value, 1 << 30);
        }
        else if (strcmp(name, "--frame") == 0) {
            options.frame = value;
        }
        else if (strcmp(name, "--extensions") == 0) {
            options.extensions = value;
        }
        else if (strcmp(name, "--tls") == 0) {
            options.tls = value;
        }
        else {
            die_of("unknown option");
        }
    }
    return options;
}

int main(int argc, char **argv)
{
    struct options options = get_options(argc, argv);
    write_text(&options);
    open_connection(&options);
    if (options.turns) {
        (void)take_turns_until(now_ns() + nanoseconds(options.warmup));
        latencies_clear();
    }
    double cpu = cpu_seconds(options.pid);
    uint64_t start = now_ns();
    uint64_t until = start + nanoseconds(options.seconds);
    uint64_t messages = options.turns ? take_turns_until(until) : send_until(until);
    uint64_t end = now_ns();
    cpu = cpu_seconds(options.pid) - cpu;
    printf("{\"messages\": %llu, \"seconds\": %.6f, \"server_cpu_seconds\": %.6f",
           (unsigned long long)messages, (double)(end - start) / NANOSECONDS, cpu);
    if (options.turns) {
        printf(", \"p10_us\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f",
               latencies_quantile_us(0.1), latencies_quantile_us(0.5),
               latencies_quantile_us(0.99));
    }
    printf("}\n");
    end_connection();
    return 0;
}

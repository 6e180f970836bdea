/* The floor: what the kernel's calls cost a server that does nothing else. A bare epoll
 * loop reads no more of the opening request of our load clients than its key, then
 * sends what comes back unmasked in frames of its own, to the sender or, with
 * --broadcast, to every connection. Not a WebSocket server: it relies on a message, and
 * the request, beginning at the beginning of a recv(), which is so while clients wait
 * for each echo.
 *
 * Prints its port; ends with its parent. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define INPUT_LEN (512 << 10)
#define HEAD_ROOM 16
#define READY_MAX 1024
#define FDS_MAX   70000

#define KEY_NAME "Sec-WebSocket-Key: "
#define KEY_SIZE 24 /* RFC 6455 §4.1: sixteen bytes in base64 */
#define GUID     "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define RESPONSE                                                                       \
    "HTTP/1.1 101 Switching Protocols\r\n"                                             \
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "

struct connection {
    bool open;
    uint8_t key[4];
    uint64_t left; /* of the payload that is coming in */
    uint64_t at;   /* in the payload */
};

static const EVP_MD *sha1;
static EVP_MD_CTX *digesting;
static struct connection connections[FDS_MAX];
static int open_fds[FDS_MAX];
static int open_count;
static uint8_t room[HEAD_ROOM + INPUT_LEN];

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static void send_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent > 0) {
            bytes += sent;
            len -= (size_t)sent;
        }
        else if (sent < 0 && errno == EAGAIN) {
            struct pollfd writable = {.fd = fd, .events = POLLOUT};
            (void)poll(&writable, 1, 1000);
        }
        else {
            return;
        }
    }
}

static void answer(int fd, const uint8_t *bytes, size_t len, bool broadcast)
{
    for (int i = 0; broadcast && i < open_count; i++) {
        send_all(open_fds[i], bytes, len);
    }
    if (!broadcast) {
        send_all(fd, bytes, len);
    }
}

/* Read a client's frame head; write the server's before the payload. */
static uint8_t *change_head(struct connection *connection, uint8_t *payload)
{
    const uint8_t *p = payload;
    uint64_t len = p[1] & 0x7F;
    size_t more = len < 126 ? 0 : len == 126 ? 2 : 8;
    uint8_t head[10] = {p[0], p[1] & 0x7F};
    if (more > 0) {
        memcpy(head + 2, p + 2, more);
        len = 0;
        for (size_t i = 0; i < more; i++) {
            len = len << 8 | p[2 + i];
        }
    }
    memcpy(connection->key, p + 2 + more, 4);
    connection->left = len;
    connection->at = 0;
    /* The masking key's four bytes are what the answer saves. */
    memcpy(payload + 4, head, 2 + more);
    return payload + 4 + 2 + more;
}

static void unmask(struct connection *connection, uint8_t *payload, size_t len)
{
    uint8_t key[8];
    uint64_t word_key;
    size_t i = 0;
    for (size_t k = 0; k < 8; k++) {
        key[k] = connection->key[(connection->at + k) % 4];
    }
    memcpy(&word_key, key, 8);
    for (; i + 8 <= len; i += 8) {
        uint64_t word;
        memcpy(&word, payload + i, 8);
        word ^= word_key;
        memcpy(payload + i, &word, 8);
    }
    for (; i < len; i++) {
        payload[i] ^= key[i % 8];
    }
    connection->at += len;
    connection->left -= len;
}

/* RFC 6455 §4.2.2 */
static void accept_request(int fd, const uint8_t *request, size_t len)
{
    char text[KEY_SIZE + sizeof(GUID)];
    uint8_t digest[EVP_MAX_MD_SIZE];
    uint8_t answer[sizeof(RESPONSE) + 2 * EVP_MAX_MD_SIZE];
    const uint8_t *name = memmem(request, len, KEY_NAME, strlen(KEY_NAME));
    if (name == NULL || request + len - name < (ptrdiff_t)strlen(KEY_NAME) + KEY_SIZE) {
        return;
    }
    memcpy(text, name + strlen(KEY_NAME), KEY_SIZE);
    memcpy(text + KEY_SIZE, GUID, sizeof(GUID));
    if (EVP_DigestInit_ex(digesting, sha1, NULL) != 1 ||
        EVP_DigestUpdate(digesting, text, KEY_SIZE + strlen(GUID)) != 1 ||
        EVP_DigestFinal_ex(digesting, digest, NULL) != 1) {
        return;
    }
    size_t size = strlen(RESPONSE);
    memcpy(answer, RESPONSE, size);
    size += (size_t)EVP_EncodeBlock(answer + size, digest, EVP_MD_get_size(sha1));
    memcpy(answer + size, "\r\n\r\n", 4);
    send_all(fd, answer, size + 4);
}

static void take_input(int fd, bool broadcast)
{
    struct connection *connection = &connections[fd];
    uint8_t *input = room + HEAD_ROOM;
    ssize_t got = recv(fd, input, INPUT_LEN, 0);
    if (got < 0 && errno == EAGAIN) {
        return;
    }
    if (got <= 0) {
        for (int i = 0; i < open_count; i++) {
            if (open_fds[i] == fd) {
                open_fds[i] = open_fds[--open_count];
                break;
            }
        }
        close(fd);
        return;
    }
    if (!connection->open) {
        connection->open = true;
        accept_request(fd, input, (size_t)got);
        return;
    }
    uint8_t *from = input;
    uint8_t *payload = input;
    uint8_t *end = input + got;
    if (connection->left == 0) {
        payload = change_head(connection, input);
        from = input + 4;
    }
    unmask(connection, payload, (size_t)(end - payload));
    answer(fd, from, (size_t)(end - from), broadcast);
}

static void take_connections(int listening, int epoll_fd)
{
    int fd;
    int one = 1;
    while ((fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        if (fd >= FDS_MAX) {
            die("too many connections");
        }
        connections[fd] = (struct connection){0};
        open_fds[open_count++] = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
            die("epoll_ctl");
        }
    }
}

static int listen_on_loopback(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 ||
        listen(fd, 1024) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &len) != 0) {
        die("listen");
    }
    printf("%u\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

int main(int argc, char **argv)
{
    static struct epoll_event ready[READY_MAX];
    bool broadcast = argc > 1 && strcmp(argv[1], "--broadcast") == 0;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
    digesting = EVP_MD_CTX_new();
    if (sha1 == NULL || digesting == NULL) {
        die("SHA-1");
    }
    int epoll_fd = epoll_create1(0);
    int listening = listen_on_loopback();
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listening};
    if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listening, &event) != 0) {
        die("epoll");
    }
    for (;;) {
        int count = epoll_wait(epoll_fd, ready, READY_MAX, -1);
        for (int i = 0; i < count; i++) {
            if (ready[i].data.fd == listening) {
                take_connections(listening, epoll_fd);
            }
            else {
                take_input(ready[i].data.fd, broadcast);
            }
        }
    }
}

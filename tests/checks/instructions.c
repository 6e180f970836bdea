/* Echoes without Python, for instructions.py to count: a server in memory, and links of
 * an engine over pairs of sockets. Before and after each measurement it calls
 * getpgid(), where callgrind begins a new part; what is in the parts, it prints. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wsc/conn.h"
#include "wsc/engine.h"

#define LINKS    64
#define MAX_SIZE ((size_t)64 << 10)

static const char request[] =
    "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

struct client {
    struct wsc_conn conn;
    struct wsc_link *link;
    int peer;
};

static struct wsc_conn_config config;
static struct wsc_engine *engine;
static struct client clients[LINKS];
static uint8_t frame[MAX_SIZE + WSC_FRAME_HEADER_MAX];
static size_t frame_size;
static uint8_t answers[MAX_SIZE + WSC_FRAME_HEADER_MAX];

static void check(bool good, const char *what)
{
    if (!good) {
        (void)fprintf(stderr, "instructions: %s failed\n", what);
        exit(1);
    }
}

/* A client's message of zeros; so is the masking key, which makes no difference. */
static void make_frame(size_t size)
{
    struct wsc_frame_header header;
    memset(&header, 0, sizeof(header));
    memset(frame, 0, sizeof(frame));
    header.fin = true;
    header.opcode = WSC_OPCODE_BINARY;
    header.masked = true;
    header.payload_len = size;
    frame_size = wsc_frame_header_encode(&header, frame) + size;
}

static void receive(struct wsc_conn *conn, const uint8_t *data, size_t len)
{
    struct wsc_event event;
    enum wsc_status status = wsc_conn_feed(conn, data, len);
    while (status == WSC_OK && (status = wsc_conn_next_event(conn, &event)) == WSC_OK) {
        if (event.type == WSC_EVENT_REQUEST) {
            status = wsc_conn_accept(conn, wsc_str_of(NULL));
            continue;
        }
        status = wsc_conn_send(conn, WSC_OPCODE_BINARY, event.message.data,
                               event.message.len, true, WSC_COMPRESS_AUTO, NULL, NULL);
        free(event.message.data);
    }
    check(status == WSC_NEED_DATA, "receiving");
}

/* --- in memory --- */

static void echo_in_memory(size_t messages)
{
    struct wsc_conn *conn = &clients[0].conn;
    for (size_t i = 0; i < messages; i++) {
        receive(conn, frame, frame_size);
        while (wsc_conn_wants_send(conn)) {
            wsc_conn_sent(conn, wsc_conn_outgoing(conn)->size);
        }
    }
}

/* --- on the engine --- */

static void serve(void)
{
    struct wsc_io io;
    while (wsc_engine_poll(engine, 0) > 0) {
        while (wsc_engine_next(engine, &io)) {
            struct client *client = io.owner;
            check(io.type == WSC_IO_DATA, "the engine");
            receive(&client->conn, io.data, io.len);
            check(wsc_link_write(client->link, wsc_conn_outgoing(&client->conn)) ==
                      WSC_OK,
                  "sending");
        }
    }
}

/* All clients send what is `len` long, and then get their answers. */
static void exchange(const void *data, size_t len)
{
    for (size_t i = 0; i < LINKS; i++) {
        check(send(clients[i].peer, data, len, 0) == (ssize_t)len, "send");
    }
    serve();
    for (size_t i = 0; i < LINKS; i++) {
        check(recv(clients[i].peer, answers, sizeof(answers), 0) > 0, "recv");
    }
}

static void echo_on_engine(size_t messages)
{
    for (size_t i = 0; i < messages; i += LINKS) {
        exchange(frame, frame_size);
    }
}

static void open_links(void)
{
    check(wsc_engine_new(config.allocator, (size_t)256 << 10, &engine) == WSC_OK,
          "wsc_engine_new");
    for (size_t i = 0; i < LINKS; i++) {
        int ends[2];
        struct client *client = &clients[i];
        check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
        client->peer = ends[1];
        check(wsc_conn_init(&client->conn, &config) == WSC_OK &&
                  wsc_link_new(engine, ends[0], client, &client->link) == WSC_OK,
              "wsc_link_new");
    }
    exchange(request, sizeof(request) - 1);
}

/* --- measuring --- */

static void
measure(const char *name, void echo(size_t messages), size_t size, size_t messages)
{
    make_frame(size);
    echo(LINKS);
    (void)getpgid(0);
    echo(messages);
    (void)getpgid(0);
    echo(3 * messages);
    (void)getpgid(0);
    printf("%s, %zu B: %zu\n", name, size, 2 * messages);
}

int main(void)
{
    wsc_conn_config_init(&config, WSC_ROLE_SERVER);
    open_links();
    measure("C, in memory", echo_in_memory, 256, 1024);
    measure("C, in memory", echo_in_memory, MAX_SIZE, 64);
    measure("C, engine", echo_on_engine, 256, 1024);
    for (size_t i = 0; i < LINKS; i++) {
        wsc_link_close(clients[i].link);
        wsc_conn_fini(&clients[i].conn);
        (void)close(clients[i].peer);
    }
    wsc_engine_free(engine);
    return 0;
}

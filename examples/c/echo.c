/* An echo server on libwsc, its core and its engine, in one thread:
 *
 *     cc -std=c11 echo.c $(pkg-config --cflags --libs wsc) -o echo && ./echo 8765
 *
 * Messages go back as they came, compressed if the client can. Who is silent for a
 * minute is asked to leave, who doesn't read isn't read from. Ctrl-C ends it. */
#define _POSIX_C_SOURCE 200809L

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <wsc/conn.h>
#include <wsc/engine.h>
#include <wsc/short_poll.h>
#include <wsc/timer_wheel.h>

#define PATIENCE     60 /* seconds */
#define RECEIVE_SIZE ((size_t)256 << 10)

struct client {
    struct wsc_timer timer; /* first, since the wheel gives out timers */
    struct wsc_conn conn;
    struct wsc_link *link;
};

static struct wsc_conn_config config;
static struct wsc_engine *engine;
static struct wsc_timer_wheel clients; /* all of them, each with a deadline */
static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

static uint64_t seconds(void)
{
    return wsc_clock_ns() / 1000000000;
}

static void be_patient(struct client *client)
{
    wsc_timers_add(&clients, &client->timer, seconds() + PATIENCE);
}

static void welcome(int fd)
{
    struct client *client = calloc(1, sizeof(*client));
    if (client != NULL && wsc_conn_init(&client->conn, &config) == WSC_OK) {
        if (wsc_link_new(engine, fd, client, &client->link) == WSC_OK) {
            be_patient(client);
            return;
        }
        wsc_conn_fini(&client->conn);
    }
    free(client);
    (void)close(fd);
}

static void drop(struct client *client)
{
    wsc_timers_cancel(&clients, &client->timer);
    wsc_link_close(client->link);
    wsc_conn_fini(&client->conn);
    free(client);
}

/* What waits, as far as the socket takes it. Then the client ends TCP, when it knows.
 */
static void flush(struct client *client)
{
    if (wsc_link_flush(client->link, &client->conn) < 0) {
        drop(client);
    }
}

static enum wsc_status echo(struct wsc_conn *conn, struct wsc_message *message)
{
    bool is_text = message->kind == WSC_PAYLOAD_TEXT;
    enum wsc_status status =
        wsc_conn_send(conn, is_text ? WSC_OPCODE_TEXT : WSC_OPCODE_BINARY,
                      message->data, message->len, true, WSC_COMPRESS_AUTO, NULL, NULL);
    free(message->data);
    return status;
}

static void receive(struct client *client, const struct wsc_io *io)
{
    struct wsc_conn *conn = &client->conn;
    struct wsc_event event;
    enum wsc_status status = wsc_conn_feed(conn, io->data, io->len);
    while (status == WSC_OK && (status = wsc_conn_next_event(conn, &event)) == WSC_OK) {
        if (event.type == WSC_EVENT_REQUEST) {
            status = wsc_conn_accept(conn, wsc_str_of(NULL));
        }
        else if (event.type == WSC_EVENT_MESSAGE) {
            status = echo(conn, &event.message);
        } /* pings and the close frame have been answered */
    }
    if (status < 0 && conn->error == WSC_OK) {
        drop(client); /* out of memory; the client's own errors have been answered */
        return;
    }
    if (conn->state == WSC_CONN_OPEN) {
        be_patient(client);
    }
    flush(client);
}

/* Say goodbye to those whose time is over by then; drop those who know. */
static void part(uint64_t now)
{
    struct wsc_timer *timer;
    while ((timer = wsc_timers_next(&clients, now)) != NULL) {
        struct client *client = (struct client *)timer;
        if (client->conn.state != WSC_CONN_OPEN ||
            wsc_conn_send_close(&client->conn, WSC_CLOSE_GOING_AWAY, "", 0) != WSC_OK) {
            drop(client);
            continue;
        }
        be_patient(client);
        flush(client);
    }
}

static void handle(struct wsc_io *io)
{
    if (io->type == WSC_IO_ACCEPTED) {
        welcome(io->fd);
    }
    else if (io->type == WSC_IO_DATA) {
        receive(io->owner, io);
    }
    else if (io->type == WSC_IO_WRITABLE) {
        flush(io->owner);
    }
    else if (io->owner != NULL) { /* an end or an error, not of the acceptor */
        drop(io->owner);
    }
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = stop};
    struct wsc_deflate_settings deflate;
    struct wsc_acceptor *acceptor;
    struct wsc_io io;
    uint16_t port = (uint16_t)(argc > 1 ? atoi(argv[1]) : 8765);
    int fd;
    (void)sigaction(SIGINT, &action, NULL);
    wsc_deflate_settings_init(&deflate);
    wsc_conn_config_init(&config, WSC_ROLE_SERVER);
    config.deflate = &deflate;
    wsc_timers_init(&clients, seconds());
    if (wsc_socket_listen("127.0.0.1", &port, &fd) != WSC_OK ||
        wsc_engine_new(config.allocator, RECEIVE_SIZE, &engine) != WSC_OK ||
        wsc_acceptor_new(engine, fd, NULL, &acceptor) != WSC_OK) {
        perror("echo");
        return 1;
    }
    printf("ws://127.0.0.1:%d/\n", port);
    (void)fflush(stdout);
    while (!stopped) {
        (void)wsc_engine_poll(engine, 1000);
        while (wsc_engine_next(engine, &io)) {
            handle(&io);
        }
        part(seconds());
    }
    part(UINT64_MAX); /* all deadlines, the last ones after the goodbyes too */
    wsc_engine_free(engine);
    (void)close(fd);
    return 0;
}

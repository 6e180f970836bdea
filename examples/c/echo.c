/* An echo server on libwsc, its core and its engine, in one thread:
 *     cc -std=c11 echo.c $(pkg-config --cflags --libs wsc) -o echo && ./echo 8765
 * Messages go back as they came, compressed if the client can. Who sends nothing whole
 * for a minute is asked to leave, who doesn't read isn't read from. Ctrl-C ends it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <wsc/wsc.h>

#define PATIENCE 60000000000U /* nanoseconds */

struct client {
    struct wsc_timer timer; /* first, since the wheel gives out timers */
    struct wsc_conn conn;
    struct wsc_link *link;
};

static struct wsc_conn_config config;
static const struct wsc_deflate_settings deflate = {.level = 6, .mem_level = 8};
static struct wsc_engine *engine;
static struct wsc_timer_wheel clients; /* all of them, each with a deadline */
static volatile sig_atomic_t stopped;

static void stop(int number)
{
    stopped = number;
}

static void drop(struct client *client)
{
    wsc_timers_cancel(&clients, &client->timer);
    wsc_link_close(client->link);
    wsc_conn_fini(&client->conn);
    free(client);
}

static void welcome(const struct wsc_io *io)
{
    struct client *client = calloc(1, sizeof(*client));
    if (client != NULL && wsc_conn_init(&client->conn, &config) == WSC_OK) {
        if (wsc_link_new(engine, io->fd, client, &client->link) == WSC_OK) {
            wsc_timers_add(&clients, &client->timer, wsc_clock_ns() + PATIENCE);
            return;
        }
        wsc_conn_fini(&client->conn);
    }
    free(client);
    wsc_io_refuse(io);
}

/* False if the client has gone, or memory is short; its own errors are answered. */
static bool serve(struct client *client, const struct wsc_io *io)
{
    struct wsc_conn *conn = &client->conn;
    struct wsc_event event;
    enum wsc_status status = wsc_conn_feed(conn, io->data, io->len);
    while (status == WSC_OK && (status = wsc_conn_next_event(conn, &event)) == WSC_OK) {
        wsc_timers_add(&clients, &client->timer, wsc_clock_ns() + PATIENCE);
        if (event.type == WSC_EVENT_REQUEST) {
            status = wsc_conn_accept(conn, wsc_str_of(NULL));
        }
        else if (event.type == WSC_EVENT_MESSAGE) {
            status = wsc_conn_send_message(conn, wsc_message_opcode(&event.message),
                                           event.message.data, event.message.len);
            free(event.message.data);
        } /* pings and the close frame have been answered */
    }
    return io->type != WSC_IO_EOF && io->type != WSC_IO_ERROR &&
           (status >= 0 || conn->error != WSC_OK) &&
           wsc_link_flush(client->link, conn) >= 0;
}

/* Say goodbye to those whose time is over by then; drop those who know. */
static void part(uint64_t now)
{
    struct client *client;
    while ((client = (struct client *)wsc_timers_next(&clients, now)) != NULL) {
        wsc_timers_add(&clients, &client->timer, wsc_clock_ns() + PATIENCE);
        if (client->conn.state != WSC_CONN_OPEN ||
            wsc_conn_send_close(&client->conn, WSC_CLOSE_GOING_AWAY, "", 0) != WSC_OK ||
            wsc_link_flush(client->link, &client->conn) < 0) {
            drop(client);
        }
    }
}

int main(int argc, char **argv)
{
    uint16_t port = (uint16_t)(argc > 1 ? atoi(argv[1]) : 8765);
    struct wsc_io io;
    int fd;
    wsc_conn_config_init(&config, WSC_ROLE_SERVER);
    config.deflate = &deflate;
    wsc_timers_init(&clients, wsc_clock_ns());
    if (wsc_socket_listen("127.0.0.1", &port, &fd) != WSC_OK ||
        wsc_engine_new(config.allocator, 1 << 18, &engine) != WSC_OK ||
        wsc_acceptor_new(engine, fd, NULL, NULL) != WSC_OK) {
        perror("echo");
        return 1;
    }
    (void)signal(SIGINT, stop);
    printf("ws://127.0.0.1:%d/\n", port);
    (void)fflush(stdout);
    while (!stopped) {
        (void)wsc_engine_poll(engine, 1000);
        while (wsc_engine_next(engine, &io)) {
            if (io.type == WSC_IO_ACCEPTED) {
                welcome(&io);
            }
            else if (io.owner != NULL && !serve(io.owner, &io)) {
                drop(io.owner);
            }
        }
        part(wsc_clock_ns());
    }
    part(UINT64_MAX); /* all deadlines, the last ones after the goodbyes too */
    wsc_engine_free(engine);
    return 0;
}

/* A client and a server talk in memory: the core of libwsc alone, which does no I/O.
 *
 *     cc -std=c11 sans_io.c $(pkg-config --cflags --libs wsc) -o sans_io && ./sans_io
 *
 * Bytes go in by wsc_conn_feed, events come out of wsc_conn_next_event, and what is to
 * be sent out of wsc_conn_outgoing. Here it goes straight to the other end. */
#include <stdio.h>
#include <stdlib.h>
#include <wsc/conn.h>

struct end {
    const char *name;
    struct wsc_conn_config config;
    struct wsc_conn conn;
};

static void check(enum wsc_status status)
{
    if (status < 0) {
        fprintf(stderr, "%s\n", wsc_status_name(status));
        exit(1);
    }
}

static void send_text(struct end *end, const char *text)
{
    struct wsc_str str = wsc_str_of(text);
    check(wsc_conn_send_message(&end->conn, WSC_OPCODE_TEXT, (const uint8_t *)str.data,
                                str.len));
}

static void handle(struct end *end, struct wsc_event *event)
{
    const struct wsc_close *close = end->conn.received;
    const struct wsc_http_head *head = wsc_conn_head(&end->conn);
    switch (event->type) {
    case WSC_EVENT_REQUEST:
        printf("%s: request for %.*s\n", end->name, (int)head->target.len,
               head->target.data);
        check(wsc_conn_accept(&end->conn, wsc_str_of("chat")));
        break;
    case WSC_EVENT_RESPONSE:
        printf("%s: open, subprotocol %.*s\n", end->name,
               (int)wsc_conn_answer(&end->conn)->protocol.len,
               wsc_conn_answer(&end->conn)->protocol.data);
        break;
    case WSC_EVENT_MESSAGE:
        printf("%s: message \"%.*s\"%s\n", end->name, (int)event->message.len,
               (const char *)event->message.data,
               event->message.compressed ? ", compressed" : "");
        free(event->message.data); /* it is ours, from the default payload memory */
        break;
    case WSC_EVENT_PING:
        printf("%s: ping\n", end->name); /* the pong waits in the output */
        break;
    case WSC_EVENT_PONG:
        printf("%s: pong\n", end->name);
        break;
    case WSC_EVENT_CLOSE:
        printf("%s: close %u \"%.*s\"\n", end->name, close->code, close->reason_len,
               close->reason);
        break;
    }
}

static void deliver(struct end *from, struct end *to)
{
    struct wsc_outgoing_piece piece;
    struct wsc_event event;
    while (wsc_outgoing_peek(wsc_conn_outgoing(&from->conn), &piece, 1) == 1) {
        check(wsc_conn_feed(&to->conn, piece.data, piece.len));
        enum wsc_status status;
        while ((status = wsc_conn_next_event(&to->conn, &event)) == WSC_OK) {
            handle(to, &event);
        }
        check(status); /* WSC_NEED_DATA, or what the peer did wrong */
        wsc_conn_sent(&from->conn, piece.len);
    }
}

int main(void)
{
    struct end server = {.name = "server"};
    struct end client = {.name = "client"};
    struct wsc_deflate_settings deflate;
    wsc_deflate_settings_init(&deflate);
    wsc_conn_config_init(&server.config, WSC_ROLE_SERVER);
    wsc_conn_config_init(&client.config, WSC_ROLE_CLIENT);
    server.config.deflate = client.config.deflate = &deflate;
    check(wsc_conn_init(&server.conn, &server.config));
    check(wsc_conn_init(&client.conn, &client.config));

    struct wsc_http_header host = {wsc_str_of("Host"), wsc_str_of("example.org")};
    struct wsc_str chat = wsc_str_of("chat");
    check(wsc_conn_send_request(&client.conn, wsc_str_of("/room"), &host, 1, &chat, 1));
    deliver(&client, &server);
    deliver(&server, &client);

    send_text(&client, "Hello!");
    check(wsc_conn_send_ping(&client.conn, NULL, 0));
    deliver(&client, &server);
    send_text(&server, "Hello yourself.");
    deliver(&server, &client);

    check(wsc_conn_send_close(&client.conn, WSC_CLOSE_NORMAL_CLOSURE, "bye", 3));
    deliver(&client, &server);
    deliver(&server, &client);
    wsc_conn_fini(&server.conn);
    wsc_conn_fini(&client.conn);
    return 0;
}

/* A load on a server of the same thread: the two take turns. */
#include "wsc/load.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test.h"
#include "wsc/conn.h"
#include "wsc/engine.h"
#include "wsc/clock.h"

#define MILLISECOND ((uint64_t)1000000)
#define SECOND      (1000 * MILLISECOND)
#define CLIENTS_MAX 32
#define PATIENCE    (20 * SECOND)

enum manner {
    ECHO,
    BROADCAST, /* to those with the same target, wrapped */
    SILENT,
    CLOSES,  /* with 1008 instead of an answer */
    RESETS,  /* instead of an answer */
    GARBAGE, /* instead of an answer */
    REFUSES, /* the handshake, with 403 */
    MUTE,    /* never says a word */
    HANGS_UP,
};

struct client {
    struct wsc_conn conn;
    struct wsc_link *link;
    char target[64];
    bool used;
};

static struct server {
    enum manner manner;
    struct wsc_conn_config config;
    struct wsc_engine *engine;
    int fd;
    uint16_t port;
    struct client clients[CLIENTS_MAX];
    uint64_t handshakes;
    uint64_t received;
    uint64_t compressed;
    uint64_t closes; /* 1000 */
    bool discreet;   /* broadcast to the sender only */
    uint64_t stalls_until;
} server;

static struct test_allocator memory;
static const struct wsc_deflate_settings deflate = {.level = 1, .mem_level = 8};

/* --- the server --- */

static void start_server(enum manner manner)
{
    memset(&server, 0, sizeof(server));
    test_allocator_init(&memory);
    server.manner = manner;
    wsc_conn_config_init(&server.config, WSC_ROLE_SERVER);
    server.config.deflate = &deflate;
    CHECK(wsc_socket_listen("127.0.0.1", &server.port, &server.fd) == WSC_OK);
    CHECK(wsc_engine_new(server.config.allocator, 1 << 16, &server.engine) == WSC_OK);
    CHECK(wsc_acceptor_new(server.engine, server.fd, NULL, NULL) == WSC_OK);
}

static void drop(struct client *client, bool reset)
{
    (reset ? wsc_link_abort : wsc_link_close)(client->link);
    wsc_conn_fini(&client->conn);
    client->used = false;
}

static void stop_server(void)
{
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        if (server.clients[i].used) {
            drop(&server.clients[i], true);
        }
    }
    wsc_engine_free(server.engine);
    (void)close(server.fd);
    CHECK_INT(memory.live_blocks, 0);
}

static void welcome(int fd)
{
    size_t i = 0;
    while (i < CLIENTS_MAX - 1 && server.clients[i].used) {
        i++;
    }
    struct client *client = &server.clients[i];
    CHECK(!client->used);
    CHECK(wsc_conn_init(&client->conn, &server.config) == WSC_OK);
    CHECK(wsc_link_new(server.engine, fd, client, &client->link) == WSC_OK);
    client->used = true;
}

static void broadcast(const struct client *sender, const struct wsc_message *message)
{
    uint8_t text[256];
    size_t len = (size_t)snprintf((char *)text, sizeof(text), "{\"text\":\"%.*s\"}",
                                  (int)message->len, (const char *)message->data);
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *client = &server.clients[i];
        if (client->used && strcmp(client->target, sender->target) == 0 &&
            (client == sender || !server.discreet)) {
            CHECK(wsc_conn_send_message(&client->conn, WSC_OPCODE_TEXT, text, len) ==
                  WSC_OK);
            (void)!wsc_link_flush(client->link, &client->conn);
        }
    }
}

/* False if the client is gone. */
static bool answer(struct client *client, const struct wsc_message *message)
{
    struct wsc_conn *conn = &client->conn;
    static const uint8_t garbage[] = {0xff, 0xff, 0xff, 0xff};
    switch (server.manner) {
    case ECHO:
        return wsc_conn_send_message(conn, wsc_message_opcode(message), message->data,
                                     message->len) == WSC_OK;
    case BROADCAST:
        broadcast(client, message);
        return true;
    case CLOSES:
        return wsc_conn_send_close(conn, WSC_CLOSE_POLICY_VIOLATION, "too fast", 8) ==
               WSC_OK;
    case RESETS:
        return false;
    case GARBAGE:
        return send(wsc_link_fd(client->link), garbage, sizeof(garbage),
                    MSG_NOSIGNAL) == sizeof(garbage);
    case SILENT:
    case REFUSES:
    case MUTE:
    case HANGS_UP:
        break;
    }
    return true;
}

static enum wsc_status accept_or_refuse(struct client *client)
{
    struct wsc_str target = wsc_conn_request(&client->conn)->target;
    (void)snprintf(client->target, sizeof(client->target), "%.*s", (int)target.len,
                   target.data);
    server.handshakes++;
    if (server.manner == REFUSES) {
        return wsc_conn_respond(&client->conn, 403, wsc_str_of("Not You"), NULL, 0,
                                NULL, 0);
    }
    return wsc_conn_accept(&client->conn, wsc_str_of(NULL));
}

static bool serve(struct client *client, const struct wsc_io *io)
{
    struct wsc_event event;
    bool stays = true;
    enum wsc_status status = wsc_conn_feed(&client->conn, io->data, io->len);
    while (stays && status == WSC_OK &&
           (status = wsc_conn_next_event(&client->conn, &event)) == WSC_OK) {
        if (event.type == WSC_EVENT_REQUEST) {
            status = accept_or_refuse(client);
        }
        else if (event.type == WSC_EVENT_MESSAGE) {
            server.received++;
            server.compressed += event.message.compressed;
            stays = answer(client, &event.message);
            free(event.message.data);
        }
        else if (event.type == WSC_EVENT_CLOSE) {
            server.closes += client->conn.received->code == WSC_CLOSE_NORMAL_CLOSURE;
        }
    }
    return stays && wsc_link_flush(client->link, &client->conn) >= 0;
}

static void serve_all(void)
{
    struct wsc_io io;
    if (wsc_clock_ns() < server.stalls_until) {
        return;
    }
    (void)wsc_engine_poll(server.engine, 0);
    while (wsc_engine_next(server.engine, &io)) {
        struct client *client = io.owner;
        if (io.type == WSC_IO_ACCEPTED) {
            welcome(io.fd);
        }
        else if (server.manner == MUTE && io.type == WSC_IO_DATA) {
            continue;
        }
        else if (io.type == WSC_IO_EOF || io.type == WSC_IO_ERROR ||
                 server.manner == HANGS_UP) {
            drop(client, false);
        }
        else if (io.type == WSC_IO_DATA && !serve(client, &io)) {
            drop(client, true);
        }
    }
}

/* --- the load --- */

static struct wsc_load_config settings(void)
{
    static const struct wsc_http_header host = {{"Host", 4}, {"localhost", 9}};
    struct wsc_load_config config = {
        .allocator = &memory.base,
        .address = "127.0.0.1",
        .port = server.port,
        .target = wsc_str_of("/"),
        .headers = &host,
        .header_count = 1,
        .max_size = 1 << 20,
        .payload = (const uint8_t *)"0123456789abcdef0123456789abcdef0123456789",
        .payload_len = 42,
        .text = true,
        .connections = 4,
        .room_size = 1,
        .depth = 1,
        .messages = 400,
        .opening_max = 3,
        .timeout = 10 * SECOND,
    };
    return config;
}

static struct wsc_load *begin(const struct wsc_load_config *config)
{
    struct wsc_load *load = NULL;
    CHECK(wsc_load_new(config, &load) == WSC_OK);
    return load;
}

static enum wsc_load_phase turn(struct wsc_load *load)
{
    enum wsc_load_phase phase = wsc_load_run(load, wsc_clock_ns() + MILLISECOND);
    serve_all();
    return phase;
}

/* Until a phase or the end. */
static void run_to(struct wsc_load *load, enum wsc_load_phase wanted)
{
    uint64_t give_up = wsc_clock_ns() + PATIENCE;
    while (turn(load) < wanted && wsc_clock_ns() < give_up) {
    }
    CHECK(wsc_load_figures(load)->phase >= wanted);
}

static struct wsc_load *run(const struct wsc_load_config *config)
{
    struct wsc_load *load = begin(config);
    run_to(load, WSC_LOAD_READY);
    wsc_load_start(load, wsc_clock_ns());
    run_to(load, WSC_LOAD_OVER);
    for (int i = 0; i < 10; i++) { /* what it has closed */
        serve_all();
    }
    return load;
}

static void check_fault(const struct wsc_load *load, enum wsc_load_fault_kind kind,
                        int number, uint64_t times, const char *text)
{
    size_t count;
    const struct wsc_load_fault *fault = wsc_load_faults(load, &count);
    CHECK_INT(count, 1);
    CHECK_INT(fault->kind, kind);
    CHECK_INT(fault->number, number);
    CHECK_INT(fault->count, times);
    CHECK_BYTES(fault->text, fault->text_len, text, strlen(text));
    CHECK_INT(wsc_load_figures(load)->failed, times);
}

static void counts_are_those_of_the_server(void)
{
    start_server(ECHO);
    struct wsc_load_config config = settings();
    for (size_t depth = 1; depth <= 16; depth *= 4) {
        config.depth = depth;
        server.received = server.handshakes = server.closes = 0;
        struct wsc_load *load = run(&config);
        const struct wsc_load_figures *figures = wsc_load_figures(load);
        CHECK_INT(figures->sent, 400);
        CHECK_INT(figures->received, 400);
        CHECK_INT(server.received, 400);
        CHECK_INT(server.handshakes, 4);
        CHECK_INT(server.closes, 4);
        CHECK_INT(figures->opened, 4);
        CHECK_INT(figures->failed, 0);
        CHECK_INT(figures->other + figures->lost + figures->outstanding, 0);
        CHECK_INT(wsc_load_latencies(load)->count, 400);
        CHECK_INT(wsc_load_openings(load)->count, 4);
        wsc_load_free(load);
    }
    stop_server();
}

static void compression_is_agreed(void)
{
    start_server(ECHO);
    struct wsc_load_config config = settings();
    config.deflate = &deflate;
    struct wsc_load *load = run(&config);
    CHECK_INT(wsc_load_figures(load)->compressed, 4);
    CHECK_INT(wsc_load_figures(load)->received, 400);
    CHECK_INT(server.compressed, 400);
    wsc_load_free(load);
    stop_server();
}

static void a_room_receives_what_its_first_sends(void)
{
    start_server(BROADCAST);
    struct wsc_load_config config = settings();
    config.connections = 12;
    config.room_size = 3;
    config.first_room = 7;
    config.depth = 5;
    config.target = wsc_str_of("/{room}{?");
    struct wsc_load *load = run(&config);
    CHECK_INT(wsc_load_figures(load)->sent, 400);
    CHECK_INT(wsc_load_figures(load)->received, 1200);
    CHECK_INT(server.received, 400);
    CHECK(strcmp(server.clients[0].target, "/7{?") == 0);
    wsc_load_free(load);
    stop_server();
}

static void the_next_message_waits_for_all_of_the_room(void)
{
    start_server(BROADCAST);
    server.discreet = true;
    struct wsc_load_config config = settings();
    config.connections = 3;
    config.room_size = 3;
    config.depth = 2;
    struct wsc_load *load = begin(&config);
    run_to(load, WSC_LOAD_READY);
    uint64_t from = wsc_clock_ns();
    wsc_load_start(load, from);
    while (wsc_clock_ns() < from + 100 * MILLISECOND) {
        (void)turn(load);
    }
    CHECK_INT(wsc_load_figures(load)->sent, 2);
    CHECK_INT(wsc_load_figures(load)->received, 2);
    wsc_load_stop(load);
    run_to(load, WSC_LOAD_OVER);
    CHECK_INT(wsc_load_figures(load)->lost, 4);
    wsc_load_free(load);
    stop_server();
}

static void connections_have_numbers(void)
{
    start_server(ECHO);
    struct wsc_load_config config = settings();
    config.first_room = 3;
    config.target = wsc_str_of("/c{connection}r{room}");
    config.opening_max = 1;
    struct wsc_load *load = begin(&config);
    run_to(load, WSC_LOAD_READY);
    for (size_t i = 0; i < 4; i++) {
        char wanted[16];
        (void)snprintf(wanted, sizeof(wanted), "/c%zur%zu", i + 3, i + 3);
        CHECK(strcmp(server.clients[i].target, wanted) == 0);
    }
    wsc_load_free(load);
    stop_server();
}

/* The server stalls for 200 ms: in an open loop all that was to be sent meanwhile was
 * late, in a closed loop one message was. */
static void latency_counts_from_the_intended_time(void)
{
    for (int open = 0; open < 2; open++) {
        start_server(ECHO);
        struct wsc_load_config config = settings();
        config.messages = 0;
        config.duration = SECOND;
        config.connections = 1;
        config.rate = open ? 500 : 0;
        struct wsc_load *load = begin(&config);
        run_to(load, WSC_LOAD_READY);
        uint64_t now = wsc_clock_ns();
        wsc_load_start(load, now);
        while (wsc_clock_ns() < now + 400 * MILLISECOND) {
            (void)turn(load);
        }
        server.stalls_until = wsc_clock_ns() + 200 * MILLISECOND;
        run_to(load, WSC_LOAD_OVER);
        const struct wsc_histogram *latencies = wsc_load_latencies(load);
        CHECK(latencies->max >= 190 * MILLISECOND);
        if (open) {
            /* A hundred of five hundred, evenly from 0 to 200 ms. */
            CHECK_INT(wsc_load_figures(load)->sent, 500);
            CHECK_INT(server.received, 500);
            CHECK(wsc_histogram_percentile(latencies, 99) >= 180 * MILLISECOND);
            CHECK(wsc_histogram_percentile(latencies, 91) >= 80 * MILLISECOND);
        }
        else {
            CHECK(wsc_histogram_percentile(latencies, 99) < 180 * MILLISECOND);
        }
        wsc_load_free(load);
        stop_server();
    }
}

static void what_a_server_does_not_answer_is_counted(void)
{
    start_server(SILENT);
    struct wsc_load_config config = settings();
    config.rate = 1000;
    config.depth = 2;
    config.messages = 40;
    config.timeout = 200 * MILLISECOND;
    struct wsc_load *load = run(&config);
    const struct wsc_load_figures *figures = wsc_load_figures(load);
    CHECK_INT(figures->received, 0);
    CHECK_INT(figures->sent, 8);
    CHECK_INT(figures->lost, 8);
    CHECK_INT(figures->unsent, 32);
    CHECK_INT(figures->outstanding, 0);
    wsc_load_free(load);
    stop_server();
}

/* Messages of a room whose sender was refused fall due like others. */
static void a_sender_that_is_refused(void)
{
    start_server(REFUSES);
    struct wsc_load_config config = settings();
    config.rate = 1000;
    config.messages = 40;
    config.depth = 10;
    config.opening_max = 1;
    struct wsc_load *load = begin(&config);
    const struct wsc_load_figures *figures = wsc_load_figures(load);
    while (figures->failed == 0) {
        (void)turn(load);
    }
    server.manner = ECHO;
    run_to(load, WSC_LOAD_READY);
    uint64_t now = wsc_clock_ns();
    wsc_load_start(load, now);
    run_to(load, WSC_LOAD_OVER);
    CHECK(wsc_clock_ns() - now < config.timeout);
    CHECK_INT(figures->failed, 1);
    CHECK_INT(figures->sent, 30);
    CHECK_INT(figures->received, 30);
    CHECK_INT(figures->unsent, 10);
    wsc_load_free(load);
    stop_server();
}

static void hostile_servers(void)
{
    static const struct {
        enum manner manner;
        enum wsc_load_fault_kind kind;
        int number;
        const char *text;
    } rows[] = {
        {SILENT, WSC_LOAD_TIMEOUT, WSC_LOAD_WAIT_ANSWER, "no answer to a message"},
        {CLOSES, WSC_LOAD_CLOSED, 1008, "too fast"},
        {RESETS, WSC_LOAD_LOST, ECONNRESET, ""},
        {GARBAGE, WSC_LOAD_PROTOCOL, WSC_ERR_PROTOCOL, "reserved bits must be 0"},
        {REFUSES, WSC_LOAD_HANDSHAKE, 403, "Not You"},
        {MUTE, WSC_LOAD_TIMEOUT, WSC_LOAD_WAIT_RESPONSE, "opening handshake"},
        {HANGS_UP, WSC_LOAD_HANDSHAKE, 0,
         "The connection was closed before the opening handshake was complete."},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        start_server(rows[i].manner);
        struct wsc_load_config config = settings();
        config.timeout = 200 * MILLISECOND;
        struct wsc_load *load = run(&config);
        check_fault(load, rows[i].kind, rows[i].number, 4, rows[i].text);
        CHECK_INT(wsc_load_figures(load)->received, 0);
        CHECK_INT(wsc_load_figures(load)->open, 0);
        wsc_load_free(load);
        stop_server();
    }
}

static void a_server_without_tls(void)
{
    struct wsc_tls_context *tls = NULL;
    start_server(ECHO);
    struct wsc_load_config config = settings();
    CHECK(wsc_tls_context_new(&memory.base, false, &tls) == WSC_OK);
    config.tls = tls;
    config.server_name = "localhost";
    struct wsc_load *load = run(&config);
    check_fault(load, WSC_LOAD_TLS, 0, 4, "wrong version number");
    CHECK_INT(wsc_load_figures(load)->opened, 0);
    wsc_load_free(load);
    wsc_tls_context_free(tls);
    stop_server();
}

/* Nobody listens there, whether this system has IPv6 or not. */
static void an_address_of_ipv6(void)
{
    start_server(ECHO);
    struct wsc_load_config config = settings();
    config.address = "::1";
    struct wsc_load *load = run(&config);
    size_t count;
    const struct wsc_load_fault *fault = wsc_load_faults(load, &count);
    CHECK_INT(count, 1);
    CHECK_INT(fault->kind, WSC_LOAD_CONNECT);
    CHECK_INT(fault->count, 4);
    CHECK_INT(server.handshakes, 0);
    wsc_load_free(load);
    stop_server();
}

/* Of a room, one that doesn't send goes: the others' messages go on. */
static void a_member_that_leaves(void)
{
    start_server(BROADCAST);
    struct wsc_load_config config = settings();
    config.connections = 3;
    config.room_size = 3;
    config.depth = 4;
    config.opening_max = 1;
    struct wsc_load *load = begin(&config);
    run_to(load, WSC_LOAD_READY);
    wsc_load_start(load, wsc_clock_ns());
    while (wsc_load_figures(load)->received < 30 && turn(load) < WSC_LOAD_OVER) {
    }
    drop(&server.clients[1], true);
    run_to(load, WSC_LOAD_OVER);
    const struct wsc_load_figures *figures = wsc_load_figures(load);
    CHECK_INT(figures->sent, 400);
    CHECK_INT(server.received, 400);
    CHECK_INT(figures->failed, 1);
    CHECK(figures->received >= 800);
    CHECK(figures->received + figures->lost < 1200);
    CHECK_INT(figures->outstanding, 0);
    wsc_load_free(load);
    stop_server();
}

static void nobody_is_there(void)
{
    start_server(ECHO);
    struct wsc_load_config config = settings();
    wsc_engine_free(server.engine);
    (void)close(server.fd);
    struct wsc_load *load = begin(&config);
    while (wsc_load_run(load, wsc_clock_ns() + MILLISECOND) != WSC_LOAD_OVER) {
    }
    check_fault(load, WSC_LOAD_CONNECT, ECONNREFUSED, 4, "");
    wsc_load_free(load);
    CHECK_INT(memory.live_blocks, 0);
}

static void handshakes_one_after_the_other(void)
{
    start_server(ECHO);
    struct wsc_load_config config = settings();
    config.handshakes = true;
    config.messages = 100;
    struct wsc_load *load = run(&config);
    CHECK_INT(wsc_load_figures(load)->opened, 100);
    CHECK_INT(server.handshakes, 100);
    CHECK_INT(server.received, 0);
    CHECK_INT(wsc_load_openings(load)->count, 100);
    CHECK_INT(wsc_load_figures(load)->failed, 0);
    wsc_load_free(load);
    stop_server();
}

static void a_ramp_takes_its_time(void)
{
    start_server(ECHO);
    struct wsc_load_config config = settings();
    config.connections = 11;
    config.opening_max = 11;
    config.ramp = 100;
    uint64_t from = wsc_clock_ns();
    struct wsc_load *load = begin(&config);
    run_to(load, WSC_LOAD_READY);
    CHECK(wsc_clock_ns() - from >= 100 * MILLISECOND);
    CHECK_INT(wsc_load_figures(load)->opened, 11);
    wsc_load_free(load);
    stop_server();
}

static void it_can_be_stopped_at_any_time(void)
{
    for (enum wsc_load_phase phase = WSC_LOAD_OPENING; phase < WSC_LOAD_OVER; phase++) {
        start_server(phase == WSC_LOAD_OPENING ? MUTE : SILENT);
        struct wsc_load_config config = settings();
        config.messages = phase == WSC_LOAD_DRAINING ? 2 : 400;
        config.rate = 1000;
        struct wsc_load *load = begin(&config);
        if (phase == WSC_LOAD_OPENING) {
            (void)turn(load);
        }
        else {
            run_to(load, WSC_LOAD_READY);
        }
        if (phase > WSC_LOAD_READY) {
            wsc_load_start(load, wsc_clock_ns());
            run_to(load, phase == WSC_LOAD_DRAINING ? phase : WSC_LOAD_RUNNING);
        }
        wsc_load_stop(load);
        wsc_load_stop(load);
        run_to(load, WSC_LOAD_OVER);
        CHECK_INT(wsc_load_figures(load)->open, 0);
        CHECK_INT(wsc_load_figures(load)->failed, 0);
        wsc_load_free(load);
        stop_server();
    }
}

static void settings_that_make_no_sense(void)
{
    struct wsc_load *load = NULL;
    start_server(ECHO);
    struct wsc_load_config config = settings();
    config.address = "localhost";
    CHECK(wsc_load_new(&config, &load) == WSC_ERR_INVALID_ARGUMENT);
    static const double rates[] = {-1, NAN, INFINITY, 1e10, 1e-7};
    for (size_t i = 0; i < sizeof(rates) / sizeof(*rates); i++) {
        config = settings();
        config.rate = rates[i];
        CHECK(wsc_load_new(&config, &load) == WSC_ERR_INVALID_ARGUMENT);
        config = settings();
        config.ramp = rates[i];
        CHECK(wsc_load_new(&config, &load) == WSC_ERR_INVALID_ARGUMENT);
    }
    config = settings();
    config.timeout = UINT64_MAX;
    CHECK(wsc_load_new(&config, &load) == WSC_ERR_INVALID_ARGUMENT);
    config = settings();
    config.room_size = 3;
    CHECK(wsc_load_new(&config, &load) == WSC_ERR_INVALID_ARGUMENT);
    config = settings();
    config.messages = 0;
    CHECK(wsc_load_new(&config, &load) == WSC_ERR_INVALID_ARGUMENT);
    config = settings();
    config.depth = SIZE_MAX / 2;
    CHECK(wsc_load_new(&config, &load) == WSC_ERR_NO_MEMORY);
    CHECK(load == NULL);
    stop_server();
}

static bool short_run(const struct wsc_allocator *allocator)
{
    struct wsc_load_config config = settings();
    struct wsc_load *load;
    config.allocator = allocator;
    config.messages = 8;
    config.target = wsc_str_of("/{room}");
    if (wsc_load_new(&config, &load) != WSC_OK) {
        return false;
    }
    while (turn(load) < WSC_LOAD_READY) {
    }
    wsc_load_start(load, wsc_clock_ns());
    while (turn(load) < WSC_LOAD_OVER) {
    }
    bool complete = wsc_load_figures(load)->received == 8;
    CHECK(complete || wsc_load_figures(load)->failed > 0);
    wsc_load_free(load);
    return complete;
}

static void memory_is_short(void)
{
    start_server(ECHO);
    test_every_allocation(short_run);
    stop_server();
}

TEST_MAIN(TEST(counts_are_those_of_the_server), TEST(compression_is_agreed),
          TEST(a_room_receives_what_its_first_sends),
          TEST(the_next_message_waits_for_all_of_the_room),
          TEST(connections_have_numbers), TEST(latency_counts_from_the_intended_time),
          TEST(what_a_server_does_not_answer_is_counted),
          TEST(a_sender_that_is_refused), TEST(hostile_servers),
          TEST(a_server_without_tls), TEST(an_address_of_ipv6),
          TEST(a_member_that_leaves), TEST(nobody_is_there),
          TEST(handshakes_one_after_the_other), TEST(a_ramp_takes_its_time),
          TEST(it_can_be_stopped_at_any_time), TEST(settings_that_make_no_sense),
          TEST(memory_is_short))

/* Both roles of a connection over the engine, with each system call and each allocation
 * failing at each index of a whole session: handshake, messages, pings, closing. */
#include "test.h"

#include "wsc/engine.h"

#ifdef __linux__

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine_session.h"
#include "pair.h"

#define RECEIVE_SIZE 4096
#define LONG         ((size_t)20000) /* some reads and writes long */
#define SHORT        ((size_t)1500)
#define IDLE_POLLS   100 /* of 10 ms, with nothing to do: it hangs */

struct side {
    struct end end;
    struct wsc_link *link; /* NULL before and after */
    size_t messages;
    size_t pongs;
    bool closed_cleanly; /* a close frame each way, and then the end */
    bool no_memory;
    int error; /* errno */
};

struct session {
    const struct wsc_allocator *allocator;
    struct wsc_engine *engine;
    struct wsc_acceptor *acceptor;
    struct side server;
    struct side client;
    size_t message_size;
    size_t ready; /* links that polls found ready, in sum */
    int error;    /* errno of what belongs to neither side */
    bool no_memory;
    bool hung;
};

/* --- one side --- */

static void drop(struct side *side)
{
    struct wsc_conn *conn = &side->end.conn;
    if (side->link != NULL) {
        side->closed_cleanly = conn->received != NULL && conn->sent != NULL &&
                               conn->error == WSC_OK && side->error == 0;
        wsc_link_close(side->link);
        side->link = NULL;
        wsc_conn_feed_eof(conn);
        CHECK_INT(conn->state, WSC_CONN_CLOSED);
    }
}

/* Note what a call of the core said; a failed one ends the side. */
static bool went_well(struct side *side, enum wsc_status status)
{
    if (status >= 0) {
        return true;
    }
    CHECK_INT(status, WSC_ERR_NO_MEMORY);
    side->no_memory = true;
    return false;
}

static void flush(struct side *side)
{
    struct wsc_conn *conn = &side->end.conn;
    enum wsc_status status = wsc_link_flush(side->link, conn);
    if (status == WSC_ERR_IO) {
        side->error = errno;
        drop(side);
        return;
    }
    bool waits_for_server =
        side->end.config.role == WSC_ROLE_CLIENT && conn->error == WSC_OK;
    if (status == WSC_OK && conn->end_expected && !waits_for_server) {
        drop(side);
    }
}

static enum wsc_status
send_pattern(struct side *side, enum wsc_opcode opcode, size_t len)
{
    uint8_t *data = malloc(len);
    for (size_t i = 0; i < len; i++) {
        data[i] = (uint8_t)('a' + i % 23);
    }
    bool referenced;
    enum wsc_status status = wsc_conn_send(&side->end.conn, opcode, data, len, true,
                                           WSC_COMPRESS_NEVER, NULL, &referenced);
    free(data);
    return status;
}

static enum wsc_status
client_event(struct session *session, struct side *side, const struct wsc_event *event)
{
    enum wsc_status status = WSC_OK;
    if (event->type == WSC_EVENT_RESPONSE) {
        status = send_pattern(side, WSC_OPCODE_TEXT, 5);
        if (status == WSC_OK) {
            status = wsc_conn_send_ping(&side->end.conn, (const uint8_t *)"ping", 4);
        }
        if (status == WSC_OK) {
            status = send_pattern(side, WSC_OPCODE_BINARY, session->message_size);
        }
    }
    bool all = side->messages == 2 && side->pongs == 1;
    if (status == WSC_OK && all && side->end.conn.state == WSC_CONN_OPEN) {
        status = wsc_conn_send_close(&side->end.conn, WSC_CLOSE_NORMAL_CLOSURE, "", 0);
    }
    return status;
}

static enum wsc_status server_event(struct side *side, const struct wsc_event *event)
{
    bool referenced;
    if (event->type == WSC_EVENT_REQUEST) {
        return end_accept(&side->end, NULL);
    }
    if (event->type != WSC_EVENT_MESSAGE) {
        return WSC_OK;
    }
    const struct wsc_message *message = &event->message;
    enum wsc_opcode opcode =
        message->kind == WSC_PAYLOAD_TEXT ? WSC_OPCODE_TEXT : WSC_OPCODE_BINARY;
    enum wsc_status status =
        wsc_conn_send(&side->end.conn, opcode, message->data, message->len, true,
                      WSC_COMPRESS_NEVER, NULL, &referenced);
    if (status == WSC_OK && side->messages == 1) {
        status = wsc_conn_send_ping(&side->end.conn, (const uint8_t *)"pong", 4);
    }
    return status;
}

static void check_message(struct session *session, struct side *side,
                          const struct wsc_message *message)
{
    bool same = message->len == (side->messages == 0 ? 5 : session->message_size);
    for (size_t i = 0; same && i < message->len; i++) {
        same = message->data[i] == 'a' + i % 23;
    }
    CHECK(same);
    side->messages++;
}

static void
handle_event(struct session *session, struct side *side, const struct wsc_event *event)
{
    if (event->type == WSC_EVENT_MESSAGE) {
        check_message(session, side, &event->message);
    }
    side->pongs += event->type == WSC_EVENT_PONG;
    enum wsc_status status = side == &session->client
                                 ? client_event(session, side, event)
                                 : server_event(side, event);
    if (event->type == WSC_EVENT_MESSAGE && event->message.data != NULL) {
        side->end.memory.free(side->end.memory.ctx, event->message.kind,
                              event->message.data);
    }
    if (!went_well(side, status)) {
        drop(side);
    }
}

static void receive(struct session *session, struct side *side, const struct wsc_io *io)
{
    struct wsc_event event;
    CHECK(io->len > 0);
    if (!went_well(side, wsc_conn_feed(&side->end.conn, io->data, io->len))) {
        drop(side);
    }
    while (side->link != NULL) {
        enum wsc_status status = wsc_conn_next_event(&side->end.conn, &event);
        if (status != WSC_OK) {
            (void)went_well(side, status);
            break;
        }
        handle_event(session, side, &event);
    }
    if (side->link != NULL) {
        flush(side);
    }
}

/* --- both --- */

static void take_link(struct session *session, struct side *side, int fd)
{
    int size = 4096;
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    enum wsc_status status = wsc_link_new(session->engine, fd, side, &side->link);
    if (status != WSC_OK) {
        side->error = status == WSC_ERR_IO ? errno : 0;
        side->no_memory = status == WSC_ERR_NO_MEMORY;
        CHECK(side->error != 0 || side->no_memory);
        side->link = NULL;
        (void)close(fd);
    }
}

static void handle(struct session *session, const struct wsc_io *io)
{
    if (io->owner == session) {
        if (io->type == WSC_IO_ACCEPTED) {
            CHECK(session->server.link == NULL);
            take_link(session, &session->server, io->fd);
        }
        else {
            CHECK_INT(io->type, WSC_IO_ERROR);
            session->error = io->error;
        }
        return;
    }
    struct side *side = io->owner;
    CHECK(side->link != NULL);
    switch (io->type) {
    case WSC_IO_DATA:
        receive(session, side, io);
        return;
    case WSC_IO_WRITABLE:
        flush(side);
        return;
    case WSC_IO_ERROR:
        CHECK(io->error != 0);
        side->error = io->error;
        drop(side);
        return;
    case WSC_IO_EOF:
        drop(side);
        return;
    case WSC_IO_READABLE:
    case WSC_IO_ACCEPTED:
    case WSC_IO_PROXIED:
        break;
    }
    CHECK(false && "an event of the other kind");
}

static void run(struct session *session)
{
    int idle = 0;
    struct wsc_io io;
    while ((session->client.link != NULL || session->server.link != NULL) &&
           idle < IDLE_POLLS) {
        size_t ready = wsc_engine_poll(session->engine, 10);
        idle = ready > 0 ? 0 : idle + 1;
        session->ready += ready;
        while (wsc_engine_next(session->engine, &io)) {
            handle(session, &io);
        }
    }
    session->hung = idle == IDLE_POLLS;
}

static void start(struct session *session, int listening, int client)
{
    enum wsc_status status =
        wsc_acceptor_new(session->engine, listening, session, &session->acceptor);
    if (status != WSC_OK) {
        session->error = status == WSC_ERR_IO ? errno : 0;
        session->no_memory = status == WSC_ERR_NO_MEMORY;
        (void)close(client);
        return;
    }
    take_link(session, &session->client, client);
    if (session->client.link == NULL) {
        return;
    }
    if (!went_well(&session->client, end_request(&session->client.end, NULL, 0))) {
        drop(&session->client);
        return;
    }
    flush(&session->client);
}

static void connect_sides(struct session *session, bool interrupts)
{
    struct sockaddr_in address;
    int listening = listen_on_loopback(&address);
    int client = connect_to(&address);
    start(session, listening, client);
    run(session);
    /* CTL-8: a read, and a write for each of the two ways to be ready; only what was
     * interrupted is done again. And a read before each of the two sockets is closed.
     */
    size_t calls = io_shim_calls(IO_RECV) + io_shim_calls(IO_SEND);
    CHECK(calls <= 1 + 3 * session->ready + 2 + (interrupts ? io_shim_hits() : 0));
    drop(&session->client);
    drop(&session->server);
    if (session->acceptor != NULL) {
        wsc_acceptor_close(session->acceptor);
    }
    (void)close(listening);
}

struct outcome {
    bool complete;
    bool hung;
    bool no_memory;
    int errors[3]; /* of server, client, and neither */
    size_t hits;
};

static void init_sides(struct session *session, struct outcome *out)
{
    enum wsc_status status = end_init(&session->server.end, WSC_ROLE_SERVER, 1 << 20,
                                      NULL, session->allocator);
    if (status == WSC_OK) {
        status = end_init(&session->client.end, WSC_ROLE_CLIENT, 1 << 20, NULL,
                          session->allocator);
    }
    if (status == WSC_OK) {
        status = wsc_engine_new(session->allocator, RECEIVE_SIZE, &session->engine);
    }
    out->no_memory = status == WSC_ERR_NO_MEMORY;
    session->error = status == WSC_ERR_IO ? errno : 0;
    CHECK(status == WSC_OK || out->no_memory || session->error != 0);
}

static struct outcome run_session(const struct wsc_allocator *allocator,
                                  const struct io_fault *fault, size_t message_size)
{
    struct outcome out = {0};
    struct session session = {.allocator = allocator, .message_size = message_size};
    size_t before = descriptors();
    io_shim_set(fault);
    init_sides(&session, &out);
    if (session.engine != NULL) {
        connect_sides(&session, fault != NULL && fault->error == EINTR);
        wsc_engine_free(session.engine);
    }
    out.hits = io_shim_hits();
    io_shim_set(NULL);
    end_fini(&session.server.end);
    end_fini(&session.client.end);
    CHECK_INT(descriptors(), before);
    out.complete = session.server.closed_cleanly && session.client.closed_cleanly &&
                   session.server.messages == 2 && session.client.messages == 2 &&
                   session.server.pongs == 1 && session.client.pongs == 1;
    out.hung = session.hung;
    out.no_memory |=
        session.no_memory || session.server.no_memory || session.client.no_memory;
    out.errors[0] = session.server.error;
    out.errors[1] = session.client.error;
    out.errors[2] = session.error;
    return out;
}

/* --- faults --- */

static bool reported(const struct outcome *out, int error)
{
    return out->errors[0] == error || out->errors[1] == error ||
           out->errors[2] == error;
}

static struct faulted session_under(const struct io_fault *fault, size_t message_size)
{
    struct outcome out = run_session(wsc_allocator_default(), fault, message_size);
    return (struct faulted){
        .complete = out.complete,
        .hung = out.hung,
        .reported = reported(&out, fault->error),
        .hits = out.hits,
    };
}

static struct faulted long_session(const struct io_fault *fault)
{
    return session_under(fault, LONG);
}

static struct faulted short_session(const struct io_fault *fault)
{
    return session_under(fault, SHORT);
}

static void a_session_goes_through(void)
{
    struct outcome out = run_session(wsc_allocator_default(), NULL, LONG);
    CHECK(out.complete && !out.hung && !out.no_memory);
}

/* CTL-8: during the handshake, messages, pong and close of both roles. */
static void reads_fail_at_every_index(void)
{
    at_every_index(long_session, IO_RECV, EAGAIN, false);
    at_every_index(long_session, IO_RECV, EINTR, false);
    at_every_index(long_session, IO_RECV, IO_ONE_BYTE, false);
    at_every_index(long_session, IO_RECV, ECONNRESET, true);
    at_every_index(long_session, IO_RECV, ENOBUFS, true);
}

/* CTL-8 */
static void writes_fail_at_every_index(void)
{
    sends_fail_at_every_index(long_session);
}

static void other_calls_fail_at_every_index(void)
{
    at_every_index(long_session, IO_ACCEPT, EAGAIN, false);
    at_every_index(long_session, IO_ACCEPT, EINTR, false);
    at_every_index(long_session, IO_ACCEPT, ECONNABORTED, false);
    at_every_index(long_session, IO_ACCEPT, ENOBUFS, false);
    at_every_index(long_session, IO_ACCEPT, EMFILE, true);
    at_every_index(long_session, IO_WATCH, ENOMEM, true);
    at_every_index(long_session, IO_WAIT, EINTR, false);
}

/* CTL-8 */
static void whole_sessions_under_faults(void)
{
    under_constant_faults(short_session);
}

static bool small_session(const struct wsc_allocator *allocator)
{
    struct outcome out = run_session(allocator, NULL, SHORT);
    CHECK(!out.hung);
    CHECK(out.complete || out.no_memory);
    return out.complete;
}

static void allocations_fail_at_every_index(void)
{
    test_every_allocation(small_session);
}

TEST_MAIN(TEST(a_session_goes_through), TEST(reads_fail_at_every_index),
          TEST(writes_fail_at_every_index), TEST(other_calls_fail_at_every_index),
          TEST(whole_sessions_under_faults), TEST(allocations_fail_at_every_index))

#else

static void no_shim_here(void)
{
    CHECK(true);
}

TEST_MAIN(TEST(no_shim_here))

#endif

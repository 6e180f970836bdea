/* The engine's target: ends of connections on links of one engine, driven by its events
 * as a carrier does it. */
#ifndef FUZZ_SIDES_H
#define FUZZ_SIDES_H

#include <errno.h>
#include <unistd.h>

#include "fake_sockets.h"
#include "fuzz_conn.h"
#include "wsc/engine.h"
#include "wsc/timer_wheel.h"

#define SIDES 16
#define TALKS 32

/* What two ends said to each other: [0] the server, [1] the client. It outlives them.
 */
struct talk {
    struct text sent[2]; /* messages, as bytes to compare */
    struct text received[2];
    bool in_message[2];
    size_t message_size[2];
};

struct side {
    struct end end;
    struct wsc_link *link;
    struct talk *talk;
    size_t who;    /* in the talk */
    uint8_t tag;   /* in all that it sends */
    uint8_t *kept; /* the copy that the connection reads from, or NULL */
    size_t kept_size;
    struct text more; /* came while that was not used up */
    size_t budget;    /* of messages, then reading is paused */
    bool takes_large;
    bool waits; /* for WSC_IO_WRITABLE */
    bool over;  /* the peer has ended; only what waits is still to be sent */
    struct wsc_timer timer;
    uint8_t alarm;
};

static struct {
    struct counter counter;
    struct wsc_engine *engine;
    struct wsc_acceptor *acceptor;
    int acceptor_fd;
    struct wsc_timer_wheel wheel;
    uint64_t now;
    struct side *sides[SIDES];
    struct talk talks[TALKS];
    size_t talk_count;
    size_t budget;
    bool deflate;
    bool patient; /* what is written leaves with a flush */
    uint8_t next_tag;
    int references;
} world;

/* --- what holds after each step --- */

static inline void check_side(const struct side *side)
{
    const struct wsc_conn *conn = &side->end.conn;
    const struct talk *talk = side->talk;
    const struct text *received = &talk->received[side->who];
    const struct text *sent = &talk->sent[1 - side->who];
    check_conn(conn);
    REQUIRE(side->link != NULL);
    if (wsc_conn_input_left(conn) > 0) {
        REQUIRE(side->kept != NULL && conn->input >= side->kept &&
                conn->input + conn->input_len == side->kept + side->kept_size);
    }
    REQUIRE(received->len <= sent->len);
    REQUIRE(received->len == 0 ||
            memcmp(received->data, sent->data, received->len) == 0);
}

static inline void check_world(void)
{
    for (size_t i = 0; i < SIDES; i++) {
        if (world.sides[i] != NULL) {
            check_side(world.sides[i]);
        }
    }
}

/* --- one side --- */

static inline struct side **place_of(const struct side *side)
{
    for (size_t i = 0; i < SIDES; i++) {
        if (world.sides[i] == side) {
            return &world.sides[i];
        }
    }
    return NULL;
}

/* Without its link: nothing of it is left. */
static inline void side_free(struct side *side)
{
    *place_of(side) = NULL;
    wsc_timers_cancel(&world.wheel, &side->timer);
    wsc_conn_feed_eof(&side->end.conn);
    end_fini(&side->end);
    free(side->kept);
    text_free(&side->more);
    free(side);
}

static inline void drop(struct side *side, bool abort)
{
    (abort ? wsc_link_abort : wsc_link_close)(side->link);
    side_free(side);
}

/* False: it is gone. */
static inline bool flush(struct side *side)
{
    struct wsc_conn *conn = &side->end.conn;
    enum wsc_status status = WSC_OK;
    while (!side->waits && status == WSC_OK && wsc_conn_wants_send(conn)) {
        (void)wsc_conn_outgoing(conn); /* a pending pong becomes output */
        status = wsc_link_write(side->link, &conn->outgoing);
        REQUIRE(wsc_outgoing_check(&conn->outgoing));
        REQUIRE(status != WSC_OK || conn->outgoing.size == 0);
        side->waits = status == WSC_NEED_SPACE;
    }
    /* RFC 6455 §7.1.1, unless the connection was failed */
    bool waits_for_server = side->who == 1 && !side->over && conn->received != NULL &&
                            conn->error == WSC_OK;
    if (status == WSC_ERR_IO ||
        (!side->waits && conn->end_expected && !waits_for_server)) {
        drop(side, false);
        return false;
    }
    REQUIRE(status == WSC_OK || side->waits);
    return true;
}

static inline void take_message(struct side *side, const struct wsc_message *message)
{
    struct text *received = &side->talk->received[side->who];
    text_add(received, message->data, message->len);
    if (message->fin) {
        text_add(received, "|", 1);
        side->budget--;
    }
    if (message->data != NULL) {
        side->end.memory.free(side->end.memory.ctx, message->kind, message->data);
    }
}

/* False: it cannot go on. */
static inline bool take_event(struct side *side, const struct wsc_event *event)
{
    struct talk *talk = side->talk;
    switch (event->type) {
    case WSC_EVENT_REQUEST:
        return end_accept(&side->end) == WSC_OK;
    case WSC_EVENT_MESSAGE:
        take_message(side, &event->message);
        return true;
    case WSC_EVENT_CLOSE:
        /* What was sent before it has come before it. */
        REQUIRE(talk->in_message[1 - side->who] ||
                talk->received[side->who].len == talk->sent[1 - side->who].len);
        return true;
    case WSC_EVENT_RESPONSE:
    case WSC_EVENT_PING:
    case WSC_EVENT_PONG:
        return true;
    }
    return true;
}

/* What is left of the input is copied, unless it is ours already. */
static inline void keep_input(struct side *side)
{
    struct wsc_conn *conn = &side->end.conn;
    size_t left = wsc_conn_input_left(conn);
    uint8_t *before = side->kept;
    if (left > 0 && before != NULL && conn->input + left == before + side->kept_size) {
        return;
    }
    side->kept = left > 0 ? exact_copy(conn->input, left) : NULL;
    side->kept_size = left;
    if (left > 0) {
        wsc_conn_move_input(conn, side->kept);
    }
    free(before);
}

/* Everything that came while input waited, as the next input. */
static inline void feed_more(struct side *side)
{
    free(side->kept);
    side->kept = exact_copy(side->more.data, side->more.len);
    side->kept_size = side->more.len;
    side->more.len = 0;
    REQUIRE(wsc_conn_feed(&side->end.conn, side->kept, side->kept_size) == WSC_OK);
}

/* Take events while there is a budget. False: the side cannot go on. */
static inline bool take_events(struct side *side)
{
    struct wsc_conn *conn = &side->end.conn;
    struct wsc_event event;
    while (side->budget > 0 || conn->state >= WSC_CONN_CLOSING) {
        side->budget += side->budget == 0; /* the end needs none */
        memset(&event, 0, sizeof(event));
        enum wsc_status status = wsc_conn_next_event(conn, &event);
        if (status == WSC_NEED_DATA && wsc_conn_input_left(conn) == 0 &&
            side->more.len > 0) {
            feed_more(side);
            continue;
        }
        if (status != WSC_OK) {
            /* Neither end says anything wrong. */
            REQUIRE(status == WSC_NEED_DATA ||
                    (status == WSC_ERR_NO_MEMORY && side->end.counter.fail_at != 0));
            return true;
        }
        if (!take_event(side, &event)) {
            return false;
        }
    }
    return wsc_link_read(side->link, false) == WSC_OK;
}

/* A turn: events, then the input is put aside, then what there is to say. */
static inline bool pump(struct side *side)
{
    if (!take_events(side)) {
        drop(side, false);
        return false;
    }
    keep_input(side);
    bool due = !world.patient || side->end.conn.end_expected;
    if (due && !flush(side)) {
        return false;
    }
    wsc_link_notify(side->link,
                    side->takes_large && wsc_conn_receives_large(&side->end.conn));
    return true;
}

/* --- what the engine says --- */

static inline struct side *
side_new(enum wsc_role role, int fd, struct talk *talk, struct side **place)
{
    struct side *side = calloc(1, sizeof(*side));
    REQUIRE(side != NULL);
    enum wsc_status status = wsc_link_new(world.engine, fd, side, &side->link);
    if (status == WSC_OK && (world.next_tag & 7) == 7) {
        /* Forgotten, the descriptor is the caller's, who may take it again. */
        wsc_link_forget(side->link);
        status = wsc_link_new(world.engine, fd, side, &side->link);
    }
    if (status != WSC_OK) {
        REQUIRE(close(fd) == 0);
        free(side);
        return NULL;
    }
    REQUIRE(end_init(&side->end, role, (size_t)1 << 20, world.deflate) == WSC_OK);
    side->talk = talk;
    side->who = role == WSC_ROLE_CLIENT;
    side->tag = (uint8_t)('A' + world.next_tag++ % 26);
    side->budget = world.budget;
    side->takes_large = true;
    *place = side;
    return side;
}

static inline void accepted(int fd)
{
    struct side **place = place_of(NULL);
    struct talk *talk = &world.talks[fake_label(fd)];
    if (place == NULL) {
        REQUIRE(close(fd) == 0);
        return;
    }
    (void)side_new(WSC_ROLE_SERVER, fd, talk, place);
}

/* The shared buffer is everybody's: nothing of it may be read after a turn. */
static inline void scribble(const struct wsc_io *io)
{
    union {
        const uint8_t *read_only;
        uint8_t *data;
    } shared = {.read_only = io->data};
    memset(shared.data, 0xEE, io->len);
}

static inline void received(struct side *side, const struct wsc_io *io, bool shared)
{
    struct wsc_conn *conn = &side->end.conn;
    if (wsc_conn_input_left(conn) > 0 || side->more.len > 0) {
        text_add(&side->more, io->data, io->len);
    }
    else {
        REQUIRE(wsc_conn_feed(conn, io->data, io->len) == WSC_OK);
    }
    side->budget = world.budget;
    (void)pump(side);
    if (shared) {
        scribble(io);
    }
}

/* To where a large payload belongs, if it is one after all. */
static inline bool receive_large(struct side *side, struct wsc_io *io, bool *shared)
{
    size_t room = 0;
    uint8_t *space =
        side->more.len > 0 ? NULL : wsc_conn_receive_space(&side->end.conn, &room);
    *shared = space == NULL;
    return wsc_link_receive(side->link, space, room, io);
}

static inline void ended(struct side *side)
{
    side->budget = SIZE_MAX;
    if (!take_events(side)) {
        drop(side, false);
        return;
    }
    wsc_conn_feed_eof(&side->end.conn);
    side->more.len = 0;
    side->over = true;
    (void)flush(side);
}

static inline void handle(struct wsc_io *io)
{
    bool shared = true;
    if (io->owner == &world) {
        REQUIRE(io->type == WSC_IO_ACCEPTED || io->type == WSC_IO_ERROR);
        if (io->type == WSC_IO_ACCEPTED) {
            accepted(io->fd);
        }
        else {
            wsc_acceptor_accept(world.acceptor, false);
        }
        return;
    }
    struct side *side = io->owner;
    REQUIRE(place_of(side) != NULL);
    REQUIRE(!side->over || io->type == WSC_IO_WRITABLE || io->type == WSC_IO_ERROR);
    if (io->type == WSC_IO_READABLE && !receive_large(side, io, &shared)) {
        return;
    }
    switch (io->type) {
    case WSC_IO_DATA:
        REQUIRE(io->len > 0);
        received(side, io, shared);
        break;
    case WSC_IO_WRITABLE:
        side->waits = false;
        (void)flush(side);
        break;
    case WSC_IO_EOF:
        ended(side);
        break;
    case WSC_IO_ERROR:
        REQUIRE(io->error != 0);
        drop(side, false);
        break;
    case WSC_IO_READABLE:
    case WSC_IO_ACCEPTED:
    case WSC_IO_PROXIED:
        REQUIRE(false && "an event of the other kind");
    }
}

/* One event; if there is none, what is ready now. */
static inline bool turn(void)
{
    struct wsc_io io;
    if (wsc_engine_next(world.engine, &io)) {
        handle(&io);
        return true;
    }
    REQUIRE(!wsc_engine_has_received(world.engine));
    return wsc_engine_poll(world.engine, 0) > 0;
}

#endif

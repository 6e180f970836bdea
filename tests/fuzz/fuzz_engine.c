/* The engine without the binding: connections of both roles over links that share one
 * receive buffer, in an order and with faults as the input says. After each step no
 * connection reads from the shared buffer; what an end gets is what its own peer sent,
 * in order; all comes once the faults are over; nobody spins; memory and descriptors
 * come back. Input: flags (1 byte), receive size (1), then steps of one byte and their
 * arguments. */
#include "fuzz.h"

#ifdef __linux__

#include <fcntl.h>

#include "fuzz_sides.h"

#define STEPS_MAX    600
#define MESSAGE_MAX  30000
#define SETTLE_TURNS 400000 /* more than there can be bytes for */

/* --- what the owner does --- */

static void new_pair(void)
{
    struct side **place = place_of(NULL);
    if (world.talk_count == TALKS || place == NULL) {
        return;
    }
    int fd = fake_connect(world.acceptor_fd, world.talk_count);
    if (fd < 0) {
        return;
    }
    struct talk *talk = &world.talks[world.talk_count++];
    struct side *side = side_new(WSC_ROLE_CLIENT, fd, talk, place);
    if (side != NULL) {
        REQUIRE(end_request(&side->end) == WSC_OK);
        (void)flush(side);
    }
}

static void release(void *ctx)
{
    world.references--;
    free(ctx);
}

static enum wsc_status send_payload(struct side *side, enum wsc_opcode opcode,
                                    size_t len, bool fin, uint8_t what)
{
    uint8_t *payload = malloc(len + 1);
    bool referenced = false;
    REQUIRE(payload != NULL);
    for (size_t i = 0; i < len; i++) {
        payload[i] = i % 5 == 0 ? side->tag : (uint8_t)('a' + (i * i / 3 + len) % 26);
    }
    struct wsc_reference reference = {payload, len, payload, release};
    world.references++;
    enum wsc_status status =
        wsc_conn_send(&side->end.conn, opcode, payload, len, fin,
                      (enum wsc_compress)(what % 3), &reference, &referenced);
    if (status == WSC_OK) {
        struct text *sent = &side->talk->sent[side->who];
        text_add(sent, payload, len);
        text_add(sent, "|", fin);
    }
    if (!referenced) {
        release(payload);
    }
    return status;
}

static void send_step(struct side *side, uint8_t what, size_t len)
{
    bool *in_message = &side->talk->in_message[side->who];
    size_t *size = &side->talk->message_size[side->who];
    len = (what & 0x80) != 0 ? len * len / 3 : len;
    *size = (*in_message ? *size : 0) + len;
    bool fin = (what & 0x40) == 0 || *size > MESSAGE_MAX;
    enum wsc_opcode opcode = *in_message          ? WSC_OPCODE_CONTINUATION
                             : (what & 0x20) != 0 ? WSC_OPCODE_TEXT
                                                  : WSC_OPCODE_BINARY;
    bool open = side->end.conn.state == WSC_CONN_OPEN;
    enum wsc_status status = send_payload(side, opcode, len, fin, what);
    REQUIRE(status == WSC_OK || status == WSC_ERR_NO_MEMORY || !open);
    if (status == WSC_OK) {
        *in_message = !fin;
    }
    if ((what & 0x10) != 0) {
        (void)flush(side);
    }
}

static void control_step(struct side *side, uint8_t what)
{
    static const uint8_t payload[125];
    struct wsc_conn *conn = &side->end.conn;
    switch (what & 7) {
    case 0:
        (void)!wsc_conn_send_close(conn, 1000, "bye", 3);
        break;
    case 1:
        (void)!wsc_conn_fail(conn, 1011, NULL, 0);
        break;
    case 2:
        wsc_conn_set_streaming(conn, (what & 8) != 0);
        return;
    case 3:
        side->takes_large = (what & 8) != 0;
        return;
    default:
        (void)!wsc_conn_send_ping(conn, payload, what >> 3);
        break;
    }
    (void)flush(side);
}

/* Stop reading, or go on with what waits. */
static void reading_step(struct side *side, bool on)
{
    if (side->over) {
        return;
    }
    if (!on) {
        REQUIRE(wsc_link_read(side->link, false) == WSC_OK);
        return;
    }
    side->budget = world.budget;
    if (pump(side) && side->budget > 0 && wsc_link_read(side->link, true) != WSC_OK) {
        drop(side, true);
    }
}

static void timer_step(struct side *side, uint8_t what)
{
    side->alarm = what >> 6;
    wsc_timers_add(&world.wheel, &side->timer, world.now + (what & 63) * 10U);
}

static void time_passes(size_t ticks)
{
    struct wsc_timer *timer;
    world.now += ticks;
    for (size_t due = 0; (timer = wsc_timers_next(&world.wheel, world.now)); due++) {
        struct side *side =
            (struct side *)(void *)((char *)timer - offsetof(struct side, timer));
        REQUIRE(place_of(side) != NULL && due < SIDES && timer->at <= world.now);
        if (side->alarm == 0) {
            drop(side, true);
        }
        else if (side->alarm == 1) {
            control_step(side, 0); /* the closing handshake */
        }
        else {
            control_step(side, 4);
            if (place_of(side) != NULL) {
                timer_step(side, side->alarm == 2 ? 2 : 0); /* again; next time: ends */
            }
        }
    }
}

static void fault_step(uint8_t what, uint8_t more)
{
    static const int errors[FAKE_CALLS][8] = {
        [FAKE_ACCEPT] = {EMFILE, ENFILE, ECONNABORTED, EAGAIN, EINTR, ENOMEM, 0, 0},
        [FAKE_RECV] = {EAGAIN, EINTR, ECONNRESET, ETIMEDOUT, 0, 0, 0, 0},
        [FAKE_SEND] = {EAGAIN, EINTR, ECONNRESET, EPIPE, ENOBUFS, 0, 0, 0},
        [FAKE_WATCH] = {ENOSPC, ENOMEM, 0, 0, 0, 0, 0, 0},
        [FAKE_WAIT] = {EINTR, 0, 0, 0, 0, 0, 0, 0},
    };
    enum fake_call call = (enum fake_call)((what >> 3) % FAKE_CALLS);
    fake_fault(call, errors[call][what & 7], more);
}

static void refuse_memory(struct side *side, uint8_t what)
{
    struct counter *counter =
        side == NULL || (what & 0x80) != 0 ? &world.counter : &side->end.counter;
    counter->fail_at = counter->requests + 1 + (what & 0x0F);
}

static void side_step(struct side *side, uint8_t code, struct input *input)
{
    switch (code >> 4) {
    case 6:
    case 7:
    case 8: {
        uint8_t what = take_byte(input);
        send_step(side, what, take_byte(input));
        break;
    }
    case 9:
        control_step(side, take_byte(input));
        break;
    case 10:
        reading_step(side, true);
        break;
    case 11:
        reading_step(side, false);
        break;
    case 12:
        timer_step(side, take_byte(input));
        break;
    case 13:
        (void)flush(side);
        break;
    case 14: {
        uint8_t what = take_byte(input);
        if ((what & 3) == 0) {
            fake_break(wsc_link_fd(side->link), (what & 4) != 0 ? ECONNRESET : 0);
        }
        else if ((what & 3) == 1) {
            wsc_link_end(side->link);
        }
        else {
            drop(side, (what & 3) == 2);
        }
        break;
    }
    default:
        refuse_memory(side, take_byte(input));
        break;
    }
}

static void step(struct input *input)
{
    uint8_t code = take_byte(input);
    struct side *side = world.sides[code % SIDES];
    if (code < 0x30) {
        for (int i = 0; i <= code % SIDES; i++) {
            (void)turn();
        }
    }
    else if (code < 0x38) {
        new_pair();
    }
    else if (code < 0x40) {
        uint8_t what = take_byte(input);
        fault_step(what, take_byte(input));
    }
    else if (code < 0x48) {
        size_t room = take_byte(input);
        fake_set_room(room == 255 ? SIZE_MAX : room * room);
    }
    else if (code < 0x50) {
        uint8_t what = take_byte(input);
        fake_set_order(what, (what & 1) != 0 ? FAKE_SOCKETS : 1);
    }
    else if (code < 0x58) {
        time_passes(take_byte(input));
    }
    else if (code < 0x5c) {
        wsc_acceptor_accept(world.acceptor, (code & 1) != 0);
    }
    else if (code < 0x60) {
        wsc_engine_ring(world.engine);
    }
    else if (side != NULL) {
        side_step(side, code, input);
    }
}

/* --- a whole run --- */

/* Without faults, and with everybody reading, everything that was said comes, and ends
 * that have lost their peer are gone. */
static void settle(void)
{
    size_t idle = 0;
    fake_set_room(SIZE_MAX);
    fake_set_order(0, FAKE_SOCKETS);
    for (int call = 0; call < FAKE_CALLS; call++) {
        fake_fault((enum fake_call)call, 0, 0);
    }
    world.counter.fail_at = 0;
    world.budget = SIZE_MAX;
    wsc_acceptor_accept(world.acceptor, true);
    for (size_t i = 0; i < SIDES; i++) {
        if (world.sides[i] != NULL) {
            reading_step(world.sides[i], true);
        }
        if (world.sides[i] != NULL) {
            (void)flush(world.sides[i]);
        }
    }
    world.patient = false;
    for (size_t turns = 0; idle < 3; turns++) {
        REQUIRE(turns < SETTLE_TURNS);
        idle = turn() ? 0 : idle + 1;
        check_world();
    }
}

static void check_settled(void)
{
    struct side *ends[TALKS][2] = {{NULL}};
    for (size_t i = 0; i < SIDES; i++) {
        if (world.sides[i] != NULL) {
            ends[world.sides[i]->talk - world.talks][world.sides[i]->who] =
                world.sides[i];
        }
    }
    for (size_t i = 0; i < world.talk_count; i++) {
        const struct talk *talk = &world.talks[i];
        REQUIRE((ends[i][0] == NULL) == (ends[i][1] == NULL));
        for (size_t who = 0; who < 2 && ends[i][0] != NULL; who++) {
            const struct wsc_conn *conn = &ends[i][who]->end.conn;
            REQUIRE(!wsc_conn_wants_send(conn) && wsc_conn_input_left(conn) == 0);
            REQUIRE(talk->in_message[who] ||
                    talk->received[1 - who].len == talk->sent[who].len);
        }
    }
}

static int lowest_free_descriptor(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    REQUIRE(fd >= 0 && close(fd) == 0);
    return fd;
}

static void world_init(uint8_t flags, uint8_t receive_size)
{
    memset(&world, 0, sizeof(world));
    fake_reset();
    counter_init(&world.counter);
    world.deflate = (flags & 1) != 0;
    world.patient = (flags & 2) != 0;
    world.budget = (flags & 4) != 0 ? 1 : 16;
    world.acceptor_fd = fake_listen();
    wsc_timers_init(&world.wheel, 0);
    REQUIRE(wsc_engine_new(&world.counter.base, 64 * (1 + (size_t)receive_size),
                           &world.engine) == WSC_OK);
    REQUIRE(wsc_acceptor_new(world.engine, world.acceptor_fd, &world,
                             &world.acceptor) == WSC_OK);
}

/* By hand, or with the engine: either closes what is open. */
static void world_fini(bool by_hand, bool after_fork)
{
    if (after_fork) {
        wsc_engine_forget(world.engine);
    }
    for (size_t i = 0; i < SIDES && by_hand && !after_fork; i++) {
        if (world.sides[i] != NULL) {
            drop(world.sides[i], i % 2 == 0);
        }
    }
    wsc_engine_free(world.engine);
    for (size_t i = 0; i < SIDES; i++) {
        if (world.sides[i] != NULL) {
            side_free(world.sides[i]);
        }
    }
    REQUIRE(close(world.acceptor_fd) == 0);
    REQUIRE(wsc_timers_next_time(&world.wheel) == WSC_TIMERS_NEVER);
    REQUIRE(world.counter.live == 0 && world.references == 0 && fake_open() == 0);
    for (size_t i = 0; i < TALKS; i++) {
        for (size_t who = 0; who < 2; who++) {
            text_free(&world.talks[i].sent[who]);
            text_free(&world.talks[i].received[who]);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    int descriptor = lowest_free_descriptor();
    uint8_t flags = take_byte(&input);
    world_init(flags, take_byte(&input));
    for (int i = 0; i < STEPS_MAX && input.size > 0; i++) {
        step(&input);
        check_world();
    }
    if ((flags & 8) == 0) {
        settle();
        check_settled();
    }
    world_fini((flags & 16) == 0, (flags & 32) != 0);
    REQUIRE(lowest_free_descriptor() == descriptor);
    return 0;
}

#else

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    (void)data;
    (void)size;
    return 0;
}

#endif

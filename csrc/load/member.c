#include "member.h"

#include <errno.h>
#include <unistd.h>

#include "fault.h"
#include "room.h"
#include "target.h"

#define LAST_WORDS_MAX ((size_t)16 << 10)

void wsc_member_wait(struct wsc_load *load, struct wsc_load_member *member)
{
    member->state = WSC_MEMBER_WAITING;
    member->next = NULL;
    if (load->waiting == NULL) {
        load->waiting = member;
    }
    else {
        load->waiting_last->next = member;
    }
    load->waiting_last = member;
}

void wsc_member_end(struct wsc_load *load, struct wsc_load_member *member, uint64_t now)
{
    if (member->state == WSC_MEMBER_OPENING || member->state == WSC_MEMBER_CONNECTING) {
        load->opening_count--;
        if (member == member->room->members) {
            member->room->over = true; /* before it has begun */
        }
    }
    if (member->state == WSC_MEMBER_OPEN) {
        wsc_room_leave(load, member);
    }
    member->since = now;
    member->state = WSC_MEMBER_GONE;
    if (load->config.handshakes) {
        wsc_member_wait(load, member);
    }
}

static void end(struct wsc_load *load, struct wsc_load_member *member, uint64_t now)
{
    wsc_conn_fini(&member->conn);
    member->link = NULL;
    load->link_count--;
    wsc_member_end(load, member, now);
}

void wsc_member_drop(struct wsc_load *load, struct wsc_load_member *member,
                     uint64_t now)
{
    wsc_link_abort(member->link);
    end(load, member, now);
}

/* --- what went wrong --- */

static void note_tls(struct wsc_load *load, const struct wsc_tls_failure *failure)
{
    const char *text =
        failure->verify_message != NULL ? failure->verify_message : failure->reason;
    int code = failure->verify_message != NULL ? failure->verify_code : 0;
    wsc_load_note(load, WSC_LOAD_TLS, code, wsc_str_of(text));
}

static void
note_io(struct wsc_load *load, const struct wsc_load_member *member, int error)
{
    struct wsc_tls_failure failure;
    if (wsc_link_tls_failure(member->link, &failure)) {
        note_tls(load, &failure);
    }
    else {
        wsc_load_note(load, WSC_LOAD_LOST, error, wsc_str_of(NULL));
    }
}

/* Of what the server sent; a close frame is no error. */
static void note_error(struct wsc_load *load, const struct wsc_conn *conn)
{
    const struct wsc_handshake_failure *failure = wsc_conn_failure(conn);
    char text[WSC_CLOSE_REASON_MAX];
    if (conn->error == WSC_ERR_HANDSHAKE && failure != NULL) {
        const struct wsc_http_head *head = wsc_conn_head(conn);
        bool refused = failure->error == WSC_HANDSHAKE_STATUS && head != NULL;
        wsc_load_note(load, WSC_LOAD_HANDSHAKE, refused ? head->status : 0,
                      refused ? head->reason : wsc_str_of(failure->reason));
        return;
    }
    struct wsc_str said = {text, wsc_conn_describe_error(conn, text)};
    if (conn->error == WSC_ERR_HANDSHAKE) {
        wsc_load_note(load, WSC_LOAD_HANDSHAKE, 0, said);
    }
    else {
        wsc_load_note(load, WSC_LOAD_PROTOCOL, (int)conn->error, said);
    }
}

static void closed(struct wsc_load *load, struct wsc_load_member *member)
{
    const struct wsc_close *close = member->conn.received;
    struct wsc_str reason = {close->reason, close->reason_len};
    if (member->state == WSC_MEMBER_OPEN) {
        wsc_load_note(load, WSC_LOAD_CLOSED, close->code, reason);
        wsc_room_leave(load, member);
        member->state = WSC_MEMBER_CLOSING;
    }
}

/* It can't be written to: has the server said why? */
static void hear_last_words(struct wsc_load *load, struct wsc_load_member *member)
{
    struct wsc_conn *conn = &member->conn;
    struct wsc_event event;
    struct wsc_io io;
    if ((!wsc_link_take_ahead(member->link, &io) &&
         !wsc_link_receive(member->link, NULL, LAST_WORDS_MAX, &io)) ||
        io.type != WSC_IO_DATA || wsc_conn_feed(conn, io.data, io.len) != WSC_OK) {
        return;
    }
    while (wsc_conn_next_event(conn, &event) == WSC_OK) {
        if (event.type == WSC_EVENT_MESSAGE) {
            wsc_free(load->config.allocator, event.message.data);
        }
        else if (event.type == WSC_EVENT_CLOSE) {
            closed(load, member);
        }
    }
}

static void fail(struct wsc_load *load, struct wsc_load_member *member,
                 enum wsc_status status, uint64_t now)
{
    int error = errno;
    if (status == WSC_ERR_IO && member->state == WSC_MEMBER_OPEN) {
        hear_last_words(load, member);
    }
    /* At the end, nobody cares. */
    if (member->state == WSC_MEMBER_OPEN || member->state == WSC_MEMBER_OPENING) {
        if (status == WSC_ERR_IO) {
            note_io(load, member, error);
        }
        else if (member->conn.error != WSC_OK) {
            note_error(load, &member->conn);
        }
        else {
            wsc_load_note(load, WSC_LOAD_LOCAL, (int)status,
                          wsc_str_of(wsc_status_name(status)));
        }
    }
    wsc_member_drop(load, member, now);
}

void wsc_member_time_out(struct wsc_load *load, struct wsc_load_member *member,
                         uint64_t now)
{
    bool answer = member->state == WSC_MEMBER_OPEN;
    wsc_load_note(load, WSC_LOAD_TIMEOUT,
                  answer ? WSC_LOAD_WAIT_ANSWER : WSC_LOAD_WAIT_RESPONSE,
                  wsc_str_of(answer ? "no answer to a message" : "opening handshake"));
    wsc_member_drop(load, member, now);
}

/* --- opening --- */

static enum wsc_status
send_request(struct wsc_load *load, struct wsc_load_member *member)
{
    const struct wsc_load_config *config = &load->config;
    struct wsc_str target;
    char *made;
    enum wsc_status status = wsc_load_make_target(load, member, &target, &made);
    if (status == WSC_OK) {
        status = wsc_conn_send_request(&member->conn, target, config->headers,
                                       config->header_count, config->protocols,
                                       config->protocol_count);
    }
    wsc_free(config->allocator, made);
    return status;
}

static enum wsc_status begin(struct wsc_load *load, struct wsc_load_member *member)
{
    const struct wsc_load_config *config = &load->config;
    enum wsc_status status = WSC_OK;
    if (config->tls != NULL) {
        status = wsc_link_start_tls(member->link, config->tls, config->server_name);
    }
    if (status == WSC_OK) {
        status = send_request(load, member);
    }
    if (status == WSC_OK) {
        status = wsc_link_flush(member->link, &member->conn);
    }
    return status == WSC_NEED_SPACE ? WSC_OK : status;
}

void wsc_member_open(struct wsc_load *load, struct wsc_load_member *member,
                     uint64_t now)
{
    enum wsc_status status = wsc_conn_init(&member->conn, &load->conn_config);
    member->state = WSC_MEMBER_OPENING;
    member->since = now;
    if (status == WSC_OK) {
        status = wsc_link_new(load->engine, member->fd, member, &member->link);
        if (status == WSC_OK) {
            load->link_count++;
            status = begin(load, member);
            if (status != WSC_OK) {
                fail(load, member, status, now);
            }
            return;
        }
        wsc_conn_fini(&member->conn);
    }
    (void)close(member->fd);
    wsc_load_note(load, WSC_LOAD_LOCAL, (int)status,
                  wsc_str_of(wsc_status_name(status)));
    wsc_member_end(load, member, now);
}

/* False if it is open no longer. */
static bool opened(struct wsc_load *load, struct wsc_load_member *member, uint64_t now)
{
    load->figures.opened++;
    load->figures.compressed += wsc_conn_has_deflate(&member->conn);
    wsc_histogram_add(&load->openings, now - member->opened_from);
    if (load->config.handshakes) {
        wsc_member_drop(load, member, now);
        return false;
    }
    load->opening_count--;
    member->state = WSC_MEMBER_OPEN;
    member->since = now;
    wsc_room_enter(load, member);
    return true;
}

/* --- open --- */

/* False if it has come to an end. */
static bool take(struct wsc_load *load, struct wsc_load_member *member,
                 const struct wsc_io *io, uint64_t now)
{
    struct wsc_conn *conn = &member->conn;
    struct wsc_event event;
    enum wsc_status status = wsc_conn_feed(conn, io->data, io->len);
    while (status == WSC_OK && (status = wsc_conn_next_event(conn, &event)) == WSC_OK) {
        switch (event.type) {
        case WSC_EVENT_RESPONSE:
            if (!opened(load, member, now)) {
                return false;
            }
            break;
        case WSC_EVENT_MESSAGE:
            if (member->state == WSC_MEMBER_OPEN) {
                wsc_room_receive(load, member, &event.message, now);
            }
            wsc_free(load->config.allocator, event.message.data);
            break;
        case WSC_EVENT_CLOSE:
            closed(load, member);
            break;
        case WSC_EVENT_REQUEST: /* none comes to a client */
        case WSC_EVENT_PING:
        case WSC_EVENT_PONG:
            break;
        }
    }
    if (status < 0) {
        if (wsc_link_flush(member->link, conn) < 0) {
            status = conn->error != WSC_OK ? conn->error : status;
        }
        fail(load, member, status, now);
        return false;
    }
    return true;
}

static void ended(struct wsc_load *load, struct wsc_load_member *member,
                  const struct wsc_io *io, uint64_t now)
{
    struct wsc_event event;
    enum wsc_status status = WSC_ERR_IO;
    if (io->type == WSC_IO_EOF && member->state == WSC_MEMBER_OPENING) {
        /* A response other than 101 may end so. */
        wsc_conn_feed_eof(&member->conn);
        if (wsc_conn_next_event(&member->conn, &event) == WSC_ERR_HANDSHAKE) {
            status = WSC_ERR_HANDSHAKE;
        }
    }
    if (member->state != WSC_MEMBER_CLOSING) {
        errno = io->error;
        fail(load, member, status, now);
        return;
    }
    wsc_link_close(member->link);
    end(load, member, now);
}

static void flush(struct wsc_load *load, struct wsc_load_member *member, uint64_t now)
{
    enum wsc_status status = wsc_link_flush(member->link, &member->conn);
    if (status < 0) {
        fail(load, member, status, now);
    }
}

void wsc_member_send(struct wsc_load *load, struct wsc_load_member *member,
                     uint64_t now)
{
    struct wsc_load_member *sender = member->room->members;
    if (sender->state == WSC_MEMBER_OPEN) {
        enum wsc_status status = wsc_room_send(load, member->room, now);
        if (status != WSC_OK) {
            fail(load, sender, status, now);
        }
    }
}

void wsc_member_handle(struct wsc_load *load, struct wsc_load_member *member,
                       const struct wsc_io *io, uint64_t now)
{
    switch (io->type) {
    case WSC_IO_DATA:
        if (!take(load, member, io, now)) {
            return;
        }
        break;
    case WSC_IO_EOF:
    case WSC_IO_ERROR:
        ended(load, member, io, now);
        return;
    case WSC_IO_WRITABLE:
    case WSC_IO_READABLE: /* not asked for, as nothing is accepted */
    case WSC_IO_ACCEPTED:
    case WSC_IO_PROXIED:
        break;
    }
    if (io->type == WSC_IO_WRITABLE || wsc_conn_wants_send(&member->conn)) {
        flush(load, member, now);
    }
    wsc_member_send(load, member, now);
}

void wsc_member_close(struct wsc_load *load, struct wsc_load_member *member,
                      uint64_t now)
{
    enum wsc_status status =
        wsc_conn_send_close(&member->conn, WSC_CLOSE_NORMAL_CLOSURE, "", 0);
    wsc_room_leave(load, member);
    member->state = WSC_MEMBER_CLOSING;
    member->since = now;
    if (status != WSC_OK) {
        wsc_member_drop(load, member, now);
        return;
    }
    flush(load, member, now);
}

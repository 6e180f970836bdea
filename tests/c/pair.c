#include "pair.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>

#include "wsc/crypto.h"

/* --- bytes --- */

void blob_add(struct blob *bytes, const void *data, size_t len)
{
    if (bytes->cap - bytes->len < len) {
        bytes->cap = bytes->cap * 2 + len + 64;
        bytes->data = realloc(bytes->data, bytes->cap);
        if (bytes->data == NULL) {
            abort();
        }
    }
    if (len > 0) {
        memcpy(bytes->data + bytes->len, data, len);
    }
    bytes->len += len;
}

void blob_add_str(struct blob *bytes, const char *text)
{
    blob_add(bytes, text, strlen(text));
}

void blob_printf(struct blob *bytes, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    blob_add_str(bytes, text);
}

void blob_free(struct blob *bytes)
{
    free(bytes->data);
    memset(bytes, 0, sizeof(*bytes));
}

/* --- frames --- */

void wire_frame(struct blob *wire, enum wsc_role from, unsigned first,
                const void *payload, size_t len)
{
    static uint8_t key[4] = {0x11, 0x82, 0xF3, 0x64};
    const uint8_t *data = payload;
    uint8_t header[14] = {(uint8_t)first};
    size_t size = 2;
    size_t extended = len < 126 ? 0 : len < 65536 ? 2 : 8;
    uint8_t mask = from == WSC_ROLE_CLIENT ? 0x80 : 0;
    header[1] = (uint8_t)(mask | (extended == 0 ? len : extended == 2 ? 126 : 127));
    for (size_t i = extended; i > 0; i--) {
        header[size++] = (uint8_t)((uint64_t)len >> (8 * (i - 1)));
    }
    if (mask == 0) {
        blob_add(wire, header, size);
        blob_add(wire, data, len);
        return;
    }
    for (size_t i = 0; i < 4; i++) {
        key[i] = (uint8_t)(key[i] * 5 + 7);
        header[size++] = key[i];
    }
    blob_add(wire, header, size);
    size_t start = wire->len;
    blob_add(wire, data, len);
    for (size_t i = 0; i < len; i++) {
        wire->data[start + i] ^= key[i % 4];
    }
}

static const char *const opcode_names[16] = {
    [0] = "cont", [1] = "text", [2] = "bin", [8] = "close", [9] = "ping", [10] = "pong",
};

size_t wire_frame_type(const char *name, unsigned *out_first)
{
    size_t len = 0;
    while (isalpha((unsigned char)name[len])) {
        len++;
    }
    *out_first = 256;
    for (unsigned i = 0; i < 16; i++) {
        if (opcode_names[i] != NULL && strlen(opcode_names[i]) == len &&
            memcmp(opcode_names[i], name, len) == 0) {
            *out_first = i | FIN;
        }
    }
    for (; name[len] == '+' || name[len] == '*'; len++) {
        *out_first ^= name[len] == '+' ? FIN : RSV1;
    }
    return len;
}

void wire_frames(struct blob *wire, enum wsc_role from, const char *words)
{
    while (*words != '\0') {
        unsigned first;
        words += wire_frame_type(words, &first);
        words += *words == ' ';
        size_t len = strcspn(words, "|");
        wire_frame(wire, from, first, words, len);
        words += len + (words[len] == '|');
    }
}

/* Payloads in full when short, else by size and a hash. */
static void log_payload(struct blob *log, const uint8_t *data, size_t len)
{
    uint32_t hash = 2166136261U;
    bool plain = len <= 1000;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ data[i]) * 16777619U;
    }
    if (plain) {
        blob_add(log, data, len);
    }
    else {
        blob_printf(log, "<%zu %08x>", len, (unsigned)hash);
    }
    blob_add_str(log, "\n");
}

void log_frames(struct blob *log, enum wsc_role from, const uint8_t *data, size_t len)
{
    while (len > 0) {
        size_t header = 2;
        uint64_t size = len > 1 ? data[1] & 0x7FU : 0;
        size_t extended = size == 126 ? 2 : size == 127 ? 8 : 0;
        bool masked = len > 1 && (data[1] & 0x80U) != 0;
        if (len < 2 + extended + (masked ? 4U : 0U) ||
            masked != (from == WSC_ROLE_CLIENT) || (data[0] & 0x30U) != 0 ||
            opcode_names[data[0] & 0xFU] == NULL) {
            blob_add_str(log, "-> not a frame\n");
            return;
        }
        size = extended > 0 ? 0 : size;
        for (; header < 2 + extended; header++) {
            size = size << 8 | data[header];
        }
        uint8_t key[4] = {0};
        if (masked) {
            memcpy(key, data + header, 4);
            header += 4;
        }
        if (size > len - header) {
            blob_add_str(log, "-> a cut frame\n");
            return;
        }
        struct blob payload = {0};
        blob_add(&payload, data + header, (size_t)size);
        for (size_t i = 0; i < payload.len; i++) {
            payload.data[i] ^= key[i % 4];
        }
        blob_printf(log, "-> %s%s%s", opcode_names[data[0] & 0xFU],
                    (data[0] & 0x80U) != 0 ? "" : "+",
                    (data[0] & 0x40U) != 0 ? "*" : "");
        if ((data[0] & 0xFU) == 8 && payload.len >= 2) {
            blob_printf(log, " %u\n", payload.data[0] * 256U + payload.data[1]);
        }
        else {
            blob_add_str(log, payload.len > 0 ? " " : "");
            log_payload(log, payload.data, payload.len);
        }
        blob_free(&payload);
        data += header + size;
        len -= header + (size_t)size;
    }
}

/* --- one end --- */

enum wsc_status end_init(struct end *end, enum wsc_role role, size_t max_size,
                         const struct wsc_deflate_settings *deflate,
                         const struct wsc_allocator *allocator)
{
    memset(end, 0, sizeof(*end));
    wsc_payload_memory_init(&end->memory, allocator);
    end->config.role = role;
    end->config.allocator = allocator;
    end->config.payload_memory = &end->memory;
    end->config.max_size = max_size;
    wsc_http_limits_init(&end->config.http_limits);
    if (deflate != NULL) {
        end->deflate = *deflate;
        end->config.deflate = &end->deflate;
    }
    return wsc_conn_init(&end->conn, &end->config);
}

void end_fini(struct end *end)
{
    if (end->conn.config != NULL) {
        wsc_conn_fini(&end->conn);
    }
}

void write_request_head(struct blob *head, const char *extensions)
{
    /* The key of RFC 6455 §1.3. */
    blob_add_str(head, "GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                       "Sec-WebSocket-Version: 13\r\n");
    if (extensions != NULL) {
        blob_printf(head, "Sec-WebSocket-Extensions: %s\r\n", extensions);
    }
    blob_add_str(head, "\r\n");
}

void write_response_head(struct blob *head, struct end *end, const char *extensions)
{
    static const char name[] = "Sec-WebSocket-Key: ";
    struct blob request = {0};
    char accept[WSC_ACCEPT_SIZE + 1] = {0};
    end_take(end, &request);
    blob_add(&request, "", 1);
    const char *key = strstr((const char *)request.data, name);
    CHECK(key != NULL && wsc_accept_key(key + sizeof(name) - 1, accept) == WSC_OK);
    blob_printf(head,
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n",
                accept);
    if (extensions != NULL) {
        blob_printf(head, "Sec-WebSocket-Extensions: %s\r\n", extensions);
    }
    blob_add_str(head, "\r\n");
    blob_free(&request);
}

enum wsc_status end_accept(struct end *end, const char *protocol)
{
    return wsc_conn_accept(&end->conn, wsc_str_of(protocol));
}

enum wsc_status
end_request(struct end *end, const struct wsc_str *protocols, size_t count)
{
    struct wsc_http_header host = {wsc_str_of("Host"), wsc_str_of("h")};
    return wsc_conn_send_request(&end->conn, wsc_str_of("/"), &host, 1, protocols,
                                 count);
}

enum wsc_status end_open(struct end *end, enum wsc_role role, size_t max_size,
                         const struct wsc_deflate_settings *deflate,
                         const char *extensions, const struct wsc_allocator *allocator)
{
    struct blob head = {0};
    struct wsc_event event;
    enum wsc_status status = end_init(end, role, max_size, deflate, allocator);
    if (status == WSC_OK && role == WSC_ROLE_CLIENT) {
        status = end_request(end, NULL, 0);
    }
    if (status == WSC_OK) {
        if (role == WSC_ROLE_CLIENT) {
            write_response_head(&head, end, extensions);
        }
        else {
            write_request_head(&head, extensions);
        }
        status = wsc_conn_feed(&end->conn, head.data, head.len);
    }
    if (status == WSC_OK) {
        status = wsc_conn_next_event(&end->conn, &event);
    }
    if (status == WSC_OK && role == WSC_ROLE_SERVER) {
        status = end_accept(end, NULL);
    }
    if (status == WSC_OK) {
        CHECK_INT(end_events(end, NULL), WSC_NEED_DATA);
        head.len = 0;
        end_take(end, &head);
    }
    blob_free(&head);
    return status;
}

void end_open_plain(struct end *end, enum wsc_role role)
{
    CHECK_INT(end_open(end, role, 1 << 20, NULL, NULL, wsc_allocator_default()),
              WSC_OK);
}

void end_take(struct end *end, struct blob *out)
{
    for (;;) {
        struct wsc_outgoing_piece piece;
        const struct wsc_outgoing *outgoing = wsc_conn_outgoing(&end->conn);
        if (wsc_outgoing_peek(outgoing, &piece, 1) == 0) {
            break;
        }
        blob_add(out, piece.data, piece.len);
        wsc_conn_sent(&end->conn, piece.len);
        CHECK(wsc_outgoing_check(&end->conn.outgoing));
    }
}

static void log_message(struct blob *log, const struct wsc_message *message)
{
    blob_add_str(log, message->kind == WSC_PAYLOAD_TEXT ? "text" : "bin");
    blob_add_str(log, message->fin ? "" : "+");
    blob_add_str(log, message->compressed ? "*" : "");
    blob_add_str(log, message->len > 0 ? " " : "");
    log_payload(log, message->data, message->len);
}

static void log_event(struct blob *log, struct end *end, const struct wsc_event *event)
{
    switch (event->type) {
    case WSC_EVENT_REQUEST:
        blob_add_str(log, "request\n");
        break;
    case WSC_EVENT_RESPONSE:
        blob_add_str(log, "response\n");
        break;
    case WSC_EVENT_MESSAGE:
        log_message(log, &event->message);
        break;
    case WSC_EVENT_PING:
    case WSC_EVENT_PONG:
        blob_add_str(log, event->type == WSC_EVENT_PING ? "ping" : "pong");
        blob_add_str(log, event->len > 0 ? " " : "");
        log_payload(log, event->data, event->len);
        break;
    case WSC_EVENT_CLOSE:
        blob_printf(log, "close %u", end->conn.received->code);
        blob_add_str(log, end->conn.received->reason_len > 0 ? " " : "");
        log_payload(log, (const uint8_t *)end->conn.received->reason,
                    end->conn.received->reason_len);
        break;
    }
}

enum wsc_status end_events(struct end *end, struct blob *log)
{
    for (;;) {
        struct wsc_event event;
        memset(&event, 0, sizeof(event));
        enum wsc_status status = wsc_conn_next_event(&end->conn, &event);
        CHECK(wsc_outgoing_check(&end->conn.outgoing));
        if (status != WSC_OK) {
            return status;
        }
        if (log != NULL) {
            log_event(log, end, &event);
        }
        if (event.type == WSC_EVENT_MESSAGE) {
            const struct wsc_message *message = &event.message;
            bool ascii = true;
            for (size_t i = 0; i < message->len; i++) {
                ascii = ascii && message->data[i] < 0x80;
            }
            CHECK(message->kind == WSC_PAYLOAD_BINARY || !message->ascii || ascii);
            CHECK((message->data == NULL) == (message->len == 0));
            if (message->data != NULL) {
                end->memory.free(end->memory.ctx, message->kind, message->data);
            }
        }
    }
}

void log_state(struct blob *log, const struct end *end)
{
    static const char *const names[] = {"connecting", "open", "closing", "closed"};
    if (end->conn.error != WSC_OK) {
        blob_printf(log, "%s\n", wsc_status_name(end->conn.error));
    }
    blob_printf(log, "[%s%s]\n", names[end->conn.state],
                end->conn.end_expected ? ", end" : "");
}

enum wsc_status end_feed(struct end *end, const uint8_t *data, size_t len,
                         enum split split, struct blob *log)
{
    enum wsc_status status = WSC_NEED_DATA;
    while (len > 0) {
        size_t n = split == SPLIT_WHOLE      ? len
                   : split == SPLIT_BYTEWISE ? 1
                                             : 1 + test_random_below(len / 2 + 1);
        n = n < len ? n : len;
        uint8_t *piece = malloc(n);
        if (piece == NULL) {
            abort();
        }
        memcpy(piece, data, n);
        CHECK_INT(wsc_conn_feed(&end->conn, piece, n), WSC_OK);
        status = end_events(end, log);
        CHECK_INT(wsc_conn_input_left(&end->conn), 0);
        free(piece);
        data += n;
        len -= n;
    }
    if (log != NULL) {
        struct blob out = {0};
        end_take(end, &out);
        log_frames(log, end->config.role, out.data, out.len);
        blob_free(&out);
        log_state(log, end);
    }
    return status;
}

/* --- scenarios --- */

#define RANDOM_SPLITS 8

bool check_scenario(const struct scenario *scenario, const void *want, size_t want_len)
{
    bool good = true;
    for (int r = 0; r < 2; r++) {
        enum wsc_role role = r == 0 ? WSC_ROLE_SERVER : WSC_ROLE_CLIENT;
        struct blob wire = {0};
        scenario->write(&wire, other_role(role), scenario->ctx);
        for (int round = 0; round < 2 + RANDOM_SPLITS; round++) {
            enum split split = round == 0   ? SPLIT_WHOLE
                               : round == 1 ? SPLIT_BYTEWISE
                                            : SPLIT_RANDOM;
            struct test_allocator allocator;
            struct end end;
            struct blob log = {0};
            test_allocator_init(&allocator);
            CHECK_INT(end_open(&end, role, scenario->max_size, scenario->deflate,
                               scenario->extensions, &allocator.base),
                      WSC_OK);
            wsc_conn_set_streaming(&end.conn, scenario->streaming);
            (void)end_feed(&end, wire.data, wire.len, split, &log);
            if (log.len != want_len || memcmp(log.data, want, log.len) != 0) {
                printf("%s, split %d: got\n%.*swant\n%.*s",
                       role == WSC_ROLE_SERVER ? "server" : "client", round,
                       (int)log.len, (const char *)log.data, (int)want_len,
                       (const char *)want);
                good = CHECK(false);
            }
            end_fini(&end);
            CHECK_INT(allocator.live_blocks, 0);
            blob_free(&log);
        }
        blob_free(&wire);
    }
    return good;
}

static void write_words(struct blob *wire, enum wsc_role from, const void *ctx)
{
    wire_frames(wire, from, ctx);
}

void check_frames(const char *words, const char *want)
{
    struct scenario scenario = {
        .max_size = 1 << 20, .write = write_words, .ctx = words};
    (void)check_scenario(&scenario, want, strlen(want));
}

/* --- two ends --- */

enum wsc_status pair_deliver(struct end *from, struct end *to, struct blob *log)
{
    struct blob out = {0};
    end_take(from, &out);
    enum wsc_status status = wsc_conn_feed(&to->conn, out.data, out.len);
    if (status == WSC_OK) {
        status = end_events(to, log);
    }
    blob_free(&out);
    return status;
}

enum wsc_status pair_open(struct pair *pair, size_t max_size,
                          const struct wsc_deflate_settings *server,
                          const struct wsc_deflate_settings *client,
                          const struct wsc_allocator *allocator)
{
    memset(pair, 0, sizeof(*pair));
    enum wsc_status status =
        end_init(&pair->server, WSC_ROLE_SERVER, max_size, server, allocator);
    if (status == WSC_OK) {
        status = end_init(&pair->client, WSC_ROLE_CLIENT, max_size, client, allocator);
    }
    if (status == WSC_OK) {
        status = end_request(&pair->client, NULL, 0);
    }
    if (status == WSC_OK) {
        status = pair_deliver(&pair->client, &pair->server, NULL);
    }
    if (status == WSC_NEED_DATA) {
        status = end_accept(&pair->server, NULL);
    }
    if (status == WSC_OK) {
        status = pair_deliver(&pair->server, &pair->client, NULL);
    }
    return status == WSC_NEED_DATA ? WSC_OK : status;
}

void pair_fini(struct pair *pair)
{
    end_fini(&pair->server);
    end_fini(&pair->client);
}

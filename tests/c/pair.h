/* Connections for the C tests: one end with a scripted peer, or two ends in memory; and
 * what they said, written as text that can be compared. The frames of the scripted peer
 * are encoded here, and the output decoded, without the code under test. */
#ifndef PAIR_H
#define PAIR_H

#include "test.h"
#include "wsc/conn.h"

/* --- growing bytes, on malloc --- */

struct blob {
    uint8_t *data;
    size_t len;
    size_t cap;
};
void blob_add(struct blob *bytes, const void *data, size_t len);
void blob_add_str(struct blob *bytes, const char *text);
void blob_printf(struct blob *bytes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void blob_free(struct blob *bytes);

/* --- frames, RFC 6455 §5.2 --- */

#define FIN  0x80U
#define RSV1 0x40U
/* Append a frame as `from` sends it: `first` is the first byte. */
void wire_frame(struct blob *wire, enum wsc_role from, unsigned first,
                const void *payload, size_t len);
/* Such a type of frame in words, for example "text+" or "bin*": its first byte, 256 if
 * there is none. Returns how long the words are. */
size_t wire_frame_type(const char *name, unsigned *out_first);
/* Frames by words, separated by '|': "text+ Hel|ping x|cont lo|close". A name (text,
 * bin, cont, close, ping, pong), '+' when more fragments follow, '*' for RSV1, and
 * after a space the payload as it is. */
void wire_frames(struct blob *wire, enum wsc_role from, const char *words);

/* --- one end --- */

struct end {
    struct wsc_conn conn;
    struct wsc_conn_config config;
    struct wsc_payload_memory memory;
    struct wsc_deflate_settings deflate;
};
static inline enum wsc_role other_role(enum wsc_role role)
{
    return role == WSC_ROLE_SERVER ? WSC_ROLE_CLIENT : WSC_ROLE_SERVER;
}
/* `deflate` is copied; NULL: none. */
enum wsc_status end_init(struct end *end, enum wsc_role role, size_t max_size,
                         const struct wsc_deflate_settings *deflate,
                         const struct wsc_allocator *allocator);
/* end_init and the opening handshake with a scripted peer. `extensions` (may be NULL)
 * is what a client offers to the server, or a server answers to the client. */
enum wsc_status end_open(struct end *end, enum wsc_role role, size_t max_size,
                         const struct wsc_deflate_settings *deflate,
                         const char *extensions, const struct wsc_allocator *allocator);
/* end_open that cannot fail: 1 MiB, no extension, plain memory. */
void end_open_plain(struct end *end, enum wsc_role role);
void end_fini(struct end *end);

/* The head of a correct request with these extension offers (NULL: none), and of the
 * 101 to the request that waits in `end`'s output (which is taken). */
void write_request_head(struct blob *head, const char *extensions);
void write_response_head(struct blob *head, struct end *end, const char *extensions);
/* Server: accept what was asked for. */
enum wsc_status end_accept(struct end *end, const char *protocol);
/* Client: a request for / to host "h". */
enum wsc_status
end_request(struct end *end, const struct wsc_str *protocols, size_t count);

/* Take all waiting output. */
void end_take(struct end *end, struct blob *out);
/* Next events until there is none: each a line in `log` (may be NULL). Returns the last
 * status. */
enum wsc_status end_events(struct end *end, struct blob *log);
/* A line for each frame of `from`'s output. */
void log_frames(struct blob *log, enum wsc_role from, const uint8_t *data, size_t len);
/* The state, as a line. */
void log_state(struct blob *log, const struct end *end);

enum split {
    SPLIT_WHOLE,
    SPLIT_BYTEWISE,
    SPLIT_RANDOM,
};
/* Feed in pieces, each in memory of exactly its size, with all events; in the end the
 * output and the state are logged too. */
enum wsc_status end_feed(struct end *end, const uint8_t *data, size_t len,
                         enum split split, struct blob *log);

/* One open end of each role gets these frames whole, byte by byte, and in random
 * splits: the log must be `want` each time. */
void check_frames(const char *words, const char *want);
/* The same for frames by `write`, and with options of end_open. */
struct scenario {
    size_t max_size;
    bool streaming;
    const struct wsc_deflate_settings *deflate;
    const char *extensions;
    void (*write)(struct blob *wire, enum wsc_role from, const void *ctx);
    const void *ctx;
};
bool check_scenario(const struct scenario *scenario, const void *want, size_t want_len);

/* --- two ends --- */

struct pair {
    struct end server;
    struct end client;
};
enum wsc_status pair_open(struct pair *pair, size_t max_size,
                          const struct wsc_deflate_settings *server,
                          const struct wsc_deflate_settings *client,
                          const struct wsc_allocator *allocator);
void pair_fini(struct pair *pair);
/* Everything that waits at `from` goes to `to`; events are logged. */
enum wsc_status pair_deliver(struct end *from, struct end *to, struct blob *log);

#endif

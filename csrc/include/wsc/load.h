/* A load on a WebSocket server: many connections of one thread, over an engine of their
 * own, that measure how long the server takes.
 *
 * Connections belong to rooms of `room_size`, in their order. The first one of a room
 * sends, and all of it, itself included, are expected to receive the message: with
 * rooms of one that is a server that echoes, with larger ones one that sends to all.
 * The server is told the rooms by the request's target.
 *
 * A closed loop sends the next message when `depth` are not on their way any more. An
 * open loop, with `rate`, sends at its times whatever the server does; the time that a
 * message takes is counted from when it was to be sent, so that a server that stalls
 * can't hide the messages that it kept from being sent ("coordinated omission").
 *
 * The caller makes a load, calls wsc_load_run again and again until it is
 * WSC_LOAD_READY (all connections are open, or have failed), then wsc_load_start, and
 * wsc_load_run until WSC_LOAD_OVER. Between two calls it may read the figures. Loads of
 * different threads are independent. Nothing is called upward, and no server makes it
 * hang. */
#ifndef WSC_LOAD_H
#define WSC_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wsc/alloc.h"
#include "wsc/api.h"
#include "wsc/extension.h"
#include "wsc/histogram.h"
#include "wsc/http_head.h"
#include "wsc/status.h"
#include "wsc/str.h"
#include "wsc/tls.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Times are in nanoseconds, 2^62 at most; moments are those of wsc_clock_ns. What is
 * counted a second is from 1e-6 to 1e9, or 0. */
struct wsc_load_config {
    const struct wsc_allocator *allocator; /* borrowed for life, as all pointers */
    const char *address;                   /* in digits, IPv4 or IPv6 */
    uint16_t port;
    const struct wsc_tls_context *tls; /* NULL: none */
    const char *server_name;           /* for TLS; NULL: none */
    struct wsc_str target;             /* "{room}" and "{connection}" in it stand for
                                          their numbers, from 0 */
    const struct wsc_http_header *headers; /* Host among them */
    size_t header_count;
    const struct wsc_str *protocols;
    size_t protocol_count;
    const struct wsc_deflate_settings *deflate; /* to offer; NULL: not */
    size_t max_size;                            /* of a message that comes */
    const uint8_t *payload;                     /* of each message that is sent */
    size_t payload_len;
    bool text;
    size_t connections;
    size_t first_room;  /* the number of the first one of this load */
    size_t room_size;   /* at least 1; divides `connections` */
    size_t depth;       /* messages of a room on their way, at most; at least 1 */
    double rate;        /* messages a second, of all rooms; 0: a closed loop */
    uint64_t messages;  /* to be sent in all; 0: until the time is over */
    uint64_t duration;  /* 0: until the messages are sent */
    double ramp;        /* connections opened a second; 0: as fast as it goes */
    size_t opening_max; /* at the same time; at least 1 */
    uint64_t timeout;   /* for a connection to open, and for a message to be answered */
    bool handshakes;    /* don't send: drop a connection once it is open, and open the
                           next; `messages` of them */
    bool spin;          /* never sleep while it runs */
};

enum wsc_load_phase {
    WSC_LOAD_OPENING,
    WSC_LOAD_READY,
    WSC_LOAD_RUNNING,
    WSC_LOAD_DRAINING, /* nothing more falls due; what is on its way is waited for */
    WSC_LOAD_CLOSING,
    WSC_LOAD_OVER,
};

/* All counted since wsc_load_new. */
struct wsc_load_figures {
    enum wsc_load_phase phase;
    uint64_t open;        /* connections, now */
    uint64_t opened;      /* handshakes that succeeded */
    uint64_t compressed;  /* those that agreed on permessage-deflate */
    uint64_t sent;        /* messages */
    uint64_t received;    /* of those, by all who are in their rooms */
    uint64_t other;       /* messages that are none of those */
    uint64_t outstanding; /* to be received, still */
    uint64_t lost;        /* not received, and not expected any more */
    uint64_t unsent;      /* that fell due and will not be sent */
    uint64_t failed;      /* connections, by all faults together */
    uint64_t started_at;  /* 0 before wsc_load_start */
    uint64_t stopped_at;  /* when nothing fell due any more; 0 before that */
    uint64_t last_at;     /* when the last message was received; 0: none */
};

/* Why connections failed. */
enum wsc_load_fault_kind {
    WSC_LOAD_CONNECT,   /* `number`: errno */
    WSC_LOAD_TLS,       /* a code of X.509 verification, or 0 */
    WSC_LOAD_HANDSHAKE, /* the HTTP status, 0 if the response was wrong otherwise */
    WSC_LOAD_CLOSED,    /* by the server: its close code */
    WSC_LOAD_LOST,      /* errno, 0 if TCP ended without a close frame */
    WSC_LOAD_PROTOCOL,  /* the server broke the protocol: enum wsc_status */
    WSC_LOAD_TIMEOUT,   /* enum wsc_load_wait */
    WSC_LOAD_LOCAL,     /* our own: enum wsc_status */
};
enum wsc_load_wait {
    WSC_LOAD_WAIT_CONNECT,
    WSC_LOAD_WAIT_RESPONSE,
    WSC_LOAD_WAIT_ANSWER
};

#define WSC_LOAD_TEXT_SIZE 128
struct wsc_load_fault {
    enum wsc_load_fault_kind kind;
    int number;
    uint64_t count;
    char text[WSC_LOAD_TEXT_SIZE]; /* of the first one, perhaps the peer's; any bytes */
    size_t text_len;
};

struct wsc_load;

/* WSC_ERR_INVALID_ARGUMENT: not an address, or a setting out of range.
 * WSC_ERR_NO_MEMORY. WSC_ERR_IO: errno says why. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_load_new(const struct wsc_load_config *config, struct wsc_load **out_load);
/* Resets the connections that are left. NULL is fine. */
WSC_API void wsc_load_free(struct wsc_load *load);
/* Work until `until`, or until a phase has ended. In READY nothing is sent but answers
 * to the server's pings. */
WSC_API enum wsc_load_phase wsc_load_run(struct wsc_load *load, uint64_t until);
/* In READY: run from `at` on. In other phases nothing. */
WSC_API void wsc_load_start(struct wsc_load *load, uint64_t at);
/* Before its time, of any phase: open and send no more, then end in order. */
WSC_API void wsc_load_stop(struct wsc_load *load);

WSC_API const struct wsc_load_figures *wsc_load_figures(const struct wsc_load *load);
/* From when a message was sent, or in an open loop was to be sent, until it was
 * received. */
WSC_API const struct wsc_histogram *wsc_load_latencies(const struct wsc_load *load);
/* Of opening: TCP, TLS and the opening handshake. */
WSC_API const struct wsc_histogram *wsc_load_openings(const struct wsc_load *load);
/* Each kind and number once; those that there is no room for count as the last one. */
#define WSC_LOAD_FAULTS_MAX 32
WSC_API const struct wsc_load_fault *
wsc_load_faults(const struct wsc_load *load, size_t *out_count);

#ifdef __cplusplus
}
#endif
#endif

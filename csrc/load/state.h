/* The insides of a load, for its own files. */
#ifndef WSC_LOAD_STATE_H
#define WSC_LOAD_STATE_H

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "wsc/conn.h"
#include "wsc/engine.h"
#include "wsc/load.h"

enum wsc_member_state {
    WSC_MEMBER_WAITING,    /* for its turn to connect */
    WSC_MEMBER_CONNECTING, /* TCP */
    WSC_MEMBER_OPENING,    /* TLS and the opening handshake */
    WSC_MEMBER_OPEN,
    WSC_MEMBER_CLOSING, /* expects nothing any more */
    WSC_MEMBER_GONE,
};

/* A message on its way. */
struct wsc_load_slot {
    uint64_t at; /* sent, or to be sent */
    size_t left; /* members that have not received it */
};

struct wsc_load_room {
    struct wsc_load_member *members; /* the first one sends */
    size_t open;                     /* of them */
    uint64_t due;                    /* open loop: messages whose time has come */
    uint64_t sent;
    uint64_t completed;          /* received by all */
    struct wsc_load_slot *slots; /* of message n: n modulo depth */
    bool over;                   /* nobody is there to send */
};

/* A connection. */
struct wsc_load_member {
    struct wsc_conn conn;
    struct wsc_link *link; /* NULL before TCP is connected, and at the end */
    struct wsc_load_room *room;
    struct wsc_load_member *next; /* of those that wait */
    uint64_t since;               /* its state, or the last message received */
    uint64_t opened_from;         /* what its opening is counted from */
    uint64_t received;            /* messages of its room */
    int fd;                       /* while it connects */
    uint8_t state;
};

struct wsc_load {
    struct wsc_load_config config;
    struct wsc_load_figures figures;
    struct wsc_histogram latencies;
    struct wsc_histogram openings;
    struct wsc_load_fault faults[WSC_LOAD_FAULTS_MAX];
    size_t fault_count;
    struct wsc_payload_memory payload_memory;
    struct wsc_conn_config conn_config;
    struct sockaddr_storage address;
    socklen_t address_len;
    struct wsc_engine *engine;
    struct wsc_load_member *members;
    struct wsc_load_room *rooms;
    size_t room_count;
    struct wsc_load_slot *slots;
    /* Opening. */
    struct wsc_load_member *waiting; /* first in, first out */
    struct wsc_load_member *waiting_last;
    struct wsc_load_member **connecting; /* config.opening_max of them */
    struct pollfd *watched;              /* theirs, and the engine's */
    size_t connecting_count;
    size_t opening_count; /* those that connect among them */
    uint64_t ramp_from;   /* when the ramp began; 0: not yet */
    uint64_t ramp_count;  /* connections begun since then */
    size_t link_count;
    /* Running. */
    bool begun;        /* the time of the start has come */
    uint64_t budget;   /* messages, or connections, that may still be begun */
    uint64_t owed;     /* messages that are due, and not sent, of rooms that can */
    uint64_t due_next; /* number of the next message that falls due, of all rooms */
    uint64_t check_at; /* when to look for those that wait for too long */
    uint64_t end_at;   /* of the phase; UINT64_MAX: whenever */
};

#endif

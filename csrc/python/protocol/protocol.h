/* The sans-IO protocol object, as the asyncio connection sees it. */
#ifndef PYWSC_PROTOCOL_PROTOCOL_H
#define PYWSC_PROTOCOL_PROTOCOL_H

#include "common/arguments.h"
#include "common/state.h"

/* With its GC head an idle one just fits into what Python has an allocator of its own
 * for, 512 bytes on 64-bit machines: no holes are left in the heap. */
struct pywsc_protocol {
    PyObject_HEAD struct wsc_conn conn;
    struct pywsc_config *config; /* NULL before __init__() */
    bool initialized;
    bool eof_pending;      /* receive_eof() came before all input was read */
    uint32_t more_used;    /* how many of more_input have been read */
    PyObject *input;       /* bytes object that the core is reading from, or NULL */
    PyObject *more_input;  /* list of bytes objects to read after it, or NULL */
    unsigned long thread;  /* of the loop of its connection, 0 without one */
    PyObject *compression; /* PerMessageDeflate agreed on, or NULL */
    PyObject *subprotocol; /* agreed on, or NULL */
    PyObject *request;     /* client: what was sent, or NULL */
    /* After the handshake failed: kept, since the head goes away. */
    PyObject *handshake_exception;
};

/* Give input: a bytes object that is kept until it was read (a reference is taken). */
int pywsc_protocol_feed(struct pywsc_protocol *self, PyObject *bytes);
/* The next event of the core, feeding on what is at hand. WSC_NEED_DATA when there is
 * none, also after an error of the peer. The message, if any, is the caller's. */
enum wsc_status pywsc_protocol_next(struct pywsc_protocol *self, struct wsc_event *out);
/* Keep what is left of borrowed input as an object of our own. */
int pywsc_protocol_keep_input(struct pywsc_protocol *self);
/* Is there borrowed input? */
bool pywsc_protocol_borrows(const struct pywsc_protocol *self);
void pywsc_protocol_eof(struct pywsc_protocol *self);
/* Request or Response for the event just got. */
PyObject *pywsc_protocol_head_event(struct pywsc_state *state,
                                    struct pywsc_protocol *self,
                                    enum wsc_event_type type);

/* Queue a message or fragment. The bytes stay the caller's. */
enum wsc_status pywsc_protocol_send(struct pywsc_protocol *self, enum wsc_opcode opcode,
                                    const struct pywsc_bytes *bytes, bool fin,
                                    enum wsc_compress compress);
/* Text given as bytes has to be UTF-8: UnicodeDecodeError and -1 otherwise. */
int pywsc_protocol_check_text(const struct pywsc_bytes *bytes);
/* Everything that waits, as one bytes object, and consume it. */
PyObject *pywsc_protocol_take_output(struct pywsc_protocol *self);
/* The same as a list, large payloads as the objects that they are. */
PyObject *pywsc_protocol_take_buffers(struct pywsc_protocol *self);

/* Its attributes of these names: new references. */
PyObject *pywsc_protocol_close_code(const struct pywsc_protocol *self);
PyObject *pywsc_protocol_close_reason(const struct pywsc_protocol *self);

/* Keep why the handshake failed; call when an error may have come up. */
int pywsc_protocol_note_failure(struct pywsc_state *state, struct pywsc_protocol *self);

#endif

/* TLS against a link of the engine by a peer that is OpenSSL on memory, so that a test
 * decides which of its bytes come when. */
#ifndef TLS_PEER_H
#define TLS_PEER_H

#include <openssl/ssl.h>

#include "test.h"
#include "tls_certificate.h"
#include "wsc/engine.h"

struct peer {
    struct tls_contexts contexts;
    struct test_allocator allocator;
    struct wsc_engine *engine;
    struct wsc_link *link; /* the engine's end; NULL once it failed */
    SSL_CTX *ssl_ctx;
    SSL *ssl;
    BIO *in; /* what the engine sent */
    BIO *out;
    int fd;
    struct wsc_link *other; /* without TLS; its owner is NULL */
    int others_fd;
    uint8_t got[1 << 16]; /* what the engine gave */
    size_t got_len;
    bool writable; /* since that was set to false */
    bool ended;
    bool error;
    bool failed; /* by TLS: */
    struct wsc_tls_failure failure;
};

/* The other link has something to say before each poll, so that what the peer sends is
 * received ahead (csrc/engine/source.h). */
extern bool peer_received_ahead;
/* A case, which takes no argument, once more that way; both as entries of TEST_MAIN. */
#define IN_EVERY_WAY(name)                                                             \
    static void name##_received_ahead(void)                                            \
    {                                                                                  \
        peer_received_ahead = true;                                                    \
        name();                                                                        \
        peer_received_ahead = false;                                                   \
    }
#define TEST_EVERY_WAY(name) TEST(name), TEST(name##_received_ahead)

/* A client of at most `version`, to a server of the engine. */
void peer_init(struct peer *peer, int version);
/* The same, or a server to a client of the engine. */
void peer_init_as(struct peer *peer, bool server, int version);
/* The engine's end again, over a new socket pair, with other settings. */
void peer_link_again(struct peer *peer, const struct wsc_tls_context *context,
                     const char *name);
void peer_fini(struct peer *peer);

/* What the engine does with what came. */
void peer_poll(struct peer *peer);
void peer_send(struct peer *peer, const void *data, size_t len);
/* What OpenSSL has written; at most `size`. */
size_t peer_take(struct peer *peer, uint8_t *out, size_t size);
/* What the engine sent becomes OpenSSL's to read. */
void peer_receive(struct peer *peer);
/* Send what OpenSSL has written in steps, then receive. */
void peer_flush(struct peer *peer, size_t step);
void peer_handshake(struct peer *peer, size_t step);

#endif

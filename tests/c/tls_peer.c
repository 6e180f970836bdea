#include "tls_peer.h"

#ifdef __linux__

#include <fcntl.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RECEIVE_SIZE ((size_t)128 << 10)

bool peer_received_ahead;

void peer_init_as(struct peer *peer, bool server, int version)
{
    const char *file = tls_certificate();
    int fds[2];
    memset(peer, 0, sizeof(*peer));
    test_allocator_init(&peer->allocator);
    CHECK(tls_contexts_init(&peer->contexts, &peer->allocator.base));
    CHECK(wsc_engine_new(&peer->allocator.base, RECEIVE_SIZE, &peer->engine) == WSC_OK);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    CHECK(wsc_link_new(peer->engine, fds[0], peer, &peer->link) == WSC_OK);
    CHECK(wsc_link_start_tls(peer->link,
                             server ? peer->contexts.client : peer->contexts.server,
                             server ? "localhost" : NULL) == WSC_OK);
    peer->fd = fds[1];
    CHECK(fcntl(peer->fd, F_SETFL, O_NONBLOCK) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    CHECK(wsc_link_new(peer->engine, fds[0], NULL, &peer->other) == WSC_OK);
    peer->others_fd = fds[1];
    peer->ssl_ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    (void)SSL_CTX_set_max_proto_version(peer->ssl_ctx, version);
    peer->ssl = SSL_new(peer->ssl_ctx);
    peer->in = BIO_new(BIO_s_mem());
    peer->out = BIO_new(BIO_s_mem());
    SSL_set_bio(peer->ssl, peer->in, peer->out);
    if (!server) {
        SSL_set_connect_state(peer->ssl);
        return;
    }
    SSL_set_accept_state(peer->ssl);
    CHECK_INT(SSL_use_certificate_file(peer->ssl, file, SSL_FILETYPE_PEM), 1);
    CHECK_INT(SSL_use_PrivateKey_file(peer->ssl, file, SSL_FILETYPE_PEM), 1);
}

void peer_init(struct peer *peer, int version)
{
    peer_init_as(peer, false, version);
}

void peer_link_again(struct peer *peer, const struct wsc_tls_context *context,
                     const char *name)
{
    int fds[2];
    wsc_link_close(peer->link);
    (void)close(peer->fd);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    CHECK(wsc_link_new(peer->engine, fds[0], peer, &peer->link) == WSC_OK);
    CHECK(wsc_link_start_tls(peer->link, context, name) == WSC_OK);
    peer->fd = fds[1];
}

void peer_fini(struct peer *peer)
{
    if (peer->link != NULL) {
        wsc_link_close(peer->link);
    }
    SSL_free(peer->ssl);
    SSL_CTX_free(peer->ssl_ctx);
    (void)close(peer->fd);
    (void)close(peer->others_fd);
    wsc_engine_free(peer->engine);
    tls_contexts_fini(&peer->contexts);
    CHECK_INT(peer->allocator.live_blocks, 0);
    ERR_clear_error();
}

static void take(struct peer *peer, const struct wsc_io *io)
{
    if (io->owner == NULL) {
        return;
    }
    if (io->type == WSC_IO_DATA) {
        if (CHECK(peer->got_len + io->len <= sizeof(peer->got))) {
            memcpy(peer->got + peer->got_len, io->data, io->len);
            peer->got_len += io->len;
        }
    }
    else if (io->type == WSC_IO_WRITABLE) {
        peer->writable = true;
    }
    else if (io->type == WSC_IO_EOF) {
        peer->ended = true;
    }
    else if (io->type == WSC_IO_ERROR) {
        peer->error = true;
        peer->failed = wsc_link_tls_failure(peer->link, &peer->failure);
        CHECK_INT(io->error == 0, peer->failed);
        wsc_link_close(peer->link);
        peer->link = NULL;
    }
}

void peer_poll(struct peer *peer)
{
    struct wsc_io io;
    if (peer_received_ahead) {
        CHECK_INT(syscall(SYS_write, peer->others_fd, "x", 1), 1);
    }
    while (peer->link != NULL && wsc_engine_poll(peer->engine, 0) > 0) {
        bool any = false;
        while (peer->link != NULL && wsc_engine_next(peer->engine, &io)) {
            any = true;
            take(peer, &io);
        }
        if (!any) {
            break;
        }
    }
}

void peer_send(struct peer *peer, const void *data, size_t len)
{
    CHECK_INT(syscall(SYS_sendto, peer->fd, data, len, MSG_NOSIGNAL, NULL, 0), len);
    peer_poll(peer);
}

size_t peer_take(struct peer *peer, uint8_t *out, size_t size)
{
    int len = BIO_read(peer->out, out, (int)size);
    return len > 0 ? (size_t)len : 0;
}

void peer_receive(struct peer *peer)
{
    static uint8_t data[1 << 16];
    ssize_t got = syscall(SYS_recvfrom, peer->fd, data, sizeof(data), 0, NULL, NULL);
    if (got > 0) {
        (void)BIO_write(peer->in, data, (int)got);
    }
}

void peer_flush(struct peer *peer, size_t step)
{
    static uint8_t data[1 << 16];
    size_t len = peer_take(peer, data, sizeof(data));
    for (size_t at = 0; at < len && peer->link != NULL; at += step) {
        peer_send(peer, data + at, len - at < step ? len - at : step);
    }
    peer_receive(peer);
}

void peer_handshake(struct peer *peer, size_t step)
{
    for (int i = 0; i < 10 && SSL_do_handshake(peer->ssl) != 1; i++) {
        peer_flush(peer, step);
    }
    CHECK(SSL_is_init_finished(peer->ssl) == 1);
    peer_flush(peer, step);
    CHECK(peer->link != NULL && wsc_link_is_open(peer->link));
}

#endif

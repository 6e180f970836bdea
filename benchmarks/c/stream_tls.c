/* TLS 1.3 with AES-128-GCM whatever the server prefers, so that all servers do the same
 * work. Nothing is verified: the certificate was made for this run. */
#include "client.h"
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/socket.h>

#define FILE_NAME_MAX 4096

static SSL_CTX *settings(void)
{
    static SSL_CTX *context;
    if (context == NULL) {
        context = SSL_CTX_new(TLS_method());
        if (context == NULL ||
            SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
            SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256") != 1) {
            die_of("settings of TLS");
        }
        SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
                                      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    }
    return context;
}

/* In the words of recv() and send(). */
static ssize_t outcome(SSL *tls, int result)
{
    if (result > 0) {
        return result;
    }
    int error = SSL_get_error(tls, result);
    ERR_clear_error();
    if (error == SSL_ERROR_ZERO_RETURN) {
        return 0;
    }
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
        errno = EAGAIN;
    }
    else if (error != SSL_ERROR_SYSCALL || errno == 0 || errno == EAGAIN) {
        errno = EPROTO;
    }
    return -1;
}

static int at_most(size_t len)
{
    return len > INT_MAX ? INT_MAX : (int)len;
}

struct stream stream_open(int fd)
{
    SSL *tls = SSL_new(settings());
    if (tls == NULL || SSL_set_fd(tls, fd) != 1 || SSL_connect(tls) != 1) {
        die_of("the server refused TLS 1.3 with AES-128-GCM");
    }
    return (struct stream){.fd = fd, .tls = tls};
}

struct stream stream_begin(int fd)
{
    SSL *tls = SSL_new(settings());
    if (tls == NULL || SSL_set_fd(tls, fd) != 1) {
        die_of("TLS");
    }
    SSL_set_connect_state(tls);
    return (struct stream){.fd = fd, .tls = tls};
}

void stream_end(struct stream *stream)
{
    SSL_free(stream->tls);
    stream->tls = NULL;
}

void stream_shutdown(const struct stream *stream)
{
    (void)SSL_shutdown(stream->tls);
    ERR_clear_error();
    (void)shutdown(stream->fd, SHUT_WR);
}

struct stream stream_accept(int fd, const char *folder)
{
    char certificate[FILE_NAME_MAX];
    char key[FILE_NAME_MAX];
    SSL_CTX *context = settings();
    (void)snprintf(certificate, sizeof(certificate), "%s/certificate.pem", folder);
    (void)snprintf(key, sizeof(key), "%s/key.pem", folder);
    SSL *tls = NULL;
    if (SSL_CTX_use_certificate_chain_file(context, certificate) == 1 &&
        SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) == 1) {
        tls = SSL_new(context);
    }
    if (tls == NULL || SSL_set_fd(tls, fd) != 1 || SSL_accept(tls) != 1) {
        die_of("the client refused TLS 1.3 with AES-128-GCM");
    }
    return (struct stream){.fd = fd, .tls = tls};
}

/* OpenSSL's own read-ahead is of one record and can't be asked what it has. */
void stream_read_ahead(const struct stream *stream, size_t len)
{
    BIO *socket = SSL_get_rbio(stream->tls);
    BIO *buffer = BIO_new(BIO_f_buffer());
    if (buffer == NULL || BIO_set_read_buffer_size(buffer, (long)len) != 1 ||
        BIO_up_ref(socket) != 1) {
        die_of("memory");
    }
    SSL_set0_rbio(stream->tls, BIO_push(buffer, socket));
}

ssize_t stream_recv(const struct stream *stream, void *bytes, size_t len)
{
    return outcome(stream->tls, SSL_read(stream->tls, bytes, at_most(len)));
}

ssize_t stream_send(const struct stream *stream, const void *bytes, size_t len)
{
    return outcome(stream->tls, SSL_write(stream->tls, bytes, at_most(len)));
}

bool stream_pending(const struct stream *stream)
{
    return SSL_pending(stream->tls) > 0 || BIO_pending(SSL_get_rbio(stream->tls)) > 0;
}

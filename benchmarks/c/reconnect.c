/* What connecting again over TLS costs OpenSSL and the kernel, and nobody else:
 * blocking sockets that do what the clients of benchmarks/reconnect.py do.
 *
 *   reconnect PORT --ca FILE [--connections N]
 *
 * Prints one line of JSON: microseconds of processor time for a connection, without a
 * session ("full") and with the newest one of the connection before ("resumed"). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "client.h"
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define AT_MOST 1000 /* connections */

struct options {
    uint16_t port;
    const char *ca;
    unsigned connections;
};

/* As TLSContext.client() has it, and for each connection without a session another one:
 * so it is there. */
static SSL_CTX *settings(const char *ca)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL ||
        SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_load_verify_locations(context, ca, NULL) != 1) {
        die_of("settings of TLS");
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    return context;
}

static void say(SSL *ssl, const void *data, size_t len)
{
    char answer[4096];
    if (SSL_write(ssl, data, (int)len) != (int)len ||
        SSL_read(ssl, answer, sizeof(answer)) <= 0) {
        die_of("the server doesn't answer");
    }
}

/* Both handshakes, a message, a close frame; the session, which came with the answers,
 * is the caller's. */
static SSL_SESSION *
connect_once(const struct options *options, SSL_CTX *context, SSL_SESSION *session)
{
    /* RFC 6455 §5.2: masked with a key of zeros. */
    static const char hello[] = "\x81\x85\0\0\0\0hello";
    static const char close_frame[] = "\x88\x80\0\0\0\0";
    char request[REQUEST_MAX];
    size_t len = write_request(request, options->port, "/", NULL);
    int fd = open_socket(options->port, false);
    SSL *ssl = SSL_new(context);
    if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 ||
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), "127.0.0.1") != 1 ||
        (session != NULL && SSL_set_session(ssl, session) != 1) ||
        SSL_connect(ssl) != 1) {
        die_of("TLS");
    }
    if (SSL_session_reused(ssl) != (session != NULL)) {
        die_of("resumed, or not, as it should not be");
    }
    say(ssl, request, len);
    say(ssl, hello, sizeof(hello) - 1);
    say(ssl, close_frame, sizeof(close_frame) - 1);
    SSL_SESSION *newest = SSL_get1_session(ssl);
    (void)SSL_shutdown(ssl);
    SSL_free(ssl);
    close(fd);
    return newest;
}

static double full(const struct options *options)
{
    SSL_CTX *contexts[AT_MOST];
    for (unsigned i = 0; i < options->connections; i++) {
        contexts[i] = settings(options->ca);
    }
    double start = cpu_seconds(getpid());
    for (unsigned i = 0; i < options->connections; i++) {
        SSL_SESSION_free(connect_once(options, contexts[i], NULL));
    }
    double spent = cpu_seconds(getpid()) - start;
    for (unsigned i = 0; i < options->connections; i++) {
        SSL_CTX_free(contexts[i]);
    }
    return spent / options->connections;
}

/* The first one, which can't resume, isn't counted. */
static double resumed(const struct options *options)
{
    SSL_CTX *context = settings(options->ca);
    SSL_SESSION *session = connect_once(options, context, NULL);
    double start = cpu_seconds(getpid());
    for (unsigned i = 0; i < options->connections; i++) {
        SSL_SESSION *newest = connect_once(options, context, session);
        SSL_SESSION_free(session);
        session = newest;
    }
    double spent = cpu_seconds(getpid()) - start;
    SSL_SESSION_free(session);
    SSL_CTX_free(context);
    return spent / options->connections;
}

int main(int argc, char **argv)
{
    struct options options = {.connections = 40};
    if (argc < 2) {
        die_of("reconnect PORT --ca FILE [--connections N]");
    }
    options.port = (uint16_t)number(argv[1], UINT16_MAX);
    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--ca") == 0) {
            options.ca = argv[i + 1];
        }
        else if (strcmp(argv[i], "--connections") == 0) {
            options.connections = (unsigned)number(argv[i + 1], AT_MOST);
        }
        else {
            die_of("unknown option");
        }
    }
    double without = full(&options) * 1e6;
    printf("{\"full\": %.1f, \"resumed\": %.1f}\n", without, resumed(&options) * 1e6);
    return 0;
}

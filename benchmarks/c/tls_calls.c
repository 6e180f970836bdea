/* TLS of an echo by OpenSSL alone, without sockets, as a TLSContext has it: benchmarks/
 * ssl_calls.py says more.
 *
 *   tls_calls --tls FOLDER [--seconds S]
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include "client.h"
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONNECTIONS   64
#define MESSAGE_LEN   264 /* frames of 256 bytes, the first one masked */
#define ANSWER_LEN    260
#define RECORD        (16 << 10)
#define WIRE_LEN      (64 << 10)
#define FILE_NAME_MAX 4096

struct pair {
    SSL *client;
    SSL *server;
    uint8_t record[MESSAGE_LEN + 64];
    size_t record_len;
};

static struct pair pairs[CONNECTIONS];

/* --- what OpenSSL uses in the place of a socket: one at a time --- */

static const uint8_t *in;
static size_t in_len;
static uint8_t out[WIRE_LEN];
static size_t out_len;

static int bio_read(BIO *bio, char *data, size_t size, size_t *out_got)
{
    size_t len = in_len < size ? in_len : size;
    BIO_clear_retry_flags(bio);
    if (len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(data, in, len);
    in += len;
    in_len -= len;
    *out_got = len;
    return 1;
}

static int bio_write(BIO *bio, const char *data, size_t size, size_t *out_written)
{
    BIO_clear_retry_flags(bio);
    if (size > sizeof(out) - out_len) {
        return 0;
    }
    memcpy(out + out_len, data, size);
    out_len += size;
    *out_written = size;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static void attach(SSL *ssl)
{
    static BIO_METHOD *method;
    if (method == NULL) {
        method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "memory");
        if (method == NULL || BIO_meth_set_read_ex(method, bio_read) != 1 ||
            BIO_meth_set_write_ex(method, bio_write) != 1 ||
            BIO_meth_set_ctrl(method, bio_ctrl) != 1) {
            die_of("memory");
        }
    }
    BIO *bio = BIO_new(method);
    if (ssl == NULL || bio == NULL) {
        die_of("memory");
    }
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
}

/* --- opening --- */

static SSL_CTX *server_settings(const char *folder)
{
    char certificate[FILE_NAME_MAX];
    char key[FILE_NAME_MAX];
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    (void)snprintf(certificate, sizeof(certificate), "%s/certificate.pem", folder);
    (void)snprintf(key, sizeof(key), "%s/key.pem", folder);
    if (context == NULL ||
        SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
        die_of("settings of TLS");
    }
    (void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    return context;
}

/* Give one end what is on the wire, and put there what it says. */
static bool shake_hands(SSL *ssl, uint8_t wire[WIRE_LEN], size_t *wire_len)
{
    in = wire;
    in_len = *wire_len;
    out_len = 0;
    bool done = SSL_do_handshake(ssl) == 1;
    memcpy(wire, out, out_len);
    *wire_len = out_len;
    return done;
}

static void open_pair(struct pair *pair, SSL_CTX *server, SSL_CTX *client)
{
    static uint8_t wire[WIRE_LEN];
    size_t len = 0;
    bool done = false;
    pair->server = SSL_new(server);
    pair->client = SSL_new(client);
    attach(pair->server);
    attach(pair->client);
    SSL_set_accept_state(pair->server);
    SSL_set_connect_state(pair->client);
    for (int i = 0; i < 4 && !done; i++) {
        done = shake_hands(pair->client, wire, &len);
        done = shake_hands(pair->server, wire, &len) && done;
    }
    const SSL_CIPHER *cipher = SSL_get_current_cipher(pair->server);
    if (!done || SSL_CIPHER_get_protocol_id(cipher) != 0x1301) {
        die_of("no TLS 1.3 with AES-128-GCM");
    }
}

/* --- messages --- */

static void encrypt_message(struct pair *pair)
{
    static const uint8_t message[MESSAGE_LEN];
    size_t written;
    out_len = 0;
    if (SSL_write_ex(pair->client, message, sizeof(message), &written) != 1 ||
        out_len > sizeof(pair->record)) {
        die_of("a message can't be encrypted");
    }
    memcpy(pair->record, out, out_len);
    pair->record_len = out_len;
}

static void echo(struct pair *pair)
{
    static uint8_t plain[RECORD];
    static const uint8_t answer[ANSWER_LEN];
    size_t got;
    size_t written;
    in = pair->record;
    in_len = pair->record_len;
    out_len = 0;
    if (SSL_read_ex(pair->server, plain, sizeof(plain), &got) != 1 ||
        got != MESSAGE_LEN ||
        SSL_write_ex(pair->server, answer, sizeof(answer), &written) != 1) {
        die_of("TLS has failed");
    }
}

/* Processor seconds for an echo of each connection. */
static double echo_all(void)
{
    double start = cpu_seconds(getpid());
    for (size_t i = 0; i < CONNECTIONS; i++) {
        echo(&pairs[i]);
    }
    return cpu_seconds(getpid()) - start;
}

int main(int argc, char **argv)
{
    const char *folder = ".";
    double seconds = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--tls") == 0) {
            folder = argv[i + 1];
        }
        else if (strcmp(argv[i], "--seconds") == 0) {
            seconds = number(argv[i + 1], SECONDS_MAX);
        }
        else {
            die_of("unknown option");
        }
    }
    SSL_CTX *server = server_settings(folder);
    SSL_CTX *client = SSL_CTX_new(TLS_client_method());
    for (size_t i = 0; i < CONNECTIONS; i++) {
        open_pair(&pairs[i], server, client);
    }
    double spent = 0;
    uint64_t messages = 0;
    for (uint64_t end = now_ns() + nanoseconds(seconds); now_ns() < end;) {
        for (size_t i = 0; i < CONNECTIONS; i++) {
            encrypt_message(&pairs[i]);
        }
        spent += echo_all();
        messages += CONNECTIONS;
    }
    printf("{\"messages\": %llu, \"seconds\": %.6f, \"server_cpu_seconds\": %.6f}\n",
           (unsigned long long)messages, spent, spent);
    return 0;
}

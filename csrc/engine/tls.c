#include "tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/socket.h>

#include "socket.h"

/* Plaintext given to one send. */
#define WRITE_STEP ((size_t)64 << 10)
#define PIECES     64
/* Of a record's size each, to find what a peer said before it went. */
#define LAST_READS 64

/* --- how calls of OpenSSL end --- */

/* What makes a call fail is known without SSL_get_error, which would have to search the
 * thread's queue of errors for those of others before each call: input or room lacked,
 * the peer ended, or the newest error of the queue is ours. */
static void begin(struct wsc_tls_shared *shared)
{
    shared->in_lacks = false;
    shared->out_lacks = false;
}

/* OpenSSL's callback. After a fatal alert it says the same as after close_notify, but
 * for the queue. */
static void note_end(const SSL *ssl, int where, int alert)
{
    struct wsc_tls *tls = SSL_get_app_data(ssl);
    bool warns = alert >> 8 == SSL3_AL_WARNING || SSL_version(ssl) >= TLS1_3_VERSION;
    if (where == SSL_CB_READ_ALERT && (alert & 0xff) == SSL_AD_CLOSE_NOTIFY && warns) {
        tls->end_came = true;
    }
}

static void fail(struct wsc_tls *tls, unsigned long code)
{
    ERR_clear_error();
    if (tls->resumption.key != NULL && tls->state == WSC_TLS_HANDSHAKE) {
        wsc_tls_sessions_drop(tls->resumption.sessions, tls->resumption.key);
    }
    tls->state = WSC_TLS_FAILED;
    tls->code = code;
    tls->error = 0;
}

static void received_end(struct wsc_tls *tls, int error)
{
    if (error == 0 && tls->state == WSC_TLS_HANDSHAKE) {
        fail(tls, 0);
        return;
    }
    tls->state = error != 0 ? WSC_TLS_FAILED : WSC_TLS_ENDED;
    tls->error = error;
}

/* A call failed, and not for want of input. */
static void stopped(struct wsc_tls *tls)
{
    if (tls->end_came || tls->shared->out_lacks) {
        received_end(tls, tls->shared->out_lacks ? ENOBUFS : 0);
        ERR_clear_error();
        return;
    }
    fail(tls, ERR_peek_last_error());
}

/* The first one, or one that a write waits for. */
static void shake_hands(struct wsc_tls *tls)
{
    begin(tls->shared);
    int result = SSL_do_handshake(tls->ssl);
    tls->write_needs_read = result != 1;
    if (result != 1 && !tls->shared->in_lacks) {
        stopped(tls);
    }
    else if (result == 1 && tls->state == WSC_TLS_HANDSHAKE) {
        tls->state = WSC_TLS_OPEN;
    }
}

/* --- beginning --- */

static bool set_server_name(const struct wsc_tls *tls, const char *name, bool check)
{
    X509_VERIFY_PARAM *parameters = SSL_get0_param(tls->ssl);
    ASN1_OCTET_STRING *address = a2i_IPADDRESS(name);
    if (address != NULL) {
        /* RFC 6066 §3: an address is no host name. */
        ASN1_OCTET_STRING_free(address);
        return !check || X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1;
    }
    union {
        const char *read_only;
        void *arg;
    } said = {.read_only = name}; /* the macro has a cast */
    if (SSL_ctrl(tls->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                 said.arg) != 1) {
        return false;
    }
    SSL_set_hostflags(tls->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return !check || SSL_set1_host(tls->ssl, name) == 1;
}

/* False without memory: a session that is not there is no error. */
static bool resume(struct wsc_tls *tls, int fd, const char *server_name)
{
    tls->resumption.key = wsc_tls_sessions_key(tls->shared->allocator, server_name, fd);
    if (tls->resumption.key == NULL) {
        return false;
    }
    SSL_SESSION *session =
        wsc_tls_sessions_take(tls->resumption.sessions, tls->resumption.key);
    if (session != NULL) {
        (void)SSL_set_session(tls->ssl, session);
        SSL_SESSION_free(session);
    }
    return true;
}

static bool attach(struct wsc_tls *tls)
{
    BIO *bio = wsc_tls_shared_bio(tls->shared);
    if (bio != NULL) {
        SSL_set_bio(tls->ssl, bio, bio);
    }
    return bio != NULL;
}

static struct wsc_tls *
new_ssl(struct wsc_tls_shared *shared, const struct wsc_tls_context *context)
{
    struct wsc_tls *tls = wsc_alloc_zeroed(shared->allocator, sizeof(*tls));
    if (tls == NULL) {
        return NULL;
    }
    tls->shared = shared;
    tls->resumption.sessions = context->sessions;
    tls->ssl = SSL_new(context->ssl_ctx);
    if (tls->ssl == NULL || SSL_set_app_data(tls->ssl, tls) != 1 || !attach(tls)) {
        wsc_tls_free(tls);
        return NULL;
    }
    SSL_set_info_callback(tls->ssl, note_end);
    return tls;
}

struct wsc_tls *wsc_tls_new(struct wsc_tls_shared *shared,
                            const struct wsc_tls_context *context, int fd,
                            const char *server_name)
{
    ERR_clear_error();
    struct wsc_tls *tls = new_ssl(shared, context);
    if (tls == NULL) {
        return NULL;
    }
    if (context->server) {
        SSL_set_accept_state(tls->ssl);
        return tls;
    }
    shared->out_len = 0;
    SSL_set_connect_state(tls->ssl);
    if (server_name != NULL && !resume(tls, fd, server_name)) {
        wsc_tls_free(tls);
        return NULL;
    }
    if (server_name == NULL && context->check_host_name) {
        ERR_raise(ERR_LIB_SSL, SSL_R_SSL3_EXT_INVALID_SERVERNAME);
        fail(tls, ERR_peek_last_error());
    }
    else if (server_name != NULL &&
             !set_server_name(tls, server_name, context->check_host_name)) {
        fail(tls, ERR_peek_last_error());
    }
    else {
        shake_hands(tls);
    }
    return tls;
}

void wsc_tls_free(struct wsc_tls *tls)
{
    if (tls == NULL) {
        return;
    }
    SSL_free(tls->ssl);
    wsc_free(tls->shared->allocator, tls->resumption.key);
    wsc_free(tls->shared->allocator, tls->left);
    wsc_free(tls->shared->allocator, tls);
}

/* --- receiving --- */

/* `out` has room for all that came, so OpenSSL keeps nothing but a part of a record. */
static void decrypt(struct wsc_tls *tls, uint8_t *out, size_t size, size_t *out_len)
{
    struct wsc_tls_shared *shared = tls->shared;
    /* The first call may find a record that the handshake has read already. Later ones
     * have to find something: to ask in vain costs a third of a record. */
    do {
        size_t got = 0;
        begin(shared);
        int result = SSL_read_ex(tls->ssl, out + *out_len, size - *out_len, &got);
        *out_len += got;
        if (result != 1 && !shared->in_lacks) {
            stopped(tls);
        }
        if (result != 1) {
            return;
        }
    } while (shared->in_len > 0);
}

/* Let OpenSSL have what came; false if that is the end, or nothing. */
static bool came(struct wsc_tls *tls, const uint8_t *data, ssize_t got)
{
    if (got == -EAGAIN || got == -EWOULDBLOCK || got == -EINTR ||
        tls->state >= WSC_TLS_ENDED) {
        return false;
    }
    tls->write_needs_read = false; /* or it finds out again, or that nothing comes */
    if (got <= 0) {
        received_end(tls, (int)-got);
        return false;
    }
    tls->shared->in = data;
    tls->shared->in_len = (size_t)got;
    return true;
}

static size_t
take(struct wsc_tls *tls, const uint8_t *data, ssize_t got, uint8_t *out, size_t size)
{
    size_t len = 0;
    if (!came(tls, data, got)) {
        return 0;
    }
    if (tls->state == WSC_TLS_HANDSHAKE) {
        shake_hands(tls);
    }
    if (tls->state == WSC_TLS_OPEN) {
        decrypt(tls, out, size, &len);
    }
    tls->shared->in_len = 0;
    return len;
}

static void answer(struct wsc_tls *tls, int fd)
{
    if (tls->shared->out_len > 0 && wsc_tls_send(tls, fd) == WSC_ERR_IO &&
        tls->state < WSC_TLS_ENDED) {
        wsc_tls_lost(tls, fd, NULL, 0);
    }
}

size_t wsc_tls_received(struct wsc_tls *tls, int fd, const uint8_t *data, ssize_t got,
                        uint8_t *out, size_t size)
{
    tls->shared->out_len = 0;
    size_t len = take(tls, data, got, out, size);
    answer(tls, fd);
    return len;
}

size_t wsc_tls_receive(struct wsc_tls *tls, int fd, uint8_t *out, size_t size)
{
    uint8_t *data = tls->shared->received;
    size_t most = size - WSC_TLS_RECORD;
    ssize_t got =
        wsc_socket_receive(fd, data, most < WSC_TLS_IN_SIZE ? most : WSC_TLS_IN_SIZE);
    return wsc_tls_received(tls, fd, data, got, out, size);
}

/* OpenSSL takes no more than the records that it needs. */
void wsc_tls_receive_handshake(struct wsc_tls *tls, int fd)
{
    struct wsc_tls_shared *shared = tls->shared;
    ssize_t got = wsc_socket_peek(fd, shared->received, WSC_TLS_IN_SIZE);
    shared->out_len = 0;
    if (!came(tls, shared->received, got)) {
        return;
    }
    shake_hands(tls);
    (void)wsc_socket_receive(fd, shared->received, (size_t)got - shared->in_len);
    shared->in_len = 0;
    answer(tls, fd);
}

void wsc_tls_lost(struct wsc_tls *tls, int fd, const uint8_t *ahead, ssize_t got)
{
    struct wsc_tls_shared *shared = tls->shared;
    uint8_t *plain = shared->received + WSC_TLS_RECORD;
    size_t size = WSC_TLS_IN_SIZE - WSC_TLS_RECORD;
    int error = errno;
    bool gone = error == EPIPE || error == ECONNRESET;
    if (gone && ahead != NULL) {
        (void)take(tls, ahead, got, plain, size);
    }
    for (int i = 0; gone && i < LAST_READS && tls->state < WSC_TLS_ENDED; i++) {
        got = wsc_socket_receive(fd, shared->received, WSC_TLS_RECORD);
        if (got <= 0) {
            break;
        }
        (void)take(tls, shared->received, got, plain, size);
    }
    shared->out_len = 0;
    if (tls->state != WSC_TLS_FAILED) {
        tls->state = WSC_TLS_FAILED;
        tls->error = error;
    }
    errno = error;
}

/* --- sending --- */

static ssize_t send_bytes(int fd, const uint8_t *data, size_t len)
{
    for (;;) {
        ssize_t sent = wsc_socket_send(fd, data, len);
        if (sent >= 0) {
            return sent;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
            return 0;
        }
        if (errno != EINTR) {
            return -1;
        }
    }
}

static enum wsc_status send_left(struct wsc_tls *tls, int fd)
{
    size_t len = tls->left_end - tls->left_start;
    if (len == 0) {
        return WSC_OK;
    }
    ssize_t sent = send_bytes(fd, tls->left + tls->left_start, len);
    if (sent < 0) {
        return WSC_ERR_IO;
    }
    tls->left_start += (size_t)sent;
    if (tls->left_start < tls->left_end) {
        return WSC_NEED_SPACE;
    }
    wsc_free(tls->shared->allocator, tls->left);
    tls->left = NULL;
    tls->left_start = tls->left_end = tls->left_cap = 0;
    return WSC_OK;
}

size_t wsc_tls_unsent(const struct wsc_tls *tls)
{
    return tls->left_end - tls->left_start;
}

bool wsc_tls_wants_read(const struct wsc_tls *tls, bool more)
{
    return tls->state == WSC_TLS_HANDSHAKE ||
           (tls->state == WSC_TLS_OPEN && tls->write_needs_read && more);
}

bool wsc_tls_wants_write(const struct wsc_tls *tls, bool more)
{
    bool unsent = wsc_tls_unsent(tls) > 0;
    if (tls->write_needs_read) {
        return unsent; /* it is encrypted already */
    }
    return unsent || (more && tls->state != WSC_TLS_HANDSHAKE);
}

enum wsc_status wsc_tls_send(struct wsc_tls *tls, int fd)
{
    struct wsc_tls_shared *shared = tls->shared;
    size_t len = shared->out_len;
    size_t at = 0;
    shared->out_len = 0;
    enum wsc_status status = send_left(tls, fd);
    if (status == WSC_OK && len > 0) {
        ssize_t sent = send_bytes(fd, shared->out, len);
        if (sent < 0) {
            return WSC_ERR_IO;
        }
        at = (size_t)sent;
    }
    if (status == WSC_ERR_IO || at == len) {
        return status;
    }
    if (!wsc_tls_reserve(shared->allocator, &tls->left, &tls->left_cap,
                         tls->left_end + len - at)) {
        errno = ENOBUFS;
        return WSC_ERR_IO;
    }
    memcpy(tls->left + tls->left_end, shared->out + at, len - at);
    tls->left_end += len - at;
    return WSC_NEED_SPACE;
}

/* Small pieces together, so that they share a record. */
static size_t gather(struct wsc_tls_shared *shared, const struct wsc_outgoing *outgoing,
                     const uint8_t **out_data)
{
    struct wsc_outgoing_piece pieces[PIECES];
    size_t count = wsc_outgoing_peek(outgoing, pieces, PIECES);
    size_t len = 0;
    if (count == 1 || pieces[0].len >= WSC_TLS_RECORD) {
        *out_data = pieces[0].data;
        return pieces[0].len < WSC_TLS_RECORD ? pieces[0].len : WSC_TLS_RECORD;
    }
    for (size_t i = 0; i < count && len < WSC_TLS_RECORD; i++) {
        size_t part =
            pieces[i].len < WSC_TLS_RECORD - len ? pieces[i].len : WSC_TLS_RECORD - len;
        memcpy(shared->plain + len, pieces[i].data, part);
        len += part;
    }
    *out_data = shared->plain;
    return len;
}

static bool encrypt_some(struct wsc_tls *tls, struct wsc_outgoing *outgoing)
{
    size_t done = 0;
    while (outgoing->size > 0 && done < WRITE_STEP) {
        const uint8_t *data;
        size_t written = 0;
        size_t len = gather(tls->shared, outgoing, &data);
        begin(tls->shared);
        int result = SSL_write_ex(tls->ssl, data, len, &written);
        if (result != 1 && !tls->shared->in_lacks) {
            stopped(tls);
            return false;
        }
        if (result != 1) {
            /* RFC 8446 §4.6: part of a ticket or of new keys has come in a record of
             * its own, and OpenSSL sends nothing before it has the rest. */
            tls->write_needs_read = tls->state == WSC_TLS_OPEN;
            return tls->write_needs_read;
        }
        wsc_outgoing_consume(outgoing, written);
        done += written;
    }
    return true;
}

static enum wsc_status refuse(const struct wsc_tls *tls)
{
    errno = tls->error != 0 ? tls->error : EPIPE;
    return WSC_ERR_IO;
}

enum wsc_status
wsc_tls_write(struct wsc_tls *tls, int fd, struct wsc_outgoing *outgoing)
{
    tls->shared->out_len = 0;
    if (tls->state == WSC_TLS_FAILED) {
        return refuse(tls);
    }
    enum wsc_status status = send_left(tls, fd);
    while (status == WSC_OK && outgoing->size > 0 && !tls->write_needs_read) {
        if (!encrypt_some(tls, outgoing)) {
            return refuse(tls);
        }
        status = wsc_tls_send(tls, fd);
    }
    return status == WSC_OK && outgoing->size > 0 ? WSC_NEED_SPACE : status;
}

void wsc_tls_end(struct wsc_tls *tls)
{
    tls->shared->out_len = 0;
    if (tls->end_sent || tls->state == WSC_TLS_FAILED ||
        tls->state == WSC_TLS_HANDSHAKE) {
        return;
    }
    tls->end_sent = true;
    ERR_clear_error();
    (void)SSL_shutdown(tls->ssl);
    ERR_clear_error();
}

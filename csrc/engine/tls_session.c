#include "tls_session.h"

#include <netinet/in.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/socket.h>

#define HOSTS 64

struct entry {
    char *key; /* of wsc_tls_sessions_key; NULL: free */
    SSL_SESSION *session;
    uint64_t since; /* to find the oldest */
};

/* A context may serve engines of several threads. */
struct wsc_tls_sessions {
    const struct wsc_allocator *allocator;
    CRYPTO_RWLOCK *lock;
    uint64_t now;
    struct entry entries[HOSTS];
};

struct wsc_tls_sessions *wsc_tls_sessions_new(const struct wsc_allocator *allocator)
{
    struct wsc_tls_sessions *sessions = wsc_alloc_zeroed(allocator, sizeof(*sessions));
    if (sessions == NULL) {
        return NULL;
    }
    sessions->allocator = allocator;
    sessions->lock = CRYPTO_THREAD_lock_new();
    if (sessions->lock == NULL) {
        wsc_free(allocator, sessions);
        return NULL;
    }
    return sessions;
}

static void forget(struct wsc_tls_sessions *sessions, struct entry *entry)
{
    SSL_SESSION_free(entry->session);
    wsc_free(sessions->allocator, entry->key);
    memset(entry, 0, sizeof(*entry));
}

void wsc_tls_sessions_free(struct wsc_tls_sessions *sessions)
{
    if (sessions == NULL) {
        return;
    }
    for (size_t i = 0; i < HOSTS; i++) {
        forget(sessions, &sessions->entries[i]);
    }
    CRYPTO_THREAD_lock_free(sessions->lock);
    wsc_free(sessions->allocator, sessions);
}

static uint16_t peer_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in ip4;
        struct sockaddr_in6 ip6;
        struct sockaddr_storage space;
    } address;
    socklen_t len = sizeof(address);
    memset(&address, 0, sizeof(address));
    if (getpeername(fd, &address.any, &len) != 0) {
        return 0;
    }
    if (address.any.sa_family == AF_INET) {
        return ntohs(address.ip4.sin_port);
    }
    return address.any.sa_family == AF_INET6 ? ntohs(address.ip6.sin6_port) : 0;
}

char *wsc_tls_sessions_key(const struct wsc_allocator *allocator,
                           const char *server_name, int fd)
{
    size_t size = strlen(server_name) + sizeof(":65535");
    char *key = wsc_alloc(allocator, size);
    if (key != NULL) {
        (void)BIO_snprintf(key, size, "%s:%u", server_name, peer_port(fd));
    }
    return key;
}

static struct entry *find(struct wsc_tls_sessions *sessions, const char *key)
{
    for (size_t i = 0; i < HOSTS; i++) {
        struct entry *entry = &sessions->entries[i];
        if (entry->key != NULL && strcmp(entry->key, key) == 0) {
            return entry;
        }
    }
    return NULL;
}

static struct entry *free_or_oldest(struct wsc_tls_sessions *sessions)
{
    struct entry *best = &sessions->entries[0];
    for (size_t i = 0; i < HOSTS; i++) {
        struct entry *entry = &sessions->entries[i];
        if (entry->key == NULL) {
            return entry;
        }
        if (entry->since < best->since) {
            best = entry;
        }
    }
    forget(sessions, best);
    return best;
}

SSL_SESSION *wsc_tls_sessions_take(struct wsc_tls_sessions *sessions, const char *key)
{
    SSL_SESSION *session = NULL;
    if (CRYPTO_THREAD_write_lock(sessions->lock) != 1) {
        return NULL;
    }
    struct entry *entry = find(sessions, key);
    if (entry != NULL && SSL_SESSION_up_ref(entry->session) == 1) {
        session = entry->session;
        if (SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION) {
            /* RFC 8446 §C.4: clients SHOULD NOT reuse a ticket. */
            forget(sessions, entry);
        }
    }
    (void)CRYPTO_THREAD_unlock(sessions->lock);
    return session;
}

/* The caller's reference is taken over if this is true. */
static bool
put(struct wsc_tls_sessions *sessions, const char *key, SSL_SESSION *session)
{
    if (CRYPTO_THREAD_write_lock(sessions->lock) != 1) {
        return false;
    }
    struct entry *entry = find(sessions, key);
    size_t size = strlen(key) + 1;
    char *copy = entry == NULL ? wsc_alloc(sessions->allocator, size) : NULL;
    if (copy != NULL) {
        memcpy(copy, key, size);
        entry = free_or_oldest(sessions);
        entry->key = copy;
    }
    bool kept = entry != NULL;
    if (kept) {
        SSL_SESSION_free(entry->session);
        entry->session = session;
        entry->since = ++sessions->now;
    }
    (void)CRYPTO_THREAD_unlock(sessions->lock);
    return kept;
}

/* RFC 8446 §4.6.1, RFC 5077 §3.3: the server gave something to resume with. */
int wsc_tls_sessions_put(SSL *ssl, SSL_SESSION *session)
{
    const struct wsc_tls_resumption *resumption = SSL_get_app_data(ssl);
    return resumption->key != NULL && SSL_SESSION_is_resumable(session) == 1 &&
           put(resumption->sessions, resumption->key, session);
}

void wsc_tls_sessions_drop(struct wsc_tls_sessions *sessions, const char *key)
{
    if (CRYPTO_THREAD_write_lock(sessions->lock) != 1) {
        return;
    }
    struct entry *entry = find(sessions, key);
    if (entry != NULL) {
        forget(sessions, entry);
    }
    (void)CRYPTO_THREAD_unlock(sessions->lock);
}

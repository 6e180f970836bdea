/* pthread_atfork and pthread_once are POSIX, hidden by -std=c11 on some systems. */
#if !defined(_WIN32)
#define _POSIX_C_SOURCE 200809L
#endif

#include "wsc/crypto.h"

#include <limits.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#if !defined(_WIN32)
#include <pthread.h>
#include <stdatomic.h>
#endif

#define SHA1_SIZE           20
#define NONCE_SIZE          16
#define OPENSSL_3_0         0x30000000UL
#define BASE64_INVALID      0xff
#define LAST_KEY_SPARE_BITS 0x0f /* 22 characters are 132 bits, 16 bytes are 128 */

enum wsc_status wsc_crypto_check_openssl(void)
{
    return OpenSSL_version_num() >= OPENSSL_3_0 ? WSC_OK : WSC_ERR_INVALID_STATE;
}

const char *wsc_crypto_openssl_version(void)
{
    return OpenSSL_version(OPENSSL_VERSION);
}

static const char base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t wsc_base64_size(size_t len)
{
    return len / 3 * 4 + (len % 3 != 0 ? 4 : 0);
}

void wsc_base64_encode(char *out, const uint8_t *data, size_t len)
{
    for (; len >= 3; len -= 3, data += 3, out += 4) {
        out[0] = base64_alphabet[data[0] >> 2];
        out[1] = base64_alphabet[(data[0] & 0x03) << 4 | data[1] >> 4];
        out[2] = base64_alphabet[(data[1] & 0x0f) << 2 | data[2] >> 6];
        out[3] = base64_alphabet[data[2] & 0x3f];
    }
    if (len == 0) {
        return;
    }
    uint8_t second = len == 2 ? data[1] : 0;
    out[0] = base64_alphabet[data[0] >> 2];
    out[1] = base64_alphabet[(data[0] & 0x03) << 4 | second >> 4];
    out[2] = len == 2 ? base64_alphabet[(second & 0x0f) << 2] : '=';
    out[3] = '=';
}

static uint8_t base64_value(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return (uint8_t)(c - 'A');
    }
    if (c >= 'a' && c <= 'z') {
        return (uint8_t)(c - 'a' + 26);
    }
    if (c >= '0' && c <= '9') {
        return (uint8_t)(c - '0' + 52);
    }
    return c == '+' ? 62 : c == '/' ? 63 : BASE64_INVALID;
}

bool wsc_key_is_valid(const char *text, size_t len)
{
    if (len != WSC_KEY_SIZE || text[22] != '=' || text[23] != '=') {
        return false;
    }
    for (size_t i = 0; i < 22; i++) {
        if (base64_value(text[i]) == BASE64_INVALID) {
            return false;
        }
    }
    /* RFC 4648 §3.5: a decoder may refuse pad bits that are not zero. */
    return (base64_value(text[21]) & LAST_KEY_SPARE_BITS) == 0;
}

/* Found once: EVP_sha1() would have it looked for by each digest. */
static const EVP_MD *sha1; /* written once, under sha1_once */
static CRYPTO_ONCE sha1_once = CRYPTO_ONCE_STATIC_INIT;

static void fetch_sha1(void)
{
    sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
}

enum wsc_status
wsc_accept_key(const char key[WSC_KEY_SIZE], char out_accept[WSC_ACCEPT_SIZE])
{
    /* RFC 6455 §1.3: the GUID that is concatenated to the key. */
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[WSC_KEY_SIZE + sizeof(guid) - 1];
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned int digest_len = 0;

    memcpy(text, key, WSC_KEY_SIZE);
    memcpy(text + WSC_KEY_SIZE, guid, sizeof(guid) - 1);
    /* OpenSSL's error queue belongs to the whole thread: leave it as it was. */
    ERR_set_mark();
    int ok = CRYPTO_THREAD_run_once(&sha1_once, fetch_sha1) == 1 && sha1 != NULL &&
             EVP_Digest(text, sizeof(text), digest, &digest_len, sha1, NULL) == 1;
    ERR_pop_to_mark();
    if (!ok || digest_len != SHA1_SIZE) {
        return WSC_ERR_INVALID_STATE;
    }
    wsc_base64_encode(out_accept, digest, SHA1_SIZE);
    return WSC_OK;
}

enum wsc_status wsc_random_fill(void *out, size_t len)
{
    uint8_t *bytes = out;
    int ok = 1;
    ERR_set_mark();
    while (len > 0 && ok == 1) {
        int part = len < INT_MAX ? (int)len : INT_MAX;
        ok = RAND_bytes(bytes, part); /* reseeds after fork() by itself */
        bytes += part;
        len -= (size_t)part;
    }
    ERR_pop_to_mark();
    return ok == 1 ? WSC_OK : WSC_ERR_RANDOM;
}

/* A pool that was filled before fork() would give parent and child the same masking
 * keys, RFC 6455 §10.3. Asking for the process id costs a system call for each key, so
 * the child counts a generation up instead, in a handler that fork() calls. */
#if defined(_WIN32)
static bool fork_is_watched(void)
{
    return true; /* no fork() */
}

static uint32_t fork_generation(void)
{
    return 0;
}
#else
static _Atomic uint32_t generation;
static bool watched; /* written once, under watch_once */
static pthread_once_t watch_once = PTHREAD_ONCE_INIT;

static void count_fork(void)
{
    atomic_fetch_add_explicit(&generation, 1, memory_order_relaxed);
}

static void watch_fork(void)
{
    watched = pthread_atfork(NULL, NULL, count_fork) == 0;
}

static bool fork_is_watched(void)
{
    return pthread_once(&watch_once, watch_fork) == 0 && watched;
}

static uint32_t fork_generation(void)
{
    return atomic_load_explicit(&generation, memory_order_relaxed);
}
#endif

void wsc_key_pool_init(struct wsc_key_pool *pool)
{
    memset(pool, 0, sizeof(*pool));
}

static enum wsc_status fill_pool(struct wsc_key_pool *pool)
{
    pool->left = 0;
    enum wsc_status status = wsc_random_fill(pool->bytes, sizeof(pool->bytes));
    if (status != WSC_OK) {
        return status;
    }
    pool->fork_generation = fork_generation();
    pool->left = sizeof(pool->bytes);
    return WSC_OK;
}

enum wsc_status wsc_key_pool_next(struct wsc_key_pool *pool, uint8_t out_masking_key[4])
{
    if (pool->left < 4 || pool->fork_generation != fork_generation()) {
        if (!fork_is_watched()) {
            return wsc_random_fill(out_masking_key, 4); /* dear, but never a repeat */
        }
        enum wsc_status status = fill_pool(pool);
        if (status != WSC_OK) {
            return status;
        }
    }
    /* From 4 to all of the bytes are left. */
    uint8_t *key = pool->bytes + sizeof(pool->bytes) - pool->left;
    memcpy(out_masking_key, key, 4);
    memset(key, 0, 4); /* a used masking key has no more business in memory */
    pool->left = (uint8_t)(pool->left - 4);
    return WSC_OK;
}

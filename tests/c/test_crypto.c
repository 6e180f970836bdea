/* wsc/crypto.h: Sec-WebSocket-Accept, base64, masking keys. */
#define _POSIX_C_SOURCE    200809L
#define OPENSSL_API_COMPAT 0x10100000L /* for RAND_set_rand_method */
#include "test.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "wsc/crypto.h"

static void openssl_is_new_enough(void)
{
    CHECK_INT(wsc_crypto_check_openssl(), WSC_OK);
    CHECK(strncmp(wsc_crypto_openssl_version(), "OpenSSL 3.", 10) == 0 ||
          strncmp(wsc_crypto_openssl_version(), "OpenSSL", 7) == 0);
}

/* RFC 4648 §10. */
static void base64_of_the_rfc(void)
{
    static const char *const pairs[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        char out[16];
        size_t len = strlen(pairs[i][0]);
        const uint8_t *data = test_guarded(pairs[i][0], len);
        CHECK_INT(wsc_base64_size(len), strlen(pairs[i][1]));
        wsc_base64_encode(out, data, len);
        CHECK_BYTES(out, wsc_base64_size(len), pairs[i][1], strlen(pairs[i][1]));
    }
}

/* Every 6-bit value, at every place of a group. */
static void base64_of_every_bit(void)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (unsigned value = 0; value < 64; value++) {
        for (unsigned place = 0; place < 4; place++) {
            uint32_t bits = value << (6 * (3 - place));
            uint8_t data[3] = {(uint8_t)(bits >> 16), (uint8_t)(bits >> 8),
                               (uint8_t)bits};
            char want[4] = {'A', 'A', 'A', 'A'};
            char out[4];
            want[place] = alphabet[value];
            wsc_base64_encode(out, data, 3);
            CHECK_BYTES(out, 4, want, 4);
        }
    }
}

/* RFC 6455 §1.3. */
static void accept_of_the_rfc(void)
{
    char out[WSC_ACCEPT_SIZE];
    const uint8_t *key = test_guarded("dGhlIHNhbXBsZSBub25jZQ==", WSC_KEY_SIZE);
    CHECK_INT(wsc_accept_key((const char *)key, out), WSC_OK);
    CHECK_BYTES(out, sizeof(out), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28);
}

static bool key_is_valid(const char *text, size_t len)
{
    return wsc_key_is_valid((const char *)test_guarded(text, len), len);
}

/* HSK-6: RFC 6455 §4.2.1 item 5. */
static void only_the_base64_of_16_bytes_is_a_key(void)
{
    static const char good[] = "dGhlIHNhbXBsZSBub25jZQ==";
    CHECK(key_is_valid(good, 24));
    CHECK(key_is_valid("AAAAAAAAAAAAAAAAAAAAAA==", 24));
    CHECK(key_is_valid("/////////////////////w==", 24));
    CHECK(!key_is_valid("////////////////////////", 24)); /* 18 bytes */
    CHECK(!key_is_valid("AAAAAAAAAAAAAAAAAAAAAAA=", 24)); /* 17 bytes */
    CHECK(!key_is_valid("AAAAAAAAAAAAAAAAAAAAAA", 22));
    for (size_t len = 0; len < 24; len++) {
        CHECK(!key_is_valid(good, len));
    }
    CHECK(!key_is_valid("dGhlIHNhbXBsZSBub25jZQ== ", 25));
    CHECK(!key_is_valid("AAAAdGhlIHNhbXBsZSBub25jZQ==", 28));
}

/* HSK-6: every byte at every place; the last one has four bits that must be zero. */
static void every_character_of_a_key_counts(void)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < 24; i++) {
        size_t valid = 0;
        for (unsigned c = 0; c < 256; c++) {
            char key[] = "dGhlIHNhbXBsZSBub25jZQ==";
            key[i] = (char)c;
            bool ok = wsc_key_is_valid(key, 24);
            bool want = i >= 22   ? c == '='
                        : i == 21 ? c != 0 && strchr("AQgw", (int)c) != NULL
                                  : c != 0 && strchr(alphabet, (int)c) != NULL;
            CHECK_INT(ok, want);
            valid += ok;
        }
        CHECK_INT(valid, i >= 22 ? 1 : i == 21 ? 4 : 64);
    }
}

static void random_fill_fills_exactly(void)
{
    for (size_t len = 0; len < 100; len++) {
        uint8_t bytes[102];
        uint8_t *end;
        bool changed = len < 8;
        memset(bytes, 0x55, sizeof(bytes));
        CHECK_INT(wsc_random_fill(bytes + 1, len), WSC_OK);
        for (end = bytes + 1; end < bytes + 1 + len; end++) {
            changed = changed || *end != 0x55;
        }
        CHECK(changed);
        CHECK_INT(bytes[0], 0x55);
        CHECK_INT(*end, 0x55);
    }
}

static int no_bytes(unsigned char *out, int len)
{
    (void)out;
    (void)len;
    return 0;
}

/* RFC 6455 §10.3: no key at all rather than one that can be guessed. */
static void no_random_bytes_is_an_error(void)
{
    static const RAND_METHOD broken = {.bytes = no_bytes};
    struct wsc_key_pool pool;
    uint8_t key[4];
    wsc_key_pool_init(&pool);
    RAND_set_rand_method(&broken);
    CHECK_INT(wsc_random_fill(key, 0), WSC_OK);
    CHECK_INT(wsc_random_fill(key, 4), WSC_ERR_RANDOM);
    CHECK_INT(wsc_key_pool_next(&pool, key), WSC_ERR_RANDOM);
    CHECK_INT(wsc_key_pool_next(&pool, key), WSC_ERR_RANDOM);
    RAND_set_rand_method(NULL);
    CHECK_INT(wsc_key_pool_next(&pool, key), WSC_OK);
}

static int compare_keys(const void *a, const void *b)
{
    return memcmp(a, b, 4);
}

/* Among n keys of 32 random bits about n^2 / 2^33 pairs are equal: 116 for a million,
 * with a standard deviation of 11. */
static void a_million_keys_repeat_by_chance_only(void)
{
    const size_t n = 1000000;
    struct wsc_key_pool pool;
    uint8_t *keys = malloc(4 * n);
    size_t repeats = 0;
    size_t ones = 0;
    if (keys == NULL) {
        return;
    }
    wsc_key_pool_init(&pool);
    for (size_t i = 0; i < n; i++) {
        if (!CHECK_INT(wsc_key_pool_next(&pool, keys + 4 * i), WSC_OK)) {
            break;
        }
        for (unsigned bit = 0; bit < 8; bit++) {
            ones += keys[4 * i + i % 4] >> bit & 1;
        }
    }
    qsort(keys, n, 4, compare_keys);
    for (size_t i = 1; i < n; i++) {
        repeats += memcmp(keys + 4 * i - 4, keys + 4 * i, 4) == 0;
    }
    CHECK(repeats >= 40 && repeats <= 200);
    CHECK(ones > 3990000 && ones < 4010000); /* 7 standard deviations */
    free(keys);
}

static void used_keys_are_wiped(void)
{
    struct wsc_key_pool pool;
    uint8_t key[4];
    uint8_t zeros[WSC_KEY_POOL_SIZE] = {0};
    wsc_key_pool_init(&pool);
    for (size_t i = 1; i <= WSC_KEY_POOL_SIZE / 4; i++) {
        uint8_t before[WSC_KEY_POOL_SIZE];
        memcpy(before, pool.bytes, sizeof(before));
        CHECK_INT(wsc_key_pool_next(&pool, key), WSC_OK);
        CHECK_BYTES(pool.bytes, 4 * i, zeros, 4 * i);
        if (i > 1) {
            CHECK_BYTES(key, 4, before + 4 * (i - 1), 4);
        }
        CHECK_INT(pool.left, WSC_KEY_POOL_SIZE - 4 * i);
    }
}

#define FORK_KEYS 40

/* LIF, RFC 6455 §10.3: parent, child and grandchild share no key, whatever is left in
 * the pool at the fork. */
static void a_forked_pool_is_thrown_away(void)
{
    for (size_t drawn = 0; drawn < 18; drawn++) {
        struct wsc_key_pool pool;
        uint8_t keys[3 * FORK_KEYS][4];
        int ends[2];
        wsc_key_pool_init(&pool);
        for (size_t i = 0; i < drawn; i++) {
            CHECK_INT(wsc_key_pool_next(&pool, keys[0]), WSC_OK);
        }
        if (!CHECK(pipe(ends) == 0)) {
            return;
        }
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            pid_t grandchild = fork();
            size_t wanted = FORK_KEYS;
            for (size_t i = 0; i < wanted; i++) {
                if (wsc_key_pool_next(&pool, keys[i]) != WSC_OK) {
                    _exit(1);
                }
            }
            ssize_t wrote = write(ends[1], keys, 4 * FORK_KEYS);
            if (grandchild > 0) {
                waitpid(grandchild, NULL, 0);
            }
            _exit(wrote == 4 * FORK_KEYS ? 0 : 1);
        }
        for (size_t i = 0; i < FORK_KEYS; i++) {
            CHECK_INT(wsc_key_pool_next(&pool, keys[2 * FORK_KEYS + i]), WSC_OK);
        }
        close(ends[1]);
        for (size_t got = 0; got < 8 * FORK_KEYS;) {
            ssize_t n = read(ends[0], (uint8_t *)keys + got, 8 * FORK_KEYS - got);
            if (!CHECK(n > 0)) {
                break;
            }
            got += (size_t)n;
        }
        close(ends[0]);
        waitpid(child, NULL, 0);
        qsort(keys, 3 * FORK_KEYS, 4, compare_keys);
        for (size_t i = 1; i < 3 * FORK_KEYS; i++) {
            CHECK(memcmp(keys[i - 1], keys[i], 4) != 0);
        }
    }
}

TEST_MAIN(TEST(openssl_is_new_enough), TEST(base64_of_the_rfc),
          TEST(base64_of_every_bit), TEST(accept_of_the_rfc),
          TEST(only_the_base64_of_16_bytes_is_a_key),
          TEST(every_character_of_a_key_counts), TEST(random_fill_fills_exactly),
          TEST(no_random_bytes_is_an_error), TEST(a_million_keys_repeat_by_chance_only),
          TEST(used_keys_are_wiped), TEST(a_forked_pool_is_thrown_away))

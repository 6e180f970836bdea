/* The settings of TLS: certificates and keys from files, names, ALPN, what a peer has
 * to show, ciphers and versions; and what is said of those that are not usable. */
#include "test.h"

#ifdef __linux__

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <unistd.h>

#include "tls_peer.h"

static struct wsc_tls_context *new_context(struct peer *peer, bool server)
{
    struct wsc_tls_context *context;
    CHECK_INT(wsc_tls_context_new(&peer->allocator.base, server, &context), WSC_OK);
    CHECK_INT(wsc_tls_context_is_server(context), server);
    return context;
}

/* Whether the handshake succeeds with a client that peer_init() has made. */
static bool shakes_hands(struct peer *peer, const struct wsc_tls_context *server)
{
    peer_link_again(peer, server, NULL);
    for (int i = 0; i < 10 && peer->link != NULL; i++) {
        (void)SSL_do_handshake(peer->ssl);
        peer_flush(peer, SIZE_MAX);
    }
    return peer->link != NULL && wsc_link_is_open(peer->link) &&
           SSL_is_init_finished(peer->ssl) == 1;
}

/* Frees a context of its own too, after the link. */
static void done(struct peer *peer, struct wsc_tls_context *context)
{
    if (peer->link != NULL) {
        wsc_link_close(peer->link);
        peer->link = NULL;
    }
    wsc_tls_context_free(context);
    peer_fini(peer);
}

/* A client that asks for `name`, of a server whose only certificate is for others. */
static bool has_certificate_for(const char *name)
{
    struct peer peer;
    peer_init(&peer, TLS1_2_VERSION);
    struct wsc_tls_context *server = new_context(&peer, true);
    struct wsc_tls_context *other = peer.contexts.server;
    CHECK_INT(wsc_tls_context_add_name(server, "*.example.org", other), WSC_OK);
    CHECK_INT(wsc_tls_context_add_name(server, "Example.net", other), WSC_OK);
    if (name != NULL) {
        char asked[64]; /* OpenSSL's macro drops a const */
        CHECK(snprintf(asked, sizeof(asked), "%s", name) < (int)sizeof(asked));
        CHECK_INT(SSL_set_tlsext_host_name(peer.ssl, asked), 1);
    }
    bool has = shakes_hands(&peer, server);
    if (!has) {
        CHECK(peer.failed && strcmp(peer.failure.reason, "no shared cipher") == 0);
    }
    done(&peer, server);
    return has;
}

/* RFC 6066 §3: names are compared without regard to case. */
static void a_name_picks_the_certificate(void)
{
    CHECK(has_certificate_for("a.example.org"));
    CHECK(has_certificate_for("A.EXAMPLE.ORG"));
    CHECK(has_certificate_for("example.net"));
    CHECK(!has_certificate_for("example.org"));
    CHECK(!has_certificate_for("a.b.example.org"));
    CHECK(!has_certificate_for("a.example.net"));
    CHECK(!has_certificate_for("localhost"));
    CHECK(!has_certificate_for(NULL));
}

static void check_alpn(const char *offer, const char *chosen)
{
    struct peer peer;
    struct wsc_tls_info info;
    const unsigned char *seen;
    unsigned int seen_len;
    peer_init(&peer, TLS1_3_VERSION);
    CHECK_INT(SSL_set_alpn_protos(peer.ssl, (const unsigned char *)offer,
                                  (unsigned int)strlen(offer)),
              0);
    peer_handshake(&peer, SIZE_MAX);
    SSL_get0_alpn_selected(peer.ssl, &seen, &seen_len);
    CHECK_BYTES(seen, seen_len, chosen, strlen(chosen));
    CHECK(wsc_link_tls_info(peer.link, &info));
    CHECK_BYTES(info.alpn, info.alpn_len, chosen, strlen(chosen));
    CHECK(info.certificate == NULL && info.certificate_len == 0);
    wsc_tls_info_fini(&info);
    peer_fini(&peer);
}

/* RFC 7301 §3.2, but that a client of other protocols isn't refused. */
static void alpn_is_http_1_1_or_nothing(void)
{
    check_alpn("\x08http/1.1", "http/1.1");
    check_alpn("\x02h2\x08http/1.1", "http/1.1");
    check_alpn("\x02h2", "");
    check_alpn("\x08http/1.0\x02h2", "");
}

/* Whether a client gets in; the server shows whose certificates it trusts. */
static bool gets_in(enum wsc_tls_verify verify, bool with_certificate, bool trusted)
{
    struct peer peer;
    struct wsc_tls_info info;
    char message[WSC_TLS_MESSAGE_SIZE];
    const char *file = tls_certificate();
    peer_init(&peer, TLS1_2_VERSION);
    if (with_certificate) {
        CHECK_INT(SSL_use_certificate_file(peer.ssl, file, SSL_FILETYPE_PEM), 1);
        CHECK_INT(SSL_use_PrivateKey_file(peer.ssl, file, SSL_FILETYPE_PEM), 1);
    }
    if (trusted) {
        CHECK_INT(wsc_tls_context_trust(peer.contexts.server, file, NULL, message),
                  WSC_OK);
    }
    wsc_tls_context_verify(peer.contexts.server, verify, false);
    bool in = shakes_hands(&peer, peer.contexts.server);
    if (in) {
        bool asked = verify != WSC_TLS_VERIFY_NONE;
        CHECK_INT(sk_X509_NAME_num(SSL_get_client_CA_list(peer.ssl)), asked && trusted
                                                                          ? 1
                                                                      : asked ? 0
                                                                              : -1);
        CHECK(wsc_link_tls_info(peer.link, &info));
        CHECK_INT(info.certificate_len > 0, with_certificate && asked);
        wsc_tls_info_fini(&info);
    }
    peer_fini(&peer);
    return in;
}

static void what_a_client_has_to_show(void)
{
    CHECK(gets_in(WSC_TLS_VERIFY_NONE, false, false));
    CHECK(gets_in(WSC_TLS_VERIFY_NONE, true, false));
    CHECK(gets_in(WSC_TLS_VERIFY_OPTIONAL, false, true));
    CHECK(gets_in(WSC_TLS_VERIFY_OPTIONAL, true, true));
    CHECK(!gets_in(WSC_TLS_VERIFY_OPTIONAL, true, false));
    CHECK(gets_in(WSC_TLS_VERIFY_REQUIRED, true, true));
    CHECK(!gets_in(WSC_TLS_VERIFY_REQUIRED, false, true));
    CHECK(!gets_in(WSC_TLS_VERIFY_REQUIRED, true, false));
}

static void ciphers_are_those_that_were_asked_for(void)
{
    struct peer peer;
    struct wsc_tls_info info;
    char message[WSC_TLS_MESSAGE_SIZE];
    peer_init(&peer, TLS1_2_VERSION);
    struct wsc_tls_context *server = peer.contexts.server;
    CHECK_INT(wsc_tls_context_ciphers(server, "NO-SUCH-CIPHER", message), WSC_ERR_IO);
    CHECK(strcmp(message, "no cipher match") == 0);
    CHECK_INT(wsc_tls_context_ciphers(server, "ECDHE-ECDSA-AES128-GCM-SHA256", message),
              WSC_OK);
    CHECK(shakes_hands(&peer, server) && wsc_link_tls_info(peer.link, &info));
    CHECK(strcmp(info.cipher, "ECDHE-ECDSA-AES128-GCM-SHA256") == 0);
    CHECK(strcmp(info.version, "TLSv1.2") == 0 && info.secret_bits == 128);
    peer_fini(&peer);
}

static void only_tls_1_3(void)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (int i = 0; i < 2; i++) {
        struct peer peer;
        char message[WSC_TLS_MESSAGE_SIZE];
        peer_init(&peer, versions[i]);
        CHECK_INT(wsc_tls_context_only_1_3(peer.contexts.server, message), WSC_OK);
        CHECK_INT(shakes_hands(&peer, peer.contexts.server), i);
        if (i == 0) {
            CHECK(peer.failed &&
                  strcmp(peer.failure.reason, "unsupported protocol") == 0);
        }
        peer_fini(&peer);
    }
}

/* A key of its own, or that of tls_certificate(); behind a password unless NULL. */
static void write_key(char *path, bool own, const char *password)
{
    const char *folder = getenv("TMPDIR");
    (void)snprintf(path, 256, "%s/wsc-key-XXXXXX", folder != NULL ? folder : "/tmp");
    int fd = mkstemp(path);
    FILE *in = fopen(tls_certificate(), "re");
    FILE *out = fdopen(fd, "w");
    EVP_PKEY *key =
        own ? EVP_EC_gen("P-256") : PEM_read_PrivateKey(in, NULL, NULL, NULL);
    char secret[32] = "";
    (void)snprintf(secret, sizeof(secret), "%s", password != NULL ? password : "");
    CHECK_INT(PEM_write_PrivateKey(out, key,
                                   password != NULL ? EVP_aes_128_cbc() : NULL, NULL, 0,
                                   NULL, password != NULL ? secret : NULL),
              1);
    EVP_PKEY_free(key);
    CHECK(fclose(in) == 0 && fclose(out) == 0);
}

/* Nobody is asked at the terminal. */
static void keys_with_passwords(void)
{
    struct peer peer;
    char message[WSC_TLS_MESSAGE_SIZE];
    char too_long[2048];
    char key[256];
    const char *file = tls_certificate();
    memset(too_long, 'x', sizeof(too_long) - 1);
    too_long[sizeof(too_long) - 1] = '\0';
    write_key(key, false, "open sesame");
    peer_init(&peer, TLS1_3_VERSION);
    struct wsc_tls_context *server = new_context(&peer, true);
    const char *const wrong[] = {NULL, "sesame", too_long};
    for (int i = 0; i < 3; i++) {
        message[0] = '\0';
        CHECK_INT(wsc_tls_context_certificate(server, file, key, wrong[i], message),
                  WSC_ERR_IO);
        CHECK(message[0] != '\0');
    }
    CHECK_INT(wsc_tls_context_certificate(server, file, key, "open sesame", message),
              WSC_OK);
    CHECK(shakes_hands(&peer, server));
    done(&peer, server);
    (void)unlink(key);
}

static void files_that_are_not_usable(void)
{
    struct peer peer;
    char message[WSC_TLS_MESSAGE_SIZE];
    char key[256];
    const char *file = tls_certificate();
    write_key(key, true, NULL);
    peer_init(&peer, TLS1_3_VERSION);
    struct wsc_tls_context *server = peer.contexts.server;
    CHECK_INT(wsc_tls_context_certificate(server, "/nowhere", file, NULL, message),
              WSC_ERR_IO);
    CHECK(strcmp(message, "No such file or directory") == 0);
    CHECK_INT(wsc_tls_context_certificate(server, key, key, NULL, message), WSC_ERR_IO);
    CHECK(strcmp(message, "no start line") == 0);
    CHECK_INT(wsc_tls_context_certificate(server, file, key, NULL, message),
              WSC_ERR_IO);
    CHECK(strcmp(message, "key values mismatch") == 0);
    CHECK_INT(wsc_tls_context_trust(server, "/nowhere", NULL, message), WSC_ERR_IO);
    CHECK(strcmp(message, "No such file or directory") == 0);
    CHECK_INT(wsc_tls_context_trust(server, key, NULL, message), WSC_ERR_IO);
    CHECK(message[0] != '\0');
    /* What others left in OpenSSL's queue isn't our reason, nor is ours left there. */
    ERR_raise(ERR_LIB_SSL, SSL_R_BAD_LENGTH);
    CHECK_INT(wsc_tls_context_trust(server, "/nowhere", NULL, message), WSC_ERR_IO);
    CHECK(strcmp(message, "No such file or directory") == 0);
    CHECK_INT(ERR_peek_error(), 0);
    peer_fini(&peer);
    (void)unlink(key);
}

static void the_systems_certificates(void)
{
    struct peer peer;
    char message[WSC_TLS_MESSAGE_SIZE];
    peer_init_as(&peer, true, TLS1_3_VERSION);
    struct wsc_tls_context *client = new_context(&peer, false);
    CHECK_INT(wsc_tls_context_trust(client, NULL, NULL, message), WSC_OK);
    CHECK_INT(wsc_tls_context_trust(client, NULL, "/", message), WSC_OK);
    done(&peer, client);
}

static bool with_names(const struct wsc_allocator *allocator)
{
    struct wsc_tls_context *context;
    enum wsc_status status = wsc_tls_context_new(allocator, true, &context);
    if (status == WSC_OK) {
        status = wsc_tls_context_add_name(context, "a.example", context);
        if (status == WSC_OK) {
            status = wsc_tls_context_add_name(context, "b.example", context);
        }
        wsc_tls_context_free(context);
    }
    CHECK(status == WSC_OK || status == WSC_ERR_NO_MEMORY);
    return status == WSC_OK;
}

static void allocations_fail_at_every_index(void)
{
    test_every_allocation(with_names);
}

TEST_MAIN(TEST(a_name_picks_the_certificate), TEST(alpn_is_http_1_1_or_nothing),
          TEST(what_a_client_has_to_show), TEST(ciphers_are_those_that_were_asked_for),
          TEST(only_tls_1_3), TEST(keys_with_passwords),
          TEST(files_that_are_not_usable), TEST(the_systems_certificates),
          TEST(allocations_fail_at_every_index))

#else

static void no_engine_tests_here(void)
{
    CHECK(true);
}

TEST_MAIN(TEST(no_engine_tests_here))

#endif

#include "tls_certificate.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "test.h"

#define DAY 86400L

static char path[256];

static void remove_file(void)
{
    (void)unlink(path);
}

static bool add_extension(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    bool added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

static bool fill(X509 *certificate, EVP_PKEY *key)
{
    X509_NAME *name = X509_get_subject_name(certificate);
    const unsigned char text[] = "localhost";
    return X509_set_version(certificate, X509_VERSION_3) == 1 &&
           ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(certificate), -DAY) != NULL &&
           X509_gmtime_adj(X509_getm_notAfter(certificate), DAY) != NULL &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, text, -1, -1, 0) == 1 &&
           X509_set_issuer_name(certificate, name) == 1 &&
           X509_set_pubkey(certificate, key) == 1 &&
           add_extension(certificate, NID_subject_alt_name, "DNS:localhost") &&
           add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE") &&
           X509_sign(certificate, key, EVP_sha256()) > 0;
}

const char *tls_certificate(void)
{
    if (path[0] != '\0') {
        return path;
    }
    const char *folder = getenv("TMPDIR");
    (void)snprintf(path, sizeof(path), "%s/wsc-tls-XXXXXX",
                   folder != NULL ? folder : "/tmp");
    int fd = mkstemp(path);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    bool good = file != NULL && key != NULL && certificate != NULL &&
                fill(certificate, key) && PEM_write_X509(file, certificate) == 1 &&
                PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1;
    X509_free(certificate);
    EVP_PKEY_free(key);
    if (!good || fclose(file) != 0) {
        printf("no certificate\n");
        exit(1);
    }
    (void)atexit(remove_file);
    return path;
}

void tls_contexts_fini(struct tls_contexts *contexts)
{
    wsc_tls_context_free(contexts->server);
    wsc_tls_context_free(contexts->client);
}

bool tls_contexts_init(struct tls_contexts *contexts,
                       const struct wsc_allocator *allocator)
{
    char message[WSC_TLS_MESSAGE_SIZE];
    const char *file = tls_certificate();
    memset(contexts, 0, sizeof(*contexts));
    enum wsc_status status = wsc_tls_context_new(allocator, true, &contexts->server);
    if (status == WSC_OK) {
        status = wsc_tls_context_new(allocator, false, &contexts->client);
    }
    if (status != WSC_OK) {
        CHECK_INT(status, WSC_ERR_NO_MEMORY);
        tls_contexts_fini(contexts);
        return false;
    }
    CHECK_INT(wsc_tls_context_certificate(contexts->server, file, file, NULL, message),
              WSC_OK);
    CHECK_INT(wsc_tls_context_trust(contexts->client, file, NULL, message), WSC_OK);
    return true;
}

/* A certificate for "localhost" that signs itself, and its key, in one PEM file. */
#ifndef TLS_CERTIFICATE_H
#define TLS_CERTIFICATE_H

/* The file's path; made when first asked for, removed at exit. */
const char *tls_certificate(void);

#endif

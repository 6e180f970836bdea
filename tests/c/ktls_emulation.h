/* What Linux's `tls` module does with what is sent, for machines without it: TLS 1.3,
 * AES-256-GCM. io_shim.c asks it about each call. */
#ifndef KTLS_EMULATION_H
#define KTLS_EMULATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* Off at first: the kernel answers then. */
extern bool ktls_emulated;

/* RFC 8446 §B.1: the type of what is sent by write(). */
#define KTLS_APPLICATION_DATA 23

/* True if the option is one of TLS's, with the call's result. */
bool ktls_emulation_set(int fd, int level, int name, const void *value, socklen_t len,
                        int *out_result);
/* Whether `fd` has keys. */
bool ktls_emulation_has(int fd);
/* Send one record, whole or not at all: how much of `data` is in it, or -1. */
ssize_t ktls_emulation_send(int fd, uint8_t type, const void *data, size_t len);
/* As sendmsg. */
ssize_t ktls_emulation_sendmsg(int fd, const struct msghdr *message);
/* What the kernel does when there is room again: send what it holds. */
void ktls_emulation_work(void);
/* How many records could not be sent. */
size_t ktls_emulation_refused(void);

#endif

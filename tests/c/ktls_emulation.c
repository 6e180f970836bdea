#include "ktls_emulation.h"

#ifdef __linux__

#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DESCRIPTORS 64
#define LEVEL_TLS   282
#define OPTION_ULP  31
/* A Unix socket takes so little at once or not at all; and writes are short. */
#define PLAIN_MAX 3000
#define HEAD      5
#define TAG       16
#define NONCE     12

bool ktls_emulated;

static struct {
    bool on;
    ino_t socket; /* the descriptor may be another's by now */
    struct tls12_crypto_info_aes_gcm_256 info;
    /* As the kernel does, one record is taken that the socket has no room for. It is
     * lost if the socket is closed or shut down before it leaves. */
    uint8_t held[HEAD + PLAIN_MAX + 1 + TAG];
    size_t held_len;
} keys[DESCRIPTORS];
static size_t refused;

static ino_t socket_of(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 ? status.st_ino : 0;
}

bool ktls_emulation_set(int fd, int level, int name, const void *value, socklen_t len,
                        int *out_result)
{
    if (!ktls_emulated || fd < 0 || fd >= DESCRIPTORS) {
        return false;
    }
    if (level == IPPROTO_TCP && name == OPTION_ULP) {
        *out_result = 0;
        return true;
    }
    if (level != LEVEL_TLS) {
        return false;
    }
    *out_result = -1;
    errno = EINVAL;
    if (name == TLS_TX && len == sizeof(keys[fd].info)) {
        keys[fd].socket = socket_of(fd);
        keys[fd].held_len = 0;
        memcpy(&keys[fd].info, value, sizeof(keys[fd].info));
        keys[fd].on = keys[fd].info.info.version == TLS_1_3_VERSION &&
                      keys[fd].info.info.cipher_type == TLS_CIPHER_AES_GCM_256;
        *out_result = keys[fd].on ? 0 : -1;
    }
    return true;
}

bool ktls_emulation_has(int fd)
{
    return ktls_emulated && fd >= 0 && fd < DESCRIPTORS && keys[fd].on &&
           keys[fd].socket == socket_of(fd);
}

/* RFC 8446 §5.2, §5.3 */
static size_t encrypt(const struct tls12_crypto_info_aes_gcm_256 *info, uint8_t type,
                      const uint8_t *data, size_t len, uint8_t *out)
{
    uint8_t nonce[NONCE];
    size_t inner = len + 1;
    int done = 0;
    memcpy(nonce, info->salt, sizeof(info->salt));
    memcpy(nonce + sizeof(info->salt), info->iv, sizeof(info->iv));
    for (size_t i = 0; i < sizeof(info->rec_seq); i++) {
        nonce[NONCE - sizeof(info->rec_seq) + i] ^= info->rec_seq[i];
    }
    const uint8_t head[HEAD] = {KTLS_APPLICATION_DATA, 3, 3,
                                (uint8_t)((inner + TAG) >> 8), (uint8_t)(inner + TAG)};
    memcpy(out, head, HEAD);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    bool good =
        EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, info->key, nonce) == 1 &&
        EVP_EncryptUpdate(ctx, NULL, &done, head, HEAD) == 1 &&
        EVP_EncryptUpdate(ctx, out + HEAD, &done, data, (int)len) == 1 &&
        EVP_EncryptUpdate(ctx, out + HEAD + len, &done, &type, 1) == 1 &&
        EVP_EncryptFinal_ex(ctx, out + HEAD + inner, &done) == 1 &&
        EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG, out + HEAD + inner) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return good ? HEAD + inner + TAG : 0;
}

/* A Unix socket takes all of it or nothing. */
static bool send_record(int fd, const uint8_t *record, size_t size)
{
    ssize_t sent = syscall(SYS_sendto, fd, record, size, MSG_NOSIGNAL, NULL, 0);
    return sent == (ssize_t)size;
}

static bool send_held(int fd)
{
    if (keys[fd].held_len > 0 && !send_record(fd, keys[fd].held, keys[fd].held_len)) {
        return false;
    }
    keys[fd].held_len = 0;
    return true;
}

void ktls_emulation_work(void)
{
    for (int fd = 0; fd < DESCRIPTORS; fd++) {
        if (ktls_emulation_has(fd)) {
            (void)send_held(fd);
        }
    }
}

ssize_t ktls_emulation_send(int fd, uint8_t type, const void *data, size_t len)
{
    uint8_t record[HEAD + PLAIN_MAX + 1 + TAG];
    uint8_t *sequence = keys[fd].info.rec_seq;
    size_t taken = len < PLAIN_MAX ? len : PLAIN_MAX;
    if (!send_held(fd)) {
        refused++;
        return -1;
    }
    size_t size = encrypt(&keys[fd].info, type, data, taken, record);
    if (size == 0) {
        errno = EIO;
        return -1;
    }
    if (!send_record(fd, record, size)) {
        if (errno != EAGAIN) {
            return -1;
        }
        memcpy(keys[fd].held, record, size);
        keys[fd].held_len = size;
    }
    for (size_t i = sizeof(keys[fd].info.rec_seq); i > 0 && ++sequence[i - 1] == 0;) {
        i--;
    }
    return (ssize_t)taken;
}

ssize_t ktls_emulation_sendmsg(int fd, const struct msghdr *message)
{
    uint8_t type = KTLS_APPLICATION_DATA;
    const struct cmsghdr *control = CMSG_FIRSTHDR(message);
    if (control != NULL && control->cmsg_level == LEVEL_TLS &&
        control->cmsg_type == TLS_SET_RECORD_TYPE) {
        memcpy(&type, CMSG_DATA(control), 1);
    }
    return ktls_emulation_send(fd, type, message->msg_iov[0].iov_base,
                               message->msg_iov[0].iov_len);
}

size_t ktls_emulation_refused(void)
{
    return refused;
}

#endif

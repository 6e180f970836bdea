/* Private: masking keys and text as machine words, and payloads too short for vectors.
 *
 * A length from n to 2n is covered by two words of n bytes, one from the start and one
 * from the end, that may overlap. Both are loaded before either is stored, so it works
 * in place, and no length needs a loop over bytes. */
#ifndef WSC_SIMD_WORDS_H
#define WSC_SIMD_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define WSC_BIG_ENDIAN 1
#else
#define WSC_BIG_ENDIAN 0
#endif

static inline uint32_t load_32(const uint8_t *data)
{
    uint32_t word;
    memcpy(&word, data, sizeof(word));
    return word;
}

static inline uint64_t load_64(const uint8_t *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof(word));
    return word;
}

static inline void store_32(uint8_t *data, uint32_t word)
{
    memcpy(data, &word, sizeof(word));
}

static inline void store_64(uint8_t *data, uint64_t word)
{
    memcpy(data, &word, sizeof(word));
}

/* The key as it meets the byte `n` bytes further on. */
static inline uint32_t key_at(uint32_t key, size_t n)
{
    unsigned bits = (unsigned)(n & 3) * 8;
#if WSC_BIG_ENDIAN
    bits = (32 - bits) & 31;
#endif
    return (key >> bits) | (key << ((32 - bits) & 31));
}

static inline uint64_t key_64(uint32_t key)
{
    return (uint64_t)key << 32 | key;
}

static inline uint8_t key_byte(uint32_t key, size_t n)
{
    uint32_t rotated = key_at(key, n);
#if WSC_BIG_ENDIAN
    return (uint8_t)(rotated >> 24);
#else
    return (uint8_t)rotated;
#endif
}

static inline bool word_is_ascii(uint64_t word)
{
    return (word & UINT64_C(0x8080808080808080)) == 0;
}

/* Mask up to 16 bytes; the OR of all that was written, to ask word_is_ascii of. */
static inline uint64_t
mask_short(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key)
{
    if (len >= 8) {
        uint64_t head = load_64(src) ^ key_64(key);
        uint64_t tail = load_64(src + len - 8) ^ key_64(key_at(key, len));
        store_64(dst, head);
        store_64(dst + len - 8, tail);
        return head | tail;
    }
    if (len >= 4) {
        uint32_t head = load_32(src) ^ key;
        uint32_t tail = load_32(src + len - 4) ^ key_at(key, len);
        store_32(dst, head);
        store_32(dst + len - 4, tail);
        return head | tail;
    }
    if (len == 0) {
        return 0;
    }
    /* Of one to three bytes, these are all. */
    uint8_t head = src[0] ^ key_byte(key, 0);
    uint8_t middle = src[len / 2] ^ key_byte(key, len / 2);
    uint8_t tail = src[len - 1] ^ key_byte(key, len - 1);
    dst[0] = head;
    dst[len / 2] = middle;
    dst[len - 1] = tail;
    return (uint64_t)(head | middle | tail);
}

/* Up to 16 bytes. */
static inline bool is_ascii_short(const uint8_t *data, size_t len)
{
    if (len >= 8) {
        return word_is_ascii(load_64(data) | load_64(data + len - 8));
    }
    if (len >= 4) {
        return word_is_ascii(load_32(data) | load_32(data + len - 4));
    }
    return len == 0 || ((data[0] | data[len / 2] | data[len - 1]) & 0x80) == 0;
}

#endif

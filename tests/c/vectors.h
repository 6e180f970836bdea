/* Reader of the fixtures in tests/c/vectors; vectors/README.md describes the format.
 * A file that breaks the format ends the program with a message. */
#ifndef VECTORS_H
#define VECTORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VECTOR_BLOCKS_MAX 4
#define VECTOR_FIELDS_MAX 24

struct vector_bytes {
    uint8_t *data; /* NULL: absent. A NUL follows the bytes, for printing */
    size_t len;
};

struct vector_field {
    char *block; /* the name of the block that it is in */
    char *key;
    struct vector_bytes value;
};

struct vector_case {
    char *name;
    int line; /* where it begins */
    struct {
        char *name;
        struct vector_bytes bytes;
    } blocks[VECTOR_BLOCKS_MAX]; /* those of the bytes form */
    size_t block_count;
    struct vector_field fields[VECTOR_FIELDS_MAX];
    size_t field_count;
};

struct vectors {
    char *path;
    struct vector_case *cases;
    size_t count;
};

/* Read `name` from $TEST_VECTORS, or else from tests/c/vectors. Blocks called
 * `bytes_block` have the bytes form, all others that of fields. */
void vectors_load(struct vectors *vectors, const char *name, const char *bytes_block);
void vectors_free(struct vectors *vectors);

/* The bytes block of a case; there must be one. */
struct vector_bytes vector_block(const struct vector_case *c);
/* The value of the index-th field with that key (from 0); data NULL if there is none.
 */
struct vector_bytes vector_field(const struct vector_case *c, const char *block,
                                 const char *key, size_t index);
bool vector_field_is(const struct vector_case *c, const char *block, const char *key,
                     const char *text);

#endif

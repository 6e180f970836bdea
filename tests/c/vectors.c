#include "vectors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *path, int line, const char *what)
{
    printf("%s:%d: %s\n", path, line, what);
    exit(2);
}

static void *checked(void *ptr)
{
    if (ptr == NULL) {
        printf("vectors: out of memory\n");
        exit(2);
    }
    return ptr;
}

static char *copy_text(const char *text, size_t len)
{
    char *copy = checked(malloc(len + 1));
    memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

static void append(struct vector_bytes *bytes, const void *data, size_t len)
{
    bytes->data = checked(realloc(bytes->data, bytes->len + len + 1));
    memcpy(bytes->data + bytes->len, data, len);
    bytes->len += len;
    bytes->data[bytes->len] = 0;
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c == '\0' ? NULL : strchr(digits, c);
    return found == NULL ? -1 : (int)(found - digits);
}

static const char *decode(struct vector_bytes *out, const char *text, const char *end);

/* `text` is behind "\{". Returns the place behind "}", or NULL. */
static const char *
decode_repeat(struct vector_bytes *out, const char *text, const char *end)
{
    char *star;
    unsigned long count = strtoul(text, &star, 10);
    const char *close = memchr(text, '}', (size_t)(end - text));
    if (close == NULL || *star != '*' || star > close || count > 10000000) {
        return NULL;
    }
    struct vector_bytes once = {NULL, 0};
    append(&once, "", 0);
    if (decode(&once, star + 1, close) == NULL) {
        free(once.data);
        return NULL;
    }
    for (unsigned long i = 0; i < count; i++) {
        append(out, once.data, once.len);
    }
    free(once.data);
    return close + 1;
}

/* `text` is behind the backslash. Returns the place behind the escape, or NULL. */
static const char *
decode_escape(struct vector_bytes *out, const char *text, const char *end)
{
    static const char names[] = "rnt0\\";
    static const char values[] = "\r\n\t\0\\";
    if (text == end) {
        return NULL;
    }
    const char *found = strchr(names, *text);
    if (found != NULL) {
        append(out, &values[found - names], 1);
        return text + 1;
    }
    if (*text == '{') {
        return decode_repeat(out, text + 1, end);
    }
    if (*text == 'x' && end - text >= 3) {
        int high = hex_digit(text[1]);
        int low = hex_digit(text[2]);
        if (high >= 0 && low >= 0) {
            uint8_t byte = (uint8_t)(high * 16 + low);
            append(out, &byte, 1);
            return text + 3;
        }
    }
    return NULL;
}

static const char *decode(struct vector_bytes *out, const char *text, const char *end)
{
    while (text != NULL && text < end) {
        if (*text == '\\') {
            text = decode_escape(out, text + 1, end);
        }
        else {
            append(out, text, 1);
            text++;
        }
    }
    return text;
}

static void read_bytes_line(struct vectors *vectors, struct vector_bytes *out,
                            const char *line, const char *end, int number)
{
    size_t backslashes = 0;
    while (backslashes < (size_t)(end - line) && end[-1 - (long)backslashes] == '\\') {
        backslashes++;
    }
    bool alone = backslashes % 2 == 1;
    if (decode(out, line, alone ? end - 1 : end) == NULL) {
        fail(vectors->path, number, "unknown escape");
    }
    append(out, "\r\n", alone ? 0 : 2);
}

static void read_field_line(struct vectors *vectors, struct vector_case *c,
                            const char *block, const char *line, const char *end,
                            int number)
{
    const char *colon = memchr(line, ':', (size_t)(end - line));
    if (colon == NULL || c->field_count == VECTOR_FIELDS_MAX) {
        fail(vectors->path, number, "not `key: value`, or too many fields");
        return;
    }
    const char *value = colon + 1;
    if (value < end && *value == ' ') {
        value++;
    }
    struct vector_field *field = &c->fields[c->field_count++];
    field->block = copy_text(block, strlen(block));
    field->key = copy_text(line, (size_t)(colon - line));
    append(&field->value, "", 0);
    if (decode(&field->value, value, end) == NULL) {
        fail(vectors->path, number, "unknown escape");
    }
}

static struct vector_case *
begin_case(struct vectors *vectors, const char *name, size_t len, int number)
{
    vectors->cases = checked(
        realloc(vectors->cases, (vectors->count + 1) * sizeof(vectors->cases[0])));
    struct vector_case *c = &vectors->cases[vectors->count++];
    memset(c, 0, sizeof(*c));
    c->name = copy_text(name, len);
    c->line = number;
    return c;
}

/* Where the reader is: in prose, or in a block. */
struct place {
    struct vector_case *c;
    char *block;                /* NULL: in prose */
    struct vector_bytes *bytes; /* NULL: a block of fields */
};

static void begin_block(struct vectors *vectors, struct place *place, const char *name,
                        size_t len, const char *bytes_block, int number)
{
    struct vector_case *c = place->c;
    if (c == NULL || c->block_count == VECTOR_BLOCKS_MAX) {
        fail(vectors->path, number, "a block outside a case, or too many");
        return;
    }
    place->block = copy_text(name, len);
    place->bytes = NULL;
    if (strcmp(place->block, bytes_block) == 0) {
        c->blocks[c->block_count].name = copy_text(name, len);
        place->bytes = &c->blocks[c->block_count].bytes;
        append(place->bytes, "", 0);
        c->block_count++;
    }
}

static void read_line(struct vectors *vectors, struct place *place, const char *line,
                      const char *end, const char *bytes_block, int number)
{
    size_t len = (size_t)(end - line);
    bool fence = len >= 3 && memcmp(line, "```", 3) == 0;
    if (place->block == NULL && fence) {
        begin_block(vectors, place, line + 3, len - 3, bytes_block, number);
    }
    else if (place->block == NULL) {
        if (len > 3 && memcmp(line, "## ", 3) == 0) {
            place->c = begin_case(vectors, line + 3, len - 3, number);
        }
    }
    else if (fence) {
        free(place->block);
        place->block = NULL;
    }
    else if (place->bytes != NULL) {
        read_bytes_line(vectors, place->bytes, line, end, number);
    }
    else {
        read_field_line(vectors, place->c, place->block, line, end, number);
    }
}

static struct vector_bytes read_file(const char *path)
{
    struct vector_bytes text = {NULL, 0};
    char part[4096];
    size_t got;
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fail(path, 0, "cannot be opened (run from the top, or set TEST_VECTORS)");
        return text;
    }
    append(&text, "", 0);
    while ((got = fread(part, 1, sizeof(part), file)) > 0) {
        append(&text, part, got);
    }
    fclose(file);
    return text;
}

void vectors_load(struct vectors *vectors, const char *name, const char *bytes_block)
{
    const char *given = getenv("TEST_VECTORS");
    const char *folder = given != NULL ? given : "tests/c/vectors";
    size_t size = strlen(folder) + 1 + strlen(name) + 1;
    memset(vectors, 0, sizeof(*vectors));
    vectors->path = checked(malloc(size));
    snprintf(vectors->path, size, "%s/%s", folder, name);

    struct vector_bytes text = read_file(vectors->path);
    struct place place = {NULL, NULL, NULL};
    const char *line = (const char *)text.data;
    const char *end = line + text.len;
    for (int number = 1; line < end; number++) {
        const char *line_end = memchr(line, '\n', (size_t)(end - line));
        line_end = line_end == NULL ? end : line_end;
        read_line(vectors, &place, line, line_end, bytes_block, number);
        line = line_end + (line_end < end);
    }
    if (place.block != NULL || vectors->count == 0) {
        fail(vectors->path, 0, "an open block at the end, or no case at all");
    }
    free(text.data);
}

void vectors_free(struct vectors *vectors)
{
    for (size_t i = 0; i < vectors->count; i++) {
        struct vector_case *c = &vectors->cases[i];
        for (size_t k = 0; k < c->block_count; k++) {
            free(c->blocks[k].name);
            free(c->blocks[k].bytes.data);
        }
        for (size_t k = 0; k < c->field_count; k++) {
            free(c->fields[k].block);
            free(c->fields[k].key);
            free(c->fields[k].value.data);
        }
        free(c->name);
    }
    free(vectors->cases);
    free(vectors->path);
}

struct vector_bytes vector_block(const struct vector_case *c)
{
    if (c->block_count != 1) {
        fail(c->name, c->line, "has no block of bytes, or several");
    }
    return c->blocks[0].bytes;
}

struct vector_bytes vector_field(const struct vector_case *c, const char *block,
                                 const char *key, size_t index)
{
    for (size_t i = 0; i < c->field_count; i++) {
        if (strcmp(c->fields[i].key, key) == 0 &&
            strcmp(c->fields[i].block, block) == 0) {
            if (index == 0) {
                return c->fields[i].value;
            }
            index--;
        }
    }
    return (struct vector_bytes){NULL, 0};
}

bool vector_field_is(const struct vector_case *c, const char *block, const char *key,
                     const char *text)
{
    struct vector_bytes value = vector_field(c, block, key, 0);
    return value.data != NULL && value.len == strlen(text) &&
           memcmp(value.data, text, value.len) == 0;
}

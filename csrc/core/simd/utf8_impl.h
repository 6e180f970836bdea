/* Template of UTF-8 validation by table lookup (J. Keiser, D. Lemire, "Validating UTF-8
 * In Less Than One Instruction Per Byte", 2021). The including file defines what
 * mask_impl.h lists, and also
 *   vec_splat_8, vec_and, vec_sub_saturated, vec_is_zero
 *   vec_table(const uint8_t[16]), vec_lookup(table, indexes below 16), vec_high_nibble
 *
 * Every error but a cut end shows in a byte and the three before it. Each kind of error
 * has one bit. Three tables, indexed by the nibbles that matter, hold the kinds that a
 * nibble allows; the AND of the three is the kinds that are there.
 *
 * Unlike in the paper, the bytes before come from three more loads of memory instead of
 * from shuffling the vector before in: the check of a vector then depends on nothing
 * but memory, so that the last vector may overlap what was checked already. */

/* Kinds of error, seen in two successive bytes. */
#define CUT         0x01 /* a lead byte, then no continuation */
#define LONE        0x02 /* ASCII, then a continuation */
#define OVERLONG_2  0x04 /* C0 or C1, then a continuation */
#define OVERLONG_3  0x08 /* E0, then 80 to 9F */
#define SURROGATE   0x10 /* ED, then A0 to BF */
#define TOO_LARGE   0x20 /* F4 or more, then 90 to BF */
#define F0_OR_F5_80 0x40 /* F0 (overlong) or F5 and more (too large), then 80 to 8F */
#define TWO         0x80 /* two continuations: right if a lead byte asks for them */

/* What the first byte's low nibble cannot rule out. */
#define ANY (CUT | LONE | TWO)

static const uint8_t first_high_table[16] = {
    LONE,
    LONE,
    LONE,
    LONE,
    LONE,
    LONE,
    LONE,
    LONE, /* 0_ to 7_: ASCII */
    TWO,
    TWO,
    TWO,
    TWO,                           /* 8_ to B_: continuations */
    CUT | OVERLONG_2,              /* C_ */
    CUT,                           /* D_ */
    CUT | OVERLONG_3 | SURROGATE,  /* E_ */
    CUT | TOO_LARGE | F0_OR_F5_80, /* F_ */
};

static const uint8_t first_low_table[16] = {
    ANY | OVERLONG_2 | OVERLONG_3 | F0_OR_F5_80, /* C0, E0, F0 */
    ANY | OVERLONG_2,                            /* C1 */
    ANY,
    ANY,
    ANY | TOO_LARGE,               /* F4 */
    ANY | TOO_LARGE | F0_OR_F5_80, /* F5 ... */
    ANY | TOO_LARGE | F0_OR_F5_80,
    ANY | TOO_LARGE | F0_OR_F5_80,
    ANY | TOO_LARGE | F0_OR_F5_80,
    ANY | TOO_LARGE | F0_OR_F5_80,
    ANY | TOO_LARGE | F0_OR_F5_80,
    ANY | TOO_LARGE | F0_OR_F5_80,
    ANY | TOO_LARGE | F0_OR_F5_80,
    ANY | TOO_LARGE | F0_OR_F5_80 | SURROGATE, /* ED, FD */
    ANY | TOO_LARGE | F0_OR_F5_80,
    ANY | TOO_LARGE | F0_OR_F5_80,
};

static const uint8_t second_high_table[16] = {
    CUT,
    CUT,
    CUT,
    CUT,
    CUT,
    CUT,
    CUT,
    CUT,                                                /* 0_ to 7_ */
    LONE | TWO | OVERLONG_2 | OVERLONG_3 | F0_OR_F5_80, /* 8_ */
    LONE | TWO | OVERLONG_2 | OVERLONG_3 | TOO_LARGE,   /* 9_ */
    LONE | TWO | OVERLONG_2 | SURROGATE | TOO_LARGE,    /* A_ */
    LONE | TWO | OVERLONG_2 | SURROGATE | TOO_LARGE,    /* B_ */
    CUT,
    CUT,
    CUT,
    CUT, /* C_ to F_ */
};

struct utf8_tables {
    vec first_high;
    vec first_low;
    vec second_high;
};

/* Not zero where a byte of the vector at `data` shows an error. Reads 3 bytes before.
 */
VEC_FN vec utf8_errors(const uint8_t *data, const struct utf8_tables *tables)
{
    vec second = vec_load(data);
    vec first = vec_load(data - 1);
    vec before = vec_load(data - 2);
    vec before_that = vec_load(data - 3);
    vec kinds = vec_and(
        vec_and(vec_lookup(tables->first_high, vec_high_nibble(first)),
                vec_lookup(tables->first_low, vec_and(first, vec_splat_8(0x0F)))),
        vec_lookup(tables->second_high, vec_high_nibble(second)));
    /* The top bit is set by E0 and more two bytes before, by F0 and more three before:
     * exactly there TWO has to be. */
    vec asked = vec_or(vec_sub_saturated(before, vec_splat_8(0xE0 - 0x80)),
                       vec_sub_saturated(before_that, vec_splat_8(0xF0 - 0x80)));
    return vec_xor(kinds, vec_and(asked, vec_splat_8(0x80)));
}

#define UTF8_BLOCK (UTF8_VECTORS * VEC_SIZE)

VEC_FN bool utf8_block_is_ascii(const uint8_t *data)
{
    vec seen = vec_load(data);
    for (size_t i = 1; i < UTF8_VECTORS; i++) {
        seen = vec_or(seen, vec_load(data + i * VEC_SIZE));
    }
    return vec_is_ascii(seen);
}

VEC_FN bool utf8_block_is_good(const uint8_t *data, const struct utf8_tables *tables)
{
    vec errors = utf8_errors(data, tables);
    for (size_t i = 1; i < UTF8_VECTORS; i++) {
        errors = vec_or(errors, utf8_errors(data + i * VEC_SIZE, tables));
    }
    return vec_is_zero(errors);
}

/* Whole code points by scalar code until three bytes are behind; less at an error. */
VEC_FN size_t utf8_head(const uint8_t *data, size_t len)
{
    size_t i = 0;
    while (i < 3) {
        size_t size = code_point_size(data + i, len - i);
        if (size == 0) {
            break;
        }
        i += size;
    }
    return i;
}

VEC_ENTRY size_t utf8_prefix(const uint8_t *data, size_t len)
{
    if (len < VEC_SIZE + 3) {
        return wsc_simd_scalar.utf8_prefix(data, len);
    }
    if (len < UTF8_BLOCK && is_ascii(data, len)) {
        return len;
    }
    const struct utf8_tables tables = {vec_table(first_high_table),
                                       vec_table(first_low_table),
                                       vec_table(second_high_table)};
    size_t i = 0; /* no error in data[0..i), the last code point may be cut */
    while (len - i >= UTF8_BLOCK) {
        if (utf8_block_is_ascii(data + i)) {
            if (last_boundary(data, i) != i) {
                return finish_prefix(data, len, i);
            }
            do {
                i += UTF8_BLOCK;
            } while (len - i >= UTF8_BLOCK && utf8_block_is_ascii(data + i));
            continue;
        }
        if (i == 0) {
            i = utf8_head(data, len);
            if (i < 3) {
                return i;
            }
            continue;
        }
        if (!utf8_block_is_good(data + i, &tables)) {
            return finish_prefix(data, len, i);
        }
        i += UTF8_BLOCK;
    }
    if (i == 0) {
        i = utf8_head(data, len);
        if (i < 3) {
            return i;
        }
    }
    while (i < len) {
        size_t at = len - i >= VEC_SIZE ? i : len - VEC_SIZE;
        if (!vec_is_zero(utf8_errors(data + at, &tables))) {
            break;
        }
        i = at + VEC_SIZE;
    }
    return finish_prefix(data, len, i);
}

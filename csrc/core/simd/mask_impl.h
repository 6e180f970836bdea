/* Template of masking and of the ASCII check. The including file defines
 *   VEC_FN    how to declare an inline function of the variant
 *   VEC_ENTRY how to declare a function that is in the table of the variant
 *   VEC_SIZE  bytes in a vector
 *   vec, vec_load, vec_store, vec_splat_32, vec_or, vec_xor, vec_is_ascii
 *   mask_below, is_ascii_below: for WSC_SIMD_SHORT < len < VEC_SIZE
 *
 * The first and the last vector are loaded before anything is stored and are stored
 * after all else; the vectors between them, aligned in dst, may overlap both. So bytes
 * are stored more than once, but the same ones, also in place. */

/* Whether all that was written is ASCII, if that was asked for. len >= VEC_SIZE. */
VEC_FN bool mask_vectors(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key,
                         const bool ask_ascii)
{
    const size_t last = len - VEC_SIZE;
    vec head = vec_xor(vec_load(src), vec_splat_32(key));
    vec tail = vec_xor(vec_load(src + last), vec_splat_32(key_at(key, last)));
    vec seen = vec_or(head, tail);
    if (last > VEC_SIZE) {
        size_t i = VEC_SIZE - ((uintptr_t)dst & (VEC_SIZE - 1));
        const vec k = vec_splat_32(key_at(key, i));
        for (; len - i >= 4 * VEC_SIZE; i += 4 * VEC_SIZE) {
            vec a = vec_xor(vec_load(src + i), k);
            vec b = vec_xor(vec_load(src + i + VEC_SIZE), k);
            vec c = vec_xor(vec_load(src + i + 2 * VEC_SIZE), k);
            vec d = vec_xor(vec_load(src + i + 3 * VEC_SIZE), k);
            vec_store(dst + i, a);
            vec_store(dst + i + VEC_SIZE, b);
            vec_store(dst + i + 2 * VEC_SIZE, c);
            vec_store(dst + i + 3 * VEC_SIZE, d);
            if (ask_ascii) {
                seen = vec_or(seen, vec_or(vec_or(a, b), vec_or(c, d)));
            }
        }
        for (; i < last; i += VEC_SIZE) {
            vec a = vec_xor(vec_load(src + i), k);
            vec_store(dst + i, a);
            if (ask_ascii) {
                seen = vec_or(seen, a);
            }
        }
    }
    vec_store(dst, head);
    vec_store(dst + last, tail);
    return ask_ascii && vec_is_ascii(seen);
}

VEC_ENTRY void mask(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key)
{
    if (len < VEC_SIZE) {
        (void)mask_below(dst, src, len, key);
    }
    else {
        (void)mask_vectors(dst, src, len, key, false);
    }
}

VEC_ENTRY bool mask_ascii(uint8_t *dst, const uint8_t *src, size_t len, uint32_t key)
{
    if (len < VEC_SIZE) {
        return mask_below(dst, src, len, key);
    }
    return mask_vectors(dst, src, len, key, true);
}

VEC_FN bool block_is_ascii(const uint8_t *data)
{
    return vec_is_ascii(
        vec_or(vec_or(vec_load(data), vec_load(data + VEC_SIZE)),
               vec_or(vec_load(data + 2 * VEC_SIZE), vec_load(data + 3 * VEC_SIZE))));
}

VEC_ENTRY bool is_ascii(const uint8_t *data, size_t len)
{
    if (len < VEC_SIZE) {
        return is_ascii_below(data, len);
    }
    size_t i = 0;
    for (; len - i >= 4 * VEC_SIZE; i += 4 * VEC_SIZE) {
        if (!block_is_ascii(data + i)) {
            return false;
        }
    }
    vec seen = vec_load(data + len - VEC_SIZE);
    for (; len - i > VEC_SIZE; i += VEC_SIZE) {
        seen = vec_or(seen, vec_load(data + i));
    }
    return vec_is_ascii(seen);
}

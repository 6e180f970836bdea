#include "deflate_context.h"

#include <string.h>

/* ---- Version ---- */

/* A number without sign at *text, which moves behind it; -1 if there is none. */
static int version_number(const char **text)
{
    int number = -1;
    while (**text >= '0' && **text <= '9' && number < 10000) {
        number = (number < 0 ? 0 : number * 10) + (**text - '0');
        (*text)++;
    }
    return number;
}

bool wsc_deflate_version_trusted(const char *version)
{
    static const int needed[] = {1, 2, 13};
    if (version == NULL) {
        return false;
    }
    /* zlib-ng reports the number of the zlib whose interface it has. */
    if (strstr(version, "zlib-ng") != NULL) {
        return true;
    }
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        int number = version_number(&version);
        if (number != needed[i]) {
            return number > needed[i];
        }
        if (*version == '.') {
            version++;
        }
    }
    return true;
}

enum wsc_status wsc_deflate_check_zlib(void)
{
    return wsc_deflate_version_trusted(zlibVersion()) ? WSC_OK : WSC_ERR_INVALID_STATE;
}

const char *wsc_deflate_zlib_version(void)
{
    return zlibVersion();
}

/* ---- Contexts ---- */

static voidpf context_zalloc(voidpf opaque, uInt items, uInt size)
{
    struct wsc_deflate_context *context = opaque;
    if (items == 0 || size == 0 || size > SIZE_MAX / items) {
        return Z_NULL;
    }
    size_t bytes = (size_t)items * size;
    void *block = wsc_alloc(context->allocator, bytes);
    if (block != NULL) {
        context->bytes += bytes;
    }
    return block;
}

static void context_zfree(voidpf opaque, voidpf block)
{
    struct wsc_deflate_context *context = opaque;
    wsc_free(context->allocator, block);
}

enum wsc_status wsc_deflate_context_new(const struct wsc_allocator *allocator,
                                        const struct wsc_deflate_key *key,
                                        struct wsc_deflate_context **out_context)
{
    struct wsc_deflate_context *context = wsc_alloc_zeroed(allocator, sizeof(*context));
    if (context == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    context->key = *key;
    context->allocator = allocator;
    context->bytes = sizeof(*context);
    context->stream.zalloc = context_zalloc;
    context->stream.zfree = context_zfree;
    context->stream.opaque = context;
    /* Negative: raw deflate, RFC 1951, without zlib's header and checksum. */
    int bits = -(int)key->window_bits;
    int code = key->inflates ? inflateInit2(&context->stream, bits)
                             : deflateInit2(&context->stream, key->level, Z_DEFLATED,
                                            bits, key->mem_level, Z_DEFAULT_STRATEGY);
    if (code != Z_OK) {
        wsc_free(allocator, context);
        return code == Z_MEM_ERROR ? WSC_ERR_NO_MEMORY : WSC_ERR_INVALID_STATE;
    }
    *out_context = context;
    return WSC_OK;
}

void wsc_deflate_context_free(struct wsc_deflate_context *context)
{
    if (context == NULL) {
        return;
    }
    if (context->key.inflates) {
        (void)inflateEnd(&context->stream);
    }
    else {
        (void)deflateEnd(&context->stream);
    }
    wsc_free(context->allocator, context);
}

bool wsc_deflate_context_reset(struct wsc_deflate_context *context)
{
    int code = context->key.inflates ? inflateReset(&context->stream)
                                     : deflateReset(&context->stream);
    return code == Z_OK;
}

/* UTF-8 validation of every SIMD version against a table, whole and in pieces, at any
 * alignment. Input: alignment (1 byte), seed of the split (1), text. */
#include "fuzz.h"
#include "wsc/simd.h"
#include "wsc/utf8.h"

/* RFC 3629 §4: index of the first byte that cannot be right, or `len`. */
static size_t first_bad(const uint8_t *data, size_t len, bool *out_whole)
{
    *out_whole = true;
    for (size_t i = 0; i < len;) {
        uint8_t lead = data[i];
        uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
        uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
        size_t more = lead < 0x80 ? 0 : lead < 0xE0 ? 1 : lead < 0xF0 ? 2 : 3;
        if ((lead >= 0x80 && lead < 0xC2) || lead > 0xF4) {
            return i;
        }
        for (size_t k = 1; k <= more; k++) {
            if (i + k == len) {
                *out_whole = false;
                return len;
            }
            if (data[i + k] < (k == 1 ? low : 0x80) ||
                data[i + k] > (k == 1 ? high : 0xBF)) {
                return i + k;
            }
        }
        i += more + 1;
    }
    return len;
}

static void check(const uint8_t *text, size_t len, uint32_t seed)
{
    bool complete;
    size_t bad = first_bad(text, len, &complete);
    bool ascii = true;
    for (size_t i = 0; i < len; i++) {
        ascii = ascii && text[i] < 0x80;
    }
    REQUIRE(wsc_utf8_is_valid(text, len) == (bad == len && complete));
    REQUIRE(wsc_utf8_is_ascii(text, len) == ascii);
    for (int split = 0; split < 2; split++) {
        struct wsc_utf8 utf8;
        size_t done = 0;
        enum wsc_status status = WSC_OK;
        wsc_utf8_init(&utf8);
        while (done < len && status == WSC_OK) {
            size_t n = split != 0 ? next_piece(&seed, len - done) : len;
            size_t where = 0;
            status = wsc_utf8_feed(&utf8, text + done, n, &where);
            REQUIRE((status == WSC_OK) == (bad >= done + n));
            REQUIRE(status == WSC_OK || done + where == bad);
            done += n;
        }
        REQUIRE(status != WSC_OK ||
                (wsc_utf8_finish(&utf8) == WSC_OK) == (bad == len && complete));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    size_t alignment = take_byte(&input) % 64;
    uint8_t seed = take_byte(&input);
    uint8_t *area = malloc(alignment + input.size + 1);
    REQUIRE(area != NULL);
    /* Ends where the memory ends. */
    area = realloc(area, alignment + input.size > 0 ? alignment + input.size : 1);
    REQUIRE(area != NULL);
    if (input.size > 0) {
        memcpy(area + alignment, input.data, input.size);
    }
    for (const char *const *name = wsc_simd_available(); *name != NULL; name++) {
        REQUIRE(wsc_simd_select(*name) == WSC_OK);
        check(area + alignment, input.size, seed);
    }
    free(area);
    return 0;
}

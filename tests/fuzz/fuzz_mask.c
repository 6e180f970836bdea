/* Masking of every SIMD version against bytewise XOR, RFC 6455 §5.3.
 * Input: alignment (1 byte), offset (1), key (4), payload. */
#include "fuzz.h"
#include "wsc/mask.h"
#include "wsc/simd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    size_t alignment = take_byte(&input) % 64;
    size_t offset = take_byte(&input);
    uint8_t key[4];
    for (size_t i = 0; i < 4; i++) {
        key[i] = take_byte(&input);
    }
    size_t len = input.size;
    uint8_t *want = exact_copy(input.data, len);
    bool ascii = true;
    for (size_t i = 0; i < len; i++) {
        want[i] ^= key[(offset + i) % 4];
        ascii = ascii && want[i] < 0x80;
    }
    uint8_t *source = exact_copy(input.data, len);
    uint8_t *area = malloc(alignment + len > 0 ? alignment + len : 1);
    REQUIRE(area != NULL);
    uint8_t *at = area + alignment;
    for (const char *const *name = wsc_simd_available(); *name != NULL; name++) {
        REQUIRE(wsc_simd_select(*name) == WSC_OK);
        memset(area, 0xA5, alignment + len);
        if (len > 0) {
            memcpy(at, source, len);
        }
        wsc_mask_apply(at, len, key, offset);
        REQUIRE(len == 0 || memcmp(at, want, len) == 0);
        memset(at, 0, len);
        wsc_mask_copy(at, source, len, key, offset);
        REQUIRE(len == 0 || memcmp(at, want, len) == 0);
        memset(at, 0, len);
        REQUIRE(wsc_mask_copy_ascii(at, source, len, key, offset) == ascii);
        REQUIRE(len == 0 || memcmp(at, want, len) == 0);
        for (size_t i = 0; i < alignment; i++) {
            REQUIRE(area[i] == 0xA5);
        }
    }
    free(area);
    free(source);
    free(want);
    return 0;
}

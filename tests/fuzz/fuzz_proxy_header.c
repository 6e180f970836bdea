/* Headers of the PROXY protocol: whole and in pieces it is the same, which is bounded,
 * and addresses are what inet_pton() takes. Input: seed of the split (1 byte), header.
 */
#include "fuzz.h"

#include <arpa/inet.h>

#include "wsc/proxy_header.h"

struct outcome {
    enum wsc_status status;
    size_t used;
    struct wsc_proxy_source source;
};

static struct outcome feed(const uint8_t *data, size_t size, uint32_t seed, bool split)
{
    struct wsc_proxy_header header;
    struct outcome outcome = {WSC_NEED_DATA, 0, {0}};
    wsc_proxy_header_init(&header);
    while (outcome.used < size && outcome.status == WSC_NEED_DATA) {
        size_t left = size - outcome.used;
        size_t n = split ? next_piece(&seed, left) : left;
        size_t used = 0;
        uint8_t *piece = exact_copy(data + outcome.used, n);
        outcome.status =
            wsc_proxy_header_feed(&header, piece, n, &used, &outcome.source);
        free(piece);
        REQUIRE(used <= n && (outcome.status != WSC_NEED_DATA || used == n));
        outcome.used += used;
    }
    return outcome;
}

/* The source that a line names, by the system. */
static void check_line(const uint8_t *data, const struct outcome *outcome)
{
    char line[108] = {0};
    char name[8];
    char address[108];
    uint8_t want[16];
    memcpy(line, data, outcome->used);
    REQUIRE(sscanf(line, "PROXY %7s %107s", name, address) == 2);
    bool ipv4 = strcmp(name, "TCP4") == 0;
    REQUIRE(outcome->source.family == (ipv4 ? WSC_PROXY_IPV4 : WSC_PROXY_IPV6));
    REQUIRE(inet_pton(ipv4 ? AF_INET : AF_INET6, address, want) == 1);
    REQUIRE(outcome->source.len == (ipv4 ? 4 : 16));
    REQUIRE(memcmp(outcome->source.address, want, outcome->source.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    uint8_t seed = take_byte(&input);
    struct outcome whole = feed(input.data, input.size, 0, false);
    struct outcome split = feed(input.data, input.size, seed, true);
    REQUIRE(whole.status == split.status && whole.used == split.used);
    REQUIRE(whole.used <= WSC_PROXY_HEADER_MAX);
    if (whole.status != WSC_OK) {
        REQUIRE(whole.status == WSC_ERR_PROTOCOL || whole.used == input.size);
        return 0;
    }
    REQUIRE(memcmp(&whole.source, &split.source, sizeof(whole.source)) == 0);
    REQUIRE(whole.source.len <= WSC_PROXY_ADDRESS_MAX);
    if (input.data[0] == 'P' && whole.source.family != WSC_PROXY_NONE) {
        check_line(input.data, &whole);
    }
    return 0;
}

/* What who sets nothing gets: the configuration, plain memory; and the version. */
#include <stdlib.h>

#include "test.h"
#include "wsc/conn.h"
#include "wsc/version.h"

#define MIB ((size_t)1 << 20)

static void defaults(void)
{
    for (int role = WSC_ROLE_SERVER; role <= WSC_ROLE_CLIENT; role++) {
        struct wsc_conn_config config;
        struct wsc_http_limits limits;
        memset(&config, 0xA5, sizeof(config));
        wsc_conn_config_init(&config, (enum wsc_role)role);
        wsc_http_limits_init(&limits);
        CHECK_INT(config.role, role);
        CHECK(config.allocator == wsc_allocator_default());
        CHECK(config.payload_memory == wsc_payload_memory_default());
        CHECK_INT(config.max_size, MIB);
        CHECK_INT(config.http_limits.start_line, limits.start_line);
        CHECK_INT(config.http_limits.header_line, limits.header_line);
        CHECK_INT(config.http_limits.block, limits.block);
        CHECK_INT(config.http_limits.count, limits.count);
        CHECK(!config.any_request);
        CHECK(config.deflate == NULL && config.deflate_pool == NULL);
    }
}

/* Everything that waits at `from` goes to `to`; its last event, or why there is none.
 */
static enum wsc_status
deliver(struct wsc_conn *from, struct wsc_conn *to, struct wsc_event *out_event)
{
    enum wsc_status status = WSC_NEED_DATA;
    struct wsc_outgoing_piece piece;
    while (wsc_outgoing_peek(wsc_conn_outgoing(from), &piece, 1) == 1) {
        CHECK_INT(wsc_conn_feed(to, piece.data, piece.len), WSC_OK);
        struct wsc_event event;
        while ((status = wsc_conn_next_event(to, &event)) == WSC_OK) {
            *out_event = event;
        }
        wsc_conn_sent(from, piece.len);
    }
    return status;
}

static void both_ends_with_defaults(void)
{
    struct wsc_conn_config configs[2];
    struct wsc_conn client;
    struct wsc_conn server;
    struct wsc_event event;
    struct wsc_http_header host = {wsc_str_of("Host"), wsc_str_of("h")};
    wsc_conn_config_init(&configs[0], WSC_ROLE_CLIENT);
    wsc_conn_config_init(&configs[1], WSC_ROLE_SERVER);
    CHECK_INT(wsc_conn_init(&client, &configs[0]), WSC_OK);
    CHECK_INT(wsc_conn_init(&server, &configs[1]), WSC_OK);
    CHECK_INT(wsc_conn_accept(&server, wsc_str_of(NULL)), WSC_ERR_INVALID_STATE);
    CHECK_INT(wsc_conn_send_request(&client, wsc_str_of("/"), &host, 1, NULL, 0),
              WSC_OK);
    (void)deliver(&client, &server, &event);
    CHECK_INT(event.type, WSC_EVENT_REQUEST);
    CHECK_INT(wsc_conn_accept(&server, wsc_str_of("x")), WSC_ERR_INVALID_ARGUMENT);
    CHECK_INT(wsc_conn_accept(&server, wsc_str_of(NULL)), WSC_OK);
    (void)deliver(&server, &client, &event);
    CHECK_INT(event.type, WSC_EVENT_RESPONSE);

    uint8_t *message = calloc(MIB + 1, 1);
    for (size_t len = MIB; len <= MIB + 1; len++) {
        CHECK_INT(wsc_conn_send(&client, WSC_OPCODE_BINARY, message, len, true,
                                WSC_COMPRESS_AUTO, NULL, NULL),
                  WSC_OK);
        enum wsc_status status = deliver(&client, &server, &event);
        CHECK_INT(status, len == MIB ? WSC_NEED_DATA : WSC_ERR_TOO_BIG);
    }
    CHECK_INT(event.type, WSC_EVENT_MESSAGE);
    CHECK_INT(event.message.len, MIB);
    free(event.message.data); /* malloc made it */
    free(message);
    wsc_conn_fini(&client);
    wsc_conn_fini(&server);
}

static void payloads_grow_and_shrink(void)
{
    const struct wsc_payload_memory *memory = wsc_payload_memory_default();
    size_t size = 3;
    uint8_t *payload = memory->alloc(memory->ctx, WSC_PAYLOAD_TEXT, &size);
    memcpy(payload, "abc", 3);
    size = 100000;
    payload = memory->resize(memory->ctx, WSC_PAYLOAD_TEXT, payload, &size);
    CHECK_BYTES(payload, 3, "abc", 3);
    size = 2;
    payload = memory->resize(memory->ctx, WSC_PAYLOAD_TEXT, payload, &size);
    CHECK_BYTES(payload, 2, "ab", 2);
    memory->free(memory->ctx, WSC_PAYLOAD_TEXT, payload);
}

static void the_version(void)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%d.%d.%d", WSC_VERSION_MAJOR, WSC_VERSION_MINOR,
                   WSC_VERSION_PATCH);
    CHECK(strncmp(wsc_version(), text, strlen(text)) == 0);
    CHECK(strcmp(wsc_version(), WSC_VERSION) == 0);
}

TEST_MAIN(TEST(defaults), TEST(both_ends_with_defaults), TEST(payloads_grow_and_shrink),
          TEST(the_version))

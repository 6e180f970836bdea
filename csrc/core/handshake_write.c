/* Writing heads. Everything is checked and measured, and the room made, before the
 * first byte is written: an error leaves nothing behind that a caller could send. */
#include "wsc/handshake.h"

#include <string.h>

#include "wsc/crypto.h"

#define STATUS_MIN   100
#define STATUS_MAX   599
#define NONCE_SIZE   16
#define CRLF         "\r\n"
#define HTTP_VERSION "HTTP/1.1"

/* Pieces are counted first and copied afterwards by the same code, so that the count
 * cannot differ from the copy. */
struct writer {
    uint8_t *out; /* NULL while counting */
    size_t size;
    bool overflow;
};

static void put(struct writer *writer, const void *data, size_t len)
{
    if (len > SIZE_MAX - writer->size) {
        writer->overflow = true;
        return;
    }
    if (writer->out != NULL && len > 0) {
        memcpy(writer->out + writer->size, data, len);
    }
    writer->size += len;
}

static void put_text(struct writer *writer, const char *text)
{
    put(writer, text, strlen(text));
}

struct message {
    struct wsc_str parts[3]; /* of the start line, a space between them */
    const struct wsc_http_header *headers;
    size_t count;
    const uint8_t *body;
    size_t body_len;
};

static void put_message(struct writer *writer, const struct message *message)
{
    for (size_t i = 0; i < 3; i++) {
        put_text(writer, i == 0 ? "" : " ");
        put(writer, message->parts[i].data, message->parts[i].len);
    }
    put_text(writer, CRLF);
    for (size_t i = 0; i < message->count; i++) {
        put(writer, message->headers[i].name.data, message->headers[i].name.len);
        put_text(writer, ": ");
        put(writer, message->headers[i].value.data, message->headers[i].value.len);
        put_text(writer, CRLF);
    }
    put_text(writer, CRLF);
    put(writer, message->body, message->body_len);
}

static enum wsc_status
queue_message(struct wsc_outgoing *out, const struct message *message)
{
    struct writer writer = {NULL, 0, false};
    put_message(&writer, message);
    if (writer.overflow) {
        return WSC_ERR_TOO_BIG;
    }
    uint8_t *place;
    enum wsc_status status = wsc_outgoing_reserve(out, writer.size, &place);
    if (status != WSC_OK) {
        return status;
    }
    writer = (struct writer){place, 0, false};
    put_message(&writer, message);
    wsc_outgoing_commit(out, writer.size);
    return WSC_OK;
}

static bool headers_are_writable(const struct wsc_http_header *headers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!wsc_http_is_token(headers[i].name) ||
            !wsc_http_is_field_value(headers[i].value)) {
            return false;
        }
    }
    return true;
}

enum wsc_status wsc_handshake_write_response(struct wsc_outgoing *out, uint16_t status,
                                             struct wsc_str reason,
                                             const struct wsc_http_header *headers,
                                             size_t count, const uint8_t *body,
                                             size_t body_len)
{
    if (reason.data == NULL) {
        reason = wsc_str_of(wsc_handshake_status_phrase(status));
    }
    if (status < STATUS_MIN || status > STATUS_MAX ||
        !wsc_http_is_field_value(reason) || !headers_are_writable(headers, count)) {
        return WSC_ERR_INVALID_ARGUMENT;
    }
    char digits[] = {
        (char)('0' + status / 100),
        (char)('0' + status / 10 % 10),
        (char)('0' + status % 10),
    };
    const struct message message = {
        .parts = {wsc_str_of(HTTP_VERSION), {digits, sizeof(digits)}, reason},
        .headers = headers,
        .count = count,
        .body = body,
        .body_len = body_len,
    };
    return queue_message(out, &message);
}

enum wsc_status
wsc_handshake_write_request(struct wsc_outgoing *out, struct wsc_str target,
                            const struct wsc_http_header *headers, size_t count)
{
    if (!wsc_http_is_target(target) || !headers_are_writable(headers, count)) {
        return WSC_ERR_INVALID_ARGUMENT;
    }
    const struct message message = {
        .parts = {wsc_str_of("GET"), target, wsc_str_of(HTTP_VERSION)},
        .headers = headers,
        .count = count,
    };
    return queue_message(out, &message);
}

enum wsc_status wsc_handshake_new_key(char out_key[WSC_KEY_SIZE])
{
    uint8_t nonce[NONCE_SIZE];
    enum wsc_status status = wsc_random_fill(nonce, sizeof(nonce));
    if (status == WSC_OK) {
        wsc_base64_encode(out_key, nonce, sizeof(nonce));
    }
    return status;
}

/* The names of RFC 9110 §15, and of the codes registered besides. */
static const struct {
    uint16_t status;
    const char *phrase;
} phrases[] = {
    {100, "Continue"},
    {101, "Switching Protocols"},
    {102, "Processing"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {208, "Already Reported"},
    {226, "IM Used"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {305, "Use Proxy"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {506, "Variant Also Negotiates"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
    {511, "Network Authentication Required"},
};

const char *wsc_handshake_status_phrase(uint16_t status)
{
    for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++) {
        if (phrases[i].status == status) {
            return phrases[i].phrase;
        }
    }
    return "";
}

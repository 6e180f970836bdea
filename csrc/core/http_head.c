/* One state machine looks at each byte once, as it comes, and says what is wrong at the
 * byte where it becomes certain; only checked bytes are copied. When the empty line is
 * there, a second pass over the copy, which is known to be well-formed by then, sets
 * the pointers: they could not be set before, because the copy moves while it grows. */
#include "wsc/http_head.h"

#include <string.h>

#include "http_chars.h"

enum step {
    STEP_METHOD,
    STEP_TARGET,
    STEP_VERSION, /* "HTTP/d.d", both kinds */
    STEP_STATUS,  /* " ddd" */
    STEP_AFTER_STATUS,
    STEP_REASON,
    STEP_START_CR, /* the request line is complete but for its line end */
    STEP_START_LF,
    STEP_LINE_BEGIN,
    STEP_NAME,
    STEP_VALUE,
    STEP_VALUE_LF,
    STEP_END_LF,
    STEP_DONE,
    STEP_FAILED,
};

#define CR '\r'
#define LF '\n'

static const char version_form[] = "HTTP/d.d"; /* d: any digit */
#define VERSION_LEN    (sizeof(version_form) - 1)
#define HTTP_SLASH_LEN 5
#define STATUS_DIGITS  3
#define FIELD_VALUE    (WSC_CHAR_VISIBLE | WSC_CHAR_BLANK | WSC_CHAR_OBS)

void wsc_http_limits_init(struct wsc_http_limits *limits)
{
    limits->start_line = 8 * 1024;
    limits->header_line = 8 * 1024;
    limits->block = 32 * 1024;
    limits->count = 128;
}

void wsc_http_head_init(struct wsc_http_head *head, enum wsc_http_kind kind,
                        const struct wsc_http_limits *limits,
                        const struct wsc_allocator *allocator)
{
    memset(head, 0, sizeof(*head));
    head->kind = kind;
    head->limits = *limits;
    head->step = kind == WSC_HTTP_REQUEST ? STEP_METHOD : STEP_VERSION;
    wsc_buffer_init(&head->raw, allocator, limits->block);
}

void wsc_http_head_fini(struct wsc_http_head *head)
{
    struct wsc_http_limits limits = head->limits;
    const struct wsc_allocator *allocator = head->raw.allocator;
    wsc_free(allocator, head->headers);
    wsc_buffer_fini(&head->raw);
    wsc_http_head_init(head, head->kind, &limits, allocator);
}

static enum wsc_http_error go(struct wsc_http_head *head, enum step step)
{
    head->step = (uint8_t)step;
    head->matched = 0;
    return WSC_HTTP_OK;
}

static enum wsc_http_error
step_method(struct wsc_http_head *head, uint8_t c, size_t position)
{
    if (wsc_char_is(c, WSC_CHAR_TOKEN)) {
        return WSC_HTTP_OK;
    }
    if (position == 0) {
        return WSC_HTTP_NOT_HTTP; /* 0x16 starts a TLS ClientHello, for example */
    }
    return c == ' ' ? go(head, STEP_TARGET) : WSC_HTTP_START_LINE;
}

/* `matched` is 0 until the target has a byte. */
static enum wsc_http_error step_target(struct wsc_http_head *head, uint8_t c)
{
    if (wsc_char_is(c, WSC_CHAR_VISIBLE)) {
        head->matched = 1;
        return WSC_HTTP_OK;
    }
    return c == ' ' && head->matched != 0 ? go(head, STEP_VERSION)
                                          : WSC_HTTP_START_LINE;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static enum wsc_http_error step_version(struct wsc_http_head *head, uint8_t c)
{
    /* RFC 9112 §2.3: HTTP-name is case-sensitive, one digit each. */
    char want = version_form[head->matched];
    if (want == 'd' ? !is_digit(c) : c != (uint8_t)want) {
        bool foreign =
            head->kind == WSC_HTTP_RESPONSE && head->matched < HTTP_SLASH_LEN;
        return foreign ? WSC_HTTP_NOT_HTTP : WSC_HTTP_START_LINE;
    }
    head->matched++;
    if (head->matched == VERSION_LEN) {
        go(head, head->kind == WSC_HTTP_REQUEST ? STEP_START_CR : STEP_STATUS);
    }
    return WSC_HTTP_OK;
}

static enum wsc_http_error step_status(struct wsc_http_head *head, uint8_t c)
{
    bool ok = head->matched == 0   ? c == ' '
              : head->matched == 1 ? c >= '1' && c <= '5'
                                   : is_digit(c);
    if (!ok) {
        return WSC_HTTP_START_LINE;
    }
    head->matched++;
    return head->matched == 1 + STATUS_DIGITS ? go(head, STEP_AFTER_STATUS)
                                              : WSC_HTTP_OK;
}

static enum wsc_http_error step_after_status(struct wsc_http_head *head, uint8_t c)
{
    if (c ==
        CR) { /* not RFC 9112 §4, but the space is often left out with the phrase */
        return go(head, STEP_START_LF);
    }
    return c == ' ' ? go(head, STEP_REASON) : WSC_HTTP_START_LINE;
}

static enum wsc_http_error step_reason(struct wsc_http_head *head, uint8_t c)
{
    if (c == CR) {
        return go(head, STEP_START_LF);
    }
    if (c == LF) {
        return WSC_HTTP_LINE_END;
    }
    return wsc_char_is(c, FIELD_VALUE) ? WSC_HTTP_OK : WSC_HTTP_START_LINE;
}

static enum wsc_http_error step_start_cr(struct wsc_http_head *head, uint8_t c)
{
    if (c == CR) {
        return go(head, STEP_START_LF);
    }
    /* RFC 9112 §2.2 lets a reader take a bare LF; two readers that differ in it are how
     * requests are smuggled, so this one does not. */
    return c == LF ? WSC_HTTP_LINE_END : WSC_HTTP_START_LINE;
}

static enum wsc_http_error step_line_begin(struct wsc_http_head *head, uint8_t c)
{
    if (c == CR) {
        return go(head, STEP_END_LF);
    }
    if (c == LF || wsc_char_is(c, WSC_CHAR_BLANK)) {
        return WSC_HTTP_LINE_END; /* RFC 9112 §5.2: a server MUST refuse obs-fold */
    }
    if (!wsc_char_is(c, WSC_CHAR_TOKEN)) {
        return WSC_HTTP_HEADER_NAME;
    }
    if (head->lines == head->limits.count) {
        return WSC_HTTP_HEADER_TOO_LARGE;
    }
    head->lines++;
    return go(head, STEP_NAME);
}

static enum wsc_http_error step_name(struct wsc_http_head *head, uint8_t c)
{
    if (wsc_char_is(c, WSC_CHAR_TOKEN)) {
        return WSC_HTTP_OK;
    }
    /* RFC 9112 §5.1: no white space is allowed between the name and the colon. */
    return c == ':' ? go(head, STEP_VALUE) : WSC_HTTP_HEADER_NAME;
}

static enum wsc_http_error step_value(struct wsc_http_head *head, uint8_t c)
{
    if (wsc_char_is(c, FIELD_VALUE)) {
        return WSC_HTTP_OK;
    }
    if (c == CR) {
        return go(head, STEP_VALUE_LF);
    }
    /* RFC 9110 §5.5: NUL, CR and LF in a value are dangerous. No other control byte is
     * part of the grammar either. */
    return c == LF ? WSC_HTTP_LINE_END : WSC_HTTP_HEADER_VALUE;
}

static enum wsc_http_error
step_lf(struct wsc_http_head *head, uint8_t c, enum step next)
{
    if (c != LF) {
        return WSC_HTTP_LINE_END;
    }
    head->line_len = 0;
    return go(head, next);
}

static bool in_start_line(enum step step)
{
    return step <= STEP_START_LF;
}

/* Would this byte pass a limit? CR and LF do not count for a line. */
static enum wsc_http_error
check_limits(const struct wsc_http_head *head, size_t position, bool in_start)
{
    if (head->line_len >
        (in_start ? head->limits.start_line : head->limits.header_line)) {
        return in_start ? WSC_HTTP_START_LINE_TOO_LONG : WSC_HTTP_HEADER_TOO_LARGE;
    }
    return position < head->limits.block ? WSC_HTTP_OK : WSC_HTTP_HEADER_TOO_LARGE;
}

/* Look at the byte at `position` of the head. */
static enum wsc_http_error take(struct wsc_http_head *head, uint8_t c, size_t position)
{
    enum step step = (enum step)head->step;
    if (c != CR && c != LF) {
        head->line_len++;
    }
    enum wsc_http_error error = check_limits(head, position, in_start_line(step));
    if (error != WSC_HTTP_OK) {
        return error;
    }
    switch (step) {
    case STEP_METHOD:
        return step_method(head, c, position);
    case STEP_TARGET:
        return step_target(head, c);
    case STEP_VERSION:
        return step_version(head, c);
    case STEP_STATUS:
        return step_status(head, c);
    case STEP_AFTER_STATUS:
        return step_after_status(head, c);
    case STEP_REASON:
        return step_reason(head, c);
    case STEP_START_CR:
        return step_start_cr(head, c);
    case STEP_START_LF:
    case STEP_VALUE_LF:
        return step_lf(head, c, STEP_LINE_BEGIN);
    case STEP_LINE_BEGIN:
        return step_line_begin(head, c);
    case STEP_NAME:
        return step_name(head, c);
    case STEP_VALUE:
        return step_value(head, c);
    case STEP_END_LF:
        return step_lf(head, c, STEP_DONE);
    case STEP_DONE:
    case STEP_FAILED:
        break;
    }
    return WSC_HTTP_OK;
}

/* The text from `from` up to the first `stop`, or to `end`. */
static struct wsc_str text_until(const char *from, const char *end, char stop)
{
    const char *found = memchr(from, stop, (size_t)(end - from));
    return (struct wsc_str){
        .data = from,
        .len = (size_t)((found == NULL ? end : found) - from),
    };
}

static uint8_t digit(char c)
{
    return (uint8_t)(c - '0');
}

static void set_version(struct wsc_http_head *head, const char *text)
{
    head->major = digit(text[HTTP_SLASH_LEN]);
    head->minor = digit(text[VERSION_LEN - 1]);
}

static void index_request_line(struct wsc_http_head *head, struct wsc_str line)
{
    const char *end = line.data + line.len;
    head->method = text_until(line.data, end, ' ');
    head->target = text_until(head->method.data + head->method.len + 1, end, ' ');
    set_version(head, head->target.data + head->target.len + 1);
}

static void index_status_line(struct wsc_http_head *head, struct wsc_str line)
{
    const char *digits = line.data + VERSION_LEN + 1;
    const char *reason = digits + STATUS_DIGITS;
    const char *end = line.data + line.len;
    set_version(head, line.data);
    head->status =
        (uint16_t)(100 * digit(digits[0]) + 10 * digit(digits[1]) + digit(digits[2]));
    reason += reason < end; /* the space */
    head->reason = (struct wsc_str){.data = reason, .len = (size_t)(end - reason)};
}

static void index_header(struct wsc_http_header *header, struct wsc_str line)
{
    const char *end = line.data + line.len;
    header->name = text_until(line.data, end, ':');
    /* RFC 9110 §5.5: white space around the value is not part of it. */
    const char *start = header->name.data + header->name.len + 1;
    while (start < end && wsc_char_is((uint8_t)*start, WSC_CHAR_BLANK)) {
        start++;
    }
    while (start < end && wsc_char_is((uint8_t)end[-1], WSC_CHAR_BLANK)) {
        end--;
    }
    header->value = (struct wsc_str){.data = start, .len = (size_t)(end - start)};
}

static enum wsc_status index_head(struct wsc_http_head *head)
{
    const char *at = (const char *)head->raw.data;
    const char *end = at + head->raw.len;
    if (head->lines > 0) {
        /* lines <= block / 4: the product was paid for byte by byte */
        head->headers =
            wsc_alloc(head->raw.allocator, head->lines * sizeof(head->headers[0]));
        if (head->headers == NULL) {
            return WSC_ERR_NO_MEMORY;
        }
    }
    struct wsc_str line = text_until(at, end, CR);
    if (head->kind == WSC_HTTP_REQUEST) {
        index_request_line(head, line);
    }
    else {
        index_status_line(head, line);
    }
    for (size_t i = 0; i < head->lines; i++) {
        at = line.data + line.len + 2;
        line = text_until(at, end, CR);
        index_header(&head->headers[i], line);
    }
    head->header_count = head->lines;
    return WSC_OK;
}

static enum wsc_status out_of_memory(struct wsc_http_head *head)
{
    head->out_of_memory = true;
    return WSC_ERR_NO_MEMORY;
}

/* Copy what was checked, and finish if that was all. */
static enum wsc_status keep(struct wsc_http_head *head, const uint8_t *data, size_t len)
{
    if (wsc_buffer_append(&head->raw, data, len) != WSC_OK) {
        return out_of_memory(head); /* the block limit was checked: not TOO_BIG */
    }
    if (head->step != STEP_DONE) {
        return WSC_NEED_DATA;
    }
    return index_head(head) == WSC_OK ? WSC_OK : out_of_memory(head);
}

enum wsc_status wsc_http_head_feed(struct wsc_http_head *head, const uint8_t *data,
                                   size_t len, size_t *out_used)
{
    *out_used = len;
    if (head->out_of_memory) {
        return WSC_ERR_NO_MEMORY;
    }
    if (head->error != WSC_HTTP_OK) {
        return WSC_ERR_HANDSHAKE;
    }
    size_t used = 0;
    if (head->step == STEP_DONE) {
        *out_used = 0;
        return WSC_OK;
    }
    while (used < len && head->step != STEP_DONE) {
        size_t position = head->raw.len + used;
        head->error = take(head, data[used], position);
        if (head->error != WSC_HTTP_OK) {
            head->error_position = position;
            head->step = STEP_FAILED;
            return WSC_ERR_HANDSHAKE;
        }
        used++;
    }
    enum wsc_status status = keep(head, data, used);
    if (status == WSC_OK) {
        *out_used = used;
    }
    return status;
}

#include "extension_scanner.h"

#include <string.h>

void wsc_extension_scanner_init(struct wsc_extension_scanner *scanner,
                                struct wsc_str header)
{
    scanner->at = header.data != NULL ? header.data : "";
    scanner->end = scanner->at + (header.data != NULL ? header.len : 0);
    scanner->in_extension = false;
}

/* RFC 7230 §3.2.6 token, the same set as in RFC 2616 §2.2. */
static bool is_token_char(char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) {
        return true;
    }
    return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool at_char(const struct wsc_extension_scanner *scanner, char c)
{
    return scanner->at < scanner->end && *scanner->at == c;
}

static void skip_space(struct wsc_extension_scanner *scanner)
{
    while (at_char(scanner, ' ') || at_char(scanner, '\t')) {
        scanner->at++;
    }
}

static bool scan_token(struct wsc_extension_scanner *scanner, struct wsc_str *out_token)
{
    const char *start = scanner->at;
    while (scanner->at < scanner->end && is_token_char(*scanner->at)) {
        scanner->at++;
    }
    out_token->data = start;
    out_token->len = (size_t)(scanner->at - start);
    return out_token->len > 0;
}

/* RFC 7692 §7.1.2: a decimal integer from 8 to 15 without leading zeros. */
static uint8_t window_bits_of(const char *text, size_t len)
{
    if (len == 1 && (text[0] == '8' || text[0] == '9')) {
        return (uint8_t)(text[0] - '0');
    }
    if (len == 2 && text[0] == '1' && text[1] >= '0' && text[1] <= '5') {
        return (uint8_t)(10 + (text[1] - '0'));
    }
    return 0;
}

/* The opening quote has been read. Only the first characters of the unescaped value are
 * kept: window bits have two. */
static bool
scan_quoted(struct wsc_extension_scanner *scanner, struct wsc_extension_item *item)
{
    char text[2] = {0};
    size_t len = 0;
    item->value.data = scanner->at;
    while (scanner->at < scanner->end && *scanner->at != '"') {
        if (*scanner->at == '\\') {
            scanner->at++;
        }
        /* RFC 6455 §9.1: after unescaping the value MUST conform to the token rule. */
        if (scanner->at == scanner->end || !is_token_char(*scanner->at)) {
            return false;
        }
        if (len < sizeof(text)) {
            text[len] = *scanner->at;
        }
        len++;
        scanner->at++;
    }
    if (scanner->at == scanner->end || len == 0) {
        return false;
    }
    item->value.len = (size_t)(scanner->at - item->value.data);
    item->window_bits = window_bits_of(text, len);
    scanner->at++;
    return true;
}

static bool
scan_param(struct wsc_extension_scanner *scanner, struct wsc_extension_item *item)
{
    skip_space(scanner);
    if (!scan_token(scanner, &item->name)) {
        return false;
    }
    skip_space(scanner);
    if (!at_char(scanner, '=')) {
        return true;
    }
    scanner->at++;
    skip_space(scanner);
    if (at_char(scanner, '"')) {
        scanner->at++;
        return scan_quoted(scanner, item);
    }
    if (!scan_token(scanner, &item->value)) {
        return false;
    }
    item->window_bits = window_bits_of(item->value.data, item->value.len);
    return true;
}

static enum wsc_extension_item_kind
scan_kind(struct wsc_extension_scanner *scanner, struct wsc_extension_item *item)
{
    skip_space(scanner);
    if (scanner->in_extension && at_char(scanner, ';')) {
        scanner->at++;
        return scan_param(scanner, item) ? WSC_EXTENSION_ITEM_PARAM
                                         : WSC_EXTENSION_ITEM_BAD;
    }
    if (scanner->in_extension && scanner->at < scanner->end && *scanner->at != ',') {
        return WSC_EXTENSION_ITEM_BAD;
    }
    /* RFC 7230 §7: empty elements of a list are to be accepted. */
    while (at_char(scanner, ',')) {
        scanner->at++;
        skip_space(scanner);
    }
    if (scanner->at == scanner->end) {
        return WSC_EXTENSION_ITEM_END;
    }
    scanner->in_extension = true;
    return scan_token(scanner, &item->name) ? WSC_EXTENSION_ITEM_EXTENSION
                                            : WSC_EXTENSION_ITEM_BAD;
}

void wsc_extension_scanner_next(struct wsc_extension_scanner *scanner,
                                struct wsc_extension_item *item)
{
    memset(item, 0, sizeof(*item));
    item->kind = scan_kind(scanner, item);
    if (item->kind == WSC_EXTENSION_ITEM_BAD) {
        item->name.data = scanner->at;
        item->name.len = (size_t)(scanner->end - scanner->at);
    }
}

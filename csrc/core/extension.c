/* The scanner finds the items of the header; here they are given their meaning.
 * Elements are read into the same struct for offers and answers, errors and all, and
 * judged when they are complete. */
#include "extension_scanner.h"

#include <string.h>

static const char DEFLATE_NAME[] = "permessage-deflate";

/* ---- Parameters: RFC 7692 §7.1 ---- */

enum param {
    SERVER_NO_CONTEXT_TAKEOVER,
    CLIENT_NO_CONTEXT_TAKEOVER,
    SERVER_MAX_WINDOW_BITS,
    CLIENT_MAX_WINDOW_BITS,
    PARAM_COUNT,
};

static const char *const PARAM_NAMES[PARAM_COUNT] = {
    "server_no_context_takeover",
    "client_no_context_takeover",
    "server_max_window_bits",
    "client_max_window_bits",
};

/* One permessage-deflate element, an offer or an answer, as it was read. */
struct element {
    bool present[PARAM_COUNT];
    uint8_t window_bits[PARAM_COUNT]; /* 0: no value */
    struct wsc_str where[PARAM_COUNT];
    enum wsc_extension_error error; /* the first one */
    struct wsc_str error_where;
};

enum direction {
    OFFER,
    ANSWER,
};

static void element_fail(struct element *element, enum wsc_extension_error error,
                         struct wsc_str where)
{
    if (element->error == WSC_EXTENSION_OK) {
        element->error = error;
        element->error_where = where;
    }
}

static bool value_allowed(enum param param, enum direction direction,
                          const struct wsc_extension_item *item)
{
    switch (param) {
    case SERVER_NO_CONTEXT_TAKEOVER:
    case CLIENT_NO_CONTEXT_TAKEOVER:
        /* RFC 7692 §7.1.1.1, §7.1.1.2: no value. */
        return item->value.data == NULL;
    case CLIENT_MAX_WINDOW_BITS:
        /* RFC 7692 §7.1.2.2: the value may be left out, but only in an offer. */
        if (item->value.data == NULL) {
            return direction == OFFER;
        }
        return item->window_bits != 0;
    case SERVER_MAX_WINDOW_BITS:
    case PARAM_COUNT:
        break;
    }
    return item->window_bits != 0;
}

/* RFC 7692 §7.1: unknown names, invalid values and repetitions make the element
 * unacceptable. */
static void element_read(struct element *element, enum direction direction,
                         const struct wsc_extension_item *item)
{
    for (int i = 0; i < PARAM_COUNT; i++) {
        if (!wsc_str_is(item->name, PARAM_NAMES[i])) {
            continue;
        }
        if (element->present[i]) {
            element_fail(element, WSC_EXTENSION_DUPLICATE_PARAMETER, item->name);
        }
        else if (!value_allowed((enum param)i, direction, item)) {
            element_fail(element, WSC_EXTENSION_PARAMETER_VALUE,
                         item->value.data != NULL ? item->value : item->name);
        }
        element->present[i] = true;
        element->window_bits[i] = item->window_bits;
        element->where[i] = item->value.data != NULL ? item->value : item->name;
        return;
    }
    element_fail(element, WSC_EXTENSION_UNKNOWN_PARAMETER, item->name);
}

/* ---- Writing ---- */

/* Keeps the first error, so that a row of appends needs one check. */
struct writer {
    struct wsc_buffer *out;
    size_t start;
    enum wsc_status status;
};

static void write_text(struct writer *writer, const char *text)
{
    if (writer->status == WSC_OK) {
        writer->status = wsc_buffer_append_str(writer->out, text);
    }
}

static void write_start(struct writer *writer, struct wsc_buffer *out)
{
    writer->out = out;
    writer->start = out->len;
    writer->status = WSC_OK;
    write_text(writer, DEFLATE_NAME);
}

static void write_param(struct writer *writer, enum param param)
{
    write_text(writer, "; ");
    write_text(writer, PARAM_NAMES[param]);
}

static void write_window_bits(struct writer *writer, enum param param, uint8_t bits)
{
    char value[] = "=00";
    write_param(writer, param);
    if (bits < 10) {
        value[1] = (char)('0' + bits);
        value[2] = '\0';
    }
    else {
        value[1] = '1';
        value[2] = (char)('0' + (bits - 10));
    }
    write_text(writer, value);
}

static enum wsc_status write_end(struct writer *writer)
{
    if (writer->status != WSC_OK) {
        writer->out->len = writer->start;
    }
    return writer->status;
}

/* ---- Settings ---- */

void wsc_deflate_settings_init(struct wsc_deflate_settings *settings)
{
    memset(settings, 0, sizeof(*settings));
    settings->offer_client_max_window_bits = true;
    settings->level = -1;
    settings->mem_level = 8;
}

static bool limit_ok(uint8_t bits)
{
    return bits == 0 || (bits >= WSC_WINDOW_BITS_MIN && bits <= WSC_WINDOW_BITS_MAX);
}

enum wsc_status wsc_deflate_settings_check(const struct wsc_deflate_settings *settings)
{
    if (!limit_ok(settings->server_max_window_bits) ||
        !limit_ok(settings->client_max_window_bits) || settings->level < -1 ||
        settings->level > 9 || settings->mem_level < 1 || settings->mem_level > 9) {
        return WSC_ERR_INVALID_ARGUMENT;
    }
    return WSC_OK;
}

/* The smaller of two limits, where 0 is none. */
static uint8_t window_limit(uint8_t a, uint8_t b)
{
    uint8_t bits = WSC_WINDOW_BITS_MAX;
    if (a != 0 && a < bits) {
        bits = a;
    }
    if (b != 0 && b < bits) {
        bits = b;
    }
    return bits;
}

static bool is_limited(uint8_t bits)
{
    return bits != 0 && bits < WSC_WINDOW_BITS_MAX;
}

/* ---- Client: the offer ---- */

enum wsc_status
wsc_extension_offer(const struct wsc_deflate_settings *settings, struct wsc_buffer *out)
{
    enum wsc_status status = wsc_deflate_settings_check(settings);
    if (status != WSC_OK) {
        return status;
    }
    struct writer writer;
    write_start(&writer, out);
    if (settings->server_no_context_takeover) {
        write_param(&writer, SERVER_NO_CONTEXT_TAKEOVER);
    }
    if (settings->client_no_context_takeover) {
        write_param(&writer, CLIENT_NO_CONTEXT_TAKEOVER);
    }
    if (settings->server_max_window_bits != 0) {
        write_window_bits(&writer, SERVER_MAX_WINDOW_BITS,
                          settings->server_max_window_bits);
    }
    if (settings->client_max_window_bits != 0) {
        write_window_bits(&writer, CLIENT_MAX_WINDOW_BITS,
                          settings->client_max_window_bits);
    }
    else if (settings->offer_client_max_window_bits) {
        write_param(&writer, CLIENT_MAX_WINDOW_BITS);
    }
    return write_end(&writer);
}

/* ---- Server: offers and the answer ---- */

static bool offer_acceptable(const struct wsc_deflate_settings *settings,
                             const struct element *offer)
{
    /* RFC 7692 §7.1: such an offer MUST be declined. */
    if (offer->error != WSC_EXTENSION_OK) {
        return false;
    }
    /* zlib has no raw deflate with a window of 256 bytes. */
    if (offer->window_bits[SERVER_MAX_WINDOW_BITS] == WSC_WINDOW_BITS_MIN) {
        return false;
    }
    return !(settings->require_client_max_window_bits &&
             is_limited(settings->client_max_window_bits) &&
             !offer->present[CLIENT_MAX_WINDOW_BITS]);
}

static void params_from_offer(const struct wsc_deflate_settings *settings,
                              const struct element *offer,
                              struct wsc_deflate_params *params)
{
    /* RFC 7692 §7.1.1.1: what the offer asks for has to be in the answer. */
    params->server_no_context_takeover = offer->present[SERVER_NO_CONTEXT_TAKEOVER] ||
                                         settings->server_no_context_takeover;
    /* RFC 7692 §7.1.1.2: in an offer a hint, in the answer an obligation of the client.
     */
    params->client_no_context_takeover = offer->present[CLIENT_NO_CONTEXT_TAKEOVER] ||
                                         settings->client_no_context_takeover;
    params->server_max_window_bits = window_limit(
        settings->server_max_window_bits, offer->window_bits[SERVER_MAX_WINDOW_BITS]);
    /* RFC 7692 §7.1.2.2: a client that did not offer it cannot be limited. */
    params->client_max_window_bits =
        offer->present[CLIENT_MAX_WINDOW_BITS]
            ? window_limit(settings->client_max_window_bits,
                           offer->window_bits[CLIENT_MAX_WINDOW_BITS])
            : WSC_WINDOW_BITS_MAX;
}

static enum wsc_status write_answer(const struct element *offer,
                                    const struct wsc_deflate_params *params,
                                    struct wsc_buffer *out)
{
    struct writer writer;
    write_start(&writer, out);
    if (params->server_no_context_takeover) {
        write_param(&writer, SERVER_NO_CONTEXT_TAKEOVER);
    }
    if (params->client_no_context_takeover) {
        write_param(&writer, CLIENT_NO_CONTEXT_TAKEOVER);
    }
    /* RFC 7692 §7.1.2.1: MUST when it was offered, MAY when not. */
    if (offer->present[SERVER_MAX_WINDOW_BITS] ||
        is_limited(params->server_max_window_bits)) {
        write_window_bits(&writer, SERVER_MAX_WINDOW_BITS,
                          params->server_max_window_bits);
    }
    /* RFC 7692 §7.1.2.2: only when it was offered; without a limit there is nothing to
     * say. */
    if (offer->window_bits[CLIENT_MAX_WINDOW_BITS] != 0 ||
        is_limited(params->client_max_window_bits)) {
        write_window_bits(&writer, CLIENT_MAX_WINDOW_BITS,
                          params->client_max_window_bits);
    }
    return write_end(&writer);
}

enum wsc_status wsc_extension_accept(const struct wsc_deflate_settings *settings,
                                     struct wsc_str header, bool *out_accepted,
                                     struct wsc_deflate_params *out_params,
                                     struct wsc_buffer *out_answer)
{
    *out_accepted = false;
    enum wsc_status status = wsc_deflate_settings_check(settings);
    if (status != WSC_OK) {
        return status;
    }
    struct wsc_extension_scanner scanner;
    struct wsc_extension_item item;
    struct element offer;
    bool is_deflate = false; /* the element being read is a permessage-deflate offer */
    bool accepted = false;
    memset(&offer, 0, sizeof(offer));
    wsc_extension_scanner_init(&scanner, header);
    do {
        wsc_extension_scanner_next(&scanner, &item);
        switch (item.kind) {
        case WSC_EXTENSION_ITEM_PARAM:
            if (is_deflate && !accepted) {
                element_read(&offer, OFFER, &item);
            }
            break;
        case WSC_EXTENSION_ITEM_EXTENSION:
        case WSC_EXTENSION_ITEM_END:
            /* RFC 7692 §5: elements stand in the order of the client's preference. */
            accepted = accepted || (is_deflate && offer_acceptable(settings, &offer));
            if (!accepted && item.kind == WSC_EXTENSION_ITEM_EXTENSION) {
                memset(&offer, 0, sizeof(offer));
                is_deflate = wsc_str_is(item.name, DEFLATE_NAME);
            }
            break;
        case WSC_EXTENSION_ITEM_BAD:
            return WSC_ERR_HANDSHAKE;
        }
    } while (item.kind != WSC_EXTENSION_ITEM_END);
    if (!accepted) {
        return WSC_OK;
    }
    struct wsc_deflate_params params;
    params_from_offer(settings, &offer, &params);
    status = write_answer(&offer, &params, out_answer);
    if (status == WSC_OK) {
        *out_params = params;
        *out_accepted = true;
    }
    return status;
}

/* ---- Client: the answer ---- */

/* `name` is where the element starts: what is missing is reported there. */
static void answer_compare(const struct wsc_deflate_settings *settings,
                           struct element *answer, struct wsc_str name)
{
    /* RFC 7692 §7.1.1.1: a server accepts this parameter by answering with it. */
    if (settings->server_no_context_takeover &&
        !answer->present[SERVER_NO_CONTEXT_TAKEOVER]) {
        element_fail(answer, WSC_EXTENSION_NOT_AGREED, name);
    }
    /* RFC 7692 §7.1.2.1: answered with the same or a smaller value. */
    if (settings->server_max_window_bits != 0) {
        if (!answer->present[SERVER_MAX_WINDOW_BITS]) {
            element_fail(answer, WSC_EXTENSION_NOT_AGREED, name);
        }
        else if (answer->window_bits[SERVER_MAX_WINDOW_BITS] >
                 settings->server_max_window_bits) {
            element_fail(answer, WSC_EXTENSION_NOT_AGREED,
                         answer->where[SERVER_MAX_WINDOW_BITS]);
        }
    }
    /* RFC 7692 §7.1.2.2: not without an offer of it, and not above its value. */
    if (answer->present[CLIENT_MAX_WINDOW_BITS]) {
        bool offered = settings->client_max_window_bits != 0 ||
                       settings->offer_client_max_window_bits;
        if (!offered || answer->window_bits[CLIENT_MAX_WINDOW_BITS] >
                            window_limit(settings->client_max_window_bits, 0)) {
            element_fail(answer, WSC_EXTENSION_NOT_AGREED,
                         answer->where[CLIENT_MAX_WINDOW_BITS]);
        }
    }
}

static void params_from_answer(const struct wsc_deflate_settings *settings,
                               const struct element *answer,
                               struct wsc_deflate_params *params)
{
    params->server_no_context_takeover = answer->present[SERVER_NO_CONTEXT_TAKEOVER];
    /* RFC 7692 §7.1.1.2, §7.1.2.2: what the client offered for itself it may keep to,
     * answered or not. */
    params->client_no_context_takeover = answer->present[CLIENT_NO_CONTEXT_TAKEOVER] ||
                                         settings->client_no_context_takeover;
    params->server_max_window_bits =
        window_limit(answer->window_bits[SERVER_MAX_WINDOW_BITS], 0);
    params->client_max_window_bits = window_limit(
        answer->window_bits[CLIENT_MAX_WINDOW_BITS], settings->client_max_window_bits);
}

/* An extension's name in the answer: is it what was offered, and for the first time? */
static void answer_name(const struct wsc_deflate_settings *settings,
                        struct element *answer, struct wsc_str *agreed_name,
                        struct wsc_str name)
{
    /* RFC 6455 §4.1: an extension that was not requested fails the connection. */
    if (settings == NULL || !wsc_str_is(name, DEFLATE_NAME)) {
        element_fail(answer, WSC_EXTENSION_UNKNOWN, name);
    }
    else if (agreed_name->data != NULL) {
        element_fail(answer, WSC_EXTENSION_DUPLICATE, name);
    }
    else {
        *agreed_name = name;
    }
}

enum wsc_status wsc_extension_check_answer(const struct wsc_deflate_settings *settings,
                                           struct wsc_str header, bool *out_agreed,
                                           struct wsc_deflate_params *out_params,
                                           enum wsc_extension_error *out_error,
                                           struct wsc_str *out_where)
{
    struct wsc_extension_scanner scanner;
    struct wsc_extension_item item;
    struct element answer;
    struct wsc_str agreed_name = {NULL, 0};
    *out_agreed = false;
    *out_error = WSC_EXTENSION_OK;
    *out_where = agreed_name;
    memset(&answer, 0, sizeof(answer));
    if (settings != NULL && wsc_deflate_settings_check(settings) != WSC_OK) {
        return WSC_ERR_INVALID_ARGUMENT;
    }
    wsc_extension_scanner_init(&scanner, header);
    do {
        wsc_extension_scanner_next(&scanner, &item);
        switch (item.kind) {
        case WSC_EXTENSION_ITEM_PARAM:
            element_read(&answer, ANSWER, &item);
            break;
        case WSC_EXTENSION_ITEM_EXTENSION:
            answer_name(settings, &answer, &agreed_name, item.name);
            break;
        case WSC_EXTENSION_ITEM_BAD:
            element_fail(&answer, WSC_EXTENSION_GRAMMAR, item.name);
            break;
        case WSC_EXTENSION_ITEM_END:
            if (agreed_name.data != NULL) {
                answer_compare(settings, &answer, agreed_name);
            }
            break;
        }
        if (answer.error != WSC_EXTENSION_OK) {
            *out_error = answer.error;
            *out_where = answer.error_where;
            return WSC_ERR_HANDSHAKE;
        }
    } while (item.kind != WSC_EXTENSION_ITEM_END);
    if (agreed_name.data != NULL) {
        params_from_answer(settings, &answer, out_params);
        *out_agreed = true;
    }
    return WSC_OK;
}

#include "target.h"

#include <stdio.h>
#include <string.h>

#define NUMBER_MAX 20 /* digits of a size_t */

static bool starts_with(struct wsc_str text, const char *word)
{
    size_t len = strlen(word);
    return text.len >= len && memcmp(text.data, word, len) == 0;
}

/* Writes what stands at the beginning of `text`, and passes over it. */
static size_t
write_piece(struct wsc_str *text, size_t room, size_t connection, char *out)
{
    static const char *const words[] = {"{room}", "{connection}"};
    const size_t numbers[] = {room, connection};
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        if (starts_with(*text, words[i])) {
            size_t len = strlen(words[i]);
            text->data += len;
            text->len -= len;
            return (size_t)snprintf(out, NUMBER_MAX + 1, "%zu", numbers[i]);
        }
    }
    *out = *text->data++;
    text->len--;
    return 1;
}

enum wsc_status wsc_load_make_target(const struct wsc_load *load,
                                     const struct wsc_load_member *member,
                                     struct wsc_str *out_target, char **out_made)
{
    const struct wsc_load_config *config = &load->config;
    struct wsc_str left = config->target;
    size_t first = config->first_room * config->room_size;
    size_t room = config->first_room + (size_t)(member->room - load->rooms);
    size_t connection = first + (size_t)(member - load->members);
    *out_made = NULL;
    *out_target = left;
    if (left.len == 0 || memchr(left.data, '{', left.len) == NULL) {
        return WSC_OK;
    }
    /* The shortest word is of six characters. */
    size_t size = left.len + (left.len / 6 + 1) * NUMBER_MAX + 1;
    char *made = wsc_alloc(config->allocator, size);
    if (made == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    size_t len = 0;
    while (left.len > 0) {
        len += write_piece(&left, room, connection, made + len);
    }
    *out_made = made;
    out_target->data = made;
    out_target->len = len;
    return WSC_OK;
}

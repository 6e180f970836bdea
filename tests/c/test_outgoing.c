/* The queue of bytes to send: copied frames and references, consumed at every count,
 * against a model that holds all bytes in a row. */
#include "wsc/outgoing.h"

#include <stdlib.h>

#include "pair.h"

#define REFERENCES 16

static struct {
    uint8_t data[100];
    int released;
} owned[REFERENCES];

static void release(void *ctx)
{
    (*(int *)ctx)++;
}

static struct wsc_reference make_reference(size_t i, size_t len)
{
    owned[i].released = 0;
    for (size_t k = 0; k < sizeof(owned[i].data); k++) {
        owned[i].data[k] = (uint8_t)test_random();
    }
    struct wsc_reference reference = {owned[i].data, len, &owned[i].released, release};
    return reference;
}

static void add_bytes(struct wsc_outgoing *outgoing, struct blob *model, size_t len)
{
    uint8_t *out = NULL;
    CHECK_INT(wsc_outgoing_reserve(outgoing, len, &out), WSC_OK);
    for (size_t i = 0; i < len; i++) {
        out[i] = (uint8_t)test_random();
    }
    blob_add(model, out, len);
    wsc_outgoing_commit(outgoing, len);
}

/* All pieces are the rest of the model from `start`. */
static void
check_rest(const struct wsc_outgoing *outgoing, const struct blob *model, size_t start)
{
    struct wsc_outgoing_piece pieces[64];
    struct blob got = {0};
    size_t count = wsc_outgoing_peek(outgoing, pieces, 64);
    CHECK(wsc_outgoing_check(outgoing));
    for (size_t i = 0; i < count; i++) {
        CHECK(pieces[i].len > 0);
        blob_add(&got, pieces[i].data, pieces[i].len);
    }
    CHECK_INT(outgoing->size, model->len - start);
    if (model->data == NULL) {
        return;
    }
    CHECK_BYTES(got.data, got.len, model->data + start, model->len - start);
    /* Fewer asked for: the same ones, in order. */
    for (size_t most = 0; most < count; most++) {
        struct wsc_outgoing_piece few[64];
        CHECK_INT(wsc_outgoing_peek(outgoing, few, most), most);
        for (size_t i = 0; i < most; i++) {
            CHECK(few[i].data == pieces[i].data && few[i].len == pieces[i].len);
        }
    }
    blob_free(&got);
}

/* bytes 10, reference 5, bytes 7, reference 1, reference 3, bytes 2. */
static void build(struct wsc_outgoing *outgoing, struct blob *model, size_t *ends)
{
    static const struct {
        size_t bytes;
        size_t reference;
    } steps[] = {{10, 5}, {7, 1}, {0, 3}};
    for (size_t i = 0; i < 3; i++) {
        uint8_t header[3] = {(uint8_t)i, 0xAB, 0xCD};
        struct wsc_reference reference = make_reference(i, steps[i].reference);
        if (steps[i].bytes > 0) {
            add_bytes(outgoing, model, steps[i].bytes);
        }
        CHECK_INT(wsc_outgoing_append_reference(outgoing, header, 3, &reference),
                  WSC_OK);
        blob_add(model, header, 3);
        blob_add(model, reference.data, reference.len);
        ends[i] = model->len;
    }
    add_bytes(outgoing, model, 2);
}

/* Every count at first, then every step: each reference is released once, when its last
 * byte has gone. */
static void consumed_at_every_count(void)
{
    for (size_t first = 0; first <= 37; first++) {
        for (size_t step = 1; step <= 37; step++) {
            struct test_allocator allocator;
            struct wsc_outgoing outgoing;
            struct blob model = {0};
            size_t ends[3];
            test_allocator_init(&allocator);
            wsc_outgoing_init(&outgoing, &allocator.base);
            build(&outgoing, &model, ends);
            CHECK_INT(model.len, 37);
            for (size_t done = 0, n = first; done < model.len; n = step) {
                n = n < model.len - done ? n : model.len - done;
                wsc_outgoing_consume(&outgoing, n);
                done += n;
                check_rest(&outgoing, &model, done);
                for (size_t i = 0; i < 3; i++) {
                    CHECK_INT(owned[i].released, done >= ends[i]);
                }
            }
            wsc_outgoing_fini(&outgoing);
            for (size_t i = 0; i < 3; i++) {
                CHECK_INT(owned[i].released, 1);
            }
            CHECK_INT(allocator.live_blocks, 0);
            blob_free(&model);
        }
    }
}

/* fini at every count: what has not gone is released then, once. */
static void freed_at_every_count(void)
{
    for (size_t done = 0; done <= 37; done++) {
        struct test_allocator allocator;
        struct wsc_outgoing outgoing;
        struct blob model = {0};
        size_t ends[3];
        test_allocator_init(&allocator);
        wsc_outgoing_init(&outgoing, &allocator.base);
        build(&outgoing, &model, ends);
        wsc_outgoing_consume(&outgoing, done);
        wsc_outgoing_fini(&outgoing);
        for (size_t i = 0; i < 3; i++) {
            CHECK_INT(owned[i].released, 1);
        }
        CHECK_INT(outgoing.size, 0);
        CHECK_INT(allocator.live_blocks, 0);
        blob_free(&model);
    }
}

/* The context is given with a whole reference only. */
static void pieces_name_whole_references(void)
{
    struct wsc_outgoing outgoing;
    struct wsc_outgoing_piece piece[4];
    struct wsc_reference reference = make_reference(0, 50);
    uint8_t header[2] = {1, 2};
    wsc_outgoing_init(&outgoing, wsc_allocator_default());
    CHECK_INT(wsc_outgoing_append_reference(&outgoing, header, 2, &reference), WSC_OK);
    CHECK_INT(wsc_outgoing_peek(&outgoing, piece, 4), 2);
    CHECK(piece[0].ctx == NULL && piece[1].ctx == &owned[0].released);
    CHECK(piece[1].data == owned[0].data && piece[1].len == 50);
    wsc_outgoing_consume(&outgoing, 3);
    CHECK_INT(wsc_outgoing_peek(&outgoing, piece, 4), 1);
    CHECK(piece[0].ctx == NULL && piece[0].data == owned[0].data + 1);
    wsc_outgoing_fini(&outgoing);
}

/* A reference with nothing around it takes no memory; what comes behind it does, and
 * without memory for that nothing is lost. */
static void alone_without_memory(void)
{
    struct test_allocator allocator;
    struct wsc_outgoing outgoing;
    struct blob model = {0};
    uint8_t *out;
    test_allocator_init(&allocator);
    wsc_outgoing_init(&outgoing, &allocator.base);
    for (int i = 0; i < 3; i++) {
        struct wsc_reference reference = make_reference(0, 60);
        model.len = 0;
        blob_add(&model, reference.data, 60);
        CHECK_INT(wsc_outgoing_append_reference(&outgoing, NULL, 0, &reference),
                  WSC_OK);
        check_rest(&outgoing, &model, 0);
        wsc_outgoing_consume(&outgoing, 20);
        CHECK_INT(allocator.requests, 0);
        if (i == 1) {
            allocator.fail_at = 1;
            CHECK_INT(wsc_outgoing_reserve(&outgoing, 5, &out), WSC_ERR_NO_MEMORY);
            check_rest(&outgoing, &model, 20);
            CHECK_INT(owned[0].released, 0);
            wsc_outgoing_fini(&outgoing);
            allocator.requests = 0;
        }
        else {
            wsc_outgoing_consume(&outgoing, 40);
        }
        CHECK_INT(owned[0].released, 1);
    }
    wsc_outgoing_fini(&outgoing);
    CHECK_INT(owned[0].released, 1);
    CHECK_INT(allocator.live_blocks, 0);
    blob_free(&model);
}

/* Random work with a model. */
static void random_work(void)
{
    for (int round = 0; round < 200; round++) {
        struct test_allocator allocator;
        struct wsc_outgoing outgoing;
        struct blob model = {0};
        size_t done = 0;
        size_t references = 0;
        size_t ends[REFERENCES];
        test_allocator_init(&allocator);
        wsc_outgoing_init(&outgoing, &allocator.base);
        for (int i = 0; i < 60; i++) {
            size_t what = test_random_below(4);
            if (what == 0 && references < REFERENCES) {
                uint8_t header[4] = {1, 2, 3, 4};
                struct wsc_reference reference =
                    make_reference(references, 1 + test_random_below(100));
                size_t size = test_random_below(5);
                CHECK_INT(
                    wsc_outgoing_append_reference(&outgoing, header, size, &reference),
                    WSC_OK);
                blob_add(&model, header, size);
                blob_add(&model, reference.data, reference.len);
                ends[references++] = model.len;
            }
            else if (what < 3) {
                add_bytes(&outgoing, &model, test_random_below(60));
            }
            else {
                size_t n = test_random_below(model.len - done + 1);
                wsc_outgoing_consume(&outgoing, n);
                done += n;
            }
            check_rest(&outgoing, &model, done);
            for (size_t k = 0; k < references; k++) {
                CHECK_INT(owned[k].released, done >= ends[k]);
            }
        }
        wsc_outgoing_fini(&outgoing);
        CHECK_INT(allocator.live_blocks, 0);
        blob_free(&model);
    }
}

/* A queue that is never empty but never long does not grow; an empty one gives memory
 * back. */
/* Who has said little keeps no memory; who says more does not ask for it each time. */
static void little_output_keeps_nothing(void)
{
    struct test_allocator allocator;
    struct wsc_outgoing outgoing;
    struct blob model = {0};
    test_allocator_init(&allocator);
    wsc_outgoing_init(&outgoing, &allocator.base);
    for (size_t sent = 0; sent < 1000; sent += 200) {
        add_bytes(&outgoing, &model, 200);
        wsc_outgoing_consume(&outgoing, 150);
        CHECK_INT(allocator.live_blocks, 1);
        wsc_outgoing_consume(&outgoing, 50);
        CHECK_INT(allocator.live_blocks, 0);
    }
    add_bytes(&outgoing, &model, 200);
    wsc_outgoing_consume(&outgoing, 200);
    CHECK_INT(allocator.live_blocks, 1);
    wsc_outgoing_fini(&outgoing);
    CHECK_INT(allocator.live_blocks, 0);
    blob_free(&model);
}

static void memory_stays_small(void)
{
    struct test_allocator allocator;
    struct wsc_outgoing outgoing;
    struct blob model = {0};
    test_allocator_init(&allocator);
    wsc_outgoing_init(&outgoing, &allocator.base);
    add_bytes(&outgoing, &model, 500);
    for (int i = 0; i < 20000; i++) {
        add_bytes(&outgoing, &model, 100);
        if (i % 50 == 0) {
            struct wsc_reference reference = make_reference(0, 100);
            CHECK_INT(wsc_outgoing_append_reference(&outgoing, (const uint8_t *)"h", 1,
                                                    &reference),
                      WSC_OK);
            wsc_outgoing_consume(&outgoing, 101);
        }
        wsc_outgoing_consume(&outgoing, 100);
    }
    CHECK(allocator.peak_bytes <= 4096);
    size_t before = allocator.live_bytes;
    add_bytes(&outgoing, &model, 1 << 20);
    CHECK(allocator.live_bytes <= before + (1 << 20) * 3 / 2 + 4096);
    wsc_outgoing_consume(&outgoing, outgoing.size);
    CHECK(allocator.live_bytes <= 4096);
    wsc_outgoing_fini(&outgoing);
    CHECK_INT(allocator.live_blocks, 0);
    blob_free(&model);
}

static bool out_of_memory_scenario(const struct wsc_allocator *allocator)
{
    struct wsc_outgoing outgoing;
    bool completed = true;
    size_t taken[REFERENCES] = {0};
    wsc_outgoing_init(&outgoing, allocator);
    for (size_t i = 0; i < REFERENCES; i++) {
        uint8_t header[200] = {0};
        uint8_t *out;
        size_t before = outgoing.size;
        struct wsc_reference reference = make_reference(i, 100);
        enum wsc_status status = wsc_outgoing_append_reference(
            &outgoing, header, sizeof(header), &reference);
        CHECK(status == WSC_OK || status == WSC_ERR_NO_MEMORY);
        CHECK_INT(outgoing.size, before + (status == WSC_OK ? 300U : 0U));
        taken[i] = status == WSC_OK;
        completed = completed && status == WSC_OK;
        status = wsc_outgoing_reserve(&outgoing, 300, &out);
        completed = completed && status == WSC_OK;
        if (status == WSC_OK) {
            memset(out, 0, 300);
            wsc_outgoing_commit(&outgoing, 300);
        }
        wsc_outgoing_consume(&outgoing, outgoing.size / 3);
    }
    wsc_outgoing_fini(&outgoing);
    for (size_t i = 0; i < REFERENCES; i++) {
        CHECK_INT(owned[i].released, taken[i]);
    }
    return completed;
}

static void without_memory(void)
{
    test_every_allocation(out_of_memory_scenario);
}

static void consume_nothing(struct wsc_outgoing *outgoing)
{
    (void)outgoing;
}

static void consume_some(struct wsc_outgoing *outgoing)
{
    wsc_outgoing_consume(outgoing, outgoing->size / 2);
}

/* BOR-3: whatever is written to a length from outside is seen, in each of the ways to
 * wait: copied, a reference that is alone, both. */
static void a_wrong_length_is_seen(void)
{
    static void (*const before[])(struct wsc_outgoing *) = {consume_nothing,
                                                            consume_some};
    for (int kind = 0; kind < 6; kind++) {
        struct wsc_outgoing outgoing;
        struct blob model = {0};
        size_t ends[3];
        wsc_outgoing_init(&outgoing, wsc_allocator_default());
        if (kind % 3 == 0) {
            add_bytes(&outgoing, &model, 30);
        }
        else if (kind % 3 == 1) {
            struct wsc_reference reference = make_reference(0, 30);
            CHECK_INT(wsc_outgoing_append_reference(&outgoing, NULL, 0, &reference),
                      WSC_OK);
        }
        else {
            build(&outgoing, &model, ends);
        }
        before[kind / 3](&outgoing);
        CHECK(wsc_outgoing_check(&outgoing));
        size_t *const lengths[] = {&outgoing.size, &outgoing.bytes.len,
                                   &outgoing.bytes_start};
        for (size_t i = 0; i < 3; i++) {
            *lengths[i] += 1;
            CHECK(!wsc_outgoing_check(&outgoing));
            *lengths[i] -= 2;
            CHECK(!wsc_outgoing_check(&outgoing));
            *lengths[i] += 1;
        }
        CHECK(wsc_outgoing_check(&outgoing));
        wsc_outgoing_fini(&outgoing);
        blob_free(&model);
    }
}

TEST_MAIN(TEST(a_wrong_length_is_seen), TEST(consumed_at_every_count),
          TEST(freed_at_every_count), TEST(pieces_name_whole_references),
          TEST(alone_without_memory), TEST(random_work),
          TEST(little_output_keeps_nothing), TEST(memory_stays_small),
          TEST(without_memory))

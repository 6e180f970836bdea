#define _GNU_SOURCE
#include "test.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static unsigned failures_in_case;
static uint32_t seed;
static uint32_t random_state;

#define GUARDED_MAX 65536
static struct {
    void *start;
    size_t size;
} guarded[GUARDED_MAX];
static size_t guarded_count;

bool test_check(bool ok, const char *file, int line, const char *what)
{
    if (!ok) {
        failures_in_case++;
        if (failures_in_case <= 10) {
            printf("%s:%d: failed: %s\n", file, line, what);
        }
    }
    return ok;
}

bool test_check_int(long long got, long long want, const char *file, int line,
                    const char *what)
{
    if (got != want) {
        if (failures_in_case < 10) {
            printf("%s:%d: got %lld, want %lld\n", file, line, got, want);
        }
        return test_check(false, file, line, what);
    }
    return true;
}

bool test_check_bytes(const void *got, size_t got_len, const void *want,
                      size_t want_len, const char *file, int line, const char *what)
{
    if (got_len == want_len && (got_len == 0 || memcmp(got, want, got_len) == 0)) {
        return true;
    }
    if (failures_in_case < 10) {
        const uint8_t *g = got;
        const uint8_t *w = want;
        printf("%s:%d: %s: got %zu bytes:", file, line, what, got_len);
        for (size_t i = 0; i < got_len && i < 48; i++) {
            printf(" %02x", g[i]);
        }
        printf("\n    want %zu bytes:", want_len);
        for (size_t i = 0; i < want_len && i < 48; i++) {
            printf(" %02x", w[i]);
        }
        printf("\n");
    }
    return test_check(false, file, line, what);
}

uint8_t *test_guarded(const void *data, size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t body = (len + page - 1) / page * page;
    if (guarded_count == GUARDED_MAX) {
        printf("test_guarded: too many in one case\n");
        abort();
    }
    uint8_t *start = mmap(NULL, body + page, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED || mprotect(start + body, page, PROT_NONE) != 0) {
        perror("mmap");
        abort();
    }
    guarded[guarded_count].start = start;
    guarded[guarded_count].size = body + page;
    guarded_count++;
    uint8_t *copy = start + body - len;
    if (len > 0) {
        memcpy(copy, data, len);
    }
    return copy;
}

uint32_t test_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state;
}

size_t test_random_below(size_t bound)
{
    return bound == 0 ? 0 : (size_t)test_random() % bound;
}

/* Each block has its size in front. */
#define PREFIX 16

static bool refuses(struct test_allocator *self)
{
    self->requests++;
    return self->fail_at != 0 &&
           (self->requests == self->fail_at ||
            (self->fail_forever && self->requests > self->fail_at));
}

static void *counting_realloc(void *ctx, void *ptr, size_t size)
{
    struct test_allocator *self = ctx;
    if (size == 0 || refuses(self)) {
        return NULL;
    }
    size_t old_size = 0;
    uint8_t *old_block = NULL;
    if (ptr != NULL) {
        old_block = (uint8_t *)ptr - PREFIX;
        memcpy(&old_size, old_block, sizeof(old_size));
    }
    /* Always moves, so that a stale pointer is noticed. */
    uint8_t *block = malloc(PREFIX + size);
    if (block == NULL) {
        return NULL;
    }
    memcpy(block, &size, sizeof(size));
    memset(block + PREFIX, 0xA5, size);
    if (old_block != NULL) {
        memcpy(block + PREFIX, ptr, old_size < size ? old_size : size);
        free(old_block);
    }
    else {
        self->live_blocks++;
    }
    self->live_bytes += size - old_size;
    if (self->live_bytes > self->peak_bytes) {
        self->peak_bytes = self->live_bytes;
    }
    return block + PREFIX;
}

static void *counting_alloc(void *ctx, size_t size)
{
    return counting_realloc(ctx, NULL, size);
}

static void counting_free(void *ctx, void *ptr)
{
    struct test_allocator *self = ctx;
    if (ptr != NULL) {
        size_t size;
        memcpy(&size, (uint8_t *)ptr - PREFIX, sizeof(size));
        self->live_blocks--;
        self->live_bytes -= size;
        free((uint8_t *)ptr - PREFIX);
    }
}

void test_allocator_init(struct test_allocator *allocator)
{
    memset(allocator, 0, sizeof(*allocator));
    allocator->base.ctx = allocator;
    allocator->base.alloc = counting_alloc;
    allocator->base.realloc = counting_realloc;
    allocator->base.free = counting_free;
}

void test_every_allocation(bool (*scenario)(const struct wsc_allocator *allocator))
{
    size_t injected = 0;
    for (int forever = 0; forever < 2; forever++) {
        for (size_t n = 1;; n++) {
            struct test_allocator allocator;
            test_allocator_init(&allocator);
            allocator.fail_at = n;
            allocator.fail_forever = forever != 0;
            bool completed = scenario(&allocator.base);
            bool reached = allocator.requests >= n;
            if (!CHECK(allocator.live_blocks == 0)) {
                printf("  leak when allocation %zu fails%s\n", n,
                       forever ? " for good" : "");
                return;
            }
            if (!reached) {
                CHECK(completed);
                break;
            }
            injected++;
        }
    }
    printf("  %zu allocation failures injected\n", injected);
}

int test_main(int argc, char **argv, const struct test_case *cases, size_t count)
{
    unsigned passed = 0;
    unsigned failed = 0;
    const char *given = getenv("TEST_SEED");
    setvbuf(stdout, NULL, _IOLBF, 0);
    seed = given != NULL ? (uint32_t)strtoul(given, NULL, 0)
                         : (uint32_t)time(NULL) ^ (uint32_t)getpid() << 8;
    if (seed == 0) {
        seed = 1;
    }
    for (size_t i = 0; i < count; i++) {
        if (argc > 1 && strstr(cases[i].name, argv[1]) == NULL) {
            continue;
        }
        failures_in_case = 0;
        random_state = seed;
        cases[i].run();
        for (size_t k = 0; k < guarded_count; k++) {
            munmap(guarded[k].start, guarded[k].size);
        }
        guarded_count = 0;
        if (failures_in_case != 0) {
            printf("FAILED %s (TEST_SEED=%u)\n", cases[i].name, (unsigned)seed);
            failed++;
        }
        else {
            passed++;
        }
    }
    printf("%s: %u passed, %u failed\n", argv[0], passed, failed);
    return failed == 0 ? 0 : 1;
}

/* Every length at every alignment, every overlap, between pages that nobody may touch, by the symbols that a program calls. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void *__memcpy_chk(void *, const void *, size_t, size_t);
void *__memmove_chk(void *, const void *, size_t, size_t);
void *__mempcpy_chk(void *, const void *, size_t, size_t);
void *__memset_chk(void *, int, size_t, size_t);

enum { UP_TO = 1100, PAGE = 4096, ROOM = 8 * PAGE };

typedef void *copy_fn(void *, const void *, size_t);

static void *memcpy_chk(void *d, const void *s, size_t n) { return __memcpy_chk(d, s, n, n); }
static void *memmove_chk(void *d, const void *s, size_t n) { return __memmove_chk(d, s, n, n); }
static void *mempcpy_chk(void *d, const void *s, size_t n) { return __mempcpy_chk(d, s, n, n); }
static void *memset_chk(void *d, int c, size_t n) { return __memset_chk(d, c, n, n + 1); }

static unsigned char before[ROOM];

static void fail(const char *what, size_t n, size_t d, size_t s) {
    printf("%s: %zu bytes from %zu to %zu\n", what, n, s, d);
    exit(1);
}

/* `n` bytes of memory between two closed pages. */
static unsigned char *guarded(size_t n) {
    size_t bytes = (n + PAGE - 1) / PAGE * PAGE;
    unsigned char *m = mmap(NULL, bytes + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (m == MAP_FAILED || mprotect(m + PAGE, bytes, PROT_READ | PROT_WRITE) != 0) {
        perror("mmap");
        exit(2);
    }
    return m + PAGE;
}

/* The oracle, byte by byte: a `volatile` pointer keeps the compiler from calling what is tested. */
static void refill(volatile unsigned char *to, const unsigned char *from, size_t n) {
    for (size_t i = 0; i < n; i++) to[i] = from[i];
}

static int differs(const unsigned char *a, const unsigned char *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i]) return 1;
    return 0;
}

static void move(const char *name, copy_fn *copy, int is_end, unsigned char *m, size_t d, size_t s, size_t n) {
    size_t low = d < s ? d : s, high = (d < s ? s : d) + n;
    size_t from = low < 64 ? 0 : low - 64, to = high + 64 > ROOM ? ROOM : high + 64;
    unsigned char *result = copy(m + d, m + s, n);
    if (result != m + d + (is_end ? n : 0) || differs(m + d, before + s, n) || differs(m + from, before + from, d - from) ||
        differs(m + d + n, before + d + n, to - d - n))
        fail(name, n, d, s);
    refill(m + d, before + d, n);
}

/* In steps of so much above 300 bytes, and of so much up to there. */
int main(int argc, char **argv) {
    static const struct { const char *name; copy_fn *copy; int is_end; } copies[] = {
        {"memcpy", memcpy, 0}, {"memmove", memmove, 0}, {"mempcpy", mempcpy, 1},
        {"__memcpy_chk", memcpy_chk, 0}, {"__memmove_chk", memmove_chk, 0}, {"__mempcpy_chk", mempcpy_chk, 1},
    };
    size_t step = argc > 1 ? strtoul(argv[1], NULL, 10) : 1, small = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    size_t moves = 0, fills = 0;
    unsigned char *m = guarded(ROOM);
    uint32_t x = 1;
    for (size_t i = 0; i < ROOM; i++) before[i] = (x = x * 1664525 + 1013904223) >> 24;
    refill(m, before, ROOM);
    for (size_t c = 0; c < sizeof copies / sizeof *copies; c++) {
        for (size_t n = 0; n <= UP_TO; n += n < 300 ? small : step)
            /* Both ends at a closed page in turn; the distance runs over all overlaps and a little more. */
            for (size_t distance = 0; distance <= n + 2; distance += distance < 70 || distance > n - 70 ? 1 : step) {
                size_t at = (n + distance) % 2 ? 0 : ROOM - n - distance;
                move(copies[c].name, copies[c].copy, copies[c].is_end, m, at, at + distance, n);
                move(copies[c].name, copies[c].copy, copies[c].is_end, m, at + distance, at, n);
                moves += 2;
            }
        for (size_t n = 2000; n <= 3 * PAGE; n = n * 5 / 4)
            for (size_t distance = 1; distance <= n; distance = distance * 3 / 2 + 1) {
                move(copies[c].name, copies[c].copy, copies[c].is_end, m, 7, 7 + distance, n);
                move(copies[c].name, copies[c].copy, copies[c].is_end, m, ROOM - n, ROOM - n - distance, n);
                moves += 2;
            }
    }
    for (int chk = 0; chk < 2; chk++)
        for (size_t n = 0; n <= 3 * PAGE; n += n < UP_TO ? small : 997)
            for (size_t at = 0; at < 64; at += 1 + step / 2) {
                for (int high = 0; high < 2; high++) {
                    size_t d = high ? ROOM - n - at : at, from = d < 64 ? 0 : d - 64, to = d + n + 64 > ROOM ? ROOM : d + n + 64;
                    int byte = (int)(n + at) | 0x4500;
                    if ((chk ? memset_chk : memset)(m + d, byte, n) != m + d) fail("memset's result", n, d, d);
                    for (size_t i = from; i < to; i++)
                        if (m[i] != (i >= d && i < d + n ? (unsigned char)byte : before[i])) fail("memset", n, d, i);
                    refill(m + d, before + d, n);
                    fills++;
                }
            }
    /* What outgrows every cache, or is beyond the border to non-temporal stores of most; apart and overlapping. */
    size_t huge = (size_t)(step == 1 ? 48 : 5) << 20;
    unsigned char *h = guarded(huge + PAGE);
    for (size_t i = 0; i < huge; i += 8) *(uint64_t *)(h + i) = i * 0x9E3779B97F4A7C15u;
    unsigned char *copy = guarded(huge);
    memcpy(copy, h, huge);
    for (size_t i = 0; i < huge; i += 8) if (*(uint64_t *)(copy + i) != i * 0x9E3779B97F4A7C15u) fail("huge memcpy", huge, i, i);
    memmove(h + 1000, h, huge);
    for (size_t i = 0; i < huge; i += 8) if (*(uint64_t *)(h + 1000 + i) != i * 0x9E3779B97F4A7C15u) fail("huge memmove up", huge, i, i);
    memmove(h, h + 1000, huge);
    for (size_t i = 0; i < huge; i += 8) if (*(uint64_t *)(h + i) != i * 0x9E3779B97F4A7C15u) fail("huge memmove down", huge, i, i);
    printf("%zu moves and %zu fills are right\n", moves, fills);
    return 0;
}

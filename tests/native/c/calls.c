/*
 * Copies, moves and fills by every call and every kernel of the library, and compares each byte with loops of its own,
 * around the ranges too.
 */

#include <memcpy_select.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = 38000, AROUND = 96, BYTES = ROOM + 2 * AROUND };

static unsigned char memory[BYTES], before[BYTES], wanted[BYTES];

static const size_t LENGTHS[] = {0,   1,   2,   3,   4,    7,    8,    15,   16,    17,   31,  32,
                                 33,  63,  64,  65,  95,   96,   97,   127,  128,   129,  255, 256,
                                 257, 511, 512, 513, 1100, 2048, 2049, 4097, 16384, 16385};
static const size_t OFFSETS[] = {0, 1, 15, 33};
/* From source to destination, backward and forward: far, and upon each other. */
static const long DISTANCES[] = {20000, -20000, 0,   1,   -1,   7,    -7,    16,   -16,  63,
                                 -63,   64,     -64, 100, -100, 1000, -1000, 4096, -4096};

#define COUNT(array) (sizeof(array) / sizeof *(array))

typedef void *(*copy_call)(void *, const void *, size_t);
typedef void *(*fill_call)(void *, int, size_t);

static void begin(void) {
    memcpy(memory, before, BYTES);
    memcpy(wanted, before, BYTES);
}

static void compare(const char *what, size_t dst, size_t src, size_t n) {
    if (memcmp(memory, wanted, BYTES) != 0) {
        fprintf(stderr, "%s: %lu bytes from %lu to %lu: other bytes\n", what, (unsigned long)n, (unsigned long)src,
                (unsigned long)dst);
        exit(EXIT_FAILURE);
    }
}

/* One length at one place, by a call or, if there is none, by a kernel. */
static void copy(const char *what, copy_call call, const memcpy_select_kernel *kernel, size_t dst, size_t src,
                 size_t n) {
    size_t at;
    begin();
    for (at = 0; at < n; at++) {
        wanted[dst + at] = before[src + at];
    }
    if (call != NULL ? call(memory + dst, memory + src, n) != memory + dst
                     : memcpy_select_kernel_copy(kernel, memory + dst, memory + src, n) != MEMCPY_SELECT_OK) {
        fprintf(stderr, "%s: refused, or another pointer returned\n", what);
        exit(EXIT_FAILURE);
    }
    compare(what, dst, src, n);
}

/* How ranges may overlap: in no way, in one, or in both. */
enum {
    NEVER = MEMCPY_SELECT_OVERLAP_NEVER,
    BELOW = MEMCPY_SELECT_OVERLAP_DST_BELOW,
    ABOVE = MEMCPY_SELECT_OVERLAP_DST_ABOVE,
    ANY
};

static void copy_all(const char *what, copy_call call, const memcpy_select_kernel *kernel, int overlap) {
    size_t length, offset, distance;
    for (length = 0; length < COUNT(LENGTHS); length++) {
        for (offset = 0; offset < COUNT(OFFSETS); offset++) {
            for (distance = 0; distance < COUNT(DISTANCES); distance++) {
                size_t n = LENGTHS[length];
                long by = DISTANCES[distance];
                size_t src = AROUND + OFFSETS[offset] + (by < 0 ? (size_t)-by : 0), dst = (size_t)((long)src + by);
                bool is_apart = (size_t)(by < 0 ? -by : by) >= n;
                bool is_taken =
                    is_apart || overlap == ANY || (overlap == BELOW && by < 0) || (overlap == ABOVE && by > 0);
                if (is_taken && src + n <= AROUND + ROOM && dst + n <= AROUND + ROOM) {
                    copy(what, call, kernel, dst, src, n);
                }
            }
        }
    }
}

static void fill_all(const char *what, fill_call call) {
    static const int VALUES[] = {0, 5, 0x1ff, -2};
    size_t length, offset, byte;
    for (length = 0; length < COUNT(LENGTHS); length++) {
        for (offset = 0; offset < COUNT(OFFSETS); offset++) {
            for (byte = 0; byte < COUNT(VALUES); byte++) {
                size_t n = LENGTHS[length], dst = AROUND + OFFSETS[offset], at;
                begin();
                for (at = 0; at < n; at++) {
                    wanted[dst + at] = (unsigned char)VALUES[byte];
                }
                if (call(memory + dst, VALUES[byte], n) != memory + dst) {
                    fprintf(stderr, "%s: another pointer returned\n", what);
                    exit(EXIT_FAILURE);
                }
                compare(what, dst, 0, n);
            }
        }
    }
}

int main(void) {
    unsigned random = 1;
    size_t at;
    for (at = 0; at < BYTES; at++) {
        random = random * 1103515245u + 12345u;
        before[at] = (unsigned char)(random >> 16);
    }
    copy_all("memcpy", memcpy_select_memcpy, NULL, NEVER);
    copy_all("memcpy_nosimd", memcpy_select_memcpy_nosimd, NULL, NEVER);
    copy_all("memmove", memcpy_select_memmove, NULL, ANY);
    copy_all("memmove_nosimd", memcpy_select_memmove_nosimd, NULL, ANY);
    fill_all("memset", memcpy_select_memset);
    fill_all("memset_nosimd", memcpy_select_memset_nosimd);
    /* No byte: the pointers may be anything. */
    if (memcpy_select_memcpy(NULL, NULL, 0) != NULL || memcpy_select_memmove(NULL, NULL, 0) != NULL ||
        memcpy_select_memset(NULL, 1, 0) != NULL || memcpy_select_memset_nosimd(NULL, 1, 0) != NULL ||
        memcpy_select_memcpy_nosimd(NULL, NULL, 0) != NULL || memcpy_select_memmove_nosimd(NULL, NULL, 0) != NULL) {
        return fputs("no byte: another pointer returned\n", stderr), EXIT_FAILURE;
    }
    for (at = 0; at < memcpy_select_kernel_count(); at++) {
        const memcpy_select_kernel *kernel = memcpy_select_kernel_at(at);
        const char *name = memcpy_select_kernel_name(kernel);
        bool is_available = memcpy_select_kernel_is_available(kernel);
        if (memcpy_select_kernel_named(name) != kernel) {
            return fprintf(stderr, "%s is not the kernel of its name\n", name), EXIT_FAILURE;
        }
        if (is_available) {
            copy_all(name, NULL, kernel, (int)memcpy_select_kernel_overlap(kernel));
        }
        printf("kernel %s: %s, %s\n", name, memcpy_select_kernel_needs(kernel), is_available ? "copied" : "skipped");
    }
    puts("every byte is right");
    return EXIT_SUCCESS;
}

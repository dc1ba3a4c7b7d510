/*
 * Copies from and to memory that is not there, by the library's handler and by one of this program's that asks for the
 * fix-up; looks at the exception table; and copies memory that others may write.
 */

#define _GNU_SOURCE

#include <memcpy_select.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE = 4096, LONGEST = 3000 };

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "line %d: not %s\n", __LINE__, #condition);                                                \
            exit(EXIT_FAILURE);                                                                                        \
        }                                                                                                              \
    } while (0)

static unsigned long answered;
/* Of the lengths below 200 each so many. */
static size_t step;

static void on_fault(int number, siginfo_t *info, void *context) {
    greg_t *instruction = &((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    const void *go_on = memcpy_select_fixup((const void *)(uintptr_t)*instruction);
    (void)info;
    if (go_on == NULL) {
        signal(number, SIG_DFL);
        return;
    }
    *instruction = (greg_t)(uintptr_t)go_on;
    answered++;
}

/* Two pages of which the second one is not there: taken from a file if `is_file`. */
static unsigned char *half(int is_file) {
    unsigned char *pages;
    int file = -1, at;
    if (is_file) {
        file = memfd_create("memcpy-select-test", 0);
        CHECK(file >= 0 && ftruncate(file, 2 * PAGE) == 0);
    }
    pages = (unsigned char *)mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
                                  is_file ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, file, 0);
    CHECK(pages != MAP_FAILED);
    for (at = 0; at < PAGE; at++) {
        pages[at] = (unsigned char)(at * 7 + at / 256);
    }
    CHECK((is_file ? ftruncate(file, PAGE) : mprotect(pages + PAGE, PAGE, PROT_NONE)) == 0);
    return pages;
}

static void copy_all(int is_file) {
    static unsigned char other[LONGEST], source[LONGEST];
    unsigned char *bad = half(is_file);
    size_t n, there, at;
    memcpy(source, bad, LONGEST);
    for (n = 1; n <= LONGEST; n += n < 200 ? step : 311) {
        for (there = 0; there < n; there += n < 200 ? 1 : 97) {
            unsigned char *start = bad + PAGE - there;
            memset(other, 0xEE, sizeof other);
            CHECK(memcpy_select_try_copy(other, start, n) == n - there);
            CHECK(memcmp(other, start, there) == 0);
            for (at = there; at < n; at++) {
                CHECK(other[at] == 0xEE);
            }
            CHECK(memcpy_select_try_copy(start, source, n) == n - there);
            CHECK(memcmp(start, source, there) == 0);
        }
        memset(other, 0, sizeof other);
        CHECK(memcpy_select_try_copy(other, source, n) == 0 && memcmp(other, source, n) == 0);
    }
    CHECK(memcpy_select_try_copy(NULL, NULL, 0) == 0);
    CHECK(memcpy_select_try_copy(NULL, source, 10) == 10 && memcpy_select_try_copy(other, NULL, 10) == 10);
    CHECK(memcpy_select_try_copy(other, bad + PAGE - 100, (size_t)-1) == (size_t)-1 - 100);
    munmap(bad, 2 * PAGE);
}

static void shared_all(void) {
    static unsigned char from[LONGEST], to[LONGEST], back[LONGEST];
    size_t n, at;
    for (at = 0; at < LONGEST; at++) {
        from[at] = (unsigned char)(at * 5 + at / 256);
    }
    for (n = 0; n <= LONGEST; n += n < 200 ? 1 : 311) {
        memset(to, 0, LONGEST);
        memset(back, 0, LONGEST);
        memcpy_select_copy_to_shared(to, from, n);
        memcpy_select_copy_from_shared(back, to, n);
        CHECK(memcmp(back, from, n) == 0);
        for (at = n; at < LONGEST; at++) {
            CHECK(to[at] == 0 && back[at] == 0);
        }
    }
    memcpy_select_copy_to_shared(NULL, NULL, 0);
    memcpy_select_copy_from_shared(NULL, NULL, 0);
}

int main(int count, char **words) {
    struct sigaction ours;
    const void *start, *end, *fixup;
    size_t at, rows = memcpy_select_exception_count();
    step = count > 1 ? strtoul(words[1], NULL, 10) : 1;
    CHECK(rows > 0 && !memcpy_select_exception_at(rows, &start, &end, &fixup));
    for (at = 0; at < rows; at++) {
        CHECK(memcpy_select_exception_at(at, &start, &end, &fixup) && memcpy_select_exception_at(at, NULL, NULL, NULL));
        CHECK((uintptr_t)start < (uintptr_t)end && memcpy_select_fixup(start) == fixup);
    }
    CHECK(memcpy_select_fixup(NULL) == NULL && memcpy_select_fixup((const void *)(uintptr_t)main) == NULL);

    memset(&ours, 0, sizeof ours);
    ours.sa_sigaction = on_fault;
    ours.sa_flags = SA_SIGINFO;
    CHECK(sigaction(SIGSEGV, &ours, NULL) == 0 && sigaction(SIGBUS, &ours, NULL) == 0);
    copy_all(0);
    copy_all(1);
    CHECK(answered > 1000);

    CHECK(memcpy_select_install_fault_handler() == MEMCPY_SELECT_OK);
    CHECK(memcpy_select_install_fault_handler() == MEMCPY_SELECT_OK);
    answered = 0;
    copy_all(0);
    copy_all(1);
    CHECK(answered == 0);
    shared_all();
    puts("every byte is right");
    return EXIT_SUCCESS;
}

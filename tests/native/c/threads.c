/*
 * Threads that copy, move and fill, and compare what they wrote, while others put plans in force and out of it, and ask
 * for names.
 */

#define _POSIX_C_SOURCE 200809L

#include <memcpy_select.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 3, BYTES = 20000 };

static size_t rounds;

static void fail(const char *what) {
    fprintf(stderr, "%s\n", what);
    exit(EXIT_FAILURE);
}

static void *copies(void *argument) {
    static const size_t LENGTHS[] = {1, 40, 64, 65, 300, 512, 513, 2048, 5000, 16385};
    unsigned char *src = (unsigned char *)malloc(BYTES), *dst = (unsigned char *)malloc(BYTES);
    size_t round, at;
    if (src == NULL || dst == NULL) {
        fail("no memory");
    }
    for (at = 0; at < BYTES; at++) {
        src[at] = (unsigned char)(at % 253 + *(const unsigned char *)argument);
    }
    for (round = 0; round < rounds; round++) {
        for (at = 0; at < sizeof LENGTHS / sizeof *LENGTHS; at++) {
            size_t n = LENGTHS[at];
            memcpy_select_memset(dst, (int)round, n);
            if (dst[0] != round % 256 || memcmp(dst, dst + 1, n - 1) != 0) {
                fail("the fill differs");
            }
            memcpy_select_memcpy_nosimd(dst, src, n);
            memcpy_select_memcpy(dst + 1, src, n);
            memcpy_select_memmove(dst, dst + 1, n);
            if (memcmp(dst, src, n) != 0) {
                fail("the copy differs");
            }
        }
    }
    free(src);
    free(dst);
    return NULL;
}

/* Every kernel in turn, as a plan of its own. */
static void *plans(void *argument) {
    char in_force[MEMCPY_SELECT_TEXT_BYTES], text[512];
    memcpy_select_plan *plan;
    size_t round, at;
    const char *cpu;
    (void)argument;
    if (memcpy_select_plan_in_force(MEMCPY_SELECT_POLICY_USER, &plan) != MEMCPY_SELECT_OK ||
        memcpy_select_plan_text(plan, in_force, sizeof in_force, NULL) != MEMCPY_SELECT_OK) {
        fail("no plan is in force");
    }
    memcpy_select_plan_free(plan);
    cpu = strchr(in_force, '\n') + 1;
    for (round = 0; round < rounds / 10; round++) {
        for (at = 0; at < memcpy_select_kernel_count(); at++) {
            const memcpy_select_kernel *kernel = memcpy_select_kernel_at(at);
            if (!memcpy_select_kernel_is_available(kernel) ||
                memcpy_select_kernel_overlap(kernel) != MEMCPY_SELECT_OVERLAP_NEVER) {
                continue;
            }
            snprintf(text, sizeof text, "memcpy-select plan 1\n%.*s\npolicy user\nabove %s\n", (int)strcspn(cpu, "\n"),
                     cpu, memcpy_select_kernel_name(kernel));
            if (memcpy_select_plan_from_text(text, &plan, NULL, 0, NULL) != MEMCPY_SELECT_OK ||
                memcpy_select_plan_install(plan) != MEMCPY_SELECT_OK) {
                fail(text);
            }
            memcpy_select_plan_free(plan);
            memcpy_select_plan_uninstall(MEMCPY_SELECT_POLICY_NO_SIMD);
        }
        memcpy_select_plan_uninstall(MEMCPY_SELECT_POLICY_USER);
    }
    return NULL;
}

/* In so many rounds. */
int main(int count, char **words) {
    static unsigned char seeds[THREADS] = {0, 71, 142};
    pthread_t threads[2 * THREADS];
    size_t at;
    rounds = count > 1 ? strtoul(words[1], NULL, 10) : 300;
    for (at = 0; at < 2 * THREADS; at++) {
        void *(*body)(void *) = at < THREADS ? copies : plans;
        if (pthread_create(&threads[at], NULL, body, &seeds[at % THREADS]) != 0) {
            fail("no thread could be started");
        }
    }
    for (at = 0; at < 2 * THREADS; at++) {
        pthread_join(threads[at], NULL);
    }
    puts("every byte is right");
    return EXIT_SUCCESS;
}

/*
 * Puts the best plans for this machine in force, copies, and says by what.
 *
 *     cc copy.c $(pkg-config --cflags --libs memcpy_select) -o copy
 *     ./copy                 tunes: the first start measures, the others load what it saved
 *     ./copy FILE            follows the plan in a file
 */

#include <memcpy_select.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int failed(const char *what, memcpy_select_error error, const char *message) {
    fprintf(stderr, "%s: %s: %s\n", what, memcpy_select_error_name(error), message);
    return EXIT_FAILURE;
}

/* Puts the plan in a file in force. */
static memcpy_select_error follow(const char *path, char *message, size_t message_bytes) {
    memcpy_select_plan *plan;
    memcpy_select_error error = memcpy_select_plan_from_file(path, &plan, message, message_bytes, NULL);
    if (error == MEMCPY_SELECT_OK) {
        error = memcpy_select_plan_install(plan);
    }
    memcpy_select_plan_free(plan);
    return error;
}

/* Prints the plan in force, and what it copies a length by. */
static int show(char *text, size_t text_bytes, const void *dst, const void *src, size_t bytes) {
    memcpy_select_plan *plan;
    memcpy_select_error error = memcpy_select_plan_in_force(MEMCPY_SELECT_POLICY_USER, &plan);
    if (error == MEMCPY_SELECT_OK) {
        error = memcpy_select_plan_text(plan, text, text_bytes, NULL);
    }
    if (error != MEMCPY_SELECT_OK) {
        memcpy_select_plan_free(plan);
        return failed("the plan", error, memcpy_select_error_message(error));
    }
    printf("the plan in force (%s):\n%s", memcpy_select_plan_origin(plan), text);
    printf("%lu bytes are copied by %s\n", (unsigned long)bytes,
           memcpy_select_kernel_name(memcpy_select_plan_kernel(plan, dst, src, bytes)));
    memcpy_select_plan_free(plan);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv) {
    enum { BYTES = 1 << 20, MOVED = 100 };
    static char text[MEMCPY_SELECT_TEXT_BYTES];
    static unsigned char src[BYTES], dst[BYTES];
    size_t at;
    memcpy_select_error error =
        argc > 1 ? follow(argv[1], text, sizeof text) : memcpy_select_tune(text, sizeof text, NULL);
    if (error != MEMCPY_SELECT_OK && error != MEMCPY_SELECT_ERROR_NOT_SAVED) {
        return failed(argc > 1 ? argv[1] : "tune", error, text);
    }
    printf("memcpy_select %s\n%s\n", memcpy_select_version(), text);

    for (at = 0; at < BYTES; at++) {
        src[at] = (unsigned char)(at % 251);
    }
    if (memcpy_select_memcpy(dst, src, BYTES) != dst || memcmp(dst, src, BYTES) != 0) {
        return fputs("the copy differs\n", stderr), EXIT_FAILURE;
    }
    if (memcpy_select_memmove(dst + MOVED, dst, BYTES - MOVED) != dst + MOVED ||
        memcmp(dst + MOVED, src, BYTES - MOVED) != 0) {
        return fputs("the moved bytes differ\n", stderr), EXIT_FAILURE;
    }
    if (memcpy_select_memset(dst, 0x105, BYTES) != dst || dst[0] != 5 || memcmp(dst, dst + 1, BYTES - 1) != 0) {
        return fputs("the fill differs\n", stderr), EXIT_FAILURE;
    }
    puts("copied, moved and filled: every byte is right");
    return show(text, sizeof text, dst, src, BYTES);
}

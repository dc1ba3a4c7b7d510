/*
 * Provokes each error of the library, in the folder that it is given, and prints the name of each with its message.
 * What is not refused as it has to be ends the program with a line on stderr.
 */

#define _POSIX_C_SOURCE 200809L

#include <memcpy_select.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "line %d: not %s\n", __LINE__, #condition);                                                \
            exit(EXIT_FAILURE);                                                                                        \
        }                                                                                                              \
    } while (0)

/* That a call with a message is refused with a code; its message ends in NUL, has the length that is told, and is not
 * empty. */
#define REFUSED(code, call)                                                                                            \
    do {                                                                                                               \
        memcpy_select_error found;                                                                                     \
        memset(message, '#', sizeof message);                                                                          \
        found = (call);                                                                                                \
        if (found != (code)) {                                                                                         \
            fprintf(stderr, "line %d: %s: %s\n", __LINE__, memcpy_select_error_name(found), message);                  \
            exit(EXIT_FAILURE);                                                                                        \
        }                                                                                                              \
        CHECK(strlen(message) == length && length > 0);                                                                \
        printf("%s: %s\n", memcpy_select_error_name(found), message);                                                  \
    } while (0)

/* The same for a call without one. */
#define REFUSED_SILENTLY(code, call)                                                                                   \
    do {                                                                                                               \
        memcpy_select_error found = (call);                                                                            \
        CHECK(found == (code));                                                                                        \
        printf("%s: %s\n", memcpy_select_error_name(found), memcpy_select_error_message(found));                       \
    } while (0)

static char message[MEMCPY_SELECT_TEXT_BYTES];
static size_t length;
#define MESSAGE message, sizeof message, &length

static memcpy_select_plan *plan, *other;

/* The name of a file in the folder. */
static const char *in(const char *folder, const char *name) {
    static char path[4096];
    CHECK((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) < sizeof path);
    return path;
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

/* A plan for this CPU with one band. */
static const char *one_band(const char *policy, const char *kernel) {
    static char text[4096], in_force[MEMCPY_SELECT_TEXT_BYTES];
    const char *cpu;
    memcpy_select_plan *now;
    CHECK(memcpy_select_plan_in_force(MEMCPY_SELECT_POLICY_USER, &now) == MEMCPY_SELECT_OK);
    CHECK(memcpy_select_plan_text(now, in_force, sizeof in_force, NULL) == MEMCPY_SELECT_OK);
    memcpy_select_plan_free(now);
    cpu = strchr(in_force, '\n') + 1;
    CHECK(strncmp(cpu, "cpu ", 4) == 0);
    sprintf(text, "memcpy-select plan 1\n%.*s\npolicy %s\nabove %s\n", (int)strcspn(cpu, "\n"), cpu, policy, kernel);
    return text;
}

static void arguments(void) {
    static char dst[8], src[8];
    char *nothing = NULL;
    const memcpy_select_kernel *gpr = memcpy_select_kernel_named("gpr"), *kernel;
    size_t at;
    REFUSED(MEMCPY_SELECT_ERROR_NULL, memcpy_select_plan_from_text(NULL, &plan, MESSAGE));
    CHECK(plan == NULL);
    REFUSED(MEMCPY_SELECT_ERROR_NULL, memcpy_select_plan_from_text("", NULL, MESSAGE));
    REFUSED(MEMCPY_SELECT_ERROR_NULL, memcpy_select_plan_from_file(NULL, &plan, MESSAGE));
    REFUSED(MEMCPY_SELECT_ERROR_NULL, memcpy_select_plan_from_file("", NULL, MESSAGE));
    REFUSED(MEMCPY_SELECT_ERROR_NULL, memcpy_select_plan_save(NULL, "", MESSAGE));
    REFUSED(MEMCPY_SELECT_ERROR_NULL, memcpy_select_plan_text(NULL, MESSAGE));
    REFUSED(MEMCPY_SELECT_ERROR_NULL, memcpy_select_tune_at(NULL, MESSAGE));
    REFUSED(MEMCPY_SELECT_ERROR_NULL, memcpy_select_calibrate(0, NULL, &plan, MESSAGE));
    REFUSED(MEMCPY_SELECT_ERROR_NULL, memcpy_select_calibrate(0, &plan, NULL, MESSAGE));
    REFUSED(MEMCPY_SELECT_ERROR_NULL, memcpy_select_saved_plan(MEMCPY_SELECT_POLICY_USER, NULL, MESSAGE));
    REFUSED_SILENTLY(MEMCPY_SELECT_ERROR_NULL, memcpy_select_plan_in_force(MEMCPY_SELECT_POLICY_USER, NULL));
    REFUSED_SILENTLY(MEMCPY_SELECT_ERROR_NULL, memcpy_select_plan_install(NULL));
    /* A buffer with a size and without an address. */
    REFUSED_SILENTLY(MEMCPY_SELECT_ERROR_NULL, memcpy_select_plan_from_text("", &plan, nothing, 10, &length));
    REFUSED_SILENTLY(MEMCPY_SELECT_ERROR_NULL, memcpy_select_tune(nothing, 10, NULL));
    REFUSED_SILENTLY(MEMCPY_SELECT_ERROR_NULL, memcpy_select_saved_plan_path(nothing, 10, &length));
    memcpy_select_plan_free(NULL);
    CHECK(memcpy_select_plan_policy(NULL) == MEMCPY_SELECT_POLICY_NONE);
    CHECK(memcpy_select_plan_origin(NULL) == NULL);
    CHECK(memcpy_select_plan_kernel(NULL, dst, src, 8) == NULL);

    REFUSED(MEMCPY_SELECT_ERROR_POLICY, memcpy_select_saved_plan((memcpy_select_policy)77, &plan, MESSAGE));
    REFUSED_SILENTLY(MEMCPY_SELECT_ERROR_POLICY, memcpy_select_plan_in_force((memcpy_select_policy)3, &plan));
    REFUSED_SILENTLY(MEMCPY_SELECT_ERROR_POLICY, memcpy_select_plan_in_force(MEMCPY_SELECT_POLICY_NONE, &plan));
    CHECK(plan == NULL);
    REFUSED_SILENTLY(MEMCPY_SELECT_ERROR_POLICY, memcpy_select_plan_uninstall((memcpy_select_policy)-1));

    CHECK(memcpy_select_kernel_at(memcpy_select_kernel_count()) == NULL);
    CHECK(memcpy_select_kernel_at((size_t)-1) == NULL);
    CHECK(memcpy_select_kernel_named("no such kernel") == NULL);
    CHECK(memcpy_select_kernel_named("\xff") == NULL);
    CHECK(memcpy_select_kernel_named(NULL) == NULL);
    CHECK(memcpy_select_kernel_name(NULL) == NULL);
    CHECK(memcpy_select_kernel_needs((const memcpy_select_kernel *)dst) == NULL);
    CHECK(!memcpy_select_kernel_is_available(NULL));
    CHECK(memcpy_select_kernel_overlap((const memcpy_select_kernel *)1) == MEMCPY_SELECT_OVERLAP_NEVER);
    CHECK(memcpy_select_kernel_overlap(gpr) == MEMCPY_SELECT_OVERLAP_NEVER);
    REFUSED_SILENTLY(MEMCPY_SELECT_ERROR_NOT_A_KERNEL, memcpy_select_kernel_copy(NULL, dst, src, 8));
    REFUSED_SILENTLY(MEMCPY_SELECT_ERROR_NOT_A_KERNEL,
                     memcpy_select_kernel_copy((const memcpy_select_kernel *)((const char *)gpr + 1), dst, src, 8));
    REFUSED_SILENTLY(MEMCPY_SELECT_ERROR_NULL, memcpy_select_kernel_copy(gpr, NULL, src, 1));
    REFUSED_SILENTLY(MEMCPY_SELECT_ERROR_NULL, memcpy_select_kernel_copy(gpr, dst, NULL, 1));
    CHECK(memcpy_select_kernel_copy(gpr, NULL, NULL, 0) == MEMCPY_SELECT_OK);
    REFUSED_SILENTLY(MEMCPY_SELECT_ERROR_OVERLAP, memcpy_select_kernel_copy(gpr, dst + 1, dst, 2));
    REFUSED_SILENTLY(MEMCPY_SELECT_ERROR_OVERLAP, memcpy_select_kernel_copy(gpr, dst, dst + 1, 2));
    REFUSED_SILENTLY(MEMCPY_SELECT_ERROR_OVERLAP, memcpy_select_kernel_copy(gpr, dst, dst, (size_t)-1));
    CHECK(memcpy_select_kernel_copy(gpr, dst + 2, dst, 2) == MEMCPY_SELECT_OK);
    for (at = 0; (kernel = memcpy_select_kernel_at(at)) != NULL; at++) {
        memcpy_select_overlap overlap = memcpy_select_kernel_overlap(kernel);
        if (memcpy_select_kernel_is_available(kernel) && overlap != MEMCPY_SELECT_OVERLAP_DST_BELOW) {
            REFUSED_SILENTLY(MEMCPY_SELECT_ERROR_OVERLAP, memcpy_select_kernel_copy(kernel, dst, dst + 1, 4));
        }
        if (memcpy_select_kernel_is_available(kernel) && overlap != MEMCPY_SELECT_OVERLAP_DST_ABOVE) {
            REFUSED_SILENTLY(MEMCPY_SELECT_ERROR_OVERLAP, memcpy_select_kernel_copy(kernel, dst + 1, dst, 4));
        }
    }
}

static void texts(void) {
    char *long_text = (char *)malloc(1000001);
    size_t at;
    const memcpy_select_kernel *kernel;
    REFUSED(MEMCPY_SELECT_ERROR_NOT_UTF8,
            memcpy_select_plan_from_text("memcpy-select plan 1\ncpu \xff", &plan, MESSAGE));
    REFUSED(MEMCPY_SELECT_ERROR_NOT_A_PLAN, memcpy_select_plan_from_text("", &plan, MESSAGE));
    REFUSED(MEMCPY_SELECT_ERROR_NOT_A_PLAN, memcpy_select_plan_from_text(one_band("user", "nothing"), &plan, MESSAGE));
    CHECK(strstr(message, "line 4: ") == message);
    CHECK(long_text != NULL);
    memset(long_text, '\n', 1000000);
    long_text[1000000] = 0;
    REFUSED(MEMCPY_SELECT_ERROR_NOT_A_PLAN, memcpy_select_plan_from_text(long_text, &plan, MESSAGE));
    free(long_text);
    REFUSED(
        MEMCPY_SELECT_ERROR_OTHER_CPU,
        memcpy_select_plan_from_text("memcpy-select plan 1\ncpu amd-1-1-1\npolicy user\nabove gpr\n", &plan, MESSAGE));
    REFUSED(MEMCPY_SELECT_ERROR_VECTOR_REGISTERS,
            memcpy_select_plan_from_text(one_band("no-simd", "sse2_aligned"), &plan, MESSAGE));
    REFUSED(MEMCPY_SELECT_ERROR_SECTIONS, memcpy_select_plan_from_text(one_band("section", "gpr"), &plan, MESSAGE));
    for (at = 0; (kernel = memcpy_select_kernel_at(at)) != NULL; at++) {
        if (!memcpy_select_kernel_is_available(kernel)) {
            char dst = 1, src = 2;
            const char *text = one_band("user", memcpy_select_kernel_name(kernel));
            REFUSED(MEMCPY_SELECT_ERROR_UNAVAILABLE, memcpy_select_plan_from_text(text, &plan, MESSAGE));
            REFUSED_SILENTLY(MEMCPY_SELECT_ERROR_UNAVAILABLE, memcpy_select_kernel_copy(kernel, &dst, &src, 1));
            CHECK(dst == 1);
        }
    }
    CHECK(plan == NULL);
}

/* A text in buffers of every size: what fits, a NUL after it, and not a byte more. */
static void sizes(void) {
    static char whole[MEMCPY_SELECT_TEXT_BYTES], part[MEMCPY_SELECT_TEXT_BYTES];
    size_t size, needed;
    memcpy_select_error error;
    CHECK(memcpy_select_plan_from_text(one_band("no-simd", "gpr"), &plan, NULL, 0, NULL) == MEMCPY_SELECT_OK);
    CHECK(memcpy_select_plan_policy(plan) == MEMCPY_SELECT_POLICY_NO_SIMD);
    CHECK(strcmp(memcpy_select_plan_origin(plan), "saved") == 0);
    REFUSED_SILENTLY(MEMCPY_SELECT_ERROR_TRUNCATED, memcpy_select_plan_text(plan, NULL, 0, &needed));
    CHECK(memcpy_select_plan_text(plan, whole, needed + 1, NULL) == MEMCPY_SELECT_OK);
    CHECK(strcmp(whole, one_band("no-simd", "gpr")) == 0 && strlen(whole) == needed);
    for (size = 0; size <= needed + 2; size++) {
        memset(part, '#', sizeof part);
        length = 0;
        error = memcpy_select_plan_text(plan, part, size, &length);
        CHECK(error == (size > needed ? MEMCPY_SELECT_OK : MEMCPY_SELECT_ERROR_TRUNCATED));
        CHECK(length == needed);
        CHECK(part[size] == '#');
        if (size > 0) {
            size_t kept = size > needed ? needed : size - 1;
            CHECK(strlen(part) == kept && memcmp(part, whole, kept) == 0);
        }
    }
    memcpy_select_plan_free(plan);

    /* A message is not cut within a character: this name is of two-byte ones. */
    error = memcpy_select_plan_from_file("\xc3\xa9\xc3\xa9\xc3\xa9", &plan, whole, sizeof whole, &needed);
    CHECK(error == MEMCPY_SELECT_ERROR_NOT_FOUND);
    CHECK(memcmp(whole, "\xc3\xa9\xc3\xa9\xc3\xa9: ", 8) == 0);
    for (size = 1; size < 8; size++) {
        memset(part, '#', sizeof part);
        CHECK(memcpy_select_plan_from_file("\xc3\xa9\xc3\xa9\xc3\xa9", &plan, part, size, &length) == error);
        CHECK(length == needed);
        CHECK(strlen(part) == (size == 8 ? 7 : (size - 1) / 2 * 2));
        CHECK(memcmp(part, whole, strlen(part)) == 0);
    }
}

static void files(const char *folder) {
    REFUSED(MEMCPY_SELECT_ERROR_NOT_FOUND, memcpy_select_plan_from_file(in(folder, "none"), &plan, MESSAGE));
    REFUSED(MEMCPY_SELECT_ERROR_NOT_FOUND, memcpy_select_plan_from_file("", &plan, MESSAGE));
    REFUSED(MEMCPY_SELECT_ERROR_SYSTEM, memcpy_select_plan_from_file(folder, &plan, MESSAGE));
    /* To open a pipe waits for a writer, and there is none. */
    CHECK(mkfifo(in(folder, "pipe"), 0600) == 0);
    REFUSED(MEMCPY_SELECT_ERROR_SYSTEM, memcpy_select_plan_from_file(in(folder, "pipe"), &plan, MESSAGE));
    write_file(in(folder, "bytes"), "\xff\xfe");
    REFUSED(MEMCPY_SELECT_ERROR_NOT_UTF8, memcpy_select_plan_from_file(in(folder, "bytes"), &plan, MESSAGE));
    write_file(in(folder, "text"), "something else\n");
    REFUSED(MEMCPY_SELECT_ERROR_NOT_A_PLAN, memcpy_select_plan_from_file(in(folder, "text"), &plan, MESSAGE));

    CHECK(memcpy_select_plan_from_text(one_band("user", "gpr"), &plan, NULL, 0, NULL) == MEMCPY_SELECT_OK);
    REFUSED(MEMCPY_SELECT_ERROR_NULL, memcpy_select_plan_save(plan, NULL, MESSAGE));
    REFUSED(MEMCPY_SELECT_ERROR_SYSTEM, memcpy_select_plan_save(plan, folder, MESSAGE));
    REFUSED(MEMCPY_SELECT_ERROR_SYSTEM, memcpy_select_plan_save(plan, "", MESSAGE));
    REFUSED(MEMCPY_SELECT_ERROR_SYSTEM, memcpy_select_plan_save(plan, in(folder, "none/file"), MESSAGE));
    CHECK(memcpy_select_plan_save(plan, in(folder, "saved"), MESSAGE) == MEMCPY_SELECT_OK && length == 0);
    CHECK(memcpy_select_plan_from_file(in(folder, "saved"), &other, MESSAGE) == MEMCPY_SELECT_OK);
    CHECK(memcpy_select_plan_text(other, message, sizeof message, NULL) == MEMCPY_SELECT_OK);
    CHECK(strcmp(message, one_band("user", "gpr")) == 0);
    memcpy_select_plan_free(other);

    /* In force, and out of it again; a plan may be freed while it is. */
    CHECK(memcpy_select_plan_install(plan) == MEMCPY_SELECT_OK);
    memcpy_select_plan_free(plan);
    CHECK(memcpy_select_plan_in_force(MEMCPY_SELECT_POLICY_USER, &plan) == MEMCPY_SELECT_OK);
    CHECK(strcmp(memcpy_select_kernel_name(memcpy_select_plan_kernel(plan, message, message + 5, 100000)), "gpr") == 0);
    memcpy_select_plan_free(plan);
    CHECK(memcpy_select_plan_uninstall(MEMCPY_SELECT_POLICY_USER) == MEMCPY_SELECT_OK);
    CHECK(memcpy_select_plan_in_force(MEMCPY_SELECT_POLICY_USER, &plan) == MEMCPY_SELECT_OK);
    CHECK(strcmp(memcpy_select_plan_origin(plan), "saved") != 0);
    memcpy_select_plan_free(plan);
}

static void saved_plans(const char *folder) {
    memcpy_select_policy policy;
    CHECK(unsetenv("XDG_CACHE_HOME") == 0 && unsetenv("HOME") == 0);
    REFUSED(MEMCPY_SELECT_ERROR_NO_HOME, memcpy_select_saved_plan_path(MESSAGE));
    REFUSED(MEMCPY_SELECT_ERROR_NO_HOME, memcpy_select_saved_plan(MEMCPY_SELECT_POLICY_USER, &plan, MESSAGE));
    REFUSED(MEMCPY_SELECT_ERROR_NO_HOME, memcpy_select_saved_plan_forget(MESSAGE));
    REFUSED(MEMCPY_SELECT_ERROR_NOT_SAVED, memcpy_select_tune(MESSAGE));
    REFUSED(MEMCPY_SELECT_ERROR_NOT_SAVED, memcpy_select_tune_at(folder, MESSAGE));
    /* In force all the same. */
    CHECK(memcpy_select_plan_in_force(MEMCPY_SELECT_POLICY_NO_SIMD, &plan) == MEMCPY_SELECT_OK);
    memcpy_select_plan_free(plan);

    CHECK(setenv("XDG_CACHE_HOME", folder, 1) == 0);
    REFUSED(MEMCPY_SELECT_ERROR_NOT_FOUND, memcpy_select_saved_plan(MEMCPY_SELECT_POLICY_USER, &plan, MESSAGE));
    REFUSED(MEMCPY_SELECT_ERROR_NOT_FOUND, memcpy_select_saved_plan_forget(MESSAGE));
    CHECK(memcpy_select_tune(MESSAGE) == MEMCPY_SELECT_OK && strlen(message) == length);
    for (policy = MEMCPY_SELECT_POLICY_USER; policy <= MEMCPY_SELECT_POLICY_NO_SIMD;
         policy = (memcpy_select_policy)(policy + 1)) {
        CHECK(memcpy_select_saved_plan(policy, &plan, MESSAGE) == MEMCPY_SELECT_OK);
        CHECK(memcpy_select_plan_policy(plan) == policy);
        memcpy_select_plan_free(plan);
    }
    {
        static char path[4096];
        CHECK(memcpy_select_saved_plan_path(path, sizeof path, &length) == MEMCPY_SELECT_OK && strlen(path) == length);
        write_file(path, "# memcpy-select 0.0.0-none\n");
        REFUSED(MEMCPY_SELECT_ERROR_OTHER_VERSION, memcpy_select_saved_plan(MEMCPY_SELECT_POLICY_USER, &plan, MESSAGE));
        CHECK(memcpy_select_saved_plan_forget(MESSAGE) == MEMCPY_SELECT_OK);
        CHECK(fopen(path, "r") == NULL);
        CHECK(mkdir(path, 0700) == 0);
        REFUSED(MEMCPY_SELECT_ERROR_SYSTEM, memcpy_select_saved_plan_forget(MESSAGE));
    }
    /* No time: nothing changes, and there are plans all the same. */
    CHECK(memcpy_select_calibrate(0, &plan, &other, MESSAGE) == MEMCPY_SELECT_OK && strlen(message) == length);
    CHECK(memcpy_select_plan_policy(plan) == MEMCPY_SELECT_POLICY_USER);
    CHECK(memcpy_select_plan_policy(other) == MEMCPY_SELECT_POLICY_NO_SIMD);
    memcpy_select_plan_free(plan);
    memcpy_select_plan_free(other);
    CHECK(memcpy_select_calibrate(MEMCPY_SELECT_CALIBRATE_MS, &plan, &other, MESSAGE) == MEMCPY_SELECT_OK);
    CHECK(strlen(message) == length && length < sizeof message);
    CHECK(memcpy_select_plan_install(plan) == MEMCPY_SELECT_OK &&
          memcpy_select_plan_install(other) == MEMCPY_SELECT_OK);
    memcpy_select_plan_free(plan);
    memcpy_select_plan_free(other);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    arguments();
    texts();
    sizes();
    files(argv[1]);
    saved_plans(argv[1]);
    printf("%s: %s\n", memcpy_select_error_name(MEMCPY_SELECT_OK), memcpy_select_error_message(MEMCPY_SELECT_OK));
    return EXIT_SUCCESS;
}

/* What is recorded: `program CASE`. Each case copies a known number of times, and checks what it copied.
 * Compiled without built-in functions: every call is made.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

extern void *__memcpy_chk(void *, const void *, size_t, size_t);
extern void *__memmove_chk(void *, const void *, size_t, size_t);
extern void *__mempcpy_chk(void *, const void *, size_t, size_t);
extern void *__memset_chk(void *, int, size_t, size_t);

#define ROOM (1 << 20)
static _Alignas(4096) unsigned char from[ROOM], to[ROOM];

static void fail(const char *what, size_t len) {
    printf("%s of %zu bytes is wrong\n", what, len);
    exit(1);
}

static void prepare(unsigned char *bytes, size_t len, unsigned seed) {
    for (size_t at = 0; at < len; at++) bytes[at] = (unsigned char)(at * 131 + (at >> 8) + seed);
}

static int is_prepared(const unsigned char *bytes, size_t len, unsigned seed) {
    for (size_t at = 0; at < len; at++)
        if (bytes[at] != (unsigned char)(at * 131 + (at >> 8) + seed)) return 0;
    return 1;
}

/* Every function, at lengths of every kind: LENGTHS each (length + 1) % 5 + 1 times. */
static const size_t LENGTHS[] = {0, 1, 2, 3, 7, 8, 15, 16, 31, 33, 63, 64, 65, 71, 72, 127, 128, 129, 255, 1000, 4096, 65537, 500000};
#define FOR_EACH_LENGTH(len) \
    for (size_t at = 0, len; at < sizeof LENGTHS / sizeof *LENGTHS && (len = LENGTHS[at], 1); at++) \
        for (size_t time = 0; time < (len + 1) % 5 + 1; time++)

static void copies(void) {
    FOR_EACH_LENGTH(len) {
        prepare(from, len, 3);
        to[len] = 77;
        if (memcpy(to, from, len) != to || !is_prepared(to, len, 3) || to[len] != 77) fail("memcpy", len);
        prepare(from, len, 4);
        if (memmove(to, from, len) != to || !is_prepared(to, len, 4) || to[len] != 77) fail("memmove", len);
        prepare(from, len, 5);
        if (mempcpy(to, from, len) != to + len || !is_prepared(to, len, 5) || to[len] != 77) fail("mempcpy", len);
        if (memset(to, 0x1A5, len) != to || to[len] != 77) fail("memset", len);
        for (size_t byte = 0; byte < len; byte++)
            if (to[byte] != 0xA5) fail("memset", len);
    }
}

static void overlap(void) {
    FOR_EACH_LENGTH(len) {
        size_t by = len / 3 + 1;
        prepare(from, len, 6);
        if (memmove(from + by, from, len) != from + by || !is_prepared(from + by, len, 6)) fail("memmove up", len);
        if (memmove(from, from + by, len) != from || !is_prepared(from, len, 6)) fail("memmove down", len);
        if (memmove(from, from, len) != from || !is_prepared(from, len, 6)) fail("memmove to itself", len);
    }
}

static void checked(void) {
    FOR_EACH_LENGTH(len) {
        prepare(from, len, 7);
        if (__memcpy_chk(to, from, len, len) != to || !is_prepared(to, len, 7)) fail("__memcpy_chk", len);
        if (__memmove_chk(to, from, len, ROOM) != to || !is_prepared(to, len, 7)) fail("__memmove_chk", len);
        if (__mempcpy_chk(to, from, len, (size_t)-1) != to + len || !is_prepared(to, len, 7)) fail("__mempcpy_chk", len);
        if (__memset_chk(to, 9, len, len) != to) fail("__memset_chk", len);
    }
}

/* All threads are there at once. Each copies 300 times 100 bytes plus its number modulo 8. */
#define THREADS 1000
static pthread_barrier_t barrier;
static void *thread(void *number) {
    unsigned char own_from[128], own_to[128];
    size_t len = 100 + (uintptr_t)number % 8;
    pthread_barrier_wait(&barrier);
    prepare(own_from, len, (unsigned)(uintptr_t)number);
    for (int time = 0; time < 300; time++) memcpy(own_to, own_from, len);
    pthread_barrier_wait(&barrier);
    return is_prepared(own_to, len, (unsigned)(uintptr_t)number) ? NULL : (void *)1;
}

static void threads(void) {
    pthread_t all[THREADS];
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 << 10);
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (uintptr_t number = 0; number < THREADS; number++)
        if (pthread_create(&all[number], &small, thread, (void *)number)) fail("pthread_create", number);
    for (int number = 0; number < THREADS; number++) {
        void *wrong;
        pthread_join(all[number], &wrong);
        if (wrong) fail("a thread's copy", number);
    }
}

static void many(size_t len, int times) {
    for (int time = 0; time < times; time++) memcpy(to, from, len);
}

static void await(pid_t child) {
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) fail("waitpid", 0);
    if (status) fail("a child", (size_t)status);
}

/* 150 children, each with a child of its own, and their parent copy at the same time. */
static void forks(void) {
    pid_t children[150];
    many(200, 10);
    for (int at = 0; at < 150; at++) {
        if ((children[at] = fork()) == 0) {
            many(300, 1000);
            pid_t child = fork();
            if (child == 0) {
                many(400, 1000);
                _exit(0);
            }
            await(child);
            _exit(0);
        }
        many(200, 100);
    }
    for (int at = 0; at < 150; at++) await(children[at]);
}

static void vforks(void) {
    for (int at = 0; at < 20; at++) {
        pid_t child = vfork();
        if (child == 0) {
            memcpy(to, from, 230);
            _exit(0);
        }
        await(child);
        memcpy(to, from, 240);
    }
}

static volatile sig_atomic_t handled;
static unsigned char handler_from[50], handler_to[50];
static void handler(int number) {
    (void)number;
    memcpy(handler_to, handler_from, 50);
    handled++;
}

/* A handler interrupts copies wherever they are, 200 times at least. The last line of the output says how often each copied. */
static void signals(void) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    struct itimerval often = {{0, 50}, {0, 50}};
    long copied = 0;
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
    while (handled < 200)
        for (int time = 0; time < 1000; time++, copied++) memcpy(to, from, 60);
    struct itimerval never = {{0, 0}, {0, 0}};
    setitimer(ITIMER_REAL, &never, NULL);
    signal(SIGALRM, SIG_IGN);
    printf("%ld %ld\n", (long)handled, copied);
}

static void library(const char *path) {
    void *loaded = dlopen(path, RTLD_NOW);
    if (!loaded) fail(dlerror(), 0);
    void (*copy)(void *, const void *, size_t) = (void (*)(void *, const void *, size_t))dlsym(loaded, "copy_in_library");
    for (int time = 0; time < 40; time++) copy(to, from, 250);
}

/* 37 copies of 300 bytes from one place, the destination at 5 and the source at 9 modulo 64, 1020 apart modulo 4096; and 11 of
 * lengths that all differ. */
static void placed(void) {
    for (int time = 0; time < 37; time++) memcpy(to + 64 + 5, from + 8192 + 64 * 49 + 9, 300);
    for (int time = 0; time < 11; time++) memcpy(to, from, 400 + time);
}

/* The calls of a resolver arrive before anything is relocated or started, those of a constructor before `main`. */
static unsigned char early_from[80] = "before everything", early_to[80], constructor_to[80];
static int later(void) { return 1; }
static int (*resolve(void))(void) {
    for (int time = 0; time < 3; time++) memcpy(early_to, early_from, 80);
    memmove(early_to + 1, early_to, 40);
    memset(early_to + 60, 5, 20);
    return later;
}
int resolved(void) __attribute__((ifunc("resolve")));
__attribute__((constructor)) static void construct(void) { memcpy(constructor_to, early_from, 80); }
static void early(void) {
    if (!resolved() || memcmp(early_to + 1, "before everything", 18) || early_to[0] != 'b' || early_to[79] != 5)
        fail("a copy before relocation", 80);
    if (memcmp(constructor_to, early_from, 80)) fail("a copy of a constructor", 80);
}

/* System calls are filtered from here on, though all are allowed, and in the program that is executed. */
static void filter(void) {
    struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {1, &allow};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) fail("prctl", 0);
}

int main(int count, char **arguments) {
    const char *which = count > 1 ? arguments[1] : "";
    early();
    if (!strcmp(which, "copies")) copies();
    else if (!strcmp(which, "overlap")) overlap();
    else if (!strcmp(which, "checked")) checked();
    else if (!strcmp(which, "threads")) threads();
    else if (!strcmp(which, "forks")) forks();
    else if (!strcmp(which, "vforks")) vforks();
    else if (!strcmp(which, "signals")) signals();
    else if (!strcmp(which, "placed")) placed();
    else if (!strcmp(which, "library")) library(arguments[2]);
    else if (!strcmp(which, "overflow")) __memcpy_chk(to, from, 21, 20);
    else if (!strcmp(which, "killed")) many(260, 1234), raise(SIGKILL);
    else if (!strcmp(which, "crashed")) many(270, 1234), *(volatile int *)8 = 1;
    else if (!strcmp(which, "filtered")) filter(), execl("/proc/self/exe", "program", "placed", NULL);
    else if (!strcmp(which, "exec")) many(280, 12), execl("/proc/self/exe", "program", "placed", NULL);
    else fail("the name", 0);
    return 0;
}

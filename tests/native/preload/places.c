/* Copies wherever a program may make them: in signal handlers that interrupt copies, in threads, after fork and vfork, in
 * libraries that are loaded later and in namespaces of their own. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

extern int early_wrong, early_answer(void);

static unsigned char pattern[1 << 16];
static volatile sig_atomic_t wrong, handled;

static void check(unsigned char *room, size_t n) {
    unsigned char *(*volatile copy)(void *, const void *, size_t) = (void *)memcpy;
    errno = 77;
    if (copy(room, pattern, n) != room || errno != 77) wrong = 1;
    for (size_t i = 0; i < n; i++)
        if (room[i] != pattern[i]) wrong = 2;
}

static void handler(int number) {
    static unsigned char room[5000];
    (void)number;
    handled++;
    check(room, (size_t)handled * 37 % sizeof room);
}

static void *thread(void *unused) {
    unsigned char *room = malloc(sizeof pattern);
    for (size_t n = 0; n < 3000; n++) check(room, n);
    check(room, sizeof pattern);
    free(room);
    return unused;
}

static int child(void) {
    static unsigned char room[sizeof pattern];
    for (size_t n = 1; n <= sizeof pattern; n *= 2) check(room, n);
    return wrong;
}

int main(int argc, char **argv) {
    for (size_t i = 0; i < sizeof pattern; i++) pattern[i] = (unsigned char)(i * 31 + (i >> 8));
    if (early_answer() != 42 || early_wrong) { printf("wrong before main\n"); return 1; }

    struct sigaction action = {.sa_handler = handler};
    struct itimerval timer = {{0, 300}, {0, 300}}, off = {{0, 0}, {0, 0}};
    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
    static unsigned char room[sizeof pattern];
    while (handled < 500) check(room, sizeof pattern);
    setitimer(ITIMER_REAL, &off, NULL);

    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, thread, NULL);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);

    int status;
    pid_t pid = fork();
    if (pid == 0) _exit(child());
    if (waitpid(pid, &status, 0) != pid || status != 0) wrong = 3;
    pid = vfork();
    if (pid == 0) { check(room, 1000); _exit(wrong); }
    if (waitpid(pid, &status, 0) != pid || status != 0) wrong = 4;

    /* The same library again, in a namespace of its own: with a libc of its own. */
    for (int i = 1; i < argc; i++) {
        void *library = i == 1 ? dlopen(argv[i], RTLD_NOW | RTLD_LOCAL) : dlmopen(LM_ID_NEWLM, argv[i], RTLD_NOW);
        if (!library) { printf("%s\n", dlerror()); return 1; }
        int (*answer)(void) = (int (*)(void))dlsym(library, "early_answer"), *bad = dlsym(library, "early_wrong");
        if (!answer || answer() != 42 || !bad || *bad) wrong = 5;
    }
    printf(wrong ? "wrong: %d\n" : "right everywhere\n", (int)wrong);
    return wrong != 0;
}

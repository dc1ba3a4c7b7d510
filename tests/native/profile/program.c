/* What is profiled: `program CASE`. Each case copies a known number of times.
 * Compiled without built-in functions: every call is made.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char from[1 << 20], to[1 << 20];

/* A function with a name, from which all copies of 100 bytes come. */
__attribute__((noinline)) void a_named_function(int times) {
    for (int time = 0; time < times; time++) memcpy(to + time % 64, from, 100);
}

static void lengths(void) {
    a_named_function(6000);
    for (int time = 0; time < 3000; time++) memcpy(to, from, 4096);
    for (int time = 0; time < 200; time++) memmove(to + 8, to, 1000);
    for (int time = 0; time < 50; time++) memset(to, time, 300);
}

static void wait_for_all(void) {
    while (wait(NULL) > 0) {
    }
}

int main(int count, char **words) {
    const char *what = count > 1 ? words[1] : "";
    lengths();
    if (!strcmp(what, "exit")) return 7;
    if (!strcmp(what, "signal")) raise(SIGSEGV);
    if (!strcmp(what, "kill")) raise(SIGKILL);
    if (!strcmp(what, "echo")) {
        /* What comes in goes out, with the environment's word and without descriptor 2. */
        char line[100];
        close(2);
        while (fgets(line, sizeof line, stdin)) fputs(line, stdout);
        puts(getenv("A_WORD"));
    }
    if (!strcmp(what, "daemon") && fork() == 0) {
        setsid();
        lengths();
        /* As long as the test lives, a minute at most. */
        for (int time = 0; time < 600 && access(words[2], F_OK) == 0; time++) usleep(100000);
        return 0;
    }
    if (!strcmp(what, "daemon")) usleep(300000);
    if (!strcmp(what, "children")) {
        for (int child = atoi(words[2]); child > 0; child--) {
            if (fork() == 0) execl(words[0], words[0], "child", NULL);
            if (child % 16 == 0) wait_for_all();
        }
        wait_for_all();
    }
    if (!strcmp(what, "signals")) {
        sigset_t set;
        int found;
        sigemptyset(&set);
        sigaddset(&set, SIGUSR1);
        sigaddset(&set, SIGTERM);
        sigprocmask(SIG_BLOCK, &set, NULL);
        puts("ready");
        fflush(stdout);
        while (sigwait(&set, &found) == 0 && found != SIGTERM) {
            puts("got one");
            fflush(stdout);
        }
        signal(SIGTERM, SIG_DFL);
        sigprocmask(SIG_UNBLOCK, &set, NULL);
        raise(SIGTERM);
    }
    if (!strcmp(what, "for ever"))
        for (;;) pause();
    return 0;
}

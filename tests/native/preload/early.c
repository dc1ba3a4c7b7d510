/* A library that copies before its process is ready: in a resolver of an indirect function, which runs while the libraries are
 * relocated, and in a constructor. */
#include <stddef.h>

extern void *memcpy(void *, const void *, size_t);
extern void *memset(void *, int, size_t);

static unsigned char from[3000], to[3000], filled[3000];
int early_wrong;

static int right(void) {
    for (size_t i = 0; i < sizeof from; i++)
        if (to[i] != (unsigned char)(i * 7) || filled[i] != 9) return 0;
    return 1;
}

static void copies(void) {
    for (size_t i = 0; i < sizeof from; i++) ((volatile unsigned char *)from)[i] = (unsigned char)(i * 7);
    for (size_t n = 1; n <= sizeof from; n = n * 2 + 1) {
        memcpy(to, from, n);
        memset(filled, 9, n);
    }
    memcpy(to, from, sizeof from);
    memset(filled, 9, sizeof filled);
    /* Upwards and downwards upon itself. */
    memcpy(to + 1, to, sizeof to - 1);
    memcpy(to, to + 1, sizeof to - 1);
    to[sizeof to - 1] = from[sizeof from - 1];
    if (!right()) early_wrong++;
}

static int answer(void) { return 42; }

static int (*resolve(void))(void) {
    copies();
    return answer;
}

int early_answer(void) __attribute__((ifunc("resolve")));

__attribute__((constructor(101))) static void first(void) { copies(); }

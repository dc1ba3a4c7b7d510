/* A library that is loaded late: its constructor copies, and its function. */
#include <string.h>

static char constructed[300];
__attribute__((constructor)) static void construct(void) {
    for (int time = 0; time < 5; time++) memcpy(constructed, "constructed when it is loaded", 29);
}

void copy_in_library(void *dst, const void *src, size_t len) {
    memcpy(dst, src, len);
}

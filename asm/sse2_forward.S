/* sse2_forward: 16-byte vectors, for ranges that overlap with the destination below the source.
 *
 * 1. Up to 16 bytes: general-purpose loads and stores from both ends.
 * 2. Up to 128 bytes: two, four or eight vectors from the head and the tail; all loads come first.
 * 3. Above: the first vector and the last four are loaded, and stored at the very end.
 * 4. Between them, from low addresses to high ones, four vectors a turn, loads unaligned, stores aligned.
 *
 * Lengths:    any
 * Overlap:    any distance, destination below the source
 * Needs:      SSE2
 * State:      xmm0 to xmm8; rax, rcx, rsi, rdi, r8, r9
 * Reference:  glibc, sysdeps/x86_64/multiarch/memmove-vec-unaligned-erms.S, for the idea: the ends are loaded first
 */
#include "move.h"

KERNEL_ENTRY(sse2_forward)
    MOVE_FORWARD xmm, 16, movdqu, movdqa, movdqu
KERNEL_EXIT(sse2_forward)

/* sse2_fill: 16-byte vectors.
 *
 * 1. Up to 16 bytes: general-purpose stores from both ends.
 * 2. Up to 128 bytes: two, four or eight vectors from the head and the tail.
 * 3. Above: four vectors at the head and four at the tail, unaligned, and four a turn between them, aligned.
 *
 * Lengths:    any
 * Needs:      SSE2
 * State:      xmm0; rax, rcx, rdx, rdi
 * Reference:  Intel Optimization Reference Manual, "Memset considerations"
 */
#include "fill.h"

KERNEL_ENTRY(sse2_fill)
    FILL_PATTERN
    cmp     rdx, 16
    ja      .Lvectors
    FILL_0_TO_16
.Lvectors:
    movq    xmm0, rax
    punpcklqdq xmm0, xmm0
    FILL_VECTORS xmm0, 16, movdqu, movdqa
KERNEL_EXIT(sse2_fill)

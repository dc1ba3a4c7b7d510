/* avx_fill: 32-byte vectors.
 *
 * 1. Up to 16 bytes: general-purpose stores from both ends.
 * 2. Up to 256 bytes: two, four or eight vectors from the head and the tail (17 to 32 bytes in xmm).
 * 3. Above: four vectors at the head and four at the tail, unaligned, and four a turn between them, aligned.
 *
 * Lengths:    any
 * Needs:      AVX
 * State:      ymm0 (cleared above bit 127); rax, rcx, rdx, rdi
 * Reference:  Intel Optimization Reference Manual, "Memset considerations"
 */
#include "fill.h"

KERNEL_ENTRY(avx_fill)
    FILL_PATTERN
    cmp     rdx, 16
    ja      .Lvectors
    FILL_0_TO_16
.Lvectors:
    vmovq   xmm0, rax
    vpunpcklqdq xmm0, xmm0, xmm0
    cmp     rdx, 32
    ja      .Lover_32
    vmovdqu  [rdi], xmm0
    vmovdqu  [rdi + rdx - 16], xmm0
    ret
.Lover_32:
    vinsertf128 ymm0, ymm0, xmm0, 1
    FILL_VECTORS ymm0, 32, vmovdqu, vmovdqa, vzeroupper
KERNEL_EXIT(avx_fill)

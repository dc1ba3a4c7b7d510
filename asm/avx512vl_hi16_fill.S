/* avx512vl_hi16_fill: 32-byte vectors in a register that needs no `vzeroupper`.
 *
 * 1. Up to 16 bytes: general-purpose stores from both ends.
 * 2. Up to 256 bytes: two, four or eight vectors from the head and the tail (17 to 32 bytes in xmm).
 * 3. Above: four vectors at the head and four at the tail, unaligned, and four a turn between them, aligned.
 *
 * Lengths:    any
 * Needs:      AVX-512 F and VL
 * State:      ymm20 (left in use); rax, rcx, rdx, rdi
 * Reference:  Intel Optimization Reference Manual, "Memset considerations"
 */
#include "fill.h"

KERNEL_ENTRY(avx512vl_hi16_fill)
    FILL_PATTERN
    cmp     rdx, 16
    ja      .Lvectors
    FILL_0_TO_16
.Lvectors:
    vpbroadcastq ymm20, rax
    cmp     rdx, 32
    ja      .Lover_32
    vmovdqu64  [rdi], xmm20
    vmovdqu64  [rdi + rdx - 16], xmm20
    ret
.Lover_32:
    FILL_VECTORS ymm20, 32, vmovdqu64, vmovdqa64
KERNEL_EXIT(avx512vl_hi16_fill)

/* avx512vl_hi16_forward: 32-byte vectors in registers that need no `vzeroupper`, for ranges that overlap with the destination below the source.
 *
 * 1. Up to 16 bytes: general-purpose loads and stores from both ends.
 * 2. Up to 256 bytes: two, four or eight vectors from the head and the tail (17 to 32 bytes in xmm); all loads come first.
 * 3. Above: the first vector and the last four are loaded, and stored at the very end.
 * 4. Between them, from low addresses to high ones, four vectors a turn, loads unaligned, stores aligned.
 *
 * Lengths:    any
 * Overlap:    any distance, destination below the source
 * Needs:      AVX-512 F and VL
 * State:      ymm20 to ymm28 (left in use); rax, rcx, rsi, rdi, r8, r9
 * Reference:  glibc, sysdeps/x86_64/multiarch/memmove-vec-unaligned-erms.S, for the idea: the ends are loaded first
 */
#include "move.h"

KERNEL_ENTRY(avx512vl_hi16_forward)
    MOVE_FORWARD ymm, 32, vmovdqu64, vmovdqa64, vmovdqu64, , 2
KERNEL_EXIT(avx512vl_hi16_forward)

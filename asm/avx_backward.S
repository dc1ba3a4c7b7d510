/* avx_backward: 32-byte vectors, for ranges that overlap with the destination above the source.
 *
 * 1. Up to 16 bytes: general-purpose loads and stores from both ends.
 * 2. Up to 256 bytes: two, four or eight vectors from the head and the tail (17 to 32 bytes in xmm); all loads come first.
 * 3. Above: the last vector and the first four are loaded, and stored at the very end.
 * 4. Between them, from high addresses to low ones, four vectors a turn, loads unaligned, stores aligned.
 *
 * Lengths:    any
 * Overlap:    any distance, destination above the source
 * Needs:      AVX
 * State:      ymm0 to ymm8 (cleared above bit 127); rax, rcx, rsi, r8, r9
 * Reference:  glibc, sysdeps/x86_64/multiarch/memmove-vec-unaligned-erms.S, for the idea: the ends are loaded first
 */
#include "move.h"

KERNEL_ENTRY(avx_backward)
    MOVE_BACKWARD ymm, 32, vmovdqu, vmovdqa, vmovdqu, vzeroupper
KERNEL_EXIT(avx_backward)

/* avx512_hi16: 64-byte vectors in registers that legacy SSE code cannot name: no `vzeroupper`.
 *
 * 1. Up to 16 bytes: general-purpose loads and stores from both ends.
 * 2. Up to 256 bytes: two or four vectors from the head and the tail (17 to 32 bytes in xmm, 33 to 64 in ymm). Up to 512 bytes
 *    eight, where the destination is aligned to 64 bytes.
 * 3. Above: one unaligned vector, which moves dst forward to a 64-byte boundary.
 * 4. Four vectors a turn, loads unaligned, stores aligned: none splits a cache line.
 * 5. Three aligned vectors that overlap what step 4 wrote, and the last 64 bytes of the range, unaligned.
 *
 * Lengths:    any
 * Needs:      AVX-512 F and VL
 * State:      zmm20 to zmm27 (left in use); rax, rcx, rdx, rsi, rdi, r8, r9
 * Reference:  Intel SDM vol. 1, 15.5 (registers 16 to 31 cause no transition between AVX and SSE code); glibc,
 *             sysdeps/x86_64/multiarch/memmove-evex-unaligned-erms.S, for the idea
 */
#include "common.h"

KERNEL_ENTRY(avx512_hi16)
    COPY_HI16 zmm, 64
KERNEL_EXIT(avx512_hi16)

/* avx512vl_hi16: 32-byte vectors in registers that legacy SSE code cannot name: no `vzeroupper`.
 *
 * 1. Up to 16 bytes: general-purpose loads and stores from both ends.
 * 2. Up to 128 bytes: two or four vectors from the head and the tail (17 to 32 bytes in xmm). Up to 256 bytes eight, where
 *    the destination is aligned to 32 bytes.
 * 3. Above: one unaligned vector, which moves dst forward to a 32-byte boundary.
 * 4. Four vectors a turn, loads unaligned, stores aligned: none splits a cache line.
 * 5. Three aligned vectors that overlap what step 4 wrote, and the last 32 bytes of the range, unaligned.
 *
 * Lengths:    any
 * Needs:      AVX-512 F and VL
 * State:      ymm20 to ymm27 (left in use); rax, rcx, rdx, rsi, rdi, r8, r9
 * Reference:  Intel SDM vol. 1, 15.5 (registers 16 to 31 cause no transition between AVX and SSE code); glibc,
 *             sysdeps/x86_64/multiarch/memmove-evex-unaligned-erms.S, for the idea
 */
#include "common.h"

KERNEL_ENTRY(avx512vl_hi16)
    COPY_HI16 ymm, 32
KERNEL_EXIT(avx512vl_hi16)

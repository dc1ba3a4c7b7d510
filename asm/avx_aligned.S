/* avx_aligned: 32-byte vectors, unaligned head, aligned stores in the body, overlapped tail.
 *
 * 1. Up to 16 bytes: general-purpose loads and stores from both ends.
 * 2. Up to 384 bytes: two, four, eight or twelve vectors from the head and the tail (17 to 32 bytes in xmm).
 * 3. Above: one unaligned vector, which moves dst forward to a 32-byte boundary.
 * 4. Four vectors a turn, loads unaligned, stores aligned: none splits a cache line.
 * 5. Three aligned vectors that overlap what step 4 wrote, and the last 32 bytes of the range, unaligned.
 *
 * Lengths:    any
 * Needs:      AVX
 * State:      ymm0 to ymm11 (cleared above bit 127); rax, rcx, rdx, rsi, rdi, r8, r9
 * Reference:  Intel Optimization Reference Manual, "Memcpy considerations"; AMD Software Optimization Guide for
 *             family 19h, "Load-store unit"
 */
#include "common.h"

KERNEL_ENTRY(avx_aligned)
    COPY_ALIGNED ymm, 32, vmovdqu, vmovdqa, vmovdqu, vzeroupper
KERNEL_EXIT(avx_aligned)

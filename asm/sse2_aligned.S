/* sse2_aligned: 16-byte vectors, unaligned head, aligned stores in the body, overlapped tail.
 *
 * 1. Up to 16 bytes: general-purpose loads and stores from both ends.
 * 2. Up to 192 bytes: two, four, eight or twelve vectors from the head and the tail.
 * 3. Above: one unaligned vector, which moves dst forward to a 16-byte boundary.
 * 4. Four vectors a turn, loads unaligned, stores aligned: none splits a cache line.
 * 5. Three aligned vectors that overlap what step 4 wrote, and the last 16 bytes of the range, unaligned.
 *
 * Lengths:    any
 * Needs:      SSE2
 * State:      xmm0 to xmm11; rax, rcx, rdx, rsi, rdi, r8, r9
 * Reference:  Intel Optimization Reference Manual, "Memcpy considerations"; AMD Software Optimization Guide for
 *             family 19h, "Load-store unit"
 */
#include "common.h"

KERNEL_ENTRY(sse2_aligned)
    COPY_ALIGNED xmm, 16, movdqu, movdqa, movdqu
KERNEL_EXIT(sse2_aligned)

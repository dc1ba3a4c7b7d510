/* sse2_hybrid: the osdev.org thread's routine, string copy below 256 bytes and SSE above.
 *
 * 1. Below 256 bytes: `rep movsb`.
 * 2. At or above: `rep movsb` to a 16-byte boundary of the destination (0 to 15 bytes).
 * 3. 64 bytes a turn, four unaligned loads and four aligned stores.
 * 4. The rest, under 64 bytes, by `rep movsb`.
 *
 * Naive on purpose at the edges: its point is to measure the thread's proposal as proposed.
 *
 * Lengths:    any
 * Needs:      SSE2
 * State:      xmm0 to xmm3; rcx, rdx, rsi, rdi
 * Reference:  osdev.org, "Avoiding redundant copies with direct user IPC"
 */
#include "common.h"

KERNEL_ENTRY(sse2_hybrid)
    cmp     rdx, 256
    jae     .Llarge
    mov     rcx, rdx
    rep movsb
    ret
.Llarge:
    mov     ecx, edi
    neg     ecx
    and     ecx, 15
    sub     rdx, rcx
    rep movsb
    mov     rcx, rdx
    shr     rcx, 6
    .p2align 5
.Lbody:
    movdqu  xmm0, [rsi]
    movdqu  xmm1, [rsi + 16]
    movdqu  xmm2, [rsi + 32]
    movdqu  xmm3, [rsi + 48]
    movdqa  [rdi], xmm0
    movdqa  [rdi + 16], xmm1
    movdqa  [rdi + 32], xmm2
    movdqa  [rdi + 48], xmm3
    sub     rsi, -64
    sub     rdi, -64
    dec     rcx
    jnz     .Lbody
    mov     ecx, edx
    and     ecx, 63
    rep movsb
    ret
KERNEL_EXIT(sse2_hybrid)

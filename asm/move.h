/* What kernels for ranges that overlap share: moves in one direction.
 *
 * Whatever the distance of the two ranges, no byte of the source is loaded after a store that may have overwritten it. For
 * short lengths that holds in both directions, since all loads come before the first store. Above, both ends are loaded first
 * and stored last, and what lies between them is copied from the one end to the other.
 */

#include "common.h"

/* Lengths 0 to 8\w, then return: all loads come first. \beyond takes the others. */
.macro MOVE_0_TO_8_VECTORS v, w, movu, movu_narrow, leave, beyond, bank
    COPY_0_TO_4_VECTORS \v, \w, \movu, \movu_narrow, \leave, .Lover_4w_\@, \bank
.Lover_4w_\@:
    cmp     rdx, 8*\w
    ja      \beyond
    COPY_8_VECTORS \v, \w, \movu, \leave, \bank
.endm

/* A whole kernel of the family `<isa>_forward`: from low addresses to high ones, for a destination below the source.
 * Dirties rax, rcx, rdx, rsi, rdi, r8 and vectors 0 to 8. */
.macro MOVE_FORWARD v, w, movu, mova, movu_narrow, leave, bank
    MOVE_0_TO_8_VECTORS \v, \w, \movu, \movu_narrow, \leave, .Llarge_\@, \bank
.Llarge_\@:
    \movu   \v\bank\()8, [rsi]
    \movu   \v\bank\()4, [rsi + rdx - 4*\w]
    \movu   \v\bank\()5, [rsi + rdx - 3*\w]
    \movu   \v\bank\()6, [rsi + rdx - 2*\w]
    \movu   \v\bank\()7, [rsi + rdx - \w]
    mov     r8, rdi
    lea     rcx, [rdi + rdx - 4*\w]
    mov     eax, edi
    and     eax, \w - 1
    sub     rax, \w
    sub     rdi, rax
    sub     rsi, rax
    .p2align 6
.Lbody_\@:
    \movu   \v\bank\()0, [rsi]
    \movu   \v\bank\()1, [rsi + \w]
    \movu   \v\bank\()2, [rsi + 2*\w]
    \movu   \v\bank\()3, [rsi + 3*\w]
    sub     rsi, -4*\w
    \mova   [rdi], \v\bank\()0
    \mova   [rdi + \w], \v\bank\()1
    \mova   [rdi + 2*\w], \v\bank\()2
    \mova   [rdi + 3*\w], \v\bank\()3
    sub     rdi, -4*\w
    cmp     rdi, rcx
    jb      .Lbody_\@
    \movu   [rcx], \v\bank\()4
    \movu   [rcx + \w], \v\bank\()5
    \movu   [rcx + 2*\w], \v\bank\()6
    \movu   [rcx + 3*\w], \v\bank\()7
    \movu   [r8], \v\bank\()8
    \leave
    ret
.endm

/* A whole kernel of the family `<isa>_backward`: from high addresses to low ones, for a destination above the source.
 * Dirties rax, rcx, rdx, rsi, r8 and vectors 0 to 8. */
.macro MOVE_BACKWARD v, w, movu, mova, movu_narrow, leave, bank
    MOVE_0_TO_8_VECTORS \v, \w, \movu, \movu_narrow, \leave, .Llarge_\@, \bank
.Llarge_\@:
    \movu   \v\bank\()8, [rsi + rdx - \w]
    \movu   \v\bank\()4, [rsi]
    \movu   \v\bank\()5, [rsi + \w]
    \movu   \v\bank\()6, [rsi + 2*\w]
    \movu   \v\bank\()7, [rsi + 3*\w]
    lea     r8, [rdi + rdx - \w]
    /* The last boundary before the last byte: what the loop copies ends there. */
    lea     rax, [rdi + rdx - 1]
    and     rax, -\w
    sub     rsi, rdi
    add     rsi, rax
    lea     rcx, [rdi + 4*\w]
    .p2align 6
.Lbody_\@:
    \movu   \v\bank\()0, [rsi - \w]
    \movu   \v\bank\()1, [rsi - 2*\w]
    \movu   \v\bank\()2, [rsi - 3*\w]
    \movu   \v\bank\()3, [rsi - 4*\w]
    add     rsi, -4*\w
    \mova   [rax - \w], \v\bank\()0
    \mova   [rax - 2*\w], \v\bank\()1
    \mova   [rax - 3*\w], \v\bank\()2
    \mova   [rax - 4*\w], \v\bank\()3
    add     rax, -4*\w
    cmp     rax, rcx
    ja      .Lbody_\@
    \movu   [rdi], \v\bank\()4
    \movu   [rdi + \w], \v\bank\()5
    \movu   [rdi + 2*\w], \v\bank\()6
    \movu   [rdi + 3*\w], \v\bank\()7
    \movu   [r8], \v\bank\()8
    \leave
    ret
.endm

/* Lengths 0 to 32 in general-purpose registers, then return: all loads come first. \beyond takes the others. Dirties rax, rcx,
 * r8 to r10. */
.macro GPR_MOVE_0_TO_32 beyond
    cmp     rdx, 16
    ja      .Lover_16_\@
    COPY_0_TO_16
.Lover_16_\@:
    cmp     rdx, 32
    ja      \beyond
    mov     rax, qword ptr [rsi]
    mov     r8, qword ptr [rsi + 8]
    mov     r9, qword ptr [rsi + rdx - 16]
    mov     r10, qword ptr [rsi + rdx - 8]
    mov     qword ptr [rdi], rax
    mov     qword ptr [rdi + 8], r8
    mov     qword ptr [rdi + rdx - 16], r9
    mov     qword ptr [rdi + rdx - 8], r10
    ret
.endm

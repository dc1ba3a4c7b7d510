/* What kernels that fill memory with one byte share.
 *
 * Arguments (System V, on every operating system): rdi = dst, sil = byte, rdx = length in bytes. No result.
 */

#include "common.h"

/* The byte eight times in rax. Dirties rcx. */
.macro FILL_PATTERN
    movzx   eax, sil
    mov     rcx, 0x0101010101010101
    imul    rax, rcx
.endm

/* Lengths 0 to 16, then return: two overlapping stores of the largest size that fits. The pattern is in rax. */
.macro FILL_0_TO_16
    cmp     edx, 8
    jae     .Leight_\@
    cmp     edx, 4
    jae     .Lfour_\@
    test    edx, edx
    jz      .Ldone_\@
    mov     byte ptr [rdi], al
    mov     byte ptr [rdi + rdx - 1], al
    shr     edx, 1
    mov     byte ptr [rdi + rdx], al
.Ldone_\@:
    ret
.Lfour_\@:
    mov     dword ptr [rdi], eax
    mov     dword ptr [rdi + rdx - 4], eax
    ret
.Leight_\@:
    mov     qword ptr [rdi], rax
    mov     qword ptr [rdi + rdx - 8], rax
    ret
.endm

/* A whole kernel of the family `<isa>_fill` from a length above 16, with the pattern in \v: from both ends up to 8\w; above, one
 * unaligned vector at the head, four at the tail, and four aligned ones a turn between them. Dirties rax, rcx, rdi. */
.macro FILL_VECTORS v, w, movu, mova, leave
    cmp     rdx, 4*\w
    ja      .Lover_4w_\@
    cmp     edx, 2*\w
    ja      .Lover_2w_\@
    \movu   [rdi], \v
    \movu   [rdi + rdx - \w], \v
    \leave
    ret
.Lover_2w_\@:
    \movu   [rdi], \v
    \movu   [rdi + \w], \v
    \movu   [rdi + rdx - 2*\w], \v
    \movu   [rdi + rdx - \w], \v
    \leave
    ret
.Lover_4w_\@:
    lea     rcx, [rdi + rdx - 4*\w]
    \movu   [rdi], \v
    \movu   [rdi + \w], \v
    \movu   [rdi + 2*\w], \v
    \movu   [rdi + 3*\w], \v
    \movu   [rcx], \v
    \movu   [rcx + \w], \v
    \movu   [rcx + 2*\w], \v
    \movu   [rcx + 3*\w], \v
    cmp     rdx, 8*\w
    jbe     .Ldone_\@
    add     rdi, 4*\w
    and     rdi, -\w
    .p2align 5
.Lbody_\@:
    \mova   [rdi], \v
    \mova   [rdi + \w], \v
    \mova   [rdi + 2*\w], \v
    \mova   [rdi + 3*\w], \v
    add     rdi, 4*\w
    cmp     rdi, rcx
    jb      .Lbody_\@
.Ldone_\@:
    \leave
    ret
.endm

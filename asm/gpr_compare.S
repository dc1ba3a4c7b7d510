/* gpr_compare: which of two ranges is the larger at their first difference, in general-purpose registers.
 *
 * 1. Up to 3 bytes: the first, the middle one, the last.
 * 2. Up to 7 bytes: four bytes from each end; up to 16, eight; up to 32, sixteen.
 * 3. Above: 32 bytes a turn from the start, then the last 32 bytes of the range, which overlap what was compared.
 * 4. Words that differ are compared as big-endian numbers.
 *
 * rdi, rsi = the two ranges, rdx = length in bytes. eax is 0 if they are equal, below 0 if the first byte that differs is
 * smaller in the range of rdi, above 0 if it is larger.
 *
 * Lengths:    any
 * State:      no vector state; rax, rcx, rdx, rsi, rdi, r8
 * Reference:  Intel SDM vol. 2A, BSWAP and CMP; ISO C, memcmp
 */
#include "common.h"

/* Eight bytes of each range at \offset; goes on at .Ldiffer if they differ. */
.macro COMPARE_8 offset
    mov     rax, qword ptr [rdi + \offset]
    mov     rcx, qword ptr [rsi + \offset]
    cmp     rax, rcx
    jne     .Ldiffer
.endm

/* The same of four bytes. */
.macro COMPARE_4 offset
    mov     eax, dword ptr [rdi + \offset]
    mov     ecx, dword ptr [rsi + \offset]
    cmp     eax, ecx
    jne     .Ldiffer
.endm

/* The same of one, whose difference is the result. */
.macro COMPARE_1 offset
    movzx   eax, byte ptr [rdi + \offset]
    movzx   ecx, byte ptr [rsi + \offset]
    sub     eax, ecx
    jne     .Ldone
.endm

KERNEL_ENTRY(gpr_compare)
    cmp     rdx, 16
    ja      .Lover_16
    cmp     edx, 8
    jb      .Lbelow_8
    COMPARE_8 0
    COMPARE_8 (rdx - 8)
    xor     eax, eax
    ret
.Lbelow_8:
    cmp     edx, 4
    jb      .Lbelow_4
    COMPARE_4 0
    COMPARE_4 (rdx - 4)
    xor     eax, eax
    ret
.Ldiffer:
    bswap   rax
    bswap   rcx
    cmp     rax, rcx
    sbb     eax, eax
    or      eax, 1
    ret
.Lbelow_4:
    /* First, middle, last: of one byte all are the same, of two the last two. */
    xor     eax, eax
    test    edx, edx
    jz      .Ldone
    mov     r8d, edx
    shr     r8d, 1
    COMPARE_1 0
    COMPARE_1 r8
    COMPARE_1 (rdx - 1)
.Ldone:
    ret
.Lover_16:
    cmp     rdx, 32
    ja      .Lover_32
    COMPARE_8 0
    COMPARE_8 8
    COMPARE_8 (rdx - 16)
    COMPARE_8 (rdx - 8)
    xor     eax, eax
    ret
.Lover_32:
    /* Where the last 32 bytes of each range start, as far as rdx from rdi and rsi. */
    sub     rdx, 32
    add     rdi, rdx
    add     rsi, rdx
    neg     rdx
    .p2align 5
.Lbody:
    COMPARE_8 rdx
    COMPARE_8 (rdx + 8)
    COMPARE_8 (rdx + 16)
    COMPARE_8 (rdx + 24)
    add     rdx, 32
    js      .Lbody
    COMPARE_8 0
    COMPARE_8 8
    COMPARE_8 16
    COMPARE_8 24
    xor     eax, eax
    ret
KERNEL_EXIT(gpr_compare)

/* gpr_compare: which of two ranges is the larger at their first difference, in general-purpose registers.
 *
 * 1. Up to 7 bytes: the bytes of each range as one big-endian number, the first byte in its highest place.
 * 2. Up to 16 bytes: eight bytes from each end; up to 32, sixteen.
 * 3. Above: 32 bytes a turn from the start, then the last 32 bytes of the range, which overlap what step 3 compared.
 * 4. Eight bytes that differ are compared as big-endian numbers.
 *
 * rdi, rsi = the two ranges, rdx = length in bytes. eax is 0 if they are equal, below 0 if the first byte that differs is
 * smaller in the range of rdi, above 0 if it is larger.
 *
 * Lengths:    any
 * State:      no vector state; rax, rcx, rdx, rsi, rdi, r8, r9
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

/* eax = the sign of rax - rcx, both unsigned, then return. */
.macro RETURN_ORDER
    cmp     rax, rcx
    seta    al
    movzx   eax, al
    sbb     eax, 0
    ret
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
    mov     eax, dword ptr [rdi]
    mov     ecx, dword ptr [rsi]
    mov     r8d, dword ptr [rdi + rdx - 4]
    mov     r9d, dword ptr [rsi + rdx - 4]
    shl     r8, 32
    shl     r9, 32
    or      rax, r8
    or      rcx, r9
.Ldiffer:
    bswap   rax
    bswap   rcx
    RETURN_ORDER
.Lbelow_4:
    /* First, middle, last: of one byte all are the same, of two the last two. */
    test    edx, edx
    jz      .Lequal
    mov     r8d, edx
    shr     r8d, 1
    movzx   eax, byte ptr [rdi]
    movzx   ecx, byte ptr [rsi]
    shl     eax, 8
    shl     ecx, 8
    or      al, byte ptr [rdi + r8]
    or      cl, byte ptr [rsi + r8]
    shl     eax, 8
    shl     ecx, 8
    or      al, byte ptr [rdi + rdx - 1]
    or      cl, byte ptr [rsi + rdx - 1]
    RETURN_ORDER
.Lequal:
    xor     eax, eax
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

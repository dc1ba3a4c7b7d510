/* gpr_fill: general-purpose registers only, eight bytes a store.
 *
 * 1. Up to 16 bytes: two stores.
 * 2. Up to 64 bytes: four or eight stores from both ends.
 * 3. Above: the first and the last 64 bytes, unaligned, and 64 bytes a turn between them, aligned to eight.
 *
 * Lengths:    any
 * State:      no vector state; rax, rcx, rdx, rdi
 * Reference:  Intel SDM vol. 2B, MOV; AMD APM vol. 3, MOV
 */
#include "fill.h"

.macro STORE_32 at
    mov     qword ptr [\at], rax
    mov     qword ptr [\at + 8], rax
    mov     qword ptr [\at + 16], rax
    mov     qword ptr [\at + 24], rax
.endm

KERNEL_ENTRY(gpr_fill)
    FILL_PATTERN
    cmp     rdx, 16
    ja      .Lover_16
    FILL_0_TO_16
.Lover_16:
    lea     rcx, [rdi + rdx - 32]
    cmp     rdx, 32
    ja      .Lover_32
    mov     qword ptr [rdi], rax
    mov     qword ptr [rdi + 8], rax
    mov     qword ptr [rcx + 16], rax
    mov     qword ptr [rcx + 24], rax
    ret
.Lover_32:
    STORE_32 rdi
    STORE_32 rcx
    cmp     rdx, 64
    jbe     .Ldone
    STORE_32 (rdi + 32)
    STORE_32 (rcx - 32)
    add     rdi, 64
    and     rdi, -8
    sub     rcx, 32
    cmp     rdi, rcx
    jae     .Ldone
    .p2align 5
.Lbody:
    STORE_32 rdi
    STORE_32 (rdi + 32)
    add     rdi, 64
    cmp     rdi, rcx
    jb      .Lbody
.Ldone:
    ret
KERNEL_EXIT(gpr_fill)

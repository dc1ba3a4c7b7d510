/* gpr_backward: general-purpose registers only, for ranges that overlap with the destination above the source.
 *
 * 1. Up to 32 bytes: loads and stores from both ends; all loads come first.
 * 2. Above: the last eight bytes and the first sixteen are loaded, and stored at the very end.
 * 3. Between them, from high addresses to low ones, sixteen bytes a turn, stores aligned.
 *
 * Lengths:    any
 * Overlap:    any distance, destination above the source
 * State:      no vector state; rax, rcx, rdx, rsi, r8 to r11
 * Reference:  Intel SDM vol. 2B, MOV; AMD APM vol. 3, MOV
 */
#include "move.h"

KERNEL_ENTRY(gpr_backward)
    GPR_MOVE_0_TO_32 .Llarge
.Llarge:
    mov     r11, qword ptr [rsi + rdx - 8]
    mov     r8, qword ptr [rsi]
    mov     r9, qword ptr [rsi + 8]
    lea     r10, [rdi + rdx - 8]
    /* The last boundary before the last byte: what the loop copies ends there. */
    lea     rax, [rdi + rdx - 1]
    and     rax, -8
    sub     rsi, rdi
    add     rsi, rax
    lea     rcx, [rdi + 16]
    .p2align 6
.Lbody:
    mov     rdx, qword ptr [rsi - 8]
    mov     qword ptr [rax - 8], rdx
    mov     rdx, qword ptr [rsi - 16]
    mov     qword ptr [rax - 16], rdx
    add     rsi, -16
    add     rax, -16
    cmp     rax, rcx
    ja      .Lbody
    mov     qword ptr [rdi], r8
    mov     qword ptr [rdi + 8], r9
    mov     qword ptr [r10], r11
    ret
KERNEL_EXIT(gpr_backward)

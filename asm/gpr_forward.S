/* gpr_forward: general-purpose registers only, for ranges that overlap with the destination below the source.
 *
 * 1. Up to 32 bytes: loads and stores from both ends; all loads come first.
 * 2. Above: the first eight bytes and the last sixteen are loaded, and stored at the very end.
 * 3. Between them, from low addresses to high ones, sixteen bytes a turn, stores aligned.
 *
 * Lengths:    any
 * Overlap:    any distance, destination below the source
 * State:      no vector state; rax, rcx, rdx, rsi, rdi, r8 to r11
 * Reference:  Intel SDM vol. 2B, MOV; AMD APM vol. 3, MOV
 */
#include "move.h"

KERNEL_ENTRY(gpr_forward)
    GPR_MOVE_0_TO_32 .Llarge
.Llarge:
    mov     r11, qword ptr [rsi]
    mov     r8, qword ptr [rsi + rdx - 16]
    mov     r9, qword ptr [rsi + rdx - 8]
    mov     r10, rdi
    lea     rcx, [rdi + rdx - 16]
    mov     eax, edi
    and     eax, 7
    sub     rax, 8
    sub     rdi, rax
    sub     rsi, rax
    .p2align 6
.Lbody:
    mov     rax, qword ptr [rsi]
    mov     rdx, qword ptr [rsi + 8]
    add     rsi, 16
    mov     qword ptr [rdi], rax
    mov     qword ptr [rdi + 8], rdx
    add     rdi, 16
    cmp     rdi, rcx
    jb      .Lbody
    mov     qword ptr [rcx], r8
    mov     qword ptr [rcx + 8], r9
    mov     qword ptr [r10], r11
    ret
KERNEL_EXIT(gpr_forward)

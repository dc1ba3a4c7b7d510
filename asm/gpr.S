/* gpr: general-purpose registers only, eight bytes an instruction.
 *
 * 1. Up to 64 bytes: loads and stores from both ends.
 * 2. Above: the first eight bytes, which moves dst forward to an 8-byte boundary.
 * 3. 64 bytes a turn, stores aligned.
 * 4. The last 64 bytes of the range, which overlap what step 3 wrote.
 *
 * Lengths:    any
 * State:      no vector state; rax, rcx, rdx, rsi, rdi, r8 to r10
 * Reference:  Intel SDM vol. 2B, MOV; AMD APM vol. 3, MOV
 */
#include "common.h"

KERNEL_ENTRY(gpr)
    cmp     rdx, 64
    ja      .Llarge
    GPR_COPY_0_TO_64
.Llarge:
    mov     rax, qword ptr [rsi]
    lea     rcx, [rdi + rdx - 64]
    mov     qword ptr [rdi], rax
    mov     eax, edi
    and     eax, 7
    sub     rax, 8
    sub     rdi, rax
    sub     rsi, rax
    cmp     rdi, rcx
    jae     .Ltail
    .p2align 6
.Lbody:
    GPR_COPY_32 rsi, rdi, 0
    GPR_COPY_32 rsi, rdi, 32
    sub     rsi, -64
    sub     rdi, -64
    cmp     rdi, rcx
    jb      .Lbody
.Ltail:
    sub     rsi, rdi
    add     rsi, rcx
    GPR_COPY_32 rsi, rcx, 0
    GPR_COPY_32 rsi, rcx, 32
    ret
KERNEL_EXIT(gpr)

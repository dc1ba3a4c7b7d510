/* rep_movsq_aligned: `rep movsq` with the destination brought to a 64-byte boundary.
 *
 * 1. Up to 64 bytes: general-purpose loads and stores from both ends.
 * 2. Above: the first 64 bytes by general-purpose registers, which moves dst forward to a 64-byte boundary.
 * 3. The rest, rounded down to quadwords, by `rep movsq`.
 * 4. The last eight bytes of the range, which overlap what step 3 wrote.
 *
 * Lengths:    any
 * State:      no vector state; rax, rcx, rdx, rsi, rdi, r8 to r10
 * Reference:  Intel SDM vol. 2B, MOVS
 */
#include "common.h"

KERNEL_ENTRY(rep_movsq_aligned)
    cmp     rdx, 64
    ja      .Llarge
    GPR_COPY_0_TO_64
.Llarge:
    GPR_ALIGN_DST_64
    mov     rcx, rdx
    shr     rcx, 3
    rep movsq
    and     edx, 7
    mov     rax, qword ptr [rsi + rdx - 8]
    mov     qword ptr [rdi + rdx - 8], rax
    ret
KERNEL_EXIT(rep_movsq_aligned)

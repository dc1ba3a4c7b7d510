/* fallible_gpr: general-purpose registers only, eight bytes an instruction; a fault ends it at the byte.
 *
 * 1. Up to 128 bytes: loads and stores from both ends.
 * 2. Above: the first eight bytes, which moves dst forward to an 8-byte boundary.
 * 3. 64 bytes a turn, stores aligned.
 * 4. The last 64 bytes of the range, which overlap what step 3 wrote.
 * 5. At a fault in any of these: single bytes, from where all is copied up to the byte that faults.
 *
 * Lengths:    any
 * Result:     rax, the bytes that were not copied
 * State:      no vector state; rax, rcx, rdx, rsi, rdi, r8 to r10
 * Reference:  Intel SDM vol. 2B, MOV; AMD APM vol. 3, MOV
 */
#include "fallible.h"

KERNEL_ENTRY(fallible_gpr)
    FALLIBLE_GPR 0
KERNEL_EXIT(fallible_gpr)

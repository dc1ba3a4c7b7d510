/* fallible_rep_movsb: the two-byte instruction; a fault ends it at the byte.
 *
 * 1. len bytes by `rep movsb`; the processor's microcode chooses how.
 * 2. At a fault: single bytes, from where the CPU stopped up to the byte that faults.
 *
 * Lengths:    any
 * Result:     rax, the bytes that were not copied
 * State:      no vector state; rax, rcx, rdx, rsi, rdi
 * Reference:  Intel SDM vol. 2B, MOVS and REP/REPE/REPZ/REPNE/REPNZ; Linux, arch/x86/lib/copy_user_64.S, which relies on it
 */
#include "fallible.h"

KERNEL_ENTRY(fallible_rep_movsb)
    FALLIBLE_REP_MOVSB 0
KERNEL_EXIT(fallible_rep_movsb)

/* rep_movsb: the two-byte instruction alone.
 *
 * 1. len bytes by `rep movsb`; the processor's microcode chooses how.
 *
 * Lengths:    any
 * State:      no vector state; rcx, rsi, rdi
 * Reference:  Intel Optimization Reference Manual, "REP MOVSB and STOSB operation (ERMS)"; Intel SDM vol. 2B, MOVS
 */
#include "common.h"

KERNEL_ENTRY(rep_movsb)
    mov     rcx, rdx
    rep movsb
    ret
KERNEL_EXIT(rep_movsb)

/* fallible_rep_movsb_smap: the two-byte instruction; a fault ends it at the byte.
 *
 * 0. Opens user pages to ring 0; every way out closes them, a fault included.
 * 1. len bytes by `rep movsb`; the processor's microcode chooses how.
 * 2. At a fault: single bytes, from where the CPU stopped up to the byte that faults.
 *
 * Lengths:    any
 * Result:     rax, the bytes that were not copied
 * Needs:      ring 0 of a CPU with SMAP: `stac` and `clac` are undefined instructions elsewhere
 * State:      no vector state; rax, rcx, rdx, rsi, rdi
 * Reference:  Intel SDM vol. 2A, CLAC, and vol. 2B, STAC; AMD APM vol. 3, CLAC and STAC
 */
#include "fallible.h"

KERNEL_ENTRY(fallible_rep_movsb_smap)
    FALLIBLE_REP_MOVSB 1
KERNEL_EXIT(fallible_rep_movsb_smap)

/* fallible_gpr_smap: general-purpose registers only, eight bytes an instruction; a fault ends it at the byte.
 *
 * 0. Opens user pages to ring 0; every way out closes them, a fault included.
 * 1. Up to 128 bytes: loads and stores from both ends.
 * 2. Above: the first eight bytes, which moves dst forward to an 8-byte boundary.
 * 3. 64 bytes a turn, stores aligned.
 * 4. The last 64 bytes of the range, which overlap what step 3 wrote.
 * 5. At a fault in any of these: single bytes, from where all is copied up to the byte that faults.
 *
 * Lengths:    any
 * Result:     rax, the bytes that were not copied
 * Needs:      ring 0 of a CPU with SMAP: `stac` and `clac` are undefined instructions elsewhere
 * State:      no vector state; rax, rcx, rdx, rsi, rdi, r8 to r10
 * Reference:  Intel SDM vol. 2A, CLAC, and vol. 2B, STAC; AMD APM vol. 3, CLAC and STAC
 */
#include "fallible.h"

KERNEL_ENTRY(fallible_gpr_smap)
    FALLIBLE_GPR 1
KERNEL_EXIT(fallible_gpr_smap)

/* sse2_spill2: 16-byte vectors through 2 registers that belong to somebody else.
 *
 * For callers that may not disturb vector state, and do without XSAVE: the
 * registers xmm0 to xmm1 are kept on the stack around the copy, and come back before the return.
 * In between nobody may look: no fault, no sleep, no interrupt that saves or uses vector state.
 *
 * The algorithm is COPY_SPILLED's, in common.h.
 *
 * Lengths:    any
 * Needs:      SSE2
 * State:      xmm0 to xmm1, restored (its component is in use afterwards); rax, rcx, rdx, rsi, rdi, r8, r9
 * Reference:  Intel SDM vol. 1, 13.5.2 (what SSE state is) and vol. 2, MOVAPS
 */
#include "common.h"

KERNEL_ENTRY(sse2_spill2)
    COPY_SPILLED 2, "0, 1"
KERNEL_EXIT(sse2_spill2)

/* sse2_spill1: 16-byte vectors through 1 register that belongs to somebody else.
 *
 * For callers that may not disturb vector state, and do without XSAVE: the
 * register xmm0 is kept on the stack around the copy, and come back before the return.
 * In between nobody may look: no fault, no sleep, no interrupt that saves or uses vector state.
 *
 * The algorithm is COPY_SPILLED's, in common.h.
 *
 * Lengths:    any
 * Needs:      SSE2
 * State:      xmm0, restored (its component is in use afterwards); rax, rcx, rdx, rsi, rdi, r8, r9
 * Reference:  Intel SDM vol. 1, 13.5.2 (what SSE state is) and vol. 2, MOVAPS
 */
#include "common.h"

KERNEL_ENTRY(sse2_spill1)
    COPY_SPILLED 1, "0"
KERNEL_EXIT(sse2_spill1)

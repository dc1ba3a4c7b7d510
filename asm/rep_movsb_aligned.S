/* rep_movsb_aligned: `rep movsb` with the destination brought to a 64-byte boundary.
 *
 * 1. Up to 64 bytes: general-purpose loads and stores from both ends.
 * 2. Above: the first 64 bytes by general-purpose registers, which moves dst forward to a 64-byte boundary.
 * 3. The rest by `rep movsb`. Its fast path wants an aligned destination: on several microarchitectures a misaligned
 *    one costs a quarter (Intel) or, when both sides share their page offset, nearly everything (AMD Zen 3 and 4).
 *
 * Lengths:    any
 * State:      no vector state; rax, rcx, rdx, rsi, rdi, r8 to r10
 * Reference:  Intel Optimization Reference Manual, "REP MOVSB and STOSB operation (ERMS)"; glibc bug 30994
 */
#include "common.h"

KERNEL_ENTRY(rep_movsb_aligned)
    cmp     rdx, 64
    ja      .Llarge
    GPR_COPY_0_TO_64
.Llarge:
    GPR_ALIGN_DST_64
    mov     rcx, rdx
    rep movsb
    ret
KERNEL_EXIT(rep_movsb_aligned)

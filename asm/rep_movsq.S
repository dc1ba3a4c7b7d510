/* rep_movsq: eight bytes at a time, the rest by single bytes, no alignment.
 *
 * 1. len / 8 quadwords by `rep movsq`.
 * 2. len mod 8 bytes by `rep movsb`.
 *
 * Naive on purpose: this is the routine that the osdev.org thread calls "memcpy_rust".
 *
 * Lengths:    any
 * State:      no vector state; rcx, rdx, rsi, rdi
 * Reference:  Intel SDM vol. 2B, MOVS
 */
#include "common.h"

KERNEL_ENTRY(rep_movsq)
    mov     rcx, rdx
    shr     rcx, 3
    rep movsq
    mov     ecx, edx
    and     ecx, 7
    rep movsb
    ret
KERNEL_EXIT(rep_movsq)

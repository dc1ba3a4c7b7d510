/* rep_stosq: `rep stosq`, which every x86-64 CPU carries out in larger pieces.
 *
 * 1. Up to 16 bytes: two stores.
 * 2. Above: the last eight bytes, unaligned, and len/8 words from the start by `rep stosq`.
 *
 * Lengths:    any
 * State:      no vector state; rax, rcx, rdx, rdi
 * Reference:  Intel Optimization Reference Manual, "REP string instructions"; Intel SDM vol. 2B, STOS
 */
#include "fill.h"

KERNEL_ENTRY(rep_stosq)
    FILL_PATTERN
    cmp     rdx, 16
    ja      .Llarge
    FILL_0_TO_16
.Llarge:
    mov     rcx, rdx
    mov     qword ptr [rdi + rdx - 8], rax
    shr     rcx, 3
    rep stosq
    ret
KERNEL_EXIT(rep_stosq)

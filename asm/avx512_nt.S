/* avx512_nt: 64-byte non-temporal stores that write past the caches.
 *
 * 1. Up to 512 bytes: as avx512_aligned, with ordinary stores.
 * 2. Above: 64 bytes with ordinary stores, which moves dst forward to a 64-byte boundary.
 * 3. Steps of 128 bytes.
 * 4. `sfence`.
 * 5. The last 128 bytes of the range with ordinary stores.
 *
 * One page at a time and no software prefetch: the last three arguments below, chosen by measurement, see
 * results/TRIED.md.
 *
 * Lengths:    any; it pays from about the size of the last-level cache
 * Needs:      AVX-512 F
 * State:      zmm0 to zmm7 (cleared above bit 127); rax, rcx, rdx, rsi, rdi, r8, r9
 * Reference:  Intel SDM vol. 1, "Cacheability Control, Prefetch, and Memory Ordering Instructions"; Intel SDM
 *             vol. 3A, "Buffering of Write Combining Memory Locations"; AMD APM vol. 2, "Write-combining buffers"
 */
#include "common.h"

KERNEL_ENTRY(avx512_nt)
    COPY_NT zmm, 64, vmovdqu64, vmovdqu, vmovntdq, vzeroupper, "0", "0,1", 1, , 0
KERNEL_EXIT(avx512_nt)

/* avx_nt: 32-byte non-temporal stores that write past the caches.
 *
 * 1. Up to 256 bytes: as avx_aligned, with ordinary stores.
 * 2. Above: 64 bytes with ordinary stores, which moves dst forward to a 64-byte boundary.
 * 3. Steps of 128 bytes, the source prefetched past the outer caches.
 * 4. `sfence`.
 * 5. The last 128 bytes of the range with ordinary stores.
 *
 * Page interleave, prefetch hint and distance, the last three arguments below, were chosen by measurement: results/TRIED.md.
 *
 * Lengths:    any; it pays from about the size of the last-level cache
 * Needs:      AVX
 * State:      ymm0 to ymm7 (cleared above bit 127); rax, rcx, rdx, rsi, rdi, r8, r9
 * Reference:  Intel SDM vol. 1, "Cacheability Control, Prefetch, and Memory Ordering Instructions"; Intel SDM
 *             vol. 3A, "Buffering of Write Combining Memory Locations"; AMD APM vol. 2, "Write-combining buffers"
 */
#include "common.h"

KERNEL_ENTRY(avx_nt)
    COPY_NT ymm, 32, vmovdqu, vmovdqu, vmovntdq, vzeroupper, "0,1", "0,1,2,3", 1, prefetchnta, 512
KERNEL_EXIT(avx_nt)

/* sse2_nt: 16-byte non-temporal stores that write past the caches.
 *
 * 1. Up to 128 bytes: as sse2_aligned, with ordinary stores.
 * 2. Above: 64 bytes with ordinary stores, which moves dst forward to a 64-byte boundary.
 * 3. Steps of 128 bytes, the source prefetched past the outer caches.
 * 4. `sfence`.
 * 5. The last 128 bytes of the range with ordinary stores.
 *
 * Page interleave, prefetch hint and distance, the last three arguments below, were chosen by measurement: results/TRIED.md.
 *
 * Lengths:    any; it pays from about the size of the last-level cache
 * Needs:      SSE2
 * State:      xmm0 to xmm7; rax, rcx, rdx, rsi, rdi, r8, r9
 * Reference:  Intel SDM vol. 1, "Cacheability Control, Prefetch, and Memory Ordering Instructions"; Intel SDM
 *             vol. 3A, "Buffering of Write Combining Memory Locations"; AMD APM vol. 2, "Write-combining buffers"
 */
#include "common.h"

KERNEL_ENTRY(sse2_nt)
    COPY_NT xmm, 16, movdqu, movdqu, movntdq, " ", "0,1,2,3", "0,1,2,3,4,5,6,7", 1, prefetchnta, 1024
KERNEL_EXIT(sse2_nt)

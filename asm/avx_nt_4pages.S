/* avx_nt_4pages: 32-byte non-temporal stores that write past the caches, four pages at a time.
 *
 * 1. Up to 256 bytes: as avx_aligned, with ordinary stores.
 * 2. Above: 64 bytes with ordinary stores, which moves dst forward to a 64-byte boundary.
 * 3. Four pages side by side, 128 bytes from each in turn, the source prefetched into all caches 512 bytes ahead: four
 *    streams for the hardware prefetchers, and four lines of loads under way where one page has one.
 * 4. The rest below 16 KiB in steps of 128 bytes.
 * 5. `sfence`.
 * 6. The last 128 bytes of the range with ordinary stores.
 *
 * Page interleave, prefetch hint and distance, the last three arguments below, were chosen by measurement:
 * results/TRIED.md.
 *
 * Lengths:    any; it pays from about the size of the last-level cache
 * Needs:      AVX
 * State:      ymm0 to ymm7 (cleared above bit 127); rax, rcx, rdx, rsi, rdi, r8, r9
 * Reference:  Intel SDM vol. 1, "Cacheability Control, Prefetch, and Memory Ordering Instructions"; Intel SDM
 *             vol. 3A, "Buffering of Write Combining Memory Locations"; AMD APM vol. 2, "Write-combining buffers";
 *             glibc, sysdeps/x86_64/multiarch/memmove-vec-unaligned-erms.S ("large_memcpy_4x"), for the idea
 */
#include "common.h"

KERNEL_ENTRY(avx_nt_4pages)
    COPY_NT ymm, 32, vmovdqu, vmovdqu, vmovntdq, vzeroupper, "0,1", "0,1,2,3", 4, prefetcht0, 512
KERNEL_EXIT(avx_nt_4pages)

//! How far ahead should a non-temporal copy prefetch, with which hint, and over how many pages at once?
//!
//! The non-temporal kernels are one algorithm with these figures fixed. Here is every combination that was considered, so
//! that the choice can be repeated on any CPU: the same interleaved sweep and the same kind of record as `select`.

mod support;

#[cfg(target_arch = "x86_64")]
use memcpy_select::cpu::Features;
use memcpy_select::kernel::Stores;
use memcpy_select::lab::LabError;
use memcpy_select::lab::copies::contender::{Contender, LIBC};
use memcpy_select::lab::instruments::effort::Effort;
use memcpy_select::{Kernel, kernels};
use std::process::ExitCode;
use support::variants::{self, Variant};

fn main() -> ExitCode {
    let question = "How far ahead should a non-temporal copy prefetch, and over how many pages at once?";
    support::main("nontemporal", question, || support::verify(contenders()), measure)
}

fn measure(effort: Effort) -> Result<(), LabError> {
    let lengths: &[usize] = match effort {
        Effort::Quick => &[64 << 20],
        Effort::Default => &[16 << 20, 64 << 20],
        Effort::Full => &[8 << 20, 16 << 20, 32 << 20, 64 << 20, 256 << 20],
    };
    variants::measure("nontemporal", contenders(), lengths, effort)
}

/// The kernels that a large copy may go to, and every variant that this CPU can run. Each is named
/// `<vector>_<pages at once>p_<hint><bytes ahead>`.
fn contenders() -> Vec<Contender> {
    let names =
        ["rep_movsb", "sse2_aligned", "avx_aligned", "avx512_aligned", LIBC].into_iter().filter_map(Kernel::named);
    let kernels = kernels().iter().filter(|kernel| kernel.stores() == Stores::NonTemporal).chain(names);
    let kernels = kernels.filter_map(Contender::kernel);
    kernels.chain(VARIANTS.iter().filter_map(Variant::contender)).collect()
}

#[cfg(not(target_arch = "x86_64"))]
static VARIANTS: &[Variant] = &[];

/// From the name of the vector, its combinations of pages at once, hint and distance.
#[cfg(target_arch = "x86_64")]
macro_rules! variants {
    ($($vector:ident: $needs:ident $pages:literal $hint:ident $ahead:literal),* $(,)?) => {
        $(core::arch::global_asm!(concat!(
            "VARIANT_", stringify!($vector), " memcpy_select_variant_", stringify!($vector), "_", $pages, "p_",
            stringify!($hint), $ahead, ", ", $pages, ", prefetch", stringify!($hint), ", ", $ahead
        ));)*

        static VARIANTS: &[Variant] = &[$({
            unsafe extern "sysv64" {
                #[link_name = concat!(
                    "memcpy_select_variant_", stringify!($vector), "_", $pages, "p_", stringify!($hint), $ahead
                )]
                fn entry(dst: *mut u8, src: *const u8, len: usize);
            }
            Variant {
                name: concat!(stringify!($vector), "_", $pages, "p_", stringify!($hint), $ahead),
                needs: Features::$needs,
                entry,
            }
        }),*];
    };
}

// Whole blocks of `pages` pages to an aligned destination, past the caches; everything else by `rep movsb`.
#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    r#"
    .macro VARIANT name, v, w, load, store, lanes, pages, hint, ahead
    .p2align 6
    .globl \name
\name:
    test    edi, 63
    jnz     5f
2:  cmp     rdx, 4096*\pages
    jb      4f
    mov     ecx, 4096 / 128
    .p2align 5
3:  .irp page, 0, 1, 2, 3
    .if \page < \pages && \ahead > 0
    \hint   [rsi + 4096*\page + \ahead]
    \hint   [rsi + 4096*\page + \ahead + 64]
    .endif
    .endr
    .irp page, 0, 1, 2, 3
    .if \page < \pages
    .irp lane, \lanes
    \load   \v\()\lane, [rsi + 4096*\page + \w*\lane]
    .endr
    .irp lane, \lanes
    \store  [rdi + 4096*\page + \w*\lane], \v\()\lane
    .endr
    .endif
    .endr
    sub     rsi, -128
    sub     rdi, -128
    dec     ecx
    jnz     3b
    add     rsi, 4096*(\pages - 1)
    add     rdi, 4096*(\pages - 1)
    sub     rdx, 4096*\pages
    jmp     2b
4:  sfence
    .if \w > 16
    vzeroupper
    .endif
5:  mov     rcx, rdx
    rep movsb
    ret
    .endm
    .macro VARIANT_xmm name, pages, hint, ahead
    VARIANT \name, xmm, 16, movdqu, movntdq, "0,1,2,3,4,5,6,7", \pages, \hint, \ahead
    .endm
    .macro VARIANT_ymm name, pages, hint, ahead
    VARIANT \name, ymm, 32, vmovdqu, vmovntdq, "0,1,2,3", \pages, \hint, \ahead
    .endm
    .macro VARIANT_zmm name, pages, hint, ahead
    VARIANT \name, zmm, 64, vmovdqu64, vmovntdq, "0,1", \pages, \hint, \ahead
    .endm
    "#
);

#[cfg(target_arch = "x86_64")]
variants! {
    xmm: SSE2 1 nta 0, xmm: SSE2 1 nta 512, xmm: SSE2 1 nta 1024, xmm: SSE2 1 t0 512, xmm: SSE2 1 t0 1024,
    xmm: SSE2 2 nta 512, xmm: SSE2 2 t0 512, xmm: SSE2 4 t0 512,
    ymm: AVX 1 nta 0, ymm: AVX 1 nta 256, ymm: AVX 1 nta 512, ymm: AVX 1 nta 1024, ymm: AVX 1 nta 2048,
    ymm: AVX 1 t0 512, ymm: AVX 1 t0 1024, ymm: AVX 2 nta 512, ymm: AVX 2 t0 512, ymm: AVX 4 nta 512,
    ymm: AVX 4 t0 512,
    zmm: AVX512F 1 nta 0, zmm: AVX512F 1 nta 256, zmm: AVX512F 1 nta 512, zmm: AVX512F 1 nta 1024,
    zmm: AVX512F 1 nta 2048, zmm: AVX512F 1 t0 512, zmm: AVX512F 1 t0 1024, zmm: AVX512F 2 nta 512,
    zmm: AVX512F 2 t0 512, zmm: AVX512F 4 nta 512, zmm: AVX512F 4 t0 512,
}

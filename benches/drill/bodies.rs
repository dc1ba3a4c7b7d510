//! Which loop is best for copies that stay in the caches: how many vectors a turn, loads first or in turns with the
//! stores, forward or backward?
//!
//! `sse2_aligned`, `avx_aligned` and `avx512_aligned` load four vectors and then store them, forward. Here are the other
//! ways that were considered, in the same interleaved sweep and with the same kind of record as `select`.

mod support;

use memcpy_select::Kernel;
#[cfg(target_arch = "x86_64")]
use memcpy_select::cpu::Features;
use memcpy_select::lab::LabError;
use memcpy_select::lab::copies::contender::{Contender, LIBC};
use memcpy_select::lab::instruments::effort::Effort;
use std::process::ExitCode;
use support::variants::{self, Variant};

fn main() -> ExitCode {
    let question = "Which loop is best for copies that stay in the caches?";
    support::main("bodies", question, || support::verify(contenders()), measure)
}

fn measure(effort: Effort) -> Result<(), LabError> {
    let lengths: &[usize] = match effort {
        Effort::Quick => &[4 << 10, 256 << 10],
        Effort::Default => &[4 << 10, 16 << 10, 256 << 10, 4 << 20],
        Effort::Full => &[2 << 10, 4 << 10, 8 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 8 << 20],
    };
    variants::measure("bodies", contenders(), lengths, effort)
}

/// The kernels that such a copy may go to, and every variant that this CPU can run. Each is named
/// `<vector>_<vectors a turn>_<order>`.
fn contenders() -> Vec<Contender> {
    let names = ["rep_movsb", "sse2_aligned", "avx_aligned", "avx512_aligned", LIBC];
    let kernels = names.into_iter().filter_map(Kernel::named).filter_map(Contender::kernel);
    kernels.chain(VARIANTS.iter().filter_map(Variant::contender)).collect()
}

#[cfg(not(target_arch = "x86_64"))]
static VARIANTS: &[Variant] = &[];

/// From the vector's name, its combinations of vectors a turn and order.
#[cfg(target_arch = "x86_64")]
macro_rules! variants {
    ($($vector:ident: $needs:ident $order:ident $count:literal $lanes:literal),* $(,)?) => {
        $(core::arch::global_asm!(concat!(
            "BODY_", stringify!($vector), " memcpy_select_body_", stringify!($vector), "_", $count, "_",
            stringify!($order), ", ", stringify!($order), ", ", $count, ", \"", $lanes, "\""
        ));)*

        static VARIANTS: &[Variant] = &[$({
            unsafe extern "sysv64" {
                #[link_name = concat!(
                    "memcpy_select_body_", stringify!($vector), "_", $count, "_", stringify!($order)
                )]
                fn entry(dst: *mut u8, src: *const u8, len: usize);
            }
            Variant {
                name: concat!(stringify!($vector), "_", $count, "_", stringify!($order)),
                needs: Features::$needs,
                entry,
            }
        }),*];
    };
}

// Whole turns to an aligned destination by the loop; everything else by `rep movsb`. Backward, the whole turns end where
// the range ends, or at an aligned address before.
#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    r#"
    .macro BODY name, v, w, load, store, order, count, lanes
    .p2align 6
    .globl \name
\name:
    test    edi, 63
    jnz     9f
    mov     rcx, rdx
    and     rcx, -\w*\count
    jz      9f
    .ifc \order, backward
    .p2align 6
2:
    .irp lane, \lanes
    \load   \v\()\lane, [rsi + rcx - \w*\lane - \w]
    .endr
    .irp lane, \lanes
    \store  [rdi + rcx - \w*\lane - \w], \v\()\lane
    .endr
    sub     rcx, \w*\count
    jnz     2b
    mov     rcx, rdx
    and     rcx, -\w*\count
    add     rdi, rcx
    add     rsi, rcx
    .else
    lea     rax, [rdi + rcx]
    .p2align 6
2:
    .ifc \order, inturns
    .irp lane, \lanes
    \load   \v\()\lane, [rsi + \w*\lane]
    \store  [rdi + \w*\lane], \v\()\lane
    .endr
    .else
    .irp lane, \lanes
    \load   \v\()\lane, [rsi + \w*\lane]
    .endr
    .irp lane, \lanes
    \store  [rdi + \w*\lane], \v\()\lane
    .endr
    .endif
    add     rsi, \w*\count
    add     rdi, \w*\count
    cmp     rdi, rax
    jb      2b
    .endif
    and     edx, \w*\count - 1
    .if \w > 16
    vzeroupper
    .endif
    test    edx, edx
    jnz     9f
    ret
9:  mov     rcx, rdx
    rep movsb
    ret
    .endm
    .macro BODY_xmm name, order, count, lanes
    BODY \name, xmm, 16, movdqu, movdqa, \order, \count, "\lanes"
    .endm
    .macro BODY_ymm name, order, count, lanes
    BODY \name, ymm, 32, vmovdqu, vmovdqa, \order, \count, "\lanes"
    .endm
    .macro BODY_zmm name, order, count, lanes
    BODY \name, zmm, 64, vmovdqu64, vmovdqa64, \order, \count, "\lanes"
    .endm
    "#
);

#[cfg(target_arch = "x86_64")]
variants! {
    xmm: SSE2 loadsfirst 4 "0,1,2,3", xmm: SSE2 loadsfirst 8 "0,1,2,3,4,5,6,7", xmm: SSE2 inturns 4 "0,1,2,3",
    xmm: SSE2 backward 4 "0,1,2,3",
    ymm: AVX loadsfirst 2 "0,1", ymm: AVX loadsfirst 4 "0,1,2,3", ymm: AVX loadsfirst 8 "0,1,2,3,4,5,6,7",
    ymm: AVX inturns 4 "0,1,2,3", ymm: AVX backward 4 "0,1,2,3",
    zmm: AVX512F loadsfirst 1 "0", zmm: AVX512F loadsfirst 2 "0,1", zmm: AVX512F loadsfirst 4 "0,1,2,3",
    zmm: AVX512F loadsfirst 8 "0,1,2,3,4,5,6,7", zmm: AVX512F inturns 4 "0,1,2,3", zmm: AVX512F inturns 8 "0,1,2,3,4,5,6,7",
    zmm: AVX512F backward 4 "0,1,2,3",
}

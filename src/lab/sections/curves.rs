//! What copies cost by their length, with nothing saved; and what saving a few registers by hand costs, with nothing
//! copied.

use crate::cpu::{Cache, Caches};
use crate::kernel::{CopyFn, Kernel, kernels};
use crate::lab::instruments::buffers::Buffers;
use crate::lab::sections::block::Block;
use crate::lab::sections::runner::Arm;
use crate::lab::sections::sample::{Key, Part};

/// The kernels that a section may use.
pub const VECTOR_KERNELS: [&str; 3] = ["sse2_aligned", "avx_aligned", "avx512_aligned"];
/// The kernels for callers without vector registers.
pub const PLAIN_KERNELS: [&str; 4] = ["gpr", "rep_movsb", "rep_movsb_aligned", "rep_movsq_aligned"];

/// The longest copy that is measured.
pub const MAX_LEN_BYTES: usize = 1 << 20;

/// How many bytes one sample copies, unless one copy is longer.
const SAMPLE_BYTES: usize = 256 << 10;
const MAX_COPIES: usize = 32;
const MAX_TURNS: usize = 16;

/// The lengths that the curves are fitted on: 64 bytes to 1 MiB in four steps an octave, and more where curves bend:
/// behind powers of two, at which kernels go another way, and where source and destination outgrow a cache of the core.
pub fn fitted_lengths(caches: &Caches) -> Vec<usize> {
    let steps = (24..=80).map(|quarter_octaves| (f64::from(quarter_octaves) / 4.0).exp2().round() as usize);
    let behind = (6..=12).map(|power| (1 << power) + 1);
    let half = |cache: Option<Cache>| cache.map_or(0, |cache| cache.size_bytes as usize / 2);
    // Copies begin to miss before the cache is full, and all of them do some way behind that.
    let at_caches = [half(caches.l1d), half(caches.l2)]
        .into_iter()
        .flat_map(|limit| [80, 90, 96, 100, 103, 106, 110, 115, 120, 130, 145].map(|percent| limit / 100 * percent));
    let held_back = held_back_lengths();
    let range = 64..=MAX_LEN_BYTES;
    let all = steps.chain(behind).chain(at_caches);
    let mut lengths: Vec<usize> = all.filter(|len| range.contains(len) && !held_back.contains(len)).collect();
    lengths.sort_unstable();
    lengths.dedup();
    lengths
}

/// The lengths that are held back: half a step behind each step. Each is 1.19 times the one before it.
pub fn held_back_lengths() -> Vec<usize> {
    (24..80).map(|quarter_octaves| (f64::from(quarter_octaves) / 4.0 + 0.125).exp2().round() as usize).collect()
}

/// The kernels of the table that can run here, of those that are measured.
pub fn measured_kernels() -> impl Iterator<Item = &'static Kernel> {
    let is_measured = |kernel: &&Kernel| {
        kernel.restores() || VECTOR_KERNELS.contains(&kernel.name()) || PLAIN_KERNELS.contains(&kernel.name())
    };
    kernels().iter().filter(is_measured).filter(|kernel| kernel.is_available())
}

/// How many copies a turn makes and how many turns a sample has.
fn shape(len_bytes: usize) -> (usize, usize) {
    let copies = (SAMPLE_BYTES / 4 / len_bytes).clamp(1, MAX_COPIES);
    (copies, (SAMPLE_BYTES / (copies * len_bytes)).clamp(1, MAX_TURNS))
}

/// The arms for copies of these lengths by these kernels.
pub(super) fn arms<'a>(
    part: Part,
    kernels: impl Iterator<Item = &'static Kernel>,
    lengths: &[usize],
    buffers: &'a Buffers,
) -> Vec<Arm<'a>> {
    let mut arms = Vec::new();
    for kernel in kernels {
        for &len_bytes in lengths {
            let (copies, turns) = shape(len_bytes);
            let key = Key { len_bytes, copies: copies as u32, ..Key::of(part, kernel.name()) };
            arms.push(copying(key, kernel.entry(), len_bytes, copies as u64, turns as u64, buffers));
        }
    }
    arms.push(idle(part));
    arms
}

/// The loop that copies nothing.
fn idle(part: Part) -> Arm<'static> {
    let block = Box::new(|| Block::empty(MAX_TURNS as u64));
    Arm { key: Key::of(part, Key::SETUP), save: None, restore: None, block }
}

fn copying<'a>(key: Key, entry: CopyFn, len_bytes: usize, copies: u64, turns: u64, buffers: &'a Buffers) -> Arm<'a> {
    let block = move || Block {
        copies,
        kernel: Some(entry),
        dst: buffers.dst(0),
        src: buffers.src(2048).cast_const(),
        len_bytes,
        ..Block::empty(turns)
    };
    Arm { key, save: None, restore: None, block: Box::new(block) }
}

/// Registers that a partial spill saves by hand.
pub const SPILLED_REGISTERS: [u32; 4] = [1, 2, 4, 8];

/// The loops that save and restore XMM registers by moves, as the kernels `sse2_spill1` to `sse2_spill8` do; subject `spill`
/// with the number of registers behind it, and `call` for a routine that only returns.
pub(super) fn spill_arms() -> Vec<Arm<'static>> {
    let routines: [(&str, CopyFn); 5] = [
        ("call", spill::call),
        ("spill1", spill::one),
        ("spill2", spill::two),
        ("spill4", spill::four),
        ("spill8", spill::eight),
    ];
    let mut arms = Vec::new();
    for (name, entry) in routines {
        let key = Key { copies: MAX_COPIES as u32, ..Key::of(Part::Spill, name) };
        let block = move || Block { copies: MAX_COPIES as u64, kernel: Some(entry), ..Block::empty(MAX_TURNS as u64) };
        arms.push(Arm { key, save: None, restore: None, block: Box::new(block) });
    }
    arms.push(idle(Part::Spill));
    arms
}

/// What a partial spill does around a copy, and nothing else.
mod spill {
    /// Defines a routine that saves and restores these registers.
    macro_rules! spill {
        ($name:ident, $room:literal, $($at:literal $register:literal)*) => {
            #[unsafe(naked)]
            pub(super) unsafe extern "sysv64" fn $name(_dst: *mut u8, _src: *const u8, _len: usize) {
                core::arch::naked_asm!(
                    concat!("sub rsp, ", $room),
                    $(concat!("movaps [rsp + ", $at, "], ", $register),)*
                    $(concat!("movaps ", $register, ", [rsp + ", $at, "]"),)*
                    concat!("add rsp, ", $room),
                    "ret",
                )
            }
        };
    }
    spill!(call, 8,);
    spill!(one, 24, 0 "xmm0");
    spill!(two, 40, 0 "xmm0" 16 "xmm1");
    spill!(four, 72, 0 "xmm0" 16 "xmm1" 32 "xmm2" 48 "xmm3");
    spill!(eight, 136, 0 "xmm0" 16 "xmm1" 32 "xmm2" 48 "xmm3" 64 "xmm4" 80 "xmm5" 96 "xmm6" 112 "xmm7");
}

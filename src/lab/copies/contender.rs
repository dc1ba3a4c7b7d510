//! What copies and is timed: a kernel, a peer, or one of the calls, each in a loop of its own.

use crate::kernel::{CopyFn, Kernel, kernels};
use crate::select::{Small, memcpy_auto_as};
use std::borrow::Cow;
use std::time::{Duration, Instant};

/// The second name under which the installed libc runs: what the two differ by is noise.
pub const LIBC_AGAIN: &str = "libc_again";
/// The name of the baseline.
pub const LIBC: &str = "libc";
/// The name of the crate's own call.
pub const MEMCPY_AUTO: &str = "memcpy_auto";

/// Something that copies and is timed.
#[derive(Clone, Debug)]
pub struct Contender {
    pub(crate) name: Cow<'static, str>,
    routine: Routine,
}

#[derive(Clone, Copy, Debug)]
enum Routine {
    /// Called through a pointer, as a program calls a routine it has chosen.
    Entry(CopyFn),
    /// Inlined into the loop, as a program uses it.
    Auto,
    /// What the compiler makes of a copy between slices, in the loop.
    Slice,
    /// As [`Auto`](Self::Auto), small lengths in a way of their own, whatever the plan says.
    Small(Small),
}

impl Contender {
    /// A kernel of the table, if it can run here.
    pub fn kernel(kernel: &'static Kernel) -> Option<Self> {
        let ready = kernel.ready()?;
        Some(Self { name: Cow::Borrowed(kernel.name()), routine: Routine::Entry(ready.kernel().entry()) })
    }

    /// The crate's own call.
    pub const fn memcpy_auto() -> Self {
        Self { name: Cow::Borrowed(MEMCPY_AUTO), routine: Routine::Auto }
    }

    /// `memcpy_auto` with this way to copy small lengths, if the CPU has what it needs.
    pub fn small(small: Small) -> Option<Self> {
        let runs_here = crate::cpu::features().contains(small.needs());
        let name = Cow::Owned(format!("auto_{}", small.name()));
        runs_here.then_some(Self { name, routine: Routine::Small(small) })
    }

    /// `copy_from_slice` as a program has it, inlined as far as the compiler does.
    pub const fn copy_from_slice() -> Self {
        Self { name: Cow::Borrowed("copy_from_slice"), routine: Routine::Slice }
    }

    /// A routine from elsewhere.
    ///
    /// # Safety
    ///
    /// The routine keeps the [kernel contract](crate::kernel#the-contract) as far as memory safety goes, and this CPU
    /// can run it.
    pub unsafe fn foreign(name: impl Into<Cow<'static, str>>, entry: CopyFn) -> Self {
        Self { name: name.into(), routine: Routine::Entry(entry) }
    }

    /// Every kernel that can run here, and `memcpy_auto`. Kernels that restore the registers they use are for callers
    /// who may not use any: what that costs is measured elsewhere.
    pub fn all_available() -> Vec<Self> {
        kernels()
            .iter()
            .filter(|kernel| kernel.is_contender())
            .filter_map(Self::kernel)
            .chain([Self::memcpy_auto()])
            .collect()
    }

    /// The baseline once more, under [another name](LIBC_AGAIN).
    pub fn libc_again() -> Option<Self> {
        let libc = Self::kernel(Kernel::named(LIBC)?)?;
        Some(Self { name: Cow::Borrowed(LIBC_AGAIN), ..libc })
    }

    /// The name in records.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Copies `src` into `dst`, of which it takes as much as `src` has.
    ///
    /// # Panics
    ///
    /// If `dst` is shorter than `src`.
    pub fn copy(&self, dst: &mut [u8], src: &[u8]) {
        let dst = &mut dst[..src.len()];
        match self.routine {
            // SAFETY: the routine can run here (see the constructors); the ranges are valid and do not overlap, since
            // one is borrowed exclusively.
            Routine::Entry(entry) => unsafe { entry(dst.as_mut_ptr(), src.as_ptr(), src.len()) },
            Routine::Auto => crate::memcpy_auto(dst, src),
            Routine::Slice => dst.copy_from_slice(src),
            // SAFETY: both ranges are valid and do not overlap, since one is borrowed exclusively; `small` asked whether
            // the CPU has what it needs.
            Routine::Small(small) => unsafe { memcpy_auto_as(dst.as_mut_ptr(), src.as_ptr(), src.len(), small) },
        }
    }

    /// Copies `len_bytes` bytes `iterations` times, and returns how long that took.
    ///
    /// # Safety
    ///
    /// `src` is valid for reads and `dst` for writes of `len_bytes` bytes; the ranges do not overlap.
    pub unsafe fn time(&self, dst: *mut u8, src: *const u8, len_bytes: usize, iterations: u64) -> Duration {
        // SAFETY: the caller's.
        unsafe { self.time_each(iterations, &mut (), |()| (dst, src, len_bytes), |(), _, _| {}) }
    }

    /// Makes `iterations` copies, each of what `next` says (destination, source, length), calls `after` with the
    /// destination and the length of each, and returns how long all of that took.
    ///
    /// What both keep from one copy to the next is `state`.
    ///
    /// # Safety
    ///
    /// Whatever `next` returns, the source is valid for reads and the destination for writes of the length, and the
    /// two do not overlap.
    pub unsafe fn time_each<S: Copy>(
        &self,
        iterations: u64,
        state: &mut S,
        next: impl Fn(&mut S) -> (*mut u8, *const u8, usize),
        after: impl Fn(&mut S, *const u8, usize),
    ) -> Duration {
        match self.routine {
            Routine::Entry(entry) => time(iterations, state, next, after, |dst, src, len| {
                // SAFETY: the caller's; the routine can run here.
                unsafe { entry(dst, src, len) }
            }),
            Routine::Auto => time(iterations, state, next, after, |dst, src, len| {
                // SAFETY: the caller's.
                unsafe { crate::memcpy_auto_unchecked(dst, src, len) }
            }),
            Routine::Small(Small::Pieces) => time(iterations, state, next, after, |dst, src, len| {
                // SAFETY: the caller's.
                unsafe { memcpy_auto_as(dst, src, len, Small::Pieces) }
            }),
            Routine::Small(Small::Masked) => time(iterations, state, next, after, |dst, src, len| {
                // SAFETY: the caller's; `small` asked whether the CPU has what it needs.
                unsafe { memcpy_auto_as(dst, src, len, Small::Masked) }
            }),
            Routine::Slice => time(iterations, state, next, after, |dst, src, len| {
                // SAFETY: the caller's. This is what `copy_from_slice` is once the lengths were compared.
                unsafe { std::ptr::copy_nonoverlapping(src, dst, len) }
            }),
        }
    }
}

/// Hides the arguments from the optimiser, in registers, so that no copy is left out, hoisted or specialised.
#[inline(always)]
fn opaque((mut dst, mut src, mut len_bytes): (*mut u8, *const u8, usize)) -> (*mut u8, *const u8, usize) {
    // SAFETY: an empty block. That it may touch memory, as far as the compiler knows, is its point.
    unsafe {
        core::arch::asm!("/* {dst} {src} {len} */", dst = inout(reg) dst, src = inout(reg) src,
            len = inout(reg) len_bytes, options(nostack, preserves_flags));
    }
    (dst, src, len_bytes)
}

/// A loop of its own for each routine, whose state stays in registers: an inlined copy next to other loops, or with its state
/// in memory, would pay for its neighbours.
#[inline(never)]
fn time<S: Copy>(
    iterations: u64,
    state: &mut S,
    next: impl Fn(&mut S) -> (*mut u8, *const u8, usize),
    after: impl Fn(&mut S, *const u8, usize),
    copy: impl Fn(*mut u8, *const u8, usize),
) -> Duration {
    let mut own = *state;
    let start = Instant::now();
    for _ in 0..iterations {
        let (dst, src, len_bytes) = opaque(next(&mut own));
        copy(dst, src, len_bytes);
        after(&mut own, dst, len_bytes);
    }
    let passed = start.elapsed();
    *state = own;
    passed
}

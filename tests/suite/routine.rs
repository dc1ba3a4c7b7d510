//! What is tested: anything that copies and has a name.

use core::mem::MaybeUninit;
use core::slice;
use memcpy_select::cpu::{Components, Cpu};
use memcpy_select::kernel::{CopyFn, ReadyKernel};
use memcpy_select::select::{Policy, memcpy_auto_in_section, memcpy_auto_inlined, memcpy_auto_nosimd_inlined};
use memcpy_select::xsave::{SavedState, Section, StateArea};
use memcpy_select::{Kernel, fallible, kernels};
use std::cell::RefCell;

/// Something that copies.
pub trait Routine: Sync {
    fn name(&self) -> &'static str;

    /// # Safety
    ///
    /// `src` is valid for reads and `dst` for writes of `len` bytes, and the two ranges do not overlap.
    unsafe fn copy(&self, dst: *mut u8, src: *const u8, len: usize);
}

impl Routine for ReadyKernel {
    fn name(&self) -> &'static str {
        self.kernel().name()
    }

    unsafe fn copy(&self, dst: *mut u8, src: *const u8, len: usize) {
        // SAFETY: a `ReadyKernel` is available here; the ranges are the caller's promise.
        unsafe { self.kernel().copy(dst, src, len) }
    }
}

/// The kernels that this CPU can run, and those it cannot.
pub fn kernels_here() -> (Vec<ReadyKernel>, Vec<&'static Kernel>) {
    let ready = kernels().iter().filter_map(Kernel::ready).collect();
    let lacking = kernels().iter().filter(|kernel| kernel.ready().is_none()).collect();
    (ready, lacking)
}

/// Prints the kernels that cannot be tested here, with a count and the reason.
pub fn print_skipped(lacking: &[&Kernel]) {
    println!("skipped: {} kernels", lacking.len());
    for kernel in lacking {
        println!("  {:<20} needs {:?}, which this CPU or its operating system lacks", kernel.name(), kernel.needs());
    }
}

/// The crate's calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Auto,
    AutoUninit,
    AutoUnchecked,
    AutoNoSimd,
    /// What `AutoUnchecked` is in a build for release.
    AutoInlined,
    /// What `AutoNoSimd` is in a build for release.
    AutoNoSimdInlined,
    /// In a section of its own, which saves and restores the vector state where the plan wants a vector kernel.
    AutoInSection,
    /// Without a fault it is a copy like any other.
    TryCopy,
    /// Where nobody else writes it is one, too.
    FromShared,
}

impl Call {
    pub const ALL: [Self; 9] = [
        Self::Auto,
        Self::AutoUninit,
        Self::AutoUnchecked,
        Self::AutoNoSimd,
        Self::AutoInlined,
        Self::AutoNoSimdInlined,
        Self::AutoInSection,
        Self::TryCopy,
        Self::FromShared,
    ];

    /// Whose plan it follows.
    pub const fn policy(self) -> Policy {
        match self {
            Self::Auto | Self::AutoUninit | Self::AutoUnchecked | Self::AutoInlined | Self::FromShared => Policy::User,
            Self::AutoNoSimd | Self::AutoNoSimdInlined | Self::TryCopy => Policy::NoSimd,
            Self::AutoInSection => Policy::Section,
        }
    }
}

thread_local! {
    static AREA: RefCell<StateArea<4096>> = const { RefCell::new(StateArea::new()) };
    static CPU: Cpu = Cpu::detect();
}

/// Where vector state cannot be saved there is none to lend.
struct NothingLent;

// SAFETY: nothing is lent.
unsafe impl Section for NothingLent {
    fn lends(&self) -> Components {
        Components::NONE
    }
    fn begin(&mut self) {}
    fn end(&mut self) {}
}

/// # Safety
///
/// `src` is valid for reads and `dst` for writes of `len` bytes, and the two ranges do not overlap.
unsafe fn in_section(dst: *mut u8, src: *const u8, len: usize) {
    const VECTORS: Components = Components::SSE.union(Components::AVX).union(Components::AVX512);
    AREA.with_borrow_mut(|area| match CPU.with(|cpu| SavedState::new(area, VECTORS, cpu)) {
        // SAFETY: the caller's promise is the function's precondition.
        Ok(mut section) => unsafe { memcpy_auto_in_section(dst, src, len, &mut section) },
        // SAFETY: as above.
        Err(_) => unsafe { memcpy_auto_in_section(dst, src, len, &mut NothingLent) },
    });
}

impl Routine for Call {
    fn name(&self) -> &'static str {
        match self {
            Self::Auto => "memcpy_auto",
            Self::AutoUninit => "memcpy_auto_uninit",
            Self::AutoUnchecked => "memcpy_auto_unchecked",
            Self::AutoNoSimd => "memcpy_auto_nosimd",
            Self::AutoInlined => "memcpy_auto_inlined",
            Self::AutoNoSimdInlined => "memcpy_auto_nosimd_inlined",
            Self::AutoInSection => "memcpy_auto_in_section",
            Self::TryCopy => "try_copy",
            Self::FromShared => "copy_from_shared",
        }
    }

    unsafe fn copy(&self, dst: *mut u8, src: *const u8, len: usize) {
        match self {
            Self::Auto => {
                // SAFETY: `dst` is valid for `len` bytes and nothing else refers to them during the call.
                let dst = unsafe { slice::from_raw_parts_mut(dst, len) };
                // SAFETY: `src` is valid for `len` bytes, which nobody writes during the call.
                let src = unsafe { slice::from_raw_parts(src, len) };
                memcpy_select::memcpy_auto(dst, src);
            }
            Self::AutoUninit => {
                // SAFETY: as above; uninitialised is a promise less.
                let dst = unsafe { slice::from_raw_parts_mut(dst.cast::<MaybeUninit<u8>>(), len) };
                // SAFETY: as above.
                let src = unsafe { slice::from_raw_parts(src, len) };
                let place = dst.as_ptr().addr();
                let copied = memcpy_select::memcpy_auto_uninit(dst, src);
                assert_eq!((copied.as_ptr().addr(), copied.len()), (place, len), "it returns its destination");
            }
            Self::AutoUnchecked => {
                // SAFETY: the caller's promise is the function's precondition.
                unsafe { memcpy_select::memcpy_auto_unchecked(dst, src, len) }
            }
            Self::AutoNoSimd => {
                // SAFETY: the caller's promise is the function's precondition.
                unsafe { memcpy_select::memcpy_auto_nosimd(dst, src, len) }
            }
            Self::AutoInlined => {
                // SAFETY: the caller's promise is the function's precondition.
                unsafe { memcpy_auto_inlined(dst, src, len) }
            }
            Self::AutoNoSimdInlined => {
                // SAFETY: the caller's promise is the function's precondition.
                unsafe { memcpy_auto_nosimd_inlined(dst, src, len) }
            }
            Self::AutoInSection => {
                // SAFETY: the caller's promise is the function's precondition.
                unsafe { in_section(dst, src, len) }
            }
            Self::TryCopy => {
                // SAFETY: the caller promises more than the function's precondition.
                let copied = unsafe { fallible::try_copy(dst, src, len) };
                assert_eq!(copied, Ok(()));
            }
            Self::FromShared => {
                // SAFETY: `dst` is valid for `len` bytes and nothing else refers to them during the call.
                let dst = unsafe { slice::from_raw_parts_mut(dst, len) };
                // SAFETY: `src` is valid for `len` bytes, and apart from `dst`.
                unsafe { memcpy_select::copy_from_shared(dst, src) }
            }
        }
    }
}

/// These kernels and the crate's calls.
pub fn with_calls(kernels: &[ReadyKernel]) -> Vec<&dyn Routine> {
    let kernels = kernels.iter().map(|kernel| kernel as &dyn Routine);
    kernels.chain(Call::ALL.iter().map(|call| call as &dyn Routine)).collect()
}

/// Machine code by its entry point: what is not a row of the table.
#[derive(Clone, Copy)]
pub struct Entry {
    pub name: &'static str,
    pub entry: CopyFn,
}

impl Routine for Entry {
    fn name(&self) -> &'static str {
        self.name
    }

    unsafe fn copy(&self, dst: *mut u8, src: *const u8, len: usize) {
        // SAFETY: whoever made the value vouches for the code; the ranges are the caller's promise.
        unsafe { (self.entry)(dst, src, len) }
    }
}

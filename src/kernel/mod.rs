//! What can copy: the kernels, the one contract they all keep, and the one table that lists them.
//!
//! # The contract
//!
//! Every kernel, for any length including 0:
//!
//! - reads exactly `[src, src + len)` and writes exactly `[dst, dst + len)`, never a byte beyond, not even inside the
//!   same page (a software prefetch is a hint and may name any address);
//! - may assume that the two ranges do not overlap, unless [its row](Kernel::overlap) says in which direction they may, or it
//!   writes no vector state and does not copy downward: then the destination may be 64 bytes or more below the source;
//! - finds the direction flag clear and leaves it clear;
//! - keeps the callee-saved registers (`rbx`, `rbp`, `r12` to `r15`), the stack and MXCSR;
//! - leaves the upper parts of vector registers 0 to 15 clear (`vzeroupper`), and writes registers 16 to 31 only where
//!   [its row](Kernel::writes) has their component: they stay in use then, as the installed libc leaves them on CPUs with
//!   AVX-512;
//! - has its non-temporal stores fenced before it returns;
//! - keeps no state between calls and is safe to interrupt at any instruction.
//!
//! The calling convention is `extern "sysv64"` on every x86-64 system. A kernel's symbol is its name under a prefix
//! that carries this crate's version, so that two versions may be linked into one program.
//!
//! A kernel that needs an instruction-set extension is reached safely only through [`Kernel::ready`], which gives a
//! [`ReadyKernel`] where this CPU and its operating system provide what it needs.

pub(crate) mod fallible;
mod fill;
#[cfg(memcpy_select_interposed)]
pub(crate) mod next;
pub(crate) mod portable;
#[cfg(any(memcpy_select_interposed, memcpy_select_symbols))]
pub(crate) mod short;
mod table;

use crate::cpu::{self, Components, Features};
use core::fmt;

pub use fallible::{FallibleKernel, TryCopyFn, fallible_kernels};
pub use fill::{Fill, FillFn, fills};
pub use table::kernels;
pub(crate) use table::same;

/// A kernel's entry point: `(dst, src, len_bytes)`.
#[cfg(target_arch = "x86_64")]
pub type CopyFn = unsafe extern "sysv64" fn(*mut u8, *const u8, usize);
/// A kernel's entry point: `(dst, src, len_bytes)`.
#[cfg(not(target_arch = "x86_64"))]
pub type CopyFn = unsafe extern "C" fn(*mut u8, *const u8, usize);

/// Whether a kernel's stores leave the copy in the caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stores {
    /// Ordinary stores: the copy is in the caches afterwards.
    Temporal,
    /// Stores past the caches for all but short lengths: the next reader of the copy fetches it from memory.
    NonTemporal,
    /// The platform's routine decides, by rules of its own.
    Unknown,
}

/// How the two ranges of a copy may overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// Not at all.
    Never,
    /// With the destination below the source, at any distance.
    DstBelow,
    /// With the destination above the source, at any distance.
    DstAbove,
}

/// One row of the table: a routine that copies, and what is true of it.
///
/// Every row keeps [the contract](self#the-contract).
pub struct Kernel {
    name: &'static str,
    needs: Features,
    writes: Components,
    restores: bool,
    stores: Stores,
    overlap: Overlap,
    entry: CopyFn,
}

impl Kernel {
    /// The kernel of that name, if this build holds it. Works in constants.
    ///
    /// ```
    /// # use memcpy_select::Kernel;
    /// assert_eq!(Kernel::named("portable").map(Kernel::name), Some("portable"));
    /// assert_eq!(Kernel::named("no such kernel"), None);
    /// ```
    pub const fn named(name: &str) -> Option<&'static Self> {
        table::named(name)
    }

    /// The name: the stem of its file in `asm/`, and what records call it.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The CPU features without which it must not run.
    pub const fn needs(&self) -> Features {
        self.needs
    }

    /// The vector state components that a call may write, in the numbering of XCR0, as far as the CPU has them: an AVX
    /// instruction clears what AVX-512 added to the register. Empty: a caller need not save any vector register around
    /// the call.
    pub const fn writes(&self) -> Components {
        self.writes
    }

    /// Whether every vector register that it writes has its value of before again when it returns (a partial spill). Such
    /// a kernel is for callers whose vector registers belong to other code: in between they must not be looked at, so
    /// the copy must not fault, sleep, or be interrupted by what saves or uses vector state.
    pub const fn restores(&self) -> bool {
        self.restores
    }

    /// The components that a call may leave in use (XINUSE) where they were in their initial state before: `vzeroupper`
    /// returns all but the XMM registers and registers 16 to 31 to it.
    pub const fn leaves_in_use(&self) -> Components {
        match self.stores {
            Stores::Unknown => self.writes,
            Stores::Temporal | Stores::NonTemporal => {
                self.writes.intersection(Components::SSE.union(Components::HI16_ZMM))
            }
        }
    }

    /// Whether its stores leave the copy in the caches.
    pub const fn stores(&self) -> Stores {
        self.stores
    }

    /// How source and destination may overlap. Kernels that bear it are there for
    /// [`memmove_auto`](crate::memmove_auto); of ranges apart they copy like any other.
    pub const fn overlap(&self) -> Overlap {
        self.overlap
    }

    /// Whether it is measured beside the others: it needs no care of the caller's, and is not there for overlaps alone.
    pub fn is_contender(&self) -> bool {
        !self.restores && self.overlap == Overlap::Never
    }

    /// Whether a measured plan may name it for lengths at which it is the best: all contenders, the platform's copy
    /// under one of its two names.
    pub fn may_be_planned(&self) -> bool {
        self.is_contender() && (self.stores != Stores::Unknown || self.name == "libc")
    }

    /// Whether this CPU and its operating system provide what the kernel needs.
    pub fn is_available(&self) -> bool {
        cpu::features().contains(self.needs)
    }

    /// The kernel as a safe function, where it [is available](Self::is_available).
    pub fn ready(&'static self) -> Option<ReadyKernel> {
        self.is_available().then_some(ReadyKernel { kernel: self })
    }

    /// Copies `len` bytes from `src` to `dst`.
    ///
    /// # Safety
    ///
    /// - The kernel [is available](Self::is_available) on this CPU.
    /// - `src` is valid for reads and `dst` for writes of `len` bytes, and the two ranges do not overlap, or only as the
    ///   kernel [allows](Self::overlap).
    /// - The caller may use the vector state that the kernel [writes](Self::writes) (in a kernel: between saving and
    ///   restoring it).
    #[inline]
    pub unsafe fn copy(&self, dst: *mut u8, src: *const u8, len: usize) {
        // SAFETY: the caller keeps exactly the preconditions of the contract above.
        unsafe { (self.entry)(dst, src, len) }
    }

    /// Whether it is the same row, in constants too.
    pub(crate) const fn is(&self, other: &Self) -> bool {
        same(self.name, other.name)
    }

    /// The entry point, for callers that keep a table of their own. The preconditions are those of [`Self::copy`].
    pub const fn entry(&self) -> CopyFn {
        self.entry
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel")
            .field("name", &self.name)
            .field("needs", &self.needs)
            .field("writes", &self.writes)
            .field("restores", &self.restores)
            .field("stores", &self.stores)
            .field("overlap", &self.overlap)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Kernel {
    fn eq(&self, other: &Self) -> bool {
        self.is(other)
    }
}

impl Eq for Kernel {}

/// Proof that a kernel can run here, and with it a safe call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadyKernel {
    kernel: &'static Kernel,
}

impl ReadyKernel {
    /// The row of the table.
    pub const fn kernel(self) -> &'static Kernel {
        self.kernel
    }

    /// Copies `src` into `dst`.
    ///
    /// # Errors
    ///
    /// [`LengthMismatch`] if the lengths differ; nothing is copied then.
    pub fn copy(self, dst: &mut [u8], src: &[u8]) -> Result<(), LengthMismatch> {
        LengthMismatch::check(dst.len(), src.len())?;
        // SAFETY: a `ReadyKernel` exists only for an available kernel; both ranges are valid for `src.len()` bytes and
        // cannot overlap, since one is borrowed exclusively.
        unsafe { self.kernel.copy(dst.as_mut_ptr(), src.as_ptr(), src.len()) };
        Ok(())
    }
}

/// A destination and a source of different lengths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LengthMismatch {
    /// Length of the destination in bytes.
    pub dst_bytes: usize,
    /// Length of the source in bytes.
    pub src_bytes: usize,
}

impl LengthMismatch {
    pub(crate) const fn check(dst_bytes: usize, src_bytes: usize) -> Result<(), Self> {
        if dst_bytes == src_bytes { Ok(()) } else { Err(Self { dst_bytes, src_bytes }) }
    }
}

impl fmt::Display for LengthMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the destination has {} bytes and the source {}: nothing was copied; slice both to one length",
            self.dst_bytes, self.src_bytes
        )
    }
}

impl core::error::Error for LengthMismatch {}

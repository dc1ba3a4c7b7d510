//! A section: between its beginning and its end, vector registers may be used.

use super::Save;
use crate::cpu::{Components, Cpu, XState};
use core::fmt;

/// What lends vector registers: a kernel's own pair of calls (Linux: `kernel_fpu_begin` and `kernel_fpu_end`), or
/// [`SavedState`].
///
/// # Safety
///
/// From the return of [`begin`](Self::begin) until [`end`](Self::end) is called, the components of
/// [`lends`](Self::lends) may be written without harm to anybody.
pub unsafe trait Section {
    /// The components that it lends; those that the operating system has not enabled, which no code can write, may be
    /// among them.
    fn lends(&self) -> Components;
    /// Enters.
    fn begin(&mut self);
    /// Leaves. Without a [`begin`](Self::begin) before it, nothing happens.
    fn end(&mut self);
}

/// Room to save vector state in: `BYTES` bytes, aligned as XSAVE wants. 4096 are enough for everything up to AVX-512 on
/// every CPU so far.
#[repr(C, align(64))]
#[derive(Clone)]
pub struct StateArea<const BYTES: usize = 4096>([u8; BYTES]);

impl<const BYTES: usize> StateArea<BYTES> {
    /// An area that holds nothing.
    pub const fn new() -> Self {
        Self([0; BYTES])
    }
}

impl<const BYTES: usize> Default for StateArea<BYTES> {
    fn default() -> Self {
        Self::new()
    }
}

/// A section that saves into an area and restores from it, whatever owns the registers.
///
/// It is for code that is not interrupted by anybody who would look at the registers, or whose registers such an
/// interrupter saves and restores itself, as an operating system does with a program's.
///
/// ```
/// use memcpy_select::cpu::{Components, Cpu};
/// use memcpy_select::xsave::{SavedState, Section, StateArea};
///
/// let mut area = StateArea::<4096>::new();
/// let mut section = SavedState::new(&mut area, Components::SSE.union(Components::AVX), &Cpu::detect())?;
/// section.begin();
/// // … use what section.lends() has …
/// section.end();
/// # Ok::<(), memcpy_select::xsave::SectionError>(())
/// ```
pub struct SavedState<'a> {
    area: *mut u8,
    save: Save,
    components: Components,
    lends: Components,
    is_open: bool,
    _borrowed: core::marker::PhantomData<&'a mut [u8]>,
}

impl<'a> SavedState<'a> {
    /// A section for the components asked for, as far as the CPU has them and the operating system has enabled them, by
    /// the cheapest instruction there is: XSAVEC, XSAVEOPT, XSAVE or FXSAVE, in this order.
    ///
    /// # Errors
    ///
    /// [`SectionError::AreaTooSmall`] if the area does not hold them.
    pub fn new<const BYTES: usize>(
        area: &'a mut StateArea<BYTES>,
        asked: Components,
        cpu: &Cpu,
    ) -> Result<Self, SectionError> {
        // FXSAVE's format is not asked for here: what it cannot restore, XSAVE can.
        const BEST_FIRST: [Save; 4] = [Save::Xsavec, Save::Xsaveopt, Save::Xsave, Save::Fxsave];
        let save = BEST_FIRST.into_iter().find(|save| save.is_available(&cpu.xstate)).unwrap_or(Save::Fxsave);
        Self::with(area, save, asked, &cpu.xstate)
    }

    /// A section by this instruction.
    ///
    /// # Errors
    ///
    /// [`SectionError`] if the CPU or its operating system does not have it, or if the area does not hold what it saves.
    pub fn with<const BYTES: usize>(
        area: &'a mut StateArea<BYTES>,
        save: Save,
        asked: Components,
        xstate: &XState,
    ) -> Result<Self, SectionError> {
        if !save.is_available(xstate) {
            return Err(SectionError::Unavailable { save });
        }
        let needed_bytes = save.area_bytes(asked, xstate) as usize;
        if BYTES < needed_bytes {
            return Err(SectionError::AreaTooSmall { area_bytes: BYTES, needed_bytes });
        }
        // An area may hold another format's header.
        area.0.fill(0);
        Ok(Self {
            area: area.0.as_mut_ptr(),
            save,
            components: save.saves(asked, xstate),
            lends: save.saves(asked, xstate).union(Components::from_bits(!xstate.enabled.bits())),
            is_open: false,
            _borrowed: core::marker::PhantomData,
        })
    }

    /// The instruction that saves.
    pub const fn save(&self) -> Save {
        self.save
    }
}

// SAFETY: what `lends` names is saved at the beginning and restored at the end.
unsafe impl Section for SavedState<'_> {
    fn lends(&self) -> Components {
        self.lends
    }

    #[inline(always)]
    fn begin(&mut self) {
        // SAFETY: `with` checked the instruction and the area's size; its type aligns it, and its header was cleared.
        unsafe { self.save.save(self.area, self.components) };
        self.is_open = true;
    }

    #[inline(always)]
    fn end(&mut self) {
        if !core::mem::take(&mut self.is_open) {
            return;
        }
        // SAFETY: the area holds what the instruction of this format saved at the beginning, these components.
        unsafe { self.save.restore().restore(self.area, self.components) }
    }
}

/// Why there is no section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SectionError {
    /// The CPU lacks the instruction, or the operating system does not use it.
    Unavailable {
        /// Which.
        save: Save,
    },
    /// The area is too small.
    AreaTooSmall {
        /// What it has.
        area_bytes: usize,
        /// What it needs.
        needed_bytes: usize,
    },
}

impl fmt::Display for SectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable { save } => write!(
                f,
                "this CPU or its operating system lacks {}: no vector state is saved; use `SavedState::new`, which takes \
                 what there is",
                save.name()
            ),
            Self::AreaTooSmall { area_bytes, needed_bytes } => write!(
                f,
                "{area_bytes} bytes do not hold the state, which takes {needed_bytes}: nothing is saved; make the \
                 `StateArea` larger"
            ),
        }
    }
}

impl core::error::Error for SectionError {}

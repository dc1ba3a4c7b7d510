//! The instructions that save and restore vector state.
//!
//! XSAVE writes every component that it is asked for; XSAVEC leaves out what is in its initial configuration; XSAVEOPT
//! leaves out that and what was not modified since the last XRSTOR from the same area; FXSAVE knows the x87 unit and the
//! XMM registers only. All of them run at any privilege level. XSAVES and XRSTORS do not, and are not here.
//!
//! Intel SDM vol. 1, chapter 13; AMD APM vol. 2, 11.5.

use crate::cpu::{Components, XState};

/// What the CPU has to have in XCR0 for FXSAVE's registers: they are always there.
const FXSAVE_COMPONENTS: Components = Components::X87.union(Components::SSE);
/// What FXSAVE and FXRSTOR take. Intel SDM vol. 1, 10.5.1.
const FXSAVE_BYTES: u32 = 512;

/// An instruction that saves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Save {
    /// XSAVE: standard format, everything asked for.
    Xsave,
    /// XSAVEOPT: standard format, without what is in its initial configuration or unmodified.
    Xsaveopt,
    /// XSAVEC: compacted format, without what is in its initial configuration.
    Xsavec,
    /// FXSAVE: the x87 unit, MXCSR and the XMM registers.
    Fxsave,
}

/// An instruction that restores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Restore {
    /// XRSTOR, from either format.
    Xrstor,
    /// FXRSTOR, from what FXSAVE wrote.
    Fxrstor,
}

impl Save {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Xsave, Self::Xsaveopt, Self::Xsavec, Self::Fxsave];

    /// The name in records and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xsave => "xsave",
            Self::Xsaveopt => "xsaveopt",
            Self::Xsavec => "xsavec",
            Self::Fxsave => "fxsave",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|save| save.name() == name)
    }

    /// What restores from its format.
    pub const fn restore(self) -> Restore {
        match self {
            Self::Fxsave => Restore::Fxrstor,
            Self::Xsave | Self::Xsaveopt | Self::Xsavec => Restore::Xrstor,
        }
    }

    /// Whether the CPU has it and the operating system uses it.
    pub const fn is_available(self, xstate: &XState) -> bool {
        match self {
            Self::Xsave => !xstate.enabled.is_empty(),
            Self::Xsaveopt => !xstate.enabled.is_empty() && xstate.xsaveopt,
            Self::Xsavec => !xstate.enabled.is_empty() && xstate.xsavec,
            Self::Fxsave => cfg!(target_arch = "x86_64"),
        }
    }

    /// What it saves of the components asked for.
    pub const fn saves(self, asked: Components, xstate: &XState) -> Components {
        match self {
            Self::Fxsave => FXSAVE_COMPONENTS,
            Self::Xsave | Self::Xsaveopt | Self::Xsavec => asked.intersection(xstate.enabled),
        }
    }

    /// The bytes that it may write for these components.
    pub fn area_bytes(self, asked: Components, xstate: &XState) -> u32 {
        let held = self.saves(asked, xstate);
        match self {
            Self::Fxsave => FXSAVE_BYTES,
            Self::Xsavec => xstate.compacted_area_bytes(held),
            Self::Xsave | Self::Xsaveopt => xstate.standard_area_bytes(held),
        }
    }

    /// Saves the components asked for that are enabled.
    ///
    /// # Safety
    ///
    /// - It [is available](Self::is_available).
    /// - `area` is aligned to 64 bytes and valid for [`area_bytes`](Self::area_bytes); bytes 512 to 575, the header,
    ///   were zero before the first save into it.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub unsafe fn save(self, area: *mut u8, asked: Components) {
        let (low, high) = halves(asked);
        // SAFETY: the caller's promise: the CPU has the instruction, which changes no register and writes the area alone.
        unsafe {
            match self {
                Self::Xsave => {
                    core::arch::asm!("xsave64 [{}]", in(reg) area, in("eax") low, in("edx") high, options(nostack));
                }
                Self::Xsaveopt => {
                    core::arch::asm!("xsaveopt64 [{}]", in(reg) area, in("eax") low, in("edx") high, options(nostack));
                }
                Self::Xsavec => {
                    core::arch::asm!("xsavec64 [{}]", in(reg) area, in("eax") low, in("edx") high, options(nostack));
                }
                Self::Fxsave => core::arch::asm!("fxsave64 [{}]", in(reg) area, options(nostack)),
            }
        }
    }
}

impl Restore {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Xrstor, Self::Fxrstor];

    /// The name in records and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xrstor => "xrstor",
            Self::Fxrstor => "fxrstor",
        }
    }

    /// Whether the CPU has it and the operating system uses it.
    pub const fn is_available(self, xstate: &XState) -> bool {
        match self {
            Self::Xrstor => !xstate.enabled.is_empty(),
            Self::Fxrstor => cfg!(target_arch = "x86_64"),
        }
    }

    /// Restores the components asked for that are enabled, x87 and MXCSR control words with theirs.
    ///
    /// # Safety
    ///
    /// - It [is available](Self::is_available).
    /// - `area` is aligned to 64 bytes and holds what a [`Save`] of its format and of these components wrote.
    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    pub unsafe fn restore(self, area: *const u8, asked: Components) {
        let (low, high) = halves(asked);
        // SAFETY: the caller's promise: the CPU has the instruction, and the area is of its format. Every register that it writes
        // counts as clobbered, so that the compiler keeps no value in one; the control words are those of the moment of saving.
        unsafe {
            match self {
                Self::Xrstor => core::arch::asm!(
                    "xrstor64 [{area}]", area = in(reg) area, in("eax") low, in("edx") high,
                    clobber_abi("sysv64"), options(nostack)
                ),
                Self::Fxrstor => core::arch::asm!(
                    "fxrstor64 [{area}]", area = in(reg) area, clobber_abi("sysv64"), options(nostack)
                ),
            }
        }
    }
}

/// Elsewhere none of them is available, so that these may not be called.
#[cfg(not(target_arch = "x86_64"))]
impl Save {
    /// Does nothing.
    ///
    /// # Safety
    ///
    /// Never [available](Self::is_available) on this target.
    pub unsafe fn save(self, _area: *mut u8, _asked: Components) {}
}

#[cfg(not(target_arch = "x86_64"))]
impl Restore {
    /// Does nothing.
    ///
    /// # Safety
    ///
    /// Never [available](Self::is_available) on this target.
    pub unsafe fn restore(self, _area: *const u8, _asked: Components) {}
}

/// As EDX:EAX takes them.
#[cfg(target_arch = "x86_64")]
const fn halves(components: Components) -> (u32, u32) {
    (components.bits() as u32, (components.bits() >> 32) as u32)
}

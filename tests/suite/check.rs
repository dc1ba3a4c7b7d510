//! The checks by name, and what a failed one says.

use core::fmt;

/// One thing that is checked about a copy. The broken kernels of `mutants.rs` each name the one that catches them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Check {
    /// The destination holds the source's bytes.
    DestinationBytes = 1,
    /// No byte before the destination changed.
    BytesBefore,
    /// No byte after the destination changed.
    BytesAfter,
    /// The source and what surrounds it are unchanged.
    SourceUnchanged,
    /// No access reached a guard page.
    GuardPage,
    /// `rbx`, `rbp`, `r12` to `r15` are kept.
    CalleeSaved,
    /// `rsp` is what it was.
    StackPointer,
    /// The caller's part of the stack is unchanged.
    CallersStack,
    /// The direction flag is clear.
    DirectionFlag,
    /// MXCSR is kept.
    Mxcsr,
    /// The x87 control word is kept.
    X87Control,
    /// The x87 registers are empty, that is not left in MMX use.
    X87Tags,
    /// No vector component changed that the kernel does not claim to write.
    VectorClaim,
    /// The upper parts of registers 0 to 15 are as they were or clear.
    UpperState,
    /// No component is in use afterwards that was not before and that the kernel does not claim to leave.
    InUse,
    /// Every load lies inside the source.
    LoadFootprint,
    /// Every byte of the source is loaded.
    LoadCoverage,
    /// Every store lies inside the destination.
    StoreFootprint,
    /// Non-temporal stores are fenced before the return.
    Fence,
    /// Vector registers 16 to 31 are not written.
    HighRegisters,
}

impl Check {
    pub const ALL: [Self; 20] = [
        Self::DestinationBytes,
        Self::BytesBefore,
        Self::BytesAfter,
        Self::SourceUnchanged,
        Self::GuardPage,
        Self::CalleeSaved,
        Self::StackPointer,
        Self::CallersStack,
        Self::DirectionFlag,
        Self::Mxcsr,
        Self::X87Control,
        Self::X87Tags,
        Self::VectorClaim,
        Self::UpperState,
        Self::InUse,
        Self::LoadFootprint,
        Self::LoadCoverage,
        Self::StoreFootprint,
        Self::Fence,
        Self::HighRegisters,
    ];

    /// What the check asks, in a few words.
    pub fn name(self) -> &'static str {
        match self {
            Self::DestinationBytes => "contents: the destination's bytes",
            Self::BytesBefore => "contents: the bytes before the destination",
            Self::BytesAfter => "contents: the bytes after the destination",
            Self::SourceUnchanged => "contents: the source is unchanged",
            Self::GuardPage => "contents: guard page",
            Self::CalleeSaved => "abi: callee-saved registers",
            Self::StackPointer => "abi: stack pointer",
            Self::CallersStack => "abi: the caller's stack",
            Self::DirectionFlag => "abi: direction flag",
            Self::Mxcsr => "abi: MXCSR",
            Self::X87Control => "abi: x87 control word",
            Self::X87Tags => "abi: x87 registers empty",
            Self::VectorClaim => "abi: vector components not claimed",
            Self::UpperState => "abi: upper parts of vector registers",
            Self::InUse => "abi: components left in use",
            Self::LoadFootprint => "footprint: load outside the source",
            Self::LoadCoverage => "footprint: source bytes not loaded",
            Self::StoreFootprint => "footprint: store outside the destination",
            Self::Fence => "footprint: non-temporal stores unfenced",
            Self::HighRegisters => "footprint: registers 16 to 31 written",
        }
    }

    /// As an exit code of a child process, and back.
    pub fn code(self) -> u8 {
        self as u8
    }

    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|check| check.code() == code)
    }
}

/// A check that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub check: Check,
    pub detail: String,
}

impl Failure {
    pub fn new(check: Check, detail: impl Into<String>) -> Self {
        Self { check, detail: detail.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check.name(), self.detail)
    }
}

//! What this CPU is: who made it, what it may execute, how large its caches are, and which vector state it keeps.
//!
//! Everything else in the crate decides by this module, and guests lie: a hypervisor hides feature bits, leaves cache
//! leaves empty or reports a whole package's cache as one core's. So the instructions that read the CPU stand apart
//! from the decoding, which is pure and is tested on the words of many CPUs and of the guests that hide parts of them.
//!
//! The manuals meant: Intel 64 and IA-32 Architectures Software Developer's Manual ("Intel SDM"), AMD64 Architecture
//! Programmer's Manual ("AMD APM").

#![deny(unsafe_code)]

mod caches;
mod features;
mod microarch;
#[cfg(all(feature = "std", target_os = "linux"))]
mod os;
mod raw;
mod signature;
mod words;
mod xstate;

pub use caches::{Cache, Caches, Finding, Findings, Level, Reach, Reason, Source, cross_check};
pub use features::Features;
pub use microarch::{CoreKind, Microarch};
pub(crate) use signature::MASKED;
pub use signature::{Signature, Vendor};
pub use words::{ParseWordError, Word};
pub use xstate::{Component, Components, XState};

use core::fmt;
use raw_cpuid::CpuIdReader;

/// What one CPU is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cpu {
    /// Who made it, and which one it is.
    pub signature: Signature,
    /// The instruction-set extensions that the CPU has and the operating system supports.
    pub features: Features,
    /// The caches that one core reaches.
    pub caches: Caches,
    /// The register state that XSAVE manages.
    pub xstate: XState,
}

impl Cpu {
    /// Asks the CPU that runs this, and on Linux (with the feature `std`) the operating system about its caches.
    ///
    /// Takes some tens of CPUID instructions, each of which may cost microseconds in a guest: for the features alone,
    /// [`features`] is cheap.
    pub fn detect() -> Self {
        let cpu = Self::decode(&words::Remembering::new(raw::reader()), raw::xcr0());
        #[cfg(all(feature = "std", target_os = "linux"))]
        let cpu = Self { caches: cross_check(cpu.caches, os::caches(), Reach::of(&cpu.signature)), ..cpu };
        cpu
    }

    /// Decodes the words that CPUID gives, and XCR0 where the operating system lets it be read. Pure: `reader` may hold
    /// another CPU's words.
    pub fn decode<R: CpuIdReader>(reader: R, xcr0: Option<u64>) -> Self {
        let reader = words::Guarded::new(reader);
        let signature = Signature::decode(reader.clone());
        Self {
            signature,
            features: Features::decode(reader.clone(), xcr0),
            caches: Caches::decode(reader.clone(), &signature),
            xstate: XState::decode(reader, xcr0),
        }
    }

    /// The same CPU without the features outside `keep`: a machine that has every tier can walk all of them.
    #[must_use]
    pub fn masked(self, keep: Features) -> Self {
        Self { features: self.features.intersection(keep), ..self }
    }
}

/// The features of the CPU that runs this, asked once and kept: a relaxed load from the second call on.
pub fn features() -> Features {
    raw::features()
}

/// XCR0, the state components that the operating system has enabled; `None` where it cannot be read.
///
/// Intel SDM vol. 1, 13.3.
pub fn xcr0() -> Option<Components> {
    raw::xcr0().map(Components::from_bits)
}

/// XINUSE, the enabled state components that are not in their initial configuration now; `None` where the CPU does not
/// tell (CPUID leaf 0DH.1 EAX\[2\]).
///
/// Intel SDM vol. 1, 13.6.
pub fn xinuse() -> Option<Components> {
    raw::xinuse().map(Components::from_bits)
}

/// Every CPUID word of the CPU that runs this, as records keep them: without the serial number and without the leaves
/// that are all zero. Empty where there is no CPUID.
pub fn raw_words() -> impl Iterator<Item = Word> {
    words::all(raw::reader())
}

/// Writes names with a space between, or `none`.
fn spaced<'a>(f: &mut fmt::Formatter<'_>, names: impl Iterator<Item = &'a str>) -> fmt::Result {
    let mut empty = true;
    for name in names {
        if !empty {
            f.write_str(" ")?;
        }
        f.write_str(name)?;
        empty = false;
    }
    if empty { f.write_str("none") } else { Ok(()) }
}

//! What a plan is filed under: the name of a CPU.

#![forbid(unsafe_code)]

use crate::cpu::{MASKED, Signature, Vendor};
use core::fmt;
use core::str::FromStr;

const VENDORS: [Vendor; 5] = [Vendor::Intel, Vendor::Amd, Vendor::Hygon, Vendor::Zhaoxin, Vendor::Other];

/// What a plan is filed under: the part of a [`Signature`] that its text form has, and spelled as there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CpuName {
    vendor: Vendor,
    family: u16,
    model: u8,
    stepping: u8,
    is_masked: bool,
}

impl CpuName {
    /// The name of a CPU that hides nothing.
    pub(super) const fn new(vendor: Vendor, family: u16, model: u8, stepping: u8) -> Self {
        Self { vendor, family, model, stepping, is_masked: false }
    }

    /// The same CPU, features of it hidden.
    pub(super) const fn masked(self) -> Self {
        Self { is_masked: true, ..self }
    }

    /// The name of the CPU with this signature.
    pub const fn of(signature: &Signature) -> Self {
        let Signature { vendor, family, model, stepping, is_masked, .. } = *signature;
        Self { vendor, family, model, stepping, is_masked }
    }

    /// Whether the two differ in nothing but the stepping.
    pub const fn is_same_model(&self, other: &Self) -> bool {
        self.vendor as u8 == other.vendor as u8
            && self.family == other.family
            && self.model == other.model
            && self.is_masked == other.is_masked
    }

    /// The CPU of that name, such as `amd-26-2-1`, if it is one.
    pub fn named(name: &str) -> Option<Self> {
        fn number<T: FromStr>(word: Option<&str>) -> Option<T> {
            word.filter(|word| is_decimal(word))?.parse().ok()
        }
        let (name, is_masked) = name.strip_suffix(MASKED).map_or((name, false), |name| (name, true));
        let mut words = name.split('-');
        let vendor = words.next()?;
        let vendor = VENDORS.into_iter().find(|known| known.name() == vendor)?;
        let (family, model, stepping) = (number(words.next())?, number(words.next())?, number(words.next())?);
        words.next().is_none().then_some(Self { vendor, family, model, stepping, is_masked })
    }
}

impl fmt::Display for CpuName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vendor, family, model, stepping, is_masked } = self;
        write!(f, "{vendor}-{family}-{model}-{stepping}{}", if *is_masked { MASKED } else { "" })
    }
}

pub(super) fn is_decimal(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

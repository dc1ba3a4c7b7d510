//! Who made this CPU and which one it is: what a profile is filed under.

#![forbid(unsafe_code)]

use super::words::{Guarded, HYPERVISOR};
use super::{CoreKind, Microarch};
use core::fmt;
use raw_cpuid::{CpuId, CpuIdReader};

/// Who made the CPU. CPUID leaf 00H, EBX, EDX and ECX (Intel SDM vol. 2A, CPUID).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Vendor {
    /// `GenuineIntel`.
    Intel,
    /// `AuthenticAMD`.
    Amd,
    /// `HygonGenuine`.
    Hygon,
    /// `CentaurHauls` and `  Shanghai  `.
    Zhaoxin,
    /// Any other, and where there is no CPUID.
    #[default]
    Other,
}

impl Vendor {
    /// The word for it in a signature.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Intel => "intel",
            Self::Amd => "amd",
            Self::Hygon => "hygon",
            Self::Zhaoxin => "zhaoxin",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Vendor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// At most `N` bytes of printable ASCII. A hypervisor writes these, and reports print them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Text<const N: usize> {
    bytes: [u8; N],
    len: u8,
}

impl<const N: usize> Text<N> {
    const EMPTY: Self = Self { bytes: [0; N], len: 0 };

    /// Reads up to the first NUL, drops what is not printable, and trims spaces.
    fn new(bytes: impl IntoIterator<Item = u8>) -> Self {
        let mut text = Self::EMPTY;
        let printable = |byte: &u8| matches!(byte, b' '..=b'~');
        let read = bytes.into_iter().take_while(|&byte| byte != 0).filter(printable);
        for byte in read.skip_while(|&byte| byte == b' ') {
            if let Some(slot) = text.bytes.get_mut(usize::from(text.len)) {
                *slot = byte;
                text.len = text.len.saturating_add(1);
            }
        }
        while let Some(last) = text.len.checked_sub(1)
            && text.bytes.get(usize::from(last)) == Some(&b' ')
        {
            text.bytes[usize::from(last)] = 0;
            text.len = last;
        }
        text
    }

    fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        str::from_utf8(bytes).unwrap_or_default()
    }
}

/// Which CPU this is. Its text form is stable, and names a profile: vendor, family, model and stepping in decimal,
/// such as `amd-25-1-1` or `intel-6-143-8`; `-masked` behind it where a hypervisor gives
/// [another model](Self::is_masked).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Signature {
    /// Who made it.
    pub vendor: Vendor,
    /// Family with the extended family added. CPUID leaf 01H EAX\[27:20\] and \[11:8\].
    pub family: u16,
    /// Model with the extended model before it. CPUID leaf 01H EAX\[19:16\] and \[7:4\].
    pub model: u8,
    /// Stepping. CPUID leaf 01H EAX\[3:0\].
    pub stepping: u8,
    /// In a hybrid CPU, the kind of core that was asked: it may be another one a moment later.
    pub core_kind: CoreKind,
    /// Whether a hypervisor says that it is there. CPUID leaf 01H ECX\[31\].
    pub has_hypervisor: bool,
    /// Whether the CPU has what its model never had: a hypervisor that makes a fleet of several models look alike gives
    /// the number of the oldest. What was measured on a real CPU of that model says nothing about it. Known by one
    /// feature, the tile registers of CPUID leaf 07H EDX\[24\].
    pub is_masked: bool,
    hypervisor: Text<12>,
    brand: Text<48>,
}

impl Signature {
    /// Decodes CPUID leaves 00H, 01H, 1AH, 40000000H and 80000002H to 80000004H. Pure: `reader` may be another CPU's
    /// words.
    pub fn decode<R: CpuIdReader>(reader: R) -> Self {
        let reader = Guarded::new(reader);
        let cpuid = CpuId::with_cpuid_reader(reader.clone());
        let vendor = match cpuid.get_vendor_info().as_ref().map(|info| info.as_str()) {
            Some("GenuineIntel") => Vendor::Intel,
            Some("AuthenticAMD") => Vendor::Amd,
            Some("HygonGenuine") => Vendor::Hygon,
            Some("CentaurHauls" | "  Shanghai  ") => Vendor::Zhaoxin,
            _ => Vendor::Other,
        };

        // `raw_cpuid` adds the two parts of the family in 8 bits, where a guest's words may not fit.
        // Intel SDM vol. 2A, CPUID, leaf 01H: the extended family counts only in family 0FH. The extended model counts
        // in families 06H and 0FH; Zhaoxin uses it in 07H too; AMD has none below 0FH, where the bits are zero.
        let info = cpuid.get_feature_info();
        let (family, model, stepping) = info.as_ref().map_or((0, 0, 0), |info| {
            let base = u16::from(info.base_family_id());
            let family = if base == 0xF { base + u16::from(info.extended_family_id()) } else { base };
            let extended_model = if base >= 6 { info.extended_model_id() } else { 0 };
            (family, extended_model << 4 | info.base_model_id(), info.stepping_id())
        });
        let has_hypervisor = info.is_some_and(|info| info.has_hypervisor());
        // Leaf 1AH exists on Intel's CPUs from the first hybrid one on; elsewhere it is zero.
        let core_kind = match reader.cpuid1(0x1A).eax >> 24 {
            0x40 if vendor == Vendor::Intel => CoreKind::Performance,
            0x20 if vendor == Vendor::Intel => CoreKind::Efficient,
            _ => CoreKind::Unknown,
        };

        let hypervisor = if has_hypervisor {
            let leaf = reader.cpuid1(HYPERVISOR);
            Text::new([leaf.ebx, leaf.ecx, leaf.edx].into_iter().flat_map(u32::to_le_bytes))
        } else {
            Text::EMPTY
        };
        let brand = cpuid.get_processor_brand_string();
        let brand = brand.as_ref().map_or(Text::EMPTY, |brand| Text::new(brand.as_str().bytes()));
        let has_tiles = reader.cpuid2(0x7, 0).edx >> 24 & 1 == 1;
        let is_masked = has_tiles && !Microarch::of(vendor, family, model, stepping, core_kind).may_have_tiles();
        Self { vendor, family, model, stepping, core_kind, has_hypervisor, is_masked, hypervisor, brand }
    }

    /// The name that the maker (or the hypervisor) writes into the CPU; empty if there is none. At most 48 characters
    /// of printable ASCII. CPUID leaves 80000002H to 80000004H.
    pub fn brand(&self) -> &str {
        self.brand.as_str()
    }

    /// Where a hypervisor says that it is there: its name, such as `KVMKVMKVM`, or an empty one. At most 12 characters
    /// of printable ASCII. CPUID leaf 40000000H.
    pub fn hypervisor(&self) -> Option<&str> {
        self.has_hypervisor.then(|| self.hypervisor.as_str())
    }

    /// Which design it is, by vendor, family and model; unknown where the model [is masked](Self::is_masked).
    pub const fn microarch(&self) -> Microarch {
        if self.is_masked {
            return Microarch::Unknown;
        }
        Microarch::of(self.vendor, self.family, self.model, self.stepping, self.core_kind)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { vendor, family, model, stepping, is_masked, .. } = self;
        write!(f, "{vendor}-{family}-{model}-{stepping}{}", if *is_masked { MASKED } else { "" })
    }
}

/// What stands behind the name of a CPU whose model is another one.
pub(crate) const MASKED: &str = "-masked";

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signature")
            .field("vendor", &self.vendor)
            .field("family", &self.family)
            .field("model", &self.model)
            .field("stepping", &self.stepping)
            .field("core_kind", &self.core_kind)
            .field("microarch", &self.microarch())
            .field("hypervisor", &self.hypervisor())
            .field("brand", &self.brand())
            .finish()
    }
}

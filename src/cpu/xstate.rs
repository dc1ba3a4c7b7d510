//! The register state that XSAVE manages: which components there are, which are enabled, and where each one lies in
//! the save area. Pure arithmetic on CPUID leaf 0DH.
//!
//! Intel SDM vol. 1, chapter 13; AMD APM vol. 2, 11.5. Offsets differ between makers, so all of them are read.

#![forbid(unsafe_code)]

use super::words::Guarded;
use core::fmt;
use raw_cpuid::{CpuId, CpuIdReader};

/// A set of state components, with XCR0's numbering: bit *i* is component *i*. Intel SDM vol. 1, 13.1.
///
/// ```
/// use memcpy_select::cpu::Components;
/// let dirty = Components::SSE.union(Components::AVX);
/// assert_eq!(dirty.bits(), 0b110);
/// assert_eq!(dirty.to_string(), "sse avx");
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Components(u64);

/// The components that have a name.
const NAMES: [(Components, &str); 18] = [
    (Components::X87, "x87"),
    (Components::SSE, "sse"),
    (Components::AVX, "avx"),
    (Components::BNDREGS, "bndregs"),
    (Components::BNDCSR, "bndcsr"),
    (Components::OPMASK, "opmask"),
    (Components::ZMM_HI256, "zmm_hi256"),
    (Components::HI16_ZMM, "hi16_zmm"),
    (Components::PT, "pt"),
    (Components::PKRU, "pkru"),
    (Components::PASID, "pasid"),
    (Components::CET_U, "cet_u"),
    (Components::CET_S, "cet_s"),
    (Components::HDC, "hdc"),
    (Components::UINTR, "uintr"),
    (Components::LBR, "lbr"),
    (Components::TILECFG, "tilecfg"),
    (Components::TILEDATA, "tiledata"),
];

impl Components {
    /// No component.
    pub const NONE: Self = Self(0);
    /// The x87 registers.
    pub const X87: Self = Self(1 << 0);
    /// The XMM registers 0 to 15 and MXCSR.
    pub const SSE: Self = Self(1 << 1);
    /// The upper halves of the YMM registers 0 to 15.
    pub const AVX: Self = Self(1 << 2);
    /// The bound registers of MPX.
    pub const BNDREGS: Self = Self(1 << 3);
    /// The configuration and status of MPX.
    pub const BNDCSR: Self = Self(1 << 4);
    /// The mask registers.
    pub const OPMASK: Self = Self(1 << 5);
    /// The upper halves of the ZMM registers 0 to 15.
    pub const ZMM_HI256: Self = Self(1 << 6);
    /// The ZMM registers 16 to 31.
    pub const HI16_ZMM: Self = Self(1 << 7);
    /// Processor Trace (supervisor).
    pub const PT: Self = Self(1 << 8);
    /// The protection keys' rights.
    pub const PKRU: Self = Self(1 << 9);
    /// The process's address space identifier (supervisor).
    pub const PASID: Self = Self(1 << 10);
    /// Shadow stacks, user mode (supervisor).
    pub const CET_U: Self = Self(1 << 11);
    /// Shadow stacks, the kernel's (supervisor).
    pub const CET_S: Self = Self(1 << 12);
    /// Hardware duty cycling (supervisor).
    pub const HDC: Self = Self(1 << 13);
    /// User interrupts (supervisor).
    pub const UINTR: Self = Self(1 << 14);
    /// Last branch records (supervisor).
    pub const LBR: Self = Self(1 << 15);
    /// The configuration of the tile registers.
    pub const TILECFG: Self = Self(1 << 17);
    /// The tile registers.
    pub const TILEDATA: Self = Self(1 << 18);

    /// The three components that AVX-512 adds: XCR0\[7:5\]. Intel SDM vol. 1, 15.2.
    pub const AVX512: Self = Self::OPMASK.union(Self::ZMM_HI256).union(Self::HI16_ZMM);

    /// The set with those bits, named or not.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits, as XCR0, XINUSE and the instruction masks have them.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// What is in either set.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both sets.
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in this set and not in the other.
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The numbers of the components, ascending.
    pub fn indices(self) -> impl Iterator<Item = u32> {
        (0..u64::BITS).filter(move |index| self.0 >> index & 1 == 1)
    }
}

/// The names in ascending order with a space between, a component without a name by its number; `none` for the empty
/// set.
impl fmt::Display for Components {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        for (position, index) in self.indices().enumerate() {
            if position > 0 {
                f.write_str(" ")?;
            }
            match NAMES.iter().find(|(component, _)| component.0 == 1 << index) {
                Some((_, name)) => f.write_str(name)?,
                None => write!(f, "{index}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Components {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Components({self})")
    }
}

/// Where one component lies in the save area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component {
    /// Its offset in the standard format; 0 for a supervisor component, which that format does not hold.
    pub offset_bytes: u32,
    /// Its size.
    pub size_bytes: u32,
    /// Whether the compacted format aligns it to 64 bytes.
    pub align64: bool,
    /// Whether it belongs to IA32_XSS, and so to XSAVES alone, and not to XCR0.
    pub supervisor: bool,
}

/// Components above this number are not decoded: none is defined.
const COMPONENTS: usize = 32;
/// The legacy region and the header: Intel SDM vol. 1, 13.4.1 and 13.4.2.
const LEGACY_AND_HEADER_BYTES: u32 = 512 + 64;
/// The largest component yet, TILEDATA, has 8 KiB: larger than this is not believed, so that sums fit.
const MAX_BYTES: u32 = 1 << 20;

/// What XSAVE manages here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct XState {
    /// XCR0: the components that the operating system has enabled. Empty where it does not use XSAVE.
    pub enabled: Components,
    /// XSAVEOPT exists. CPUID leaf 0DH.1 EAX\[0\].
    pub xsaveopt: bool,
    /// XSAVEC and the compacted form of XRSTOR exist. CPUID leaf 0DH.1 EAX\[1\].
    pub xsavec: bool,
    /// XGETBV with ECX = 1 reads XINUSE. CPUID leaf 0DH.1 EAX\[2\].
    pub xgetbv1: bool,
    /// XSAVES, XRSTORS and IA32_XSS exist. CPUID leaf 0DH.1 EAX\[3\].
    pub xsaves: bool,
    /// What the standard format takes for the enabled components: at least CPUID leaf 0DH.0 EBX, and at least the end
    /// of the last enabled component.
    pub area_bytes_enabled: u32,
    /// What the standard format takes for everything that the CPU has. CPUID leaf 0DH.0 ECX.
    pub area_bytes_max: u32,
    /// The components by number. CPUID leaf 0DH.*i*; the first two as Intel SDM vol. 1, 13.4.1 has them.
    pub components: [Option<Component>; COMPONENTS],
}

impl XState {
    /// Decodes CPUID leaf 0DH, and XCR0 where the operating system lets it be read. Pure: `reader` may be another CPU's
    /// words.
    ///
    /// Intel SDM vol. 1, 13.2; AMD APM vol. 3, appendix E, Fn0000_000D.
    pub fn decode<R: CpuIdReader>(reader: R, xcr0: Option<u64>) -> Self {
        let reader = Guarded::new(reader);
        let cpuid = CpuId::with_cpuid_reader(reader.clone());
        // Leaf 01H: ECX[26] says that the CPU has XSAVE, ECX[27] that the operating system uses it.
        let basic = cpuid.get_feature_info();
        let Some(leaf) = cpuid.get_extended_state_info().filter(|_| basic.as_ref().is_some_and(|b| b.has_xsave()))
        else {
            return Self::default();
        };
        let supported_user = reader.cpuid2(0xD, 0).eax; // what XCR0 may hold
        let supported_supervisor = reader.cpuid2(0xD, 1).ecx; // what IA32_XSS may hold
        let mut components = [None; COMPONENTS];
        for (index, slot) in components.iter_mut().enumerate() {
            *slot = match index {
                // The x87 image, without MXCSR in its midst; the XMM registers.
                0 => Some(Component { offset_bytes: 0, size_bytes: 160, align64: false, supervisor: false }),
                1 => Some(Component { offset_bytes: 160, size_bytes: 256, align64: false, supervisor: false }),
                // `raw_cpuid` walks only the components that it has a name for, and it has none for the tiles.
                _ => {
                    let words = reader.cpuid2(0xD, index as u32);
                    let supervisor = words.ecx & 1 != 0; // 0DH.i ECX[0]
                    // A hypervisor may hide a component and leave its words.
                    let supported = if supervisor { supported_supervisor } else { supported_user };
                    let sound = supported >> index & 1 == 1
                        && (1..=MAX_BYTES).contains(&words.eax)
                        && (supervisor || (LEGACY_AND_HEADER_BYTES..=MAX_BYTES).contains(&words.ebx));
                    sound.then_some(Component {
                        offset_bytes: if supervisor { 0 } else { words.ebx }, // 0DH.i EBX
                        size_bytes: words.eax,                                // 0DH.i EAX
                        align64: words.ecx & 1 << 1 != 0,                     // 0DH.i ECX[1]
                        supervisor,
                    })
                }
            };
        }
        let enabled = match xcr0 {
            Some(bits) if basic.is_some_and(|basic| basic.has_oxsave()) => Components::from_bits(bits),
            _ => Components::NONE,
        };
        let mut state = Self {
            enabled,
            xsaveopt: leaf.has_xsaveopt(),
            xsavec: leaf.has_xsavec(),
            xgetbv1: leaf.has_xgetbv(),
            xsaves: leaf.has_xsaves_xrstors(),
            area_bytes_enabled: 0,
            area_bytes_max: leaf.xsave_area_size_supported_features(),
            components,
        };
        if !enabled.is_empty() {
            let reported = leaf.xsave_area_size_enabled_features();
            state.area_bytes_enabled = reported.max(state.standard_area_bytes(enabled));
        }
        state
    }

    /// The component with that number, if the CPU has it.
    pub fn component(&self, index: u32) -> Option<Component> {
        *self.components.get(usize::try_from(index).ok()?)?
    }

    /// The bytes that the standard format takes for those components, legacy region and header included; what the CPU
    /// does not have takes nothing. Intel SDM vol. 1, 13.4.
    pub fn standard_area_bytes(&self, held: Components) -> u32 {
        held.indices()
            .filter_map(|index| self.component(index))
            .filter(|component| !component.supervisor)
            .map(|component| component.offset_bytes + component.size_bytes)
            .fold(LEGACY_AND_HEADER_BYTES, u32::max)
    }

    /// Where the compacted format puts component `index` in an area that holds `held`; `None` if it does not hold it, or
    /// the CPU does not have it. Intel SDM vol. 1, 13.4.3.
    pub fn compacted_offset_bytes(&self, held: Components, index: u32) -> Option<u32> {
        let component = self.component(index)?;
        if held.bits() >> index & 1 == 0 {
            return None;
        }
        Some(if index < 2 { component.offset_bytes } else { self.compacted_end(held, index, component.align64) })
    }

    /// The bytes that the compacted format takes for those components, legacy region and header included.
    /// Intel SDM vol. 1, 13.4.3.
    pub fn compacted_area_bytes(&self, held: Components) -> u32 {
        self.compacted_end(held, u64::BITS, false)
    }

    /// The end of the components below `before`, aligned to 64 bytes if asked.
    fn compacted_end(&self, held: Components, before: u32, align64: bool) -> u32 {
        let aligned = |end: u32, align64: bool| if align64 { end.next_multiple_of(64) } else { end };
        let below = held.indices().filter(|index| (2..before).contains(index));
        let end = below
            .filter_map(|index| self.component(index))
            .fold(LEGACY_AND_HEADER_BYTES, |end, component| aligned(end, component.align64) + component.size_bytes);
        aligned(end, align64)
    }
}

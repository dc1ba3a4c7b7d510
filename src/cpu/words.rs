//! CPUID as plain words: one text form for records and for test data, and a reader that keeps to the leaves that exist.
//!
//! On Intel a leaf above the highest one answers with the words of another leaf, and a hypervisor may answer anything.
//! Everything that is decoded passes through [`Guarded`] first.

#![forbid(unsafe_code)]

use core::{cell::Cell, fmt, str::FromStr};
use raw_cpuid::{CpuIdReader, CpuIdResult};

/// What CPUID answers where there is nothing to say.
pub(super) const ZERO: CpuIdResult = CpuIdResult { eax: 0, ebx: 0, ecx: 0, edx: 0 };

/// Deterministic cache parameters: Intel SDM vol. 2A, CPUID, leaf 04H.
const CACHES_INTEL: u32 = 0x4;
/// Cache properties: AMD APM vol. 3, appendix E, Fn8000_001D.
const CACHES_AMD: u32 = 0x8000_001D;
/// The processor serial number: never part of a record.
const SERIAL_NUMBER: u32 = 0x3;
/// The hypervisor's own leaves begin here: AMD APM vol. 3, appendix E, Fn4000_00xx.
pub(super) const HYPERVISOR: u32 = 0x4000_0000;
/// The highest extended leaf: Intel SDM vol. 2A, CPUID, leaf 80000000H.
const EXTENDED: u32 = 0x8000_0000;

/// A reader that answers zero for a leaf above the highest one, and for a cache whose number of sets has no successor
/// in 32 bits.
#[derive(Clone, Copy)]
pub(super) struct Guarded<R> {
    reader: R,
    max_basic: u32,
    max_extended: u32,
}

impl<R: CpuIdReader> Guarded<R> {
    pub(super) fn new(reader: R) -> Self {
        // Intel SDM vol. 2A, CPUID: leaf 00H EAX and leaf 80000000H EAX hold the highest leaf of their range.
        let max_basic = reader.cpuid1(0).eax;
        let max_extended = reader.cpuid1(EXTENDED).eax;
        Self { reader, max_basic, max_extended }
    }
}

impl<R: CpuIdReader> CpuIdReader for Guarded<R> {
    fn cpuid2(&self, leaf: u32, subleaf: u32) -> CpuIdResult {
        let exists = match leaf {
            0..HYPERVISOR => leaf <= self.max_basic,
            HYPERVISOR..EXTENDED => true,
            EXTENDED.. => leaf <= self.max_extended,
        };
        if !exists {
            return ZERO;
        }
        let result = self.reader.cpuid2(leaf, subleaf);
        // `raw_cpuid::CacheParameter::sets` adds one.
        if matches!(leaf, CACHES_INTEL | CACHES_AMD) && result.ecx == u32::MAX { ZERO } else { result }
    }
}

/// A reader that asks for each leaf once: the instruction takes a guest microseconds, and decoding asks for the same leaves over and
/// over.
pub(super) struct Remembering<R> {
    reader: R,
    /// Leaf, subleaf and their answer, as far as there are some.
    answers: [Cell<(u32, u32, CpuIdResult)>; REMEMBERED],
    count: Cell<usize>,
}

/// CPUs have some forty leaves and subleaves that are asked for. What has no room is asked for each time.
const REMEMBERED: usize = 64;

impl<R: CpuIdReader> Remembering<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, answers: [const { Cell::new((0, 0, ZERO)) }; REMEMBERED], count: Cell::new(0) }
    }
}

impl<R: CpuIdReader> CpuIdReader for &Remembering<R> {
    fn cpuid2(&self, leaf: u32, subleaf: u32) -> CpuIdResult {
        let count = self.count.get();
        let answers = self.answers.iter().take(count).map(Cell::get);
        if let Some((_, _, known)) = answers.into_iter().find(|answer| (answer.0, answer.1) == (leaf, subleaf)) {
            return known;
        }
        let result = self.reader.cpuid2(leaf, subleaf);
        if let Some(answer) = self.answers.get(count) {
            answer.set((leaf, subleaf, result));
            self.count.set(count + 1);
        }
        result
    }
}

/// One answer of CPUID. Its text form is `leaf.subleaf eax ebx ecx edx`, in hexadecimal except the subleaf:
///
/// ```
/// use memcpy_select::cpu::Word;
/// let word: Word = "00000004.1 1c004122 01c0003f 0000003f 00000000".parse()?;
/// assert_eq!((word.leaf, word.subleaf, word.eax), (4, 1, 0x1c00_4122));
/// assert_eq!(word.to_string(), "00000004.1 1c004122 01c0003f 0000003f 00000000");
/// # Ok::<(), memcpy_select::cpu::ParseWordError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    /// EAX on entry.
    pub leaf: u32,
    /// ECX on entry.
    pub subleaf: u32,
    /// EAX on return.
    pub eax: u32,
    /// EBX on return.
    pub ebx: u32,
    /// ECX on return.
    pub ecx: u32,
    /// EDX on return.
    pub edx: u32,
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { leaf, subleaf, eax, ebx, ecx, edx } = self;
        write!(f, "{leaf:08x}.{subleaf} {eax:08x} {ebx:08x} {ecx:08x} {edx:08x}")
    }
}

/// A line that is not `leaf.subleaf eax ebx ecx edx`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseWordError;

impl fmt::Display for ParseWordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a CPUID word: write it as `leaf.subleaf eax ebx ecx edx`, hexadecimal except the subleaf")
    }
}

impl core::error::Error for ParseWordError {}

impl FromStr for Word {
    type Err = ParseWordError;

    fn from_str(line: &str) -> Result<Self, ParseWordError> {
        fn hex(field: Option<&str>) -> Result<u32, ParseWordError> {
            u32::from_str_radix(field.ok_or(ParseWordError)?, 16).map_err(|_| ParseWordError)
        }
        let mut fields = line.split_ascii_whitespace();
        let (leaf, subleaf) = fields.next().and_then(|field| field.split_once('.')).ok_or(ParseWordError)?;
        let word = Self {
            leaf: hex(Some(leaf))?,
            subleaf: subleaf.parse().map_err(|_| ParseWordError)?,
            eax: hex(fields.next())?,
            ebx: hex(fields.next())?,
            ecx: hex(fields.next())?,
            edx: hex(fields.next())?,
        };
        if fields.next().is_some() { Err(ParseWordError) } else { Ok(word) }
    }
}

/// Every leaf that exists and is not all zero, in ascending order, without the serial number.
pub(super) fn all<R: CpuIdReader>(reader: R) -> impl Iterator<Item = Word> {
    /// No CPU has as many leaves in a range, and no leaf as many subleaves as are asked for here.
    const MAX_LEAVES: u32 = 0x40;
    let reader = Guarded::new(reader);
    let range = |first: u32, last: u32| first..=last.min(first + MAX_LEAVES);
    let extended_last = if reader.max_extended >= EXTENDED { reader.max_extended } else { EXTENDED };
    range(0, reader.max_basic)
        .filter(|&leaf| leaf != SERIAL_NUMBER)
        .chain(core::iter::once(HYPERVISOR).filter({
            // Intel SDM vol. 2A, CPUID, leaf 01H ECX[31]: where it is clear, this leaf answers with another's words.
            let hypervisor = reader.cpuid1(1).ecx >> 31 == 1;
            move |_| hypervisor
        }))
        .chain(range(EXTENDED, extended_last))
        .flat_map(|leaf| {
            let subleaves = match leaf {
                CACHES_INTEL | CACHES_AMD => 8,
                0x7 => 3,
                0xB | 0x1F => 6,
                0xD => 32,
                _ => 1,
            };
            (0..subleaves).map(move |subleaf| (leaf, subleaf))
        })
        .map(move |(leaf, subleaf)| {
            let CpuIdResult { eax, ebx, ecx, edx } = reader.cpuid2(leaf, subleaf);
            Word { leaf, subleaf, eax, ebx, ecx, edx }
        })
        .filter(|word| (word.eax | word.ebx | word.ecx | word.edx) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More leaves than have room, each twice: those that have it are asked for once, and all answers are right.
    #[test]
    fn each_leaf_is_asked_for_once() {
        let asked = Cell::new(0_usize);
        let reader = |leaf, subleaf| {
            asked.set(asked.get() + 1);
            CpuIdResult { eax: leaf, ebx: subleaf, ecx: 1, edx: 2 }
        };
        let remembering = &Remembering::new(reader);
        let leaves = REMEMBERED as u32 / 2 + 3;
        for _ in 0..2 {
            for (leaf, subleaf) in (0..leaves).flat_map(|leaf| [(leaf, 0), (leaf, 7)]) {
                let found = remembering.cpuid2(leaf, subleaf);
                assert_eq!((found.eax, found.ebx, found.ecx, found.edx), (leaf, subleaf, 1, 2));
            }
        }
        assert_eq!(asked.get(), REMEMBERED + 2 * (2 * leaves as usize - REMEMBERED));
    }
}

//! Sequences of calls as programs make them: random lengths and places, from the call distributions of a fleet.
//!
//! One length again and again trains every predictor; programs copy something else each time. Two things decide how a
//! small copy fares and no single loop shows them: whether the lengths can be predicted, and whether the caller reads
//! at once what it has copied.
//!
//! Source of the shares: google/fleetbench, `Memcpy` distributions (Apache-2.0 data), as cumulative shares.

#![forbid(unsafe_code)]

use crate::lab::instruments::random::SplitMix64;
use crate::lab::record::CallLengths;
use std::borrow::Cow;
use std::fmt;

/// Which distribution the lengths follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lengths {
    /// `Memcpy_Fleet`: all programs together. Half of the calls are for 8 bytes or less.
    Fleet,
    /// `Memcpy_0`: half of the calls are for 513 to 768 bytes.
    Program0,
    /// `Memcpy_3`: two thirds of the calls are for 8 bytes or less.
    Program3,
    /// What a program was seen to copy: a file of the reader's says it.
    Workload,
}

/// Whether a branch predictor can learn the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sequence {
    /// It repeats after 1,000 calls.
    Predictable,
    /// It repeats after 100,000 calls.
    Random,
}

/// What the caller does with the copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reader {
    /// It goes on.
    None,
    /// It reads a byte of it, on which the addresses of the next copy depend.
    AtOnce,
}

/// The memory that the calls are spread over: source and destination each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Region {
    /// 8 KiB: in every first-level cache. Calls of over 4 KiB, 0.3% at most, are left out.
    L1,
    /// 192 KiB.
    L2,
    /// 4 MiB.
    L3,
    /// 128 MiB.
    Memory,
}

/// A kind of sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Calls {
    /// How long the copies are.
    pub lengths: Lengths,
    /// Whether the lengths and places can be predicted.
    pub sequence: Sequence,
    /// What the caller does next.
    pub reader: Reader,
    /// Where the copies are.
    pub region: Region,
}

/// One call: lengths and offsets in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// From the start of the destination's region.
    pub dst_offset: u32,
    /// From the start of the source's region.
    pub src_offset: u32,
    /// How much is copied.
    pub len_bytes: u32,
    /// Which byte of the copy is read afterwards.
    pub read_at: u32,
}

impl Lengths {
    /// The distributions that are always there.
    pub const ALL: [Self; 3] = [Self::Fleet, Self::Program0, Self::Program3];

    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fleet => "fleet",
            Self::Program0 => "program0",
            Self::Program3 => "program3",
            Self::Workload => "workload",
        }
    }

    /// Steps of a distribution that is always there: a length in bytes, and the share of calls up to it.
    const fn steps(self) -> &'static [(u32, f64)] {
        match self {
            Self::Workload => &[],
            Self::Fleet => &[
                (0, 0.087),
                (1, 0.141),
                (2, 0.188),
                (4, 0.281),
                (8, 0.477),
                (12, 0.560),
                (16, 0.635),
                (24, 0.717),
                (32, 0.783),
                (48, 0.850),
                (64, 0.886),
                (96, 0.920),
                (128, 0.936),
                (256, 0.963),
                (512, 0.976),
                (1 << 10, 0.988),
                (2 << 10, 0.994),
                (4 << 10, 0.997),
                (8 << 10, 0.998),
                (16 << 10, 0.9987),
                (64 << 10, 0.9997),
                (256 << 10, 1.0),
            ],
            Self::Program0 => &[
                (0, 0.0),
                (8, 0.142),
                (16, 0.265),
                (32, 0.363),
                (64, 0.407),
                (128, 0.443),
                (512, 0.470),
                (768, 0.976),
                (4 << 10, 0.998),
                (64 << 10, 1.0),
            ],
            Self::Program3 => &[
                (0, 0.0),
                (1, 0.120),
                (4, 0.284),
                (8, 0.649),
                (16, 0.787),
                (32, 0.894),
                (64, 0.961),
                (256, 0.989),
                (4 << 10, 0.9995),
                (64 << 10, 1.0),
            ],
        }
    }
}

/// The steps of a workload, as [`Lengths::steps`].
fn steps_of(workload: &CallLengths) -> Vec<(u32, f64)> {
    let (mut steps, mut calls) = (Vec::new(), 0);
    for range in workload.ranges() {
        // No call is for a length between two ranges.
        let share = |calls: u64| calls as f64 / workload.calls() as f64;
        steps.extend(range.from_bytes.checked_sub(1).map(|before| (before as u32, share(calls))));
        calls += range.calls;
        steps.push((range.up_to_bytes as u32, share(calls)));
    }
    steps
}

fn draw(steps: &[(u32, f64)], random: &mut SplitMix64, max_bytes: u32) -> u32 {
    loop {
        let share = random.share();
        let at = steps.iter().position(|(_, cumulative)| share < *cumulative).unwrap_or(steps.len() - 1);
        let least = if at == 0 { 0 } else { steps[at - 1].0 + 1 };
        let len_bytes = least + random.below(u64::from(steps[at].0 - least) + 1) as u32;
        if len_bytes <= max_bytes {
            return len_bytes;
        }
    }
}

/// The longest call of a sequence, in bytes.
pub(super) const SEQUENCE_MAX_BYTES: u32 = 256 << 10;

impl Region {
    /// Its size in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::L1 => 8 << 10,
            Self::L2 => 192 << 10,
            Self::L3 => 4 << 20,
            Self::Memory => 128 << 20,
        }
    }

    /// The longest call that it takes, in bytes.
    const fn max_len_bytes(self) -> u32 {
        match self {
            Self::L1 => 4 << 10,
            Self::L2 => 64 << 10,
            Self::L3 | Self::Memory => SEQUENCE_MAX_BYTES,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::L1 => "l1",
            Self::L2 => "l2",
            Self::L3 => "l3",
            Self::Memory => "memory",
        }
    }
}

impl Calls {
    /// Every kind whose lengths are always there, in the order of reports.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::of(&Lengths::ALL)
    }

    /// Every kind with the lengths of a workload, in the regions that take nine of ten of its calls, as far as any region does.
    pub fn of_workload(workload: &CallLengths) -> impl Iterator<Item = Self> {
        let taken = |region: Region| workload.up_to(u64::from(region.max_len_bytes())).map_or(0, |some| some.calls());
        let most = taken(Region::Memory);
        Self::of(&[Lengths::Workload]).filter(move |calls| most > 0 && taken(calls.region) >= most - most / 10)
    }

    /// The kind of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::all().chain(Self::of(&[Lengths::Workload])).find(|calls| calls.to_string() == name)
    }

    fn of(all: &'static [Lengths]) -> impl Iterator<Item = Self> {
        let regions = [Region::L1, Region::L2, Region::L3, Region::Memory];
        regions.into_iter().flat_map(|region| {
            all.iter().flat_map(move |&lengths| {
                [Reader::None, Reader::AtOnce].into_iter().flat_map(move |reader| {
                    [Sequence::Predictable, Sequence::Random].into_iter().map(move |sequence| Self {
                        lengths,
                        sequence,
                        reader,
                        region,
                    })
                })
            })
        })
    }

    /// The calls, the same ones each time. Those of a workload follow it as far as they fit the region; there are none if none
    /// does, or there is no workload.
    pub fn list(self, workload: Option<&CallLengths>) -> Vec<Call> {
        let max_bytes = self.region.max_len_bytes();
        let steps = match self.lengths {
            Lengths::Workload => {
                let fitting = workload.and_then(|workload| workload.up_to(u64::from(max_bytes)));
                let Some(fitting) = fitting else { return Vec::new() };
                Cow::Owned(steps_of(&fitting))
            }
            known => Cow::Borrowed(known.steps()),
        };
        let count = match self.sequence {
            Sequence::Predictable => 1_000,
            Sequence::Random => 100_000,
        };
        let mut random = SplitMix64(0x63_61_6c_6c_73 ^ (self.lengths as u64) << 40);
        let place = |random: &mut SplitMix64, len_bytes: u32| {
            let lines = (self.region.bytes() as u64 - u64::from(len_bytes)) / 64;
            (random.below(lines) * 64) as u32 + line_offset(random)
        };
        (0..count)
            .map(|_| {
                let len_bytes = draw(&steps, &mut random, max_bytes);
                let dst_offset = place(&mut random, len_bytes);
                let src_offset = place(&mut random, len_bytes);
                let read_at = random.below(u64::from(len_bytes.max(1))) as u32;
                Call { dst_offset, src_offset, len_bytes, read_at }
            })
            .collect()
    }
}

/// `<lengths>+<sequence>+<reader>+<region>`.
impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sequence = match self.sequence {
            Sequence::Predictable => "predictable",
            Sequence::Random => "random",
        };
        let reader = match self.reader {
            Reader::None => "unread",
            Reader::AtOnce => "read",
        };
        write!(f, "{}+{sequence}+{reader}+{}", self.lengths.name(), self.region.name())
    }
}

/// An offset in a cache line: shares of the alignments as measured in a fleet (same source).
fn line_offset(random: &mut SplitMix64) -> u32 {
    const SHARES: [(u32, f64); 7] = [(1, 0.27), (2, 0.39), (4, 0.47), (8, 0.57), (16, 0.69), (32, 0.77), (64, 0.98)];
    let share = random.share() * 0.98;
    let alignment = SHARES.into_iter().find(|(_, cumulative)| share < *cumulative).map_or(64, |(bytes, _)| bytes);
    // An odd multiple of the alignment: that alignment and no better one.
    (alignment * (2 * random.below(32) as u32 + 1)) % 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_stay_inside_their_region_and_follow_their_shares() {
        for calls in Calls::all() {
            let list = calls.list(None);
            for call in &list {
                for offset in [call.dst_offset, call.src_offset] {
                    assert!(
                        offset as usize + call.len_bytes as usize <= calls.region.bytes() + 64,
                        "{calls}: {call:?}"
                    );
                }
                assert!(call.read_at < call.len_bytes.max(1));
            }
            let short = list.iter().filter(|call| call.len_bytes <= 8).count() as f64 / list.len() as f64;
            let expected = match calls.lengths {
                Lengths::Fleet => 0.477,
                Lengths::Program0 => 0.142,
                Lengths::Program3 => 0.649,
                Lengths::Workload => unreachable!(),
            };
            assert!((short - expected).abs() < 0.05, "{calls}: {short}");
        }
    }

    #[test]
    fn every_alignment_has_its_share() {
        let mut random = SplitMix64(7);
        let offsets: Vec<u32> = (0..100_000).map(|_| line_offset(&mut random)).collect();
        let share = |test: fn(u32) -> bool| offsets.iter().filter(|at| test(**at)).count() as f64 / 100_000.0;
        assert!((share(|at| at == 0) - 0.21 / 0.98).abs() < 0.01);
        assert!((share(|at| at % 2 == 1) - 0.27 / 0.98).abs() < 0.01);
    }

    #[test]
    fn a_list_is_the_same_each_time() {
        let calls = Calls::all().next().unwrap();
        assert_eq!(calls.list(None), calls.list(None));
    }

    #[test]
    fn a_workload_is_followed_where_it_fits() {
        let workload = CallLengths::parse("16:600,64..71:300,5000:99,100000000:1").unwrap();
        let all: Vec<Calls> = Calls::of_workload(&workload).collect();
        assert_eq!(all.len(), 16, "1 % of its calls are too long for the smallest region");
        for calls in all {
            assert_eq!(Calls::named(&calls.to_string()), Some(calls));
            let list = calls.list(Some(&workload));
            let share = |test: fn(u32) -> bool| {
                list.iter().filter(|call| test(call.len_bytes)).count() as f64 / list.len() as f64
            };
            assert_eq!(share(|len| len == 16 || (64..=71).contains(&len) || len == 5000), 1.0, "{calls}");
            assert!((share(|len| len == 16) - 0.6).abs() < 0.08, "{calls}");
            assert_eq!(share(|len| len == 5000) > 0.0, calls.region != Region::L1, "{calls}");
        }
        let count = |text| Calls::of_workload(&CallLengths::parse(text).unwrap()).count();
        assert_eq!([count("1:50,1000000:900"), count("1:50,8000:60"), count("1000000:9")], [16, 12, 0]);
        let calls = Calls { lengths: Lengths::Workload, ..Calls::all().next().unwrap() };
        assert_eq!((calls.list(None), calls.list(CallLengths::parse("8000:1").as_ref())), (Vec::new(), Vec::new()));
    }
}

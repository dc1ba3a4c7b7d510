//! A file as a recording, or why it is none.

use super::bins::LengthBin;
use super::kinds::{Kind, Under};
use super::layout::{Recording, Site, flags};
use core::fmt;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

impl Recording {
    /// How every recording starts.
    pub const MAGIC: u64 = u64::from_le_bytes(*b"mscp-rec");
    /// The version of the layout. Another one is not read.
    pub const VERSION: u32 = 1;
    /// The length of the file, in words of eight bytes.
    pub const WORDS: usize = size_of::<Self>() / 8;

    /// The recording that a file of exactly [`WORDS`](Self::WORDS) holds, as it was read into memory.
    ///
    /// # Errors
    ///
    /// [`RecordingError`], if it is not one, or not one of this version.
    pub fn read(words: &mut [u64]) -> Result<&Self, RecordingError> {
        let found_bytes = words.len() as u64 * 8;
        let recording = Self::over(words).ok_or(RecordingError::Length { found_bytes })?;
        let header = &recording.header;
        match header.magic.load(Acquire) {
            Self::MAGIC => {}
            0 => return Err(RecordingError::NotReady),
            found => return Err(RecordingError::Magic { found }),
        }
        let version = header.version.load(Relaxed);
        if version != Self::VERSION || header.bytes.load(Relaxed) != found_bytes {
            return Err(RecordingError::Version { found: version });
        }
        if header.period.load(Relaxed) == 0 {
            return Err(RecordingError::Period);
        }
        Ok(recording)
    }

    /// An empty recording in memory of [`WORDS`](Self::WORDS) zeroed words; `None` if there are not as many.
    pub fn create(words: &mut [u64]) -> Option<&Self> {
        words.fill(0);
        let recording = Self::over(words)?;
        recording.publish();
        Some(recording)
    }

    /// Declares a recording ready, whose other words are written.
    pub fn publish(&self) {
        let header = &self.header;
        header.version.store(Self::VERSION, Relaxed);
        header.bytes.store(size_of::<Self>() as u64, Relaxed);
        if header.period.load(Relaxed) == 0 {
            header.period.store(1, Relaxed);
        }
        header.magic.store(Self::MAGIC, Release);
    }

    fn over(words: &mut [u64]) -> Option<&Self> {
        let (before, whole, after) = {
            // SAFETY: the type consists of atomic numbers without anything between them, so that any bytes are a valid value, as
            // any value is valid bytes; the memory is borrowed exclusively.
            unsafe { words.align_to_mut::<Self>() }
        };
        if before.is_empty() && after.is_empty() { whole.first() } else { None }
    }

    /// Calls and bytes of a kind in a bin, of all threads.
    pub fn count(&self, kind: Kind, bin: LengthBin) -> (u64, u64) {
        self.slots
            .iter()
            .map(|slot| slot.kinds[kind as usize].in_bin(bin))
            .fold((0, 0), |sum, slot| (sum.0.wrapping_add(slot.0), sum.1.wrapping_add(slot.1)))
    }

    /// The call sites that were sampled.
    pub fn sampled_sites(&self) -> impl Iterator<Item = &Site> {
        self.sites.iter().filter(|site| site.address.load(Relaxed) != 0)
    }

    /// Whether the program said that it ends.
    pub fn is_ended(&self) -> bool {
        self.header.flags.load(Relaxed) & flags::ENDED != 0
    }

    /// What carried out the calls.
    pub fn under(&self) -> Under {
        let number = self.header.under.load(Relaxed);
        Under::ALL.into_iter().find(|under| *under as u32 == number).unwrap_or(Under::Libc)
    }
}

/// Why a file is no recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordingError {
    /// It has another length.
    Length {
        /// The length it has.
        found_bytes: u64,
    },
    /// It starts with zeros: the program that was to be recorded ended before it was ready, or has not got as far.
    NotReady,
    /// It starts with something else.
    Magic {
        /// The first eight bytes.
        found: u64,
    },
    /// It was written by another version of the recorder.
    Version {
        /// The version it names.
        found: u32,
    },
    /// It says that no call is ever sampled, which no recorder does.
    Period,
}

impl fmt::Display for RecordingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length { found_bytes } => write!(
                f,
                "it has {found_bytes} bytes where a recording has {}: it is not read; record the program again with the recorder \
                 of this version",
                size_of::<Recording>()
            ),
            Self::NotReady => f.write_str(
                "the program ended before its recording was ready: nothing is known of its copies; record it again",
            ),
            Self::Magic { found } => {
                write!(
                    f,
                    "it starts with {found:#018x}, as no recording does: it is not read; name a file of the recorder"
                )
            }
            Self::Version { found } => write!(
                f,
                "its layout has version {found}, and this program reads version {}: it is not read; record the program again with \
                 the recorder of this version",
                Recording::VERSION
            ),
            Self::Period => f.write_str(
                "its header says that no call is sampled: it is damaged, and not read; record the program again",
            ),
        }
    }
}

impl core::error::Error for RecordingError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::{Arm, Function, LENGTH_BINS, Sample};

    fn made() -> Vec<u64> {
        let mut words = vec![0xFFFF; Recording::WORDS];
        assert!(Recording::create(&mut words).is_some());
        words
    }

    #[test]
    fn what_was_counted_is_read() {
        let mut words = made();
        let recording = Recording::read(&mut words).unwrap();
        let lens = [0, 1, 64, 65, 71, 72, 4096, 1 << 40, usize::MAX];
        for (at, len) in lens.into_iter().enumerate() {
            recording.slots[at].count(Kind::ALL[at % 5], len);
            recording.slots[at + 1].count_shared(Kind::ALL[at % 5], len);
        }
        for (at, len) in lens.into_iter().enumerate() {
            let wanted = (2, (len as u64).wrapping_mul(2));
            assert_eq!(recording.count(Kind::ALL[at % 5], LengthBin::of(len)), wanted, "{len} bytes");
        }
        let calls: u64 = Kind::ALL
            .into_iter()
            .flat_map(|kind| LengthBin::all().map(move |bin| (kind, bin)))
            .map(|(kind, bin)| recording.count(kind, bin).0)
            .sum();
        assert_eq!(calls, 2 * lens.len() as u64, "and nothing else is");
    }

    #[test]
    fn samples_are_added_up() {
        let mut words = made();
        let recording = Recording::read(&mut words).unwrap();
        let sample = Sample {
            kind: Kind::Copy,
            function: Function::Mempcpy,
            dst: 0x1_0010,
            src: 0x2_0008,
            len: 100,
            site: 0x5555,
            arm: Arm::Plan,
            ticks: 50,
        };
        recording.add_sample(&sample);
        recording.add_sample(&Sample { len: 100, ticks: 70, ..sample });
        recording.add_sample(&Sample { len: 101, ticks: u64::MAX, ..sample });
        recording.add_sample(&Sample { kind: Kind::Fill, site: 0x5556, ..sample });
        let samples = &recording.samples;
        assert_eq!(samples.dst_offsets[16].load(), (3, 301));
        assert_eq!(samples.src_offsets[8].load(), (3, 301));
        assert_eq!(samples.fill_offsets[16].load(), (1, 100));
        assert_eq!(samples.distances[8].load(), (3, 301));
        let timing = &samples.timings[0][LengthBin::of(100).place()][1];
        let words = [&timing.copies, &timing.ticks, &timing.squares, &timing.outliers, &timing.outlier_ticks];
        assert_eq!(words.map(|word| word.load(Relaxed)), [2, 120, 50 * 50 + 70 * 70, 1, u64::MAX]);
        let mut sites: Vec<&Site> = recording.sampled_sites().collect();
        sites.sort_by_key(|site| site.address.load(Relaxed));
        assert_eq!(sites.len(), 2);
        assert_eq!(sites[0].tally.load(), (3, 301));
        assert_eq!((sites[0].repeats.load(Relaxed), sites[0].functions.load(Relaxed)), (1, 1 << 2));
        assert_eq!((sites[0].ticks.load(Relaxed), sites[0].outliers.load(Relaxed)), (120, 1));
    }

    /// More call sites than the table has places: each sample is in one of them, or among the missed.
    #[test]
    fn no_sample_of_many_sites_is_lost() {
        let mut words = made();
        let recording = Recording::read(&mut words).unwrap();
        let calls = 10_000;
        for site in 1..=calls {
            let function = Function::Memset;
            let (kind, arm) = (Kind::Fill, Arm::Libc);
            recording.add_sample(&Sample { kind, function, dst: 0, src: 0, len: 1, site, arm, ticks: 1 });
        }
        let in_table: u64 = recording.sampled_sites().map(|site| site.tally.load().0).sum();
        let (missed, _) = recording.header.sites_missed.load();
        assert_eq!(in_table + missed, calls);
        assert!(in_table > 3500, "the table is used: {in_table}");
    }

    #[test]
    fn other_files_are_refused() {
        assert_eq!(Recording::read(&mut []).err(), Some(RecordingError::Length { found_bytes: 0 }));
        let mut words = made();
        let found_bytes = (words.len() as u64 - 1) * 8;
        assert_eq!(Recording::read(&mut words[1..]).err(), Some(RecordingError::Length { found_bytes }));
        words[0] = 0;
        assert_eq!(Recording::read(&mut words).err(), Some(RecordingError::NotReady));
        words[0] = 7;
        assert_eq!(Recording::read(&mut words).err(), Some(RecordingError::Magic { found: 7 }));
        words = made();
        words[1] = 99;
        assert_eq!(Recording::read(&mut words).err(), Some(RecordingError::Version { found: 99 }));
        words = made();
        Recording::read(&mut words).unwrap().header.period.store(0, Relaxed);
        assert_eq!(Recording::read(&mut words).err(), Some(RecordingError::Period));
    }

    /// Every word is what it should not be: nothing panics, and no text is longer than its place.
    #[test]
    fn any_words_are_read() {
        for filler in [u64::MAX, 0x8000_0000_8000_0000, 0x8080_8080_8080_8080] {
            let mut words = vec![filler; Recording::WORDS];
            words[0] = Recording::MAGIC;
            words[1] = u64::from(Recording::VERSION) | filler << 32;
            words[2] = Recording::WORDS as u64 * 8;
            let recording = Recording::read(&mut words).unwrap();
            for kind in Kind::ALL {
                let counts: Vec<(u64, u64)> = LengthBin::all().map(|bin| recording.count(kind, bin)).collect();
                assert_eq!(counts.len(), LENGTH_BINS);
            }
            assert_eq!(recording.header.program.bytes().count(), 4096);
            assert_eq!(recording.maps[1].bytes().count(), crate::recording::MAPS_BYTES);
            assert_eq!(recording.sampled_sites().count(), recording.sites.len());
            let sample = Sample {
                kind: Kind::MoveUp,
                function: Function::Memcpy,
                dst: usize::MAX,
                src: 0,
                len: usize::MAX,
                site: 1,
                arm: Arm::Libc,
                ticks: 3,
            };
            recording.add_sample(&sample);
            assert_eq!(recording.is_ended(), filler & u64::from(flags::ENDED) != 0);
            assert_eq!(recording.under(), Under::Libc);
        }
    }
}

//! What one recording says, as rows of a record. A recording is memory of a program that may have died while it wrote, or may be
//! hostile: nothing in it is believed but that it is numbers.

#![forbid(unsafe_code)]

use super::mappings::{CodeAt, Mappings};
use super::record::{Figure, Process, Row};
use crate::lab::record::MOST_CYCLES_PER_NS;
use crate::recording::{
    Arm, ENDED, Function, Group, Kind, LengthBin, Recording, RecordingError, SITE_LENGTHS, Slot, Tally, Timing, flags,
    reuse, site_length_range, square_shift,
};
use crate::select::Class;
use rustix::fs::{Mode, OFlags, open};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// What one recording says.
#[derive(Clone, Debug, Default)]
pub struct Recorded {
    /// The process; its number is for the record to give.
    pub process: Process,
    /// What was counted of it.
    pub rows: Vec<Row>,
    /// Where sampled calls came from.
    pub sites: Vec<(CodeAt, Samples)>,
    /// It and those that it forked, as far as they are known.
    pub pids: Vec<u32>,
}

/// Sampled calls from one place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Samples {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Their ticks, by the mean of those that were timed, less what timing nothing takes.
    pub ticks: f64,
    /// How many had the length of the sample before, of how many that have one before.
    pub repeats: (u64, u64),
    /// Which functions were called: bits, by their place in [`Function::ALL`].
    pub functions: u32,
    /// How many by length.
    pub lengths: [u64; SITE_LENGTHS],
}

impl Samples {
    /// Adds those of another process.
    pub fn add(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.ticks += other.ticks;
        self.repeats.0 = self.repeats.0.saturating_add(other.repeats.0);
        self.repeats.1 = self.repeats.1.saturating_add(other.repeats.1);
        self.functions |= other.functions;
        for (sum, more) in self.lengths.iter_mut().zip(other.lengths) {
            *sum = sum.saturating_add(more);
        }
    }

    /// The names of the functions that were called.
    pub fn calls_to(&self) -> String {
        let is_called = |function: &&Function| self.functions >> **function as u32 & 1 == 1;
        Function::ALL.iter().filter(is_called).map(|function| function.name()).collect::<Vec<_>>().join("+")
    }

    /// The lengths, as a record keeps them.
    pub fn lengths_text(&self) -> String {
        let counted = self.lengths.iter().enumerate().filter(|(_, count)| **count > 0);
        let words = counted.map(|(at, count)| match *site_length_range(at).end() {
            usize::MAX => format!("morex{count}"),
            longest => format!("{longest}x{count}"),
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

/// Why a file of the folder is not read.
#[derive(Debug)]
pub enum Unread {
    /// The system's reason.
    File(io::Error),
    /// What is in it.
    Content(RecordingError),
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => write!(f, "{error}: it is not read"),
            Self::Content(error) => error.fmt(f),
        }
    }
}

/// Room for one recording, to be used again.
#[derive(Debug, Default)]
pub struct Room(Vec<u64>);

impl Recorded {
    /// Reads a file of the folder; `maps` are mappings of the process that were seen meanwhile.
    ///
    /// # Errors
    ///
    /// [`Unread`] if it is no regular file, or no recording.
    pub fn read(path: &Path, room: &mut Room, maps: Option<&Mappings>) -> Result<Self, Unread> {
        room.load(path)?;
        let recording = Recording::read(&mut room.0).map_err(Unread::Content)?;
        Ok(Self::of(recording, maps))
    }

    /// What a recording says.
    pub fn of(recording: &Recording, maps: Option<&Mappings>) -> Self {
        let process = process(recording);
        let mut rows = Rows(Vec::new());
        rows.counts(recording);
        rows.samples(recording);
        rows.reuse(recording);
        let mut mappings = maps.cloned().unwrap_or_default();
        for maps in recording.maps.iter().rev() {
            let text: Vec<u8> = maps.bytes().collect();
            mappings.add(Mappings::of(&String::from_utf8_lossy(&text)));
        }
        let sites = sites(recording, &mappings, process.empty_ticks);
        let forked = recording.header.processes.iter().map(|one| one.pid.load(Relaxed));
        let pids = [process.pid].into_iter().chain(forked).filter(|pid| ![0, ENDED].contains(pid)).collect();
        Self { process, rows: rows.0, sites, pids }
    }
}

impl Room {
    fn load(&mut self, path: &Path) -> Result<(), Unread> {
        // A link leads elsewhere; a pipe would be waited for.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = open(path, flags, Mode::empty()).map_err(|errno| Unread::File(errno.into()))?;
        let mut file = File::from(file);
        let meta = file.metadata().map_err(Unread::File)?;
        let wanted_bytes = Recording::WORDS as u64 * 8;
        if !meta.is_file() {
            return Err(Unread::File(io::Error::other("it is no regular file")));
        }
        if meta.len() != wanted_bytes {
            return Err(Unread::Content(RecordingError::Length { found_bytes: meta.len() }));
        }
        self.0.clear();
        let mut piece = vec![0; 64 << 10];
        let mut left = wanted_bytes as usize;
        while left > 0 {
            let piece = &mut piece[..left.min(64 << 10)];
            file.read_exact(piece).map_err(Unread::File)?;
            left -= piece.len();
            let word = |bytes: &[u8]| bytes.iter().rev().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
            self.0.extend(piece.chunks(8).map(word));
        }
        Ok(())
    }
}

/// A time-stamp counter has at least so many ticks in a nanosecond, and at most [`MOST_CYCLES_PER_NS`].
const LEAST_TICKS_PER_NS: f64 = 0.01;

fn process(recording: &Recording) -> Process {
    let header = &recording.header;
    let load = |word: &AtomicU64| word.load(Relaxed);
    let ticks = |word: &AtomicU64| load(word) as f64 / 1000.0;
    let elapsed_ns = load(&header.updated.monotonic_ns).saturating_sub(load(&header.start.monotonic_ns));
    let measured = load(&header.updated.ticks).saturating_sub(load(&header.start.ticks)) as f64 / elapsed_ns as f64;
    let rates = [load(&header.ticks_per_second) as f64 / 1e9, measured];
    let is_one = |rate: &f64| (LEAST_TICKS_PER_NS..=MOST_CYCLES_PER_NS).contains(rate);
    let times = header.processes.iter().filter(|one| one.pid.load(Relaxed) != 0);
    let forked = times.clone().filter(|one| one.pid.load(Relaxed) != ENDED).count().saturating_sub(1) as u64;
    let missed = load(&header.processes_missed);
    let forked = forked.saturating_add(load(&header.processes_ended)).saturating_add(missed);
    let cut =
        if missed > 0 { format!(", and the time of {missed} that it forked is not known") } else { String::new() };
    let path: Vec<u8> = header.program.bytes().collect();
    let shared = load(&header.shared_slot_uses);
    let has_copied = |slot: &&Slot| {
        let kinds = slot.kinds.iter();
        kinds.flat_map(|counts| LengthBin::all().map(|bin| counts.in_bin(bin).0)).any(|calls| calls > 0)
    };
    let threads = recording.slots.iter().filter(has_copied).count() as u64;
    Process {
        process: 0,
        pid: header.pid.load(Relaxed),
        parent: header.parent.load(Relaxed),
        program: String::from_utf8_lossy(&path).escape_debug().to_string(),
        forked: u32::try_from(forked).unwrap_or(u32::MAX),
        threads: u32::try_from(threads.saturating_add(shared.saturating_sub(1))).unwrap_or(u32::MAX),
        elapsed_ns,
        cpu_ns: times.fold(0, |sum, one| sum.saturating_add(load(&one.cpu_ns))),
        period: header.period.load(Relaxed),
        under: recording.under().name().to_owned(),
        ticks_per_ns: rates.into_iter().find(is_one).unwrap_or(0.0),
        empty_ticks: ticks(&header.empty_milliticks),
        call_ticks: ticks(&header.call_milliticks),
        sample_ticks: ticks(&header.sample_milliticks),
        end: if recording.is_ended() { "exited" } else { "without exit" }.to_owned() + &cut,
        unwatched: unwatched(recording),
        sites_missed: header.sites_missed.load().0,
    }
}

/// Why it is not known how soon copies are accessed again; empty where it is.
fn unwatched(recording: &Recording) -> String {
    let header = &recording.header;
    match header.reuse_state.load(Relaxed) {
        reuse::WORKS => String::new(),
        reuse::UNTRIED => "no copy was watched".to_owned(),
        reuse::SILENT => "hardware breakpoints do not count here".to_owned(),
        reuse::REFUSED => {
            let errno = i32::try_from(header.reuse_errno.load(Relaxed)).unwrap_or(0);
            format!("the system refuses hardware breakpoints: {}", io::Error::from_raw_os_error(errno))
        }
        _ => "the recording does not say".to_owned(),
    }
}

/// Rows of a process whose number is yet to be given.
struct Rows(Vec<Row>);

impl Rows {
    fn add(&mut self, figure: Figure, what: &str, (from, up_to): (u64, u64), (count, bytes): (u64, u64)) {
        self.add_timed(figure, what, (from, up_to), (count, bytes), (0, 0.0));
    }

    fn add_timed(
        &mut self,
        figure: Figure,
        what: &str,
        (from, up_to): (u64, u64),
        (count, bytes): (u64, u64),
        (ticks, squares): (u64, f64),
    ) {
        if count > 0 {
            let what = what.to_owned();
            self.0.push(Row { process: 0, figure, what, from, up_to, count, bytes, ticks, squares });
        }
    }

    fn counts(&mut self, recording: &Recording) {
        for kind in Kind::ALL {
            for bin in LengthBin::all() {
                self.add(Figure::Calls, kind.name(), lengths(bin), recording.count(kind, bin));
            }
        }
        // Without libc's routines both are the plan's.
        let has_libc = recording.header.flags.load(Relaxed) & flags::LIBC_FOUND != 0;
        let name = |arm: Arm| if has_libc { arm.name() } else { Arm::Plan.name() };
        for group in Group::ALL {
            let figure = match group {
                Group::Copies => Figure::TimedCopies,
                Group::Moves => Figure::TimedMoves,
                Group::Fills => Figure::TimedFills,
            };
            for (bin, arm) in LengthBin::all().flat_map(|bin| Arm::ALL.map(|arm| (bin, arm))) {
                let timing = &recording.samples.timings[group as usize][bin.place()][arm as usize];
                let (count, ticks, squares) = sums(timing, bin);
                self.add_timed(figure, name(arm), lengths(bin), (count, 0), (ticks, squares));
                let outliers = (timing.outliers.load(Relaxed), 0);
                let ticks = timing.outlier_ticks.load(Relaxed);
                self.add_timed(Figure::Interrupted, name(arm), lengths(bin), outliers, (ticks, 0.0));
            }
        }
    }

    fn samples(&mut self, recording: &Recording) {
        let samples = &recording.samples;
        let offsets = [
            (Figure::DstOffset, &samples.dst_offsets),
            (Figure::SrcOffset, &samples.src_offsets),
            (Figure::FillOffset, &samples.fill_offsets),
        ];
        for (figure, tallies) in offsets {
            for (at, tally) in (0..).zip(tallies) {
                self.add(figure, "", (at, at), tally.load());
            }
        }
        // 0 by itself, and the rest by lines.
        self.add(Figure::Distance, "", (0, 0), samples.distances[0].load());
        for (line, tallies) in (0..).zip(samples.distances.chunks(64)) {
            let some = if line == 0 { &tallies[1..] } else { tallies };
            self.add(Figure::Distance, "", ((line * 64).max(1), line * 64 + 63), together(some));
        }
        for (class, octaves) in Class::ALL.iter().zip(&samples.classes) {
            for (octave, tally) in (0_u32..).zip(octaves) {
                let range = octave.checked_sub(1).map_or((0, 0), |log| (1 << log, u64::MAX >> (63 - log)));
                self.add(Figure::Class, class.name(), range, tally.load());
            }
        }
    }

    fn reuse(&mut self, recording: &Recording) {
        let window_ns = recording.header.reuse_window_ns.load(Relaxed);
        for (line, sizes) in ["first", "last"].into_iter().zip(&recording.samples.reuse) {
            for (size, reuse) in ["256", "4096", "65536", "more"].into_iter().zip(sizes) {
                let what = format!("{line} {size}");
                for (log, count) in (0_u32..).zip(&reuse.after_log2_ns) {
                    let range = (1 << log, u64::MAX >> (63 - log));
                    self.add(Figure::Reuse, &what, range, (count.load(Relaxed), 0));
                }
                let unused = (reuse.not_within.load(Relaxed), 0);
                self.add(Figure::Unused, &what, (window_ns, u64::MAX), unused);
            }
        }
    }
}

fn lengths(bin: LengthBin) -> (u64, u64) {
    let (from, up_to) = bin.lengths().into_inner();
    (from as u64, up_to as u64)
}

fn together(tallies: &[Tally]) -> (u64, u64) {
    tallies.iter().map(Tally::load).fold((0, 0), |sum, one| (sum.0.saturating_add(one.0), sum.1.saturating_add(one.1)))
}

/// How many copies were timed, their ticks, and the sum of the squares of those.
fn sums(timing: &Timing, bin: LengthBin) -> (u64, u64, f64) {
    let [count, ticks, squares] = [&timing.copies, &timing.ticks, &timing.squares].map(|word| word.load(Relaxed));
    let scale = f64::from(1_u32 << square_shift(bin));
    if scale == 1.0 {
        return (count, ticks, squares as f64);
    }
    // Ticks were rounded down before they were squared: x² is (x − u)² + x − 1/3 in the mean, u between 0 and 1 alike.
    let rounded = squares as f64 + ticks as f64 / scale - count as f64 / 3.0;
    (count, ticks, rounded.max(0.0) * scale * scale)
}

fn sites(recording: &Recording, mappings: &Mappings, empty_ticks: f64) -> Vec<(CodeAt, Samples)> {
    let site = |site: &crate::recording::Site| {
        let (count, bytes) = site.tally.load();
        // Not every sampled call is timed.
        let timed = f64::from(site.timed.load(Relaxed));
        let mean = (site.ticks.load(Relaxed) as f64 / timed.max(1.0) - empty_ticks).max(0.0);
        let samples = Samples {
            count,
            bytes,
            ticks: if timed > 0.0 { mean * count as f64 } else { 0.0 },
            repeats: (site.repeats.load(Relaxed), count.saturating_sub(1)),
            functions: site.functions.load(Relaxed),
            lengths: site.lengths.each_ref().map(|count| u64::from(count.load(Relaxed))),
        };
        (mappings.find(site.address.load(Relaxed)), samples)
    };
    recording.sampled_sites().map(site).collect()
}

//! Promise: the recorder counts each call of a program, in whatever way the program lives and ends, and changes nothing of it.

mod needs;
pub mod recorded;

use memcpy_select::recording::{Arm, Function, Group, Kind, LengthBin, Recording, RecordingError, Under, flags, reuse};
use recorded::Run;
use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::Ordering::Relaxed;

/// `LENGTHS` of `program.c`.
const LENGTHS: [usize; 23] =
    [0, 1, 2, 3, 7, 8, 15, 16, 31, 33, 63, 64, 65, 71, 72, 127, 128, 129, 255, 1000, 4096, 65537, 500_000];

/// How often each of them is copied, by bin.
fn each_length(times: u64) -> BTreeMap<LengthBin, (u64, u64)> {
    let mut bins = BTreeMap::new();
    for len in LENGTHS {
        let calls = times * ((len as u64 + 1) % 5 + 1);
        let (calls_before, bytes_before) = bins.get(&LengthBin::of(len)).copied().unwrap_or_default();
        bins.insert(LengthBin::of(len), (calls_before + calls, bytes_before + calls * len as u64));
    }
    bins
}

/// Every bin of a kind that is not empty, without what the program does before `main`: a copy and a move of its constructor.
fn counted(recording: &Recording, kind: Kind) -> BTreeMap<LengthBin, (u64, u64)> {
    LengthBin::all().map(|bin| (bin, recording.count(kind, bin))).filter(|(_, counts)| *counts != (0, 0)).collect()
}

fn calls(recording: &Recording, len: usize) -> u64 {
    recording.count(Kind::Copy, LengthBin::of(len)).0
}

fn sampled_calls(recording: &Recording) -> u64 {
    let samples = &recording.samples;
    samples.dst_offsets.iter().chain(&samples.fill_offsets).map(|tally| tally.load().0).sum()
}

/// How many calls of each arm were timed.
fn timed_calls(recording: &Recording) -> [u64; 2] {
    let timings = recording.samples.timings.iter().flatten();
    let timed = |arm: Arm| timings.clone().map(move |timings| &timings[arm as usize]);
    Arm::ALL.map(|arm| timed(arm).map(|timing| timing.copies.load(Relaxed) + timing.outliers.load(Relaxed)).sum())
}

/// What each case does is counted, whatever carries it out and however many calls are sampled.
#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn every_call_of_every_function_is_counted() {
    for under in Under::ALL {
        for every in ["1", "3", "512"] {
            let run = Run::of(["copies"]).every(every).under(under.name()).done();
            assert!(run.status.success(), "{}", run.output);
            let mut recorded = run.recorded();
            let recording = recorded.read();
            let mut wanted = each_length(3);
            // The constructor's.
            wanted.insert(LengthBin::of(80), (1, 80));
            // A range that has no bytes overlaps with nothing.
            assert_eq!(counted(recording, Kind::Copy), wanted, "under {under:?}, every {every}");
            assert_eq!(counted(recording, Kind::Fill), each_length(1), "under {under:?}, every {every}");
            let total: u64 =
                Kind::ALL.iter().flat_map(|kind| counted(recording, *kind)).map(|(_, (calls, _))| calls).sum();
            assert_eq!(total, each_length(4).values().map(|(calls, _)| calls).sum::<u64>() + 1, "and nothing else");
            if every == "1" {
                assert_eq!(sampled_calls(recording), total, "every call is a sample");
            }
            assert_eq!(recording.under(), under);
            let timed = timed_calls(recording);
            match under {
                Under::Libc => assert_eq!(timed, [sampled_calls(recording), 0]),
                Under::Plan => assert_eq!(timed, [0, sampled_calls(recording)]),
                Under::Both => assert!(timed[0] + timed[1] <= sampled_calls(recording)),
            }
            assert_eq!(recording.header.flags.load(Relaxed), flags::ENDED | flags::LIBC_FOUND);
        }
    }
}

#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn overlapping_moves_are_counted_by_direction() {
    for every in ["1", "512"] {
        for under in ["libc", "plan"] {
            let run = Run::of(["overlap"]).every(every).under(under).done();
            assert!(run.status.success(), "{}", run.output);
            let mut recorded = run.recorded();
            let recording = recorded.read();
            // One byte moved by one does not overlap, nor do none.
            let overlapping: BTreeMap<_, _> = each_length(1).into_iter().filter(|(bin, _)| bin.place() > 1).collect();
            assert_eq!(counted(recording, Kind::MoveUp), overlapping);
            assert_eq!(counted(recording, Kind::MoveDown), overlapping);
            let same: BTreeMap<_, _> = each_length(1).into_iter().filter(|(bin, _)| bin.place() > 0).collect();
            assert_eq!(counted(recording, Kind::Same), same);
        }
    }
}

#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn checked_functions_count_as_what_they_check() {
    let run = Run::of(["checked"]).every("2").done();
    assert!(run.status.success(), "{}", run.output);
    let mut recorded = run.recorded();
    let recording = recorded.read();
    let mut copies = each_length(3);
    copies.insert(LengthBin::of(80), (1, 80));
    assert_eq!(counted(recording, Kind::Copy), copies);
    assert_eq!(counted(recording, Kind::Fill), each_length(1));

    let run = Run::of(["overflow"]).done();
    assert_eq!(run.status.signal(), Some(6), "it ends as without the recorder: {}", run.output);
    assert!(run.output.contains("buffer overflow detected"), "{}", run.output);
    assert_eq!(calls(run.recorded().read(), 21), 0, "what was refused is not counted");
}

/// More threads at once than there are slots, and than a process looks up slots for.
#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn no_call_of_many_threads_is_lost() {
    for every in ["1", "512"] {
        let run = Run::of(["threads"]).every(every).done();
        assert!(run.status.success(), "{}", run.output);
        let mut recorded = run.recorded();
        let recording = recorded.read();
        let in_bin = |len| {
            (0..1000_u64).filter(|number| LengthBin::of(100 + *number as usize % 8) == LengthBin::of(len)).count()
        };
        for len in 100..108 {
            assert_eq!(calls(recording, len), 300 * in_bin(len) as u64, "{len} bytes");
        }
        assert!(recording.slots.iter().all(|slot| slot.owner.load(Relaxed) != 0), "all slots are taken");
        assert!(recording.header.shared_slot_uses.load(Relaxed) > 0);
    }
}

/// More processes at once than there are slots, all in one recording.
#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn forked_children_are_counted_with_their_parent() {
    let run = Run::of(["forks"]).done();
    assert!(run.status.success(), "{}", run.output);
    let mut recorded = run.recorded();
    let recording = recorded.read();
    assert_eq!([200, 300, 400].map(|len| calls(recording, len)), [10 + 150 * 100, 150 * 1000, 150 * 1000]);
}

#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn vforked_children_are_counted_with_their_parent() {
    let run = Run::of(["vforks"]).every("1").done();
    assert!(run.status.success(), "{}", run.output);
    let mut recorded = run.recorded();
    let recording = recorded.read();
    assert_eq!([230, 240].map(|len| calls(recording, len)), [20, 20]);
    assert!(recording.is_ended());
}

/// A program that is executed has a recording of its own, and that of the program before stays.
#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn an_executed_program_has_its_own_recording() {
    let run = Run::of(["exec"]).done();
    assert!(run.status.success(), "{}", run.output);
    let mut all = run.all();
    all.sort_by_key(|recorded| recorded.path.clone());
    let [before, after] = &mut all[..] else { panic!("two recordings, not {}", all.len()) };
    assert_eq!((calls(before.read(), 280), calls(before.read(), 300)), (12, 0));
    assert_eq!((calls(after.read(), 280), calls(after.read(), 300)), (0, 37));
    assert_eq!((before.read().is_ended(), after.read().is_ended()), (false, true));
    assert_eq!(before.read().header.pid.load(Relaxed), after.read().header.pid.load(Relaxed));
}

#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn what_was_counted_is_there_after_a_kill_and_after_a_crash() {
    for (case, signal, len) in [("killed", 9, 260), ("crashed", 11, 270)] {
        let run = Run::of([case]).done();
        assert_eq!(run.status.signal(), Some(signal), "{}", run.output);
        let mut recorded = run.recorded();
        assert_eq!(calls(recorded.read(), len), 1234);
        assert!(!recorded.read().is_ended());
    }
}

#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn no_call_of_a_signal_handler_is_lost_or_loses_one() {
    for every in ["1", "7", "512"] {
        let run = Run::of(["signals"]).every(every).done();
        assert!(run.status.success(), "{}", run.output);
        let made: Vec<u64> = run.output.split_whitespace().map(|number| number.parse().expect(&run.output)).collect();
        let mut recorded = run.recorded();
        assert_eq!([50, 60].map(|len| calls(recorded.read(), len)), made[..], "every {every}");
    }
}

#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn a_library_that_is_loaded_late_is_recorded_and_named() {
    let library = recorded::compile("library.c", "library.so", &["-shared", "-fPIC"]);
    let run = Run::of(["library", library.to_str().unwrap()]).every("1").done();
    assert!(run.status.success(), "{}", run.output);
    let mut recorded = run.recorded();
    let recording = recorded.read();
    assert_eq!([29, 250].map(|len| calls(recording, len)), [5, 40]);
    let site = recording.sampled_sites().find(|site| site.tally.load() == (40, 10_000)).expect("its call site");
    let address = site.address.load(Relaxed);
    let maps = |at: usize| String::from_utf8(recording.maps[at].bytes().collect()).unwrap();
    let is_in = |line: &&str| {
        let (range, _) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        (u64::from_str_radix(start, 16).unwrap()..u64::from_str_radix(end, 16).unwrap()).contains(&address)
    };
    assert!(!maps(0).contains("library.so"), "at the start it is not there");
    let (first, last) = (maps(0), maps(1));
    assert!(first.lines().find(is_in).is_none());
    assert!(last.lines().find(is_in).unwrap().contains("library.so"), "{last}");
}

/// Where all calls are samples, the sample is exact.
#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn samples_are_what_was_called() {
    let run = Run::of(["placed"]).every("1").done();
    let mut recorded = run.recorded();
    let recording = recorded.read();
    let samples = &recording.samples;
    assert_eq!(samples.dst_offsets[5].load(), (37, 37 * 300));
    assert_eq!(samples.src_offsets[9].load(), (37, 37 * 300));
    assert_eq!(samples.distances[(5_usize + 64).wrapping_sub(64 * 49 + 9) % 4096].load(), (37, 37 * 300));
    let by = |tally| move |site: &&memcpy_select::recording::Site| site.tally.load() == tally;
    let same = recording.sampled_sites().find(by((37, 37 * 300))).expect("the place with one length");
    let differing = recording.sampled_sites().find(by((11, 11 * 405))).expect("the place with many lengths");
    assert_eq!((same.repeats.load(Relaxed), differing.repeats.load(Relaxed)), (36, 0));
    assert_eq!(same.functions.load(Relaxed), 1 << Function::Memcpy as u32);
    assert_eq!(same.lengths[memcpy_select::recording::site_length(300)].load(Relaxed), 37);
    // Two of each turn of eight are not timed.
    let timings = &samples.timings[Group::Copies as usize][LengthBin::of(300).place()];
    let timed: u64 = timings.iter().map(|timing| timing.copies.load(Relaxed) + timing.outliers.load(Relaxed)).sum();
    assert!((27..=37).contains(&timed), "{timed}");
    assert_eq!(u64::from(same.timed.load(Relaxed) + same.outliers.load(Relaxed)), timed);
    let by_timing: u64 = timings.iter().map(|timing| timing.ticks.load(Relaxed)).sum();
    assert_eq!(same.ticks.load(Relaxed), by_timing, "both say how long these took");
}

/// Turns are long, and their order is random: over some hundred of them each arm has its share.
#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn both_arms_are_timed() {
    let run = Run::of(["forks"]).every("20").done();
    assert!(run.status.success(), "{}", run.output);
    let mut recorded = run.recorded();
    let [libc, plan] = timed_calls(recorded.read());
    let samples = sampled_calls(recorded.read());
    assert!(libc + plan > samples / 2, "{libc} and {plan} of {samples}");
    assert!(libc > samples / 20 && plan > samples / 20, "{libc} and {plan}");
}

/// One call in a period, on average: of 300 threads with 300 calls each, none comes to a whole one.
#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn as_many_calls_are_sampled_as_was_asked_for() {
    let run = Run::of(["forks"]).every("100").done();
    let mut recorded = run.recorded();
    let samples = sampled_calls(recorded.read());
    // Of 315,011 calls in 301 processes, each of which starts with a random part of a period.
    assert!((2800..3500).contains(&samples), "{samples}");
}

#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn the_header_says_what_was_recorded() {
    let run = Run::of(["placed"]).every("7").done();
    let mut recorded = run.recorded();
    let name = recorded.path.file_name().unwrap().to_str().unwrap().to_owned();
    let recording = recorded.read();
    let header = &recording.header;
    let (pid, rest) = name.split_once('-').unwrap();
    assert_eq!(pid, header.pid.load(Relaxed).to_string());
    assert!(rest.ends_with(".recording"));
    assert_eq!(header.parent.load(Relaxed), std::process::id());
    assert_eq!(header.period.load(Relaxed), 7);
    let program = String::from_utf8(header.program.bytes().collect()).unwrap();
    assert_eq!(program, recorded::program().to_str().unwrap());
    assert!(header.processes[0].cpu_ns.load(Relaxed) >= header.processes[0].cpu_start_ns.load(Relaxed));
    assert_eq!(header.processes[0].pid.load(Relaxed), header.pid.load(Relaxed));
    for word in [&header.start.realtime_ns, &header.start.ticks, &header.updated.monotonic_ns, &header.empty_milliticks]
    {
        assert_ne!(word.load(Relaxed), 0);
    }
    assert!(String::from_utf8(recording.maps[0].bytes().collect()).unwrap().contains(&program));
}

/// The program runs as without the recorder, and one line says why nothing is recorded.
#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn what_cannot_be_recorded_runs_and_says_why() {
    for (run, words) in [
        (Run::of(["copies"]).every("0"), "MEMCPY_SELECT_RECORDING_EVERY is no number from 1 to 1000000"),
        (Run::of(["copies"]).every("1000001"), "MEMCPY_SELECT_RECORDING_EVERY"),
        (Run::of(["copies"]).every("99999999999999999999"), "MEMCPY_SELECT_RECORDING_EVERY"),
        (Run::of(["copies"]).every("5x"), "MEMCPY_SELECT_RECORDING_EVERY"),
        (Run::of(["copies"]).every(" 5"), "MEMCPY_SELECT_RECORDING_EVERY"),
        (Run::of(["overlap"]).under("all"), "MEMCPY_SELECT_RECORDING_UNDER is neither both nor libc nor plan"),
        (Run::of(["threads"]).folder("/nowhere/at all"), "no file can be made in the folder"),
        (Run::of(["checked"]).folder(""), "MEMCPY_SELECT_RECORDING names no folder"),
        (Run::of(["checked"]).folder(&"long/".repeat(1000)), "MEMCPY_SELECT_RECORDING names no folder"),
        (Run::of(["checked"]).folder(&"long/".repeat(814)), "no file can be made in the folder"),
    ] {
        let run = run.done();
        assert!(run.status.success(), "{}", run.output);
        assert!(run.output.starts_with("memcpy-select recorder: ") && run.output.contains(words), "{}", run.output);
        assert_eq!(run.output.lines().count(), 1, "{}", run.output);
        assert!(run.all().is_empty());
    }
}

/// A limit of file sizes below that of a recording: a signal that would end the program is not raised.
#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn limits_are_kept() {
    let run = Run::through("ulimit -f 1024; exec \"$0\" copies").done();
    assert!(run.status.success(), "{}", run.output);
    assert!(run.output.contains("files may not be as long as a recording"), "{}", run.output);
    assert!(run.all().is_empty());
}

/// With standard error closed, the recording's own file takes its number for a moment: no line is written into it.
#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn closed_descriptors_do_no_harm() {
    for closed in ["2>&-", "<&- >&- 2>&-"] {
        let run = Run::through(&format!("exec \"$0\" placed {closed}")).done();
        assert!(run.status.success());
        assert_eq!(calls(run.recorded().read(), 300), 37);
        let run = Run::through(&format!("exec \"$0\" placed {closed}")).every("none").done();
        assert!(run.status.success());
        assert!(run.all().is_empty());
    }
}

/// A filter could end the program for a system call that only the recorder makes.
#[test]
#[ignore = "builds native/recorder: ten seconds"]
fn breakpoints_are_left_out_where_system_calls_are_filtered() {
    let run = Run::of(["filtered"]).done();
    assert!(run.status.success(), "{}", run.output);
    let mut all = run.all();
    all.sort_by_key(|recorded| recorded.path.clone());
    let [before, after] = &mut all[..] else { panic!("two recordings, not {}", all.len()) };
    assert_eq!(before.read().header.reuse_state.load(Relaxed), reuse::UNTRIED);
    let header = &after.read().header;
    assert_eq!((header.reuse_state.load(Relaxed), header.reuse_errno.load(Relaxed)), (reuse::REFUSED, 1));
    assert_eq!(calls(after.read(), 300), 37);
}

/// A file of a program that never got as far says so.
#[test]
fn an_unfinished_recording_is_told_apart() {
    let mut words = vec![0; Recording::WORDS];
    assert_eq!(Recording::read(&mut words).err(), Some(RecordingError::NotReady));
}

/// What `program` does without the recorder: the counts above are compared with what it says of itself.
#[test]
fn the_program_is_right_by_itself() {
    for case in ["copies", "overlap", "checked", "threads", "signals", "placed", "vforks"] {
        let status: ExitStatus = std::process::Command::new(recorded::program())
            .arg(case)
            .stdout(std::process::Stdio::null())
            .status()
            .unwrap();
        assert!(status.success(), "{case}");
    }
}

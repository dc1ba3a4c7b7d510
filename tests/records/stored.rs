//! The promise: the files of a record are read alike, plain or compressed; what is left of a compressed file that was
//! damaged is never taken for a record.

use crate::cases::Effort as Cases;
use crate::program::{Scratch, compressed, gz, kept, names, put, reopen};
use flate2::Compression;
use flate2::write::GzEncoder;
use memcpy_select::cpu::Cpu;
use memcpy_select::lab::copies::CopyRecord;
use memcpy_select::lab::copies::cell::Cell;
use memcpy_select::lab::copies::sweep::Sample;
use memcpy_select::lab::instruments::effort::Effort;
use memcpy_select::lab::record::{CsvFile, Environment, RecordError};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Loop {
    what: String,
    cycles: u64,
}

fn loops() -> Vec<Loop> {
    (0..40).map(|at| Loop { what: format!("loop {at}"), cycles: at * at }).collect()
}

/// A record of 30 samples and a further file.
fn record(scratch: &Scratch) -> PathBuf {
    let sample = |round| Sample {
        cell: Cell::hot(4096, 1, 2),
        contender: "libc".into(),
        round,
        iterations: 1000,
        total_ns: 60_000 + u64::from(round) * 7919 % 1000,
    };
    let environment = Environment::gather(&Cpu::detect(), Effort::Quick, None);
    let mut record = CopyRecord::new("select", environment, (0..30).map(sample).collect());
    record.tables = vec![CsvFile::of("loops", &loops()).unwrap()];
    record.save(&scratch.0).unwrap()
}

fn line_of(folder: &Path) -> u64 {
    match CopyRecord::read(folder) {
        Err(RecordError::Damaged { line, .. }) => line,
        other => panic!("{other:?}"),
    }
}

#[test]
fn plain_and_compressed_files_are_read_alike() {
    let scratch = Scratch::new("forms");
    let folder = record(&scratch);
    assert_eq!(names(&folder), ["env.toml", "loops.csv.gz", "samples.csv.gz"]);
    let whole = CopyRecord::read(&folder).unwrap();
    let is_the_same = |read: CopyRecord| {
        assert!(read.samples == whole.samples && read.environment == whole.environment);
        assert_eq!(read.tables.len(), 1);
        assert_eq!(read.table("loops").unwrap().rows::<Loop>().unwrap(), loops());
    };
    for name in ["samples.csv", "loops.csv"] {
        // Both: in a complete record, the compressed one counts.
        fs::write(folder.join(name), "anything").unwrap();
        is_the_same(CopyRecord::read(&folder).unwrap());
        let bytes = kept(&folder, name);
        put(&folder, name, &bytes);
        is_the_same(CopyRecord::read(&folder).unwrap());
    }
    // Both, in a record that is not complete: the plain one counts.
    reopen(&folder);
    for name in ["samples.csv", "loops.csv"] {
        fs::write(gz(&folder, name), "anything").unwrap();
    }
    is_the_same(CopyRecord::read(&folder).unwrap());
}

#[test]
fn a_compressed_file_that_is_cut_or_goes_on_is_refused_with_its_line() {
    let scratch = Scratch::new("gz-cut");
    let folder = record(&scratch);
    let whole = CopyRecord::read(&folder).unwrap();
    for name in ["samples.csv", "loops.csv"] {
        let path = gz(&folder, name);
        let stored = fs::read(&path).unwrap();
        let lines = kept(&folder, name).split(|byte| *byte == b'\n').count() as u64;
        for cut in 0..stored.len() {
            fs::write(&path, &stored[..cut]).unwrap();
            let line = line_of(&folder);
            assert!((1..=lines).contains(&line), "{name} cut at {cut}: line {line}");
        }
        // Garbage, and a second file, which tools that decompress would append.
        for more in [&b"x"[..], &[0; 512], &compressed(b"more\n")] {
            fs::write(&path, [&stored[..], more].concat()).unwrap();
            assert_eq!(line_of(&folder), lines, "{name}");
            let message = CopyRecord::read(&folder).unwrap_err().to_string();
            assert!(message.contains(&format!("{} bytes are behind the end", more.len())), "{message}");
            assert!(message.contains(&format!("{name}.gz:{lines}: ")), "{message}");
        }
        fs::write(&path, &stored).unwrap();
        assert!(CopyRecord::read(&folder).unwrap().samples == whole.samples);
    }
}

#[test]
fn a_compressed_file_with_a_changed_byte_is_refused_or_holds_the_same() {
    let scratch = Scratch::new("gz-changed");
    let folder = record(&scratch);
    let whole = CopyRecord::read(&folder).unwrap();
    let path = gz(&folder, "samples.csv");
    let stored = fs::read(&path).unwrap();
    // Not covered by the checksum: the head, with the time and the system, and the bits that fill the last byte.
    let is_idle = |at: usize| at < 10 || at == stored.len() - 9;
    let mut refused = 0;
    // Every bit of a byte, or one of them.
    let bits = if Cases::chosen() < Cases::Full { 1 } else { 8 };
    for at in 0..stored.len() {
        for bit in (0..8).cycle().skip(at).take(bits) {
            let mut changed = stored.clone();
            changed[at] ^= 1 << bit;
            fs::write(&path, changed).unwrap();
            match CopyRecord::read(&folder) {
                Ok(read) => assert!(is_idle(at) && read.samples == whole.samples, "byte {at}, bit {bit}"),
                Err(RecordError::Damaged { .. }) => refused += 1,
                Err(other) => panic!("byte {at}, bit {bit}: {other}"),
            }
        }
    }
    assert!(refused >= bits * (stored.len() - 11), "{refused}");
    // What was compressed by another program, with a name in the head, is a record all the same.
    let head = [&[0x1f, 0x8b, 8, 8, 1, 2, 3, 4, 2, 3][..], b"samples.csv\0"].concat();
    fs::write(&path, [&head[..], &stored[10..]].concat()).unwrap();
    assert!(CopyRecord::read(&folder).unwrap().samples == whole.samples);
}

/// So many MiB of one byte, without their end. After a flush, the next part of the same bytes is the same as the one before.
fn bomb(mib: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut part = || {
        encoder.write_all(&vec![b'0'; 1 << 20]).unwrap();
        encoder.flush().unwrap();
        encoder.get_ref().len()
    };
    let [_, second, third] = [part(), part(), part()];
    let bytes = encoder.get_ref();
    [&bytes[..second], &bytes[second..third].repeat(mib - 2)].concat()
}

#[test]
#[ignore = "unpacks 256 MiB: long"]
fn a_small_file_that_holds_far_too_much_is_refused() {
    let scratch = Scratch::new("gz-bomb");
    let folder = record(&scratch);
    let bomb = bomb(257);
    assert!(bomb.len() < 4 << 20);
    fs::write(gz(&folder, "samples.csv"), bomb).unwrap();
    let message = CopyRecord::read(&folder).unwrap_err().to_string();
    assert!(message.contains("samples.csv.gz:1: ") && message.contains("more than 256 MiB"), "{message}");
}

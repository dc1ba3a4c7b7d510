//! The operating system's view of the caches: Linux, `/sys/devices/system/cpu/cpu*/cache/index*`
//! (`Documentation/ABI/testing/sysfs-devices-system-cpu` in the kernel's source). Nothing here is required: a sandbox
//! without `/sys` is a machine of which less is known.

#![forbid(unsafe_code)]

use super::{Cache, Caches, Source};
use std::string::String;
use std::{format, fs};

/// More index directories than any CPU has.
const MAX_INDEX: u32 = 16;

/// The caches of the CPU that runs this, as far as the kernel says; `None` if it says nothing.
pub(super) fn caches() -> Option<Caches> {
    // Field 39 is the CPU that the thread last ran on (proc_pid_stat(5)); the name in field 2 may hold spaces.
    let stat = fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let current: u32 =
        after_name.split_ascii_whitespace().nth(39 - 3).and_then(|field| field.parse().ok()).unwrap_or(0);
    let of = |cpu: u32| {
        parse(|index, file| {
            fs::read_to_string(format!("/sys/devices/system/cpu/cpu{cpu}/cache/index{index}/{file}")).ok()
        })
    };
    of(current).or_else(|| of(0))
}

/// Reads the caches from whatever `read(index, file)` gives. Pure.
fn parse(read: impl Fn(u32, &str) -> Option<String>) -> Option<Caches> {
    let mut caches = Caches::default();
    for index in 0..MAX_INDEX {
        let text = |file: &str| read(index, file).map(|text| String::from(text.trim()));
        let number = |file: &str| text(file).and_then(|text| text.parse::<u32>().ok());
        let Some(level) = number("level") else { continue };
        if !matches!(text("type").as_deref(), Some("Data" | "Unified")) {
            continue;
        }
        let Some(size_bytes) = text("size").and_then(|text| size(&text)) else { continue };
        let slot = match level {
            1 => &mut caches.l1d,
            2 => &mut caches.l2,
            3 => &mut caches.l3,
            _ => continue,
        };
        slot.get_or_insert(Cache {
            size_bytes,
            // Every x86-64 CPU with a kernel that tells no line length has this one.
            line_bytes: number("coherency_line_size").unwrap_or(64),
            ways: number("ways_of_associativity").unwrap_or(0),
            shared_by_threads: text("shared_cpu_list").and_then(|text| count(&text)).unwrap_or(0),
            source: Source::Os,
        });
    }
    (caches != Caches::default()).then_some(caches)
}

/// `32K`, `1M` or plain bytes.
fn size(text: &str) -> Option<u64> {
    let (digits, unit) = match text.as_bytes().last()? {
        b'K' => (&text[..text.len() - 1], 1 << 10),
        b'M' => (&text[..text.len() - 1], 1 << 20),
        _ => (text, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// How many CPUs a list such as `0-3,8` names.
fn count(list: &str) -> Option<u32> {
    list.split(',').try_fold(0_u32, |total, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        total.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn tree(rows: &'static [(u32, &'static str, &'static str)]) -> impl Fn(u32, &str) -> Option<String> {
        move |index, file| rows.iter().find(|row| row.0 == index && row.1 == file).map(|row| row.2.to_string())
    }

    #[test]
    fn reads_a_tree_and_passes_over_instruction_caches() {
        let caches = parse(tree(&[
            (0, "level", "1\n"),
            (0, "type", "Instruction\n"),
            (0, "size", "64K\n"),
            (1, "level", "1\n"),
            (1, "type", "Data\n"),
            (1, "size", "48K\n"),
            (1, "coherency_line_size", "64\n"),
            (1, "ways_of_associativity", "12\n"),
            (1, "shared_cpu_list", "0,32\n"),
            (3, "level", "3\n"),
            (3, "type", "Unified\n"),
            (3, "size", "1M\n"),
        ]))
        .unwrap();
        let first = Cache { size_bytes: 48 << 10, line_bytes: 64, ways: 12, shared_by_threads: 2, source: Source::Os };
        assert_eq!(caches.l1d, Some(first));
        assert_eq!(caches.l2, None);
        let third = Cache { size_bytes: 1 << 20, line_bytes: 64, ways: 0, shared_by_threads: 0, source: Source::Os };
        assert_eq!(caches.l3, Some(third));
    }

    #[test]
    fn absence_and_nonsense_are_no_caches() {
        assert_eq!(parse(|_, _| None), None);
        assert_eq!(parse(|_, _| Some("?".to_string())), None);
        assert_eq!(parse(tree(&[(0, "level", "1"), (0, "type", "Data"), (0, "size", "K")])), None);
        assert_eq!(size("18446744073709551615M"), None);
        assert_eq!(count("3-1"), None);
        assert_eq!(count("0-4294967295"), None);
        assert_eq!(count("0-3,8"), Some(5));
    }
}

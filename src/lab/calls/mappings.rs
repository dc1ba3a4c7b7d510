//! What a process has mapped where, from the text of `/proc/<pid>/maps`. Pure.

#![forbid(unsafe_code)]

/// Files that a process executes code of, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mappings(Vec<Mapping>);

/// An executable mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Mapping {
    start: u64,
    end: u64,
    /// Where in its file it starts.
    offset: u64,
    inode: u64,
    /// The path; empty where there is no file.
    path: String,
}

/// A place in a file, or in memory where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CodeAt {
    /// The file; empty where there is none.
    pub path: String,
    /// Its inode.
    pub inode: u64,
    /// Where in the file; the address where there is none.
    pub offset: u64,
}

/// More mappings are not kept.
const MOST_MAPPINGS: usize = 4096;

impl Mappings {
    /// The executable mappings that the text names. Lines that are none are passed over.
    pub fn of(text: &str) -> Self {
        Self(text.lines().filter_map(mapping).take(MOST_MAPPINGS).collect())
    }

    /// Adds those of another moment where nothing else is known to be.
    pub fn add(&mut self, other: Self) {
        for mapping in other.0 {
            let overlaps = |known: &Mapping| mapping.start < known.end && known.start < mapping.end;
            if self.0.len() < MOST_MAPPINGS && !self.0.iter().any(overlaps) {
                self.0.push(mapping);
            }
        }
    }

    /// Where the code at an address comes from.
    pub fn find(&self, address: u64) -> CodeAt {
        let here = self.0.iter().find(|mapping| (mapping.start..mapping.end).contains(&address));
        match here.filter(|mapping| !mapping.path.is_empty()) {
            None => CodeAt { offset: address, ..CodeAt::default() },
            Some(Mapping { start, offset, inode, path, .. }) => {
                CodeAt { path: path.clone(), inode: *inode, offset: offset.wrapping_add(address - start) }
            }
        }
    }
}

/// `start-end perms offset device inode path`.
fn mapping(line: &str) -> Option<Mapping> {
    let mut words = line.splitn(6, ' ');
    let (start, end) = words.next()?.split_once('-')?;
    let hexadecimal = |word: &str| u64::from_str_radix(word, 16).ok();
    let is_code = words.next()?.as_bytes().get(2) == Some(&b'x');
    let offset = hexadecimal(words.next()?)?;
    let inode = words.nth(1)?.parse().ok()?;
    let path = words.next().unwrap_or_default().trim_start();
    // What is in brackets is no file.
    let path = if path.starts_with('/') { path.to_owned() } else { String::new() };
    let (start, end) = (hexadecimal(start)?, hexadecimal(end)?);
    (is_code && start < end).then_some(Mapping { start, end, offset, inode, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
55f0a0000000-55f0a0010000 r--p 00000000 fe:01 1234                       /usr/bin/a program
55f0a0010000-55f0a0080000 r-xp 00010000 fe:01 1234                       /usr/bin/a program
7f0000000000-7f0000001000 r-xp 00000000 00:00 0 
7ffc00000000-7ffc00002000 r-xp 00000000 00:00 0                          [vdso]
";

    #[test]
    fn addresses_are_found_in_files() {
        let mappings = Mappings::of(TEXT);
        let in_file = CodeAt { path: "/usr/bin/a program".to_owned(), inode: 1234, offset: 0x10123 };
        assert_eq!(mappings.find(0x55f0_a001_0123), in_file);
        for address in [0x55f0_a000_0123, 0x7f00_0000_0010, 0x7ffc_0000_0010, 0, u64::MAX] {
            assert_eq!(mappings.find(address), CodeAt { offset: address, ..CodeAt::default() }, "{address:#x}");
        }
        let mut later =
            Mappings::of("55f0a0010000-55f0a0020000 r-xp 00000000 fe:01 7 /other\n1000-2000 r-xp 0 fe:01 8 /new\n");
        later.add(mappings);
        assert_eq!((later.find(0x55f0_a001_0123).inode, later.find(0x1fff).inode, later.0.len()), (7, 8, 4));
    }

    #[test]
    fn any_text_is_read() {
        let none =
            ["", "\n\n", "a", "a-b r-xp", "1-2 r-xp 0 0:0", "2-1 r-xp 0 0:0 0 /a", "1-2 r 0 0:0 0 /a", "\u{fffd}-1"];
        assert!(none.iter().all(|text| Mappings::of(text).0.is_empty()));
        let many: String = (1..6000).map(|at| format!("{:x}-{:x} r-xp 0 0:0 0 /a\n", at * 16, at * 16 + 16)).collect();
        assert_eq!(Mappings::of(&many).0.len(), MOST_MAPPINGS);
    }
}

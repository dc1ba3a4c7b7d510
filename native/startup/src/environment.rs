//! The environment that the process was started with, and whether it may be trusted.

use core::ffi::CStr;
use core::mem;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, read};

/// The longest path of Linux, with its end.
pub const PATH_BYTES: usize = 4096;

/// A path, or a part of one, that ends in a zero byte.
pub struct PathBuffer {
    bytes: [u8; PATH_BYTES],
    len: usize,
}

impl PathBuffer {
    /// An empty one.
    const fn new() -> Self {
        Self { bytes: [0; PATH_BYTES], len: 0 }
    }

    /// Appends; `None` if there is no room for it and a zero byte.
    pub fn push(&mut self, part: &[u8]) -> Option<()> {
        let end = self.len.checked_add(part.len()).filter(|end| *end < PATH_BYTES)?;
        self.bytes[self.len..end].copy_from_slice(part);
        self.bytes[end] = 0;
        self.len = end;
        Some(())
    }

    /// What it holds.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The same for a system call.
    pub fn as_c_str(&self) -> Option<&CStr> {
        CStr::from_bytes_with_nul(&self.bytes[..=self.len]).ok()
    }
}

/// Opens a file for reading, without waiting for anything.
pub fn open_file(path: &CStr) -> Result<OwnedFd, Errno> {
    open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty())
}

/// Reads until the buffer is full or the file ends.
pub fn fill(file: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    let mut len = 0;
    while len < buffer.len() {
        match read(file, &mut buffer[len..]) {
            Ok(0) => break,
            Ok(more) => len += more,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// Whether the program has privileges that its user lacks: then the environment is an attacker's. Where that cannot be told, it
/// counts as so.
pub fn is_privileged() -> bool {
    /// Of `linux/auxvec.h`.
    const SECURE: usize = 23;
    let mut words = [0_usize; 128];
    let len = open_file(c"/proc/self/auxv").and_then(|file| fill(&file, as_bytes(&mut words))).unwrap_or(0);
    let pairs = words[..len / mem::size_of::<usize>()].chunks_exact(2);
    pairs.into_iter().find(|pair| pair[0] == SECURE).is_none_or(|pair| pair[1] != 0)
}

fn as_bytes(words: &mut [usize]) -> &mut [u8] {
    let bytes = mem::size_of_val(words);
    // SAFETY: the same memory, borrowed as exclusively; every value of a byte makes a word.
    unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), bytes) }
}

/// Looks variables up, each with its `=`: the value of each that is there, not empty, and no longer than a path.
pub fn variables<const N: usize>(names: [&[u8]; N]) -> [Option<PathBuffer>; N] {
    let mut found = [const { None }; N];
    let Ok(file) = open_file(c"/proc/self/environ") else { return found };
    let mut entry = Entry::new();
    let mut chunk = [0; 4096];
    while let Ok(len @ 1..) = fill(&file, &mut chunk) {
        for byte in &chunk[..len] {
            entry.push(*byte, &names, &mut found);
        }
    }
    found
}

/// An entry of the environment, while its bytes come.
struct Entry {
    start: [u8; 32],
    len: usize,
    /// Which variable it is, and its value so far.
    value: Option<(usize, PathBuffer)>,
}

impl Entry {
    const fn new() -> Self {
        Self { start: [0; 32], len: 0, value: None }
    }

    fn push<const N: usize>(&mut self, byte: u8, names: &[&[u8]; N], found: &mut [Option<PathBuffer>; N]) {
        if byte == 0 {
            if let Some((which, value)) = self.value.take().filter(|(_, value)| !value.as_bytes().is_empty()) {
                // As libc does: of two entries of one name the first counts.
                let slot = &mut found[which];
                if slot.is_none() {
                    *slot = Some(value);
                }
            }
            self.len = 0;
        } else if let Some((_, value)) = &mut self.value {
            if value.push(&[byte]).is_none() {
                // Longer than any path: no value.
                self.value = None;
                self.len = self.start.len();
            }
        } else if self.len < self.start.len() {
            self.start[self.len] = byte;
            self.len += 1;
            if byte == b'=' {
                let name = &self.start[..self.len];
                self.value = names.iter().position(|known| *known == name).map(|which| (which, PathBuffer::new()));
                self.len = self.start.len();
            }
        }
    }
}

//! A file that grows piece by piece, and that holds whole pieces only unless the process is killed or the system loses
//! power.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// How a file ends: whether another process wrote to it shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    len_bytes: u64,
    tail: Vec<u8>,
}

impl Mark {
    /// Several rows' figures.
    const TAIL_BYTES: usize = 256;

    pub(super) fn of(bytes: &[u8]) -> Self {
        let tail = bytes[bytes.len().saturating_sub(Self::TAIL_BYTES)..].to_vec();
        Self { len_bytes: bytes.len() as u64, tail }
    }

    fn read(file: &mut File) -> io::Result<Self> {
        let len_bytes = file.metadata()?.len();
        let mut tail = Vec::new();
        file.seek(SeekFrom::Start(len_bytes.saturating_sub(Self::TAIL_BYTES as u64)))?;
        file.read_to_end(&mut tail)?;
        Ok(Self { len_bytes, tail })
    }
}

/// The file while it grows.
#[derive(Debug)]
pub(super) struct Appending {
    file: File,
    /// What messages call it.
    name: String,
    found: Mark,
    kept_bytes: u64,
}

impl Appending {
    /// Opens or makes the file, which ends as `found` says. What is behind its first `kept_bytes` is cut off, but not
    /// before there is something else to write.
    pub(super) fn open(path: &Path, found: Mark, kept_bytes: u64) -> io::Result<Self> {
        let file = File::options().read(true).append(true).create(true).open(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { file, name, found, kept_bytes })
    }

    /// Whether nothing of it is kept.
    pub(super) const fn is_empty(&self) -> bool {
        self.kept_bytes == 0
    }

    /// Writes this piece. If that fails, what was written of it is cut off again.
    pub(super) fn append(&mut self, piece: &[u8]) -> io::Result<()> {
        if Mark::read(&mut self.file)? != self.found {
            return Err(io::Error::other(format!("{} was changed by another process", self.name)));
        }
        self.file.set_len(self.kept_bytes)?;
        if let Err(error) = self.file.write_all(piece).and_then(|()| self.file.flush()) {
            // Where even that fails, a reader cuts off the torn line.
            let _ = self.file.set_len(self.kept_bytes);
            return Err(error);
        }
        self.kept_bytes += piece.len() as u64;
        self.found = Mark::read(&mut self.file)?;
        Ok(())
    }

    /// Cuts off what is not kept, and returns once everything is on the disk.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.append(&[])?;
        self.file.sync_all()
    }
}

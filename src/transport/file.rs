//! Bytes between files and blocks, without a buffer in between: a file is read straight into a lease, and a view or a
//! payload goes from its region to a file within the system, so that no reference to bytes that another process may be
//! writing is ever formed.

#![forbid(unsafe_code)]

use super::loan::{Holder, Lease, Received};
use rustix::fs::{FileType, OFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Resource, getrlimit};
use std::io::{self, ErrorKind, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd};

/// What is copied at a time where the system does not do it.
const BUFFER_BYTES: usize = 64 << 10;

/// What went from a region to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// How many bytes.
    pub len_bytes: usize,
    /// Whether none of them took the way over a buffer of this process.
    pub in_place: bool,
}

impl Lease {
    /// Reads the file from the position `at` on into the blocks. How many bytes: less than the lease holds only where the
    /// file ends. Where the other side can write the blocks too, the bytes take the way over a buffer.
    ///
    /// # Errors
    ///
    /// What the system says about the file. The lease holds bytes of no meaning then.
    pub fn read_from_file(&mut self, file: impl AsFd, at: u64) -> io::Result<usize> {
        let file = file.as_fd();
        if let Some(slices) = self.slices_mut() {
            return read_slices(file, at, slices);
        }
        let mut buffer = vec![0; BUFFER_BYTES.min(self.len())];
        let mut done = 0;
        while done < self.len() {
            let part = BUFFER_BYTES.min(self.len() - done);
            let count = retry_on_intr(|| rustix::io::pread(file, &mut buffer[..part], at + done as u64))?;
            if count == 0 {
                break;
            }
            self.write_at(done, &buffer[..count]);
            done += count;
        }
        Ok(done)
    }
}

/// Reads a file into slices, in order, as few calls as that takes: of more than the system takes at once a call has the
/// first.
fn read_slices<'a>(file: BorrowedFd<'_>, at: u64, slices: impl Iterator<Item = &'a mut [u8]>) -> io::Result<usize> {
    let mut slices: Vec<IoSliceMut<'_>> = slices.map(IoSliceMut::new).collect();
    let mut rest = &mut slices[..];
    let mut done = 0;
    // Each turn reads something, or is the last.
    while !rest.is_empty() {
        let count = retry_on_intr(|| rustix::io::preadv(file, rest, at + done as u64))?;
        if count == 0 {
            break;
        }
        done += count;
        IoSliceMut::advance_slices(&mut rest, count);
    }
    Ok(done)
}

impl<H: Holder> Received<H> {
    /// Writes the bytes to a file, at the position that it has.
    ///
    /// The system copies them from the region; what it cannot copy takes the way over a buffer. So does what goes to a pipe or a
    /// socket: there the system would only note which pages to send, and their blocks could hold other bytes by the time they
    /// are read.
    ///
    /// # Errors
    ///
    /// What the system says about the file. Some of the bytes may have been written. None are, and the error is `EFBIG`, if
    /// the file would become longer than this process may write (`RLIMIT_FSIZE`): the system would send a signal.
    pub fn write_to_file(&self, file: impl AsFd) -> io::Result<Sent> {
        let (file, len_bytes) = (file.as_fd(), self.len());
        let mut done = 0;
        let status = rustix::fs::fstat(file)?;
        if FileType::from_raw_mode(status.st_mode) == FileType::RegularFile {
            check_limit(file, status.st_size as u64, len_bytes)?;
            for (at, run_bytes) in self.runs() {
                let Some(region) = self.region_file() else { break };
                let sent = send_run(file, region, at as u64, run_bytes)?;
                done += sent;
                if sent < run_bytes {
                    break;
                }
            }
        }
        let in_place = done == len_bytes;
        let mut buffer = vec![0; BUFFER_BYTES.min(len_bytes - done)];
        while done < len_bytes {
            let count = self.read_at(done, &mut buffer);
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            match retry_on_intr(|| rustix::io::write(file, &buffer[..count]))? {
                0 => return Err(ErrorKind::WriteZero.into()),
                count => done += count,
            }
        }
        Ok(Sent { len_bytes, in_place })
    }
}

/// Whether that many bytes may be written to a file of that length, where it stands.
fn check_limit(file: BorrowedFd<'_>, end: u64, len_bytes: usize) -> Result<(), Errno> {
    let Some(limit) = getrlimit(Resource::Fsize).current else { return Ok(()) };
    let appends = rustix::fs::fcntl_getfl(file)?.contains(OFlags::APPEND);
    let at = if appends { end } else { rustix::fs::tell(file)? };
    if len_bytes > 0 && at.saturating_add(len_bytes as u64) > limit { Err(Errno::FBIG) } else { Ok(()) }
}

/// How much of a run the system copied: less than all of it if it cannot with such files.
fn send_run(file: BorrowedFd<'_>, region: BorrowedFd<'_>, at: u64, len_bytes: usize) -> io::Result<usize> {
    let (mut from, end) = (at, at + len_bytes as u64);
    while from < end {
        let left = (end - from) as usize;
        match rustix::fs::sendfile(file, region, Some(&mut from), left) {
            Ok(0) | Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(cause) => return Err(cause.into()),
        }
    }
    Ok((from - at) as usize)
}

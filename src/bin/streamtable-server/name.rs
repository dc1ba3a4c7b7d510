//! Names and paths of files: which may be served, which are ours, and what tells one file from all others.

use crate::refusal::Refusal;
use memcpy_select::transport::ErrorCode;
use rustix::io::Errno;
use std::collections::hash_map::RandomState;
use std::ffi::CString;
use std::hash::BuildHasher;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// No path is longer on Linux.
pub const MAX_NAME_BYTES: usize = 4095;

const PREFIX: &[u8] = b".streamtable-";
const SUFFIX: &[u8] = b".part";

/// A name that may be served.
pub fn c_name(name: &[u8]) -> Result<CString, Refusal> {
    let is_ours = name.split(|byte| *byte == b'/').any(is_part);
    if name.is_empty() || name.len() > MAX_NAME_BYTES || is_ours {
        return Err(ErrorCode::BAD_NAME.into());
    }
    Ok(CString::new(name).map_err(|_| ErrorCode::BAD_NAME)?)
}

/// A path that leads to a file that is open.
pub fn path_of(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
}

/// What tells a file from all others.
pub fn identity(file: &OwnedFd) -> Result<(u64, u64), Errno> {
    let status = rustix::fs::fstat(file)?;
    Ok((status.st_dev, status.st_ino))
}

/// Whether a name is one that only this program gives. Some file systems know no case.
pub fn is_part(name: &[u8]) -> bool {
    let (start, end) = (name.get(..PREFIX.len()), name.len().checked_sub(SUFFIX.len()).and_then(|at| name.get(at..)));
    start.is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
        && end.is_some_and(|end| end.eq_ignore_ascii_case(SUFFIX))
}

/// A name that cannot be guessed, for a file until it gets its own.
pub fn random_name() -> Vec<u8> {
    let [one, other] = [(); 2].map(|()| RandomState::new().hash_one(()));
    [PREFIX, format!("{one:016x}{other:016x}").as_bytes(), SUFFIX].concat()
}

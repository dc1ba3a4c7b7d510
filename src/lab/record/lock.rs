//! One process at a time writes to a record.

use super::error::RecordError;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::File;
use std::path::Path;

/// Keeps other processes from going on with a record until this is dropped, or this process has ended, however it ends.
/// It belongs to the folder, whatever that is called meanwhile.
#[derive(Debug)]
pub(super) struct Lock(Option<File>);

impl Lock {
    /// # Errors
    ///
    /// [`RecordError::InUse`] if another process has it. Where there is no such folder, or no locks on its file system, no
    /// process is kept out; what is appended to a file that another process has changed is refused all the same.
    pub(super) fn of(folder: &Path) -> Result<Self, RecordError> {
        let Ok(file) = File::open(folder) else {
            return Ok(Self(None));
        };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self(Some(file))),
            Err(Errno::WOULDBLOCK) => Err(RecordError::InUse { folder: folder.to_owned() }),
            Err(_) => Ok(Self(None)),
        }
    }
}

impl Drop for Lock {
    /// Closing the file would do, were there no copy of it in a process that was just forked and does not run its own
    /// program yet.
    fn drop(&mut self) {
        if let Some(file) = &self.0 {
            let _ = flock(file, FlockOperation::Unlock);
        }
    }
}

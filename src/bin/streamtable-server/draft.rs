//! Open files, and those that get their names once they are whole.
//!
//! A draft has no name (`O_TMPFILE`): when its client leaves, or the server is killed, it is gone. Where the file system has
//! no such files it has a name that cannot be guessed, until it gets its own or is removed; what a killed server leaves of
//! these in the directory itself is removed when one starts there.

use crate::name::{identity, path_of, random_name};
use rustix::fs::{AtFlags, CWD, RenameFlags};
use rustix::io::Errno;
use std::ffi::CString;
use std::os::fd::OwnedFd;

/// What a file is until it is published.
pub struct Draft {
    pub name: CString,
    pub part: Option<Part>,
    /// A write to it failed: it is not whole unless its client says so.
    pub is_broken: bool,
}

/// An open file.
pub struct OpenFile {
    pub file: OwnedFd,
    pub is_writable: bool,
    /// It has no name yet.
    pub draft: Option<Draft>,
}

/// A name in a folder that the file has for a while; it is gone when this is dropped.
pub struct Part {
    pub folder: OwnedFd,
    pub name: Vec<u8>,
    pub identity: (u64, u64),
}

impl Part {
    pub fn link(file: &OwnedFd, folder: &OwnedFd) -> Result<Self, Errno> {
        let folder_again = rustix::io::fcntl_dupfd_cloexec(folder, 0)?;
        let part = Self { folder: folder_again, name: random_name(), identity: identity(file)? };
        link(file, folder, &part.name)?;
        Ok(part)
    }

    pub fn rename(&self, folder: &OwnedFd, last: &[u8]) -> Result<(), Errno> {
        self.check()?;
        rustix::fs::renameat(&self.folder, self.name.as_slice(), folder, last)
    }

    pub fn rename_if_new(&self, folder: &OwnedFd, last: &[u8]) -> Result<(), Errno> {
        self.check()?;
        let name = self.name.as_slice();
        match rustix::fs::renameat_with(&self.folder, name, folder, last, RenameFlags::NOREPLACE) {
            // Not every file system can. Then it has both names until this is dropped.
            Err(Errno::INVAL | Errno::NOSYS) => rustix::fs::linkat(&self.folder, name, folder, last, AtFlags::empty()),
            result => result,
        }
    }

    /// Whether it is still that file.
    fn check(&self) -> Result<(), Errno> {
        let status = rustix::fs::statat(&self.folder, self.name.as_slice(), AtFlags::SYMLINK_NOFOLLOW)?;
        if (status.st_dev, status.st_ino) == self.identity { Ok(()) } else { Err(Errno::STALE) }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.check().is_ok() {
            let _ = rustix::fs::unlinkat(&self.folder, self.name.as_slice(), AtFlags::empty());
        }
    }
}

/// Gives a file without a name one that no file has.
pub fn link(file: &OwnedFd, folder: &OwnedFd, last: &[u8]) -> Result<(), Errno> {
    rustix::fs::linkat(CWD, path_of(file), folder, last, AtFlags::SYMLINK_FOLLOW)
}

//! The exported directory: names in it, and no way out of it.
//!
//! The system itself resolves each name beneath the directory (`openat2` with `RESOLVE_BENEATH`): neither `..`, nor an
//! absolute path, nor a symbolic link leads out, also if somebody renames folders meanwhile.

use memcpy_select::transport::ErrorCode;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

/// No path is longer on Linux.
pub const MAX_NAME_BYTES: usize = 4095;

/// The exported directory.
pub struct Directory {
    root: OwnedFd,
    is_read_only: bool,
}

/// An open file.
pub struct OpenFile {
    pub file: OwnedFd,
    pub is_writable: bool,
}

impl Directory {
    pub fn open(path: &Path, is_read_only: bool) -> io::Result<Self> {
        let root = rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let directory = Self { root, is_read_only };
        // Linux before 5.6 cannot resolve beneath a directory; nothing is served there.
        directory.resolve(c".", OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
        Ok(directory)
    }

    fn resolve(&self, name: impl rustix::path::Arg, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        // A name can be refused because something was renamed meanwhile: the client may ask again.
        rustix::fs::openat2(&self.root, name, flags | OFlags::CLOEXEC, mode, resolve)
    }

    /// Opens a file, for writing too where that is allowed.
    pub fn open_file(&self, name: &[u8]) -> Result<OpenFile, ErrorCode> {
        let name = c_name(name)?;
        // First only as a place: to open a pipe or a device could wait, or have effects.
        let place = self.resolve(name.as_c_str(), OFlags::PATH, Mode::empty()).map_err(code_of)?;
        let status = rustix::fs::fstat(&place).map_err(code_of)?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Err(ErrorCode::UNSUPPORTED);
        }
        let path = format!("/proc/self/fd/{}", place.as_fd().as_raw_fd());
        let open = |access| rustix::fs::open(path.as_str(), access | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty());
        if !self.is_read_only {
            match open(OFlags::RDWR) {
                Ok(file) => return Ok(OpenFile { file, is_writable: true }),
                Err(Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::TXTBSY) => {}
                Err(error) => return Err(code_of(error)),
            }
        }
        let file = open(OFlags::RDONLY).map_err(code_of)?;
        Ok(OpenFile { file, is_writable: false })
    }

    /// Makes a file that is not there yet.
    pub fn create_file(&self, name: &[u8]) -> Result<OpenFile, ErrorCode> {
        self.check_writable()?;
        let name = c_name(name)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOCTTY;
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
        let file = self.resolve(name.as_c_str(), flags, mode).map_err(code_of)?;
        Ok(OpenFile { file, is_writable: true })
    }

    /// Removes a file.
    pub fn destroy_file(&self, name: &[u8]) -> Result<(), ErrorCode> {
        self.check_writable()?;
        let name = c_name(name)?;
        let path = Path::new(OsStr::from_bytes(name.as_bytes()));
        let Some(Component::Normal(last)) = path.components().next_back() else { return Err(ErrorCode::BAD_NAME) };
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = self.resolve(folder, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).map_err(code_of)?;
        rustix::fs::unlinkat(&folder, last, AtFlags::empty()).map_err(code_of)
    }

    pub fn check_writable(&self) -> Result<(), ErrorCode> {
        if self.is_read_only { Err(ErrorCode::DENIED) } else { Ok(()) }
    }
}

fn c_name(name: &[u8]) -> Result<CString, ErrorCode> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(ErrorCode::BAD_NAME);
    }
    CString::new(name).map_err(|_| ErrorCode::BAD_NAME)
}

/// What the client is told of an error of the system.
pub fn code_of(error: Errno) -> ErrorCode {
    match error {
        Errno::NOENT => ErrorCode::NOT_FOUND,
        Errno::EXIST => ErrorCode::EXISTS,
        // XDEV: it leads out of the directory.
        Errno::XDEV | Errno::LOOP | Errno::NAMETOOLONG | Errno::NOTDIR | Errno::INVAL => ErrorCode::BAD_NAME,
        Errno::ISDIR => ErrorCode::UNSUPPORTED,
        Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::TXTBSY => ErrorCode::DENIED,
        Errno::FBIG | Errno::OVERFLOW => ErrorCode::TOO_LARGE,
        Errno::MFILE | Errno::NFILE => ErrorCode::TABLE_FULL,
        _ => ErrorCode::IO,
    }
}

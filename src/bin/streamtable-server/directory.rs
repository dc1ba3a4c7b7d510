//! The exported directory: names in it, and no way out of it.
//!
//! The system itself resolves each name beneath the directory (`openat2` with `RESOLVE_BENEATH`): neither `..`, nor an
//! absolute path, nor a symbolic link leads out, also if another process renames folders meanwhile.
//!
//! Nothing is opened in a way that waits: pipes and devices are not opened at all, and a file that another program has a
//! lease on is refused (`O_NONBLOCK`), since all clients would wait for that program.

use crate::draft::OpenFile;
use crate::name::{c_name, identity, path_of};
use crate::refusal::Refusal;
use memcpy_select::transport::ErrorCode;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::CString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// The exported directory.
pub struct Directory {
    root: OwnedFd,
    is_read_only: bool,
}

impl Directory {
    pub fn open(path: &Path, is_read_only: bool) -> Result<Self, String> {
        let failed = |error: Errno| format!("{}: {}: nothing is served", path.display(), io::Error::from(error));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty()).map_err(failed)?;
        let directory = Self { root, is_read_only };
        // Linux before 5.6 cannot resolve beneath a directory; nothing is served there.
        directory.folder(b".").map_err(|error| match error {
            Errno::NOSYS | Errno::PERM => format!(
                "names cannot be resolved beneath {} ({}): nothing is served; Linux 5.6 is needed, and a filter of system \
                 calls must allow openat2",
                path.display(),
                io::Error::from(error)
            ),
            error => failed(error),
        })?;
        let again = rustix::fs::open(path_of(&directory.root), flags, Mode::empty());
        if identity(&directory.root).ok() != again.and_then(|again| identity(&again)).ok() {
            return Err("/proc/self/fd does not lead to open files: nothing is served; mount /proc".to_owned());
        }
        Ok(directory)
    }

    fn resolve(&self, name: impl rustix::path::Arg, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        // A name can be refused because something was renamed meanwhile: the client may ask again.
        rustix::fs::openat2(&self.root, name, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
    }

    /// A folder, as a place.
    pub fn folder(&self, name: &[u8]) -> Result<OwnedFd, Errno> {
        self.resolve(name, OFlags::PATH | OFlags::DIRECTORY)
    }

    /// The folder that a name lies in, and its last part.
    pub fn place<'a>(&self, name: &'a CString) -> Result<(OwnedFd, &'a [u8]), Refusal> {
        let name = name.as_bytes();
        let (folder, last) = match name.iter().rposition(|byte| *byte == b'/') {
            None => (b".".as_slice(), name),
            Some(at) => (&name[..at.max(1)], &name[at + 1..]),
        };
        match last {
            b"" | b"." | b".." => Err(ErrorCode::BAD_NAME.into()),
            _ => Ok((self.folder(folder)?, last)),
        }
    }

    /// Opens a file, for writing too where that is allowed.
    pub fn open_file(&self, name: &[u8]) -> Result<OpenFile, Refusal> {
        let name = c_name(name)?;
        // First only as a place: to open a pipe or a device could wait, or have effects.
        let place = self.resolve(name.as_c_str(), OFlags::PATH)?;
        if FileType::from_raw_mode(rustix::fs::fstat(&place)?.st_mode) != FileType::RegularFile {
            return Err(ErrorCode::UNSUPPORTED.into());
        }
        let flags = OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
        let open = |access| rustix::fs::open(path_of(&place), access | flags, Mode::empty());
        let opened = match open(if self.is_read_only { OFlags::RDONLY } else { OFlags::RDWR }) {
            Ok(file) => return Ok(OpenFile { file, is_writable: !self.is_read_only, draft: None }),
            Err(Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::TXTBSY) => open(OFlags::RDONLY),
            Err(error) => Err(error),
        };
        match opened {
            Ok(file) => Ok(OpenFile { file, is_writable: false, draft: None }),
            // The file is there, since it was found: /proc is not.
            Err(Errno::NOENT) => Err(Refusal::io(Errno::NOENT)),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a file.
    pub fn destroy_file(&self, name: &[u8]) -> Result<(), Refusal> {
        self.check_writable()?;
        let name = c_name(name)?;
        let (folder, last) = self.place(&name)?;
        Ok(rustix::fs::unlinkat(&folder, last, AtFlags::empty())?)
    }

    pub fn check_writable(&self) -> Result<(), Refusal> {
        if self.is_read_only { Err(ErrorCode::DENIED.into()) } else { Ok(()) }
    }
}

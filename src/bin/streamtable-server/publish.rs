//! How a directory's files begin, and get their names.

use crate::directory::Directory;
use crate::draft::{Draft, OpenFile, Part, link};
use crate::name::{c_name, identity, is_part, random_name};
use crate::refusal::Refusal;
use memcpy_select::transport::ErrorCode;
use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// How to publish.
#[derive(Clone, Copy, Default)]
pub struct Publish {
    /// In the place of a file that has the name.
    pub replace: bool,
    /// On the disk before it is answered.
    pub sync: bool,
}

impl Directory {
    /// Begins a file; `may_exist` if it may take the place of another one later.
    pub fn begin_file(&self, name: &[u8], may_exist: bool) -> Result<OpenFile, Refusal> {
        self.check_writable()?;
        let name = c_name(name)?;
        let (folder, last) = self.place(&name)?;
        let old = mode_of(&folder, last, may_exist)?;
        let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
        let unnamed = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let (file, part) = match rustix::fs::openat(&folder, c".", unnamed, mode) {
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS) => {
                let name = random_name();
                let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOCTTY;
                let file = rustix::fs::openat(&folder, name.as_slice(), flags, mode)?;
                let part = Part { identity: identity(&file)?, folder, name };
                (file, Some(part))
            }
            unnamed => (unnamed?, None),
        };
        // Tells a server that starts that it is in use. Where files have no locks it removes none.
        let _ = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
        // No others may read it than what it takes the place of.
        if let Some(old) = old {
            rustix::fs::fchmod(&file, old)?;
        }
        Ok(OpenFile { file, is_writable: true, draft: Some(Draft { name, part, is_broken: false }) })
    }

    /// Gives a draft its name, or leaves it as it is. The folder is resolved anew: it may have been moved meanwhile.
    pub fn publish(&self, open: &mut OpenFile, how: Publish) -> Result<(), Refusal> {
        let OpenFile { file, draft: place, .. } = open;
        let Some(draft) = place.as_mut() else { return Err(ErrorCode::UNSUPPORTED.into()) };
        let (folder, last) = self.place(&draft.name)?;
        mode_of(&folder, last, how.replace)?;
        let to_sync = if how.sync {
            rustix::fs::fsync(&*file).map_err(Refusal::of_bytes)?;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK;
            Some(rustix::fs::openat(&folder, c".", flags, Mode::empty())?)
        } else {
            None
        };
        let named = match (&draft.part, how.replace) {
            (Some(part), true) => part.rename(&folder, last),
            (Some(part), false) => part.rename_if_new(&folder, last),
            (None, true) => Part::link(file, &folder).and_then(|part| part.rename(&folder, last)),
            (None, false) => link(file, &folder, last),
        };
        named.map_err(|error| match error {
            // Its folder is on another file system now.
            Errno::XDEV => Refusal::io(error),
            _ => error.into(),
        })?;
        *place = None;
        let _ = rustix::fs::flock(&*file, FlockOperation::Unlock);
        to_sync.map_or(Ok(()), |folder| rustix::fs::fsync(folder).map_err(Refusal::io))
    }

    /// Removes what killed servers left in the directory itself; how many files.
    pub fn remove_parts(&self) -> usize {
        if self.check_writable().is_err() {
            return 0;
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
        let open = |name: &[u8]| {
            let folder = self.folder(b".")?;
            let file = rustix::fs::openat(&folder, name, flags, Mode::empty())?;
            Ok((file, folder))
        };
        let listed = open(b".").and_then(|(folder, _)| Dir::new(folder));
        let names = listed.into_iter().flatten().flatten().map(|entry| entry.file_name().to_bytes().to_vec());
        let parts = names.filter(|name| is_part(name)).collect::<Vec<_>>();
        let is_removed = |name: Vec<u8>| -> Result<(), Errno> {
            let (file, folder) = open(&name)?;
            if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::RegularFile {
                return Err(Errno::INVAL);
            }
            // Another server may be using it.
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
            rustix::fs::unlinkat(&folder, name.as_slice(), AtFlags::empty())
        };
        parts.into_iter().filter_map(|name| is_removed(name).ok()).count()
    }
}

/// The permissions of a file that has the name, if there is one and it may be replaced. A link is replaced, not what it leads
/// to; what is neither is nothing to put a file in the place of.
fn mode_of(folder: &OwnedFd, last: &[u8], may_exist: bool) -> Result<Option<Mode>, Refusal> {
    let status = match rustix::fs::statat(folder, last, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(None),
        status => status?,
    };
    match FileType::from_raw_mode(status.st_mode) {
        _ if !may_exist => Err(ErrorCode::EXISTS.into()),
        FileType::RegularFile => Ok(Some(Mode::from_raw_mode(status.st_mode & 0o777))),
        FileType::Symlink => Ok(None),
        _ => Err(ErrorCode::UNSUPPORTED.into()),
    }
}

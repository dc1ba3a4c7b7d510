//! Files that are replaced as a whole: written under a temporary name in the same folder, brought to the disk, and then
//! named.

#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::{format, process};

/// Makes a file, or puts it in the place of another: a reader finds the old one or the new one.
///
/// # Errors
///
/// What the system says if the file cannot be made or written; the old one stays as it is.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // The file behind a symbolic link is replaced, not the link.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    refuse_special(path)?;
    let mut temporary = Temporary::beside(path)?;
    temporary.file.write_all(bytes)?;
    temporary.file.sync_all()?;
    if let Ok(old) = fs::metadata(path) {
        fs::set_permissions(&temporary.path, old.permissions())?;
    }
    temporary.rename(path)?;
    sync(folder_of(path));
    Ok(())
}

/// Whether [`replace`] can write a file of that name, as far as can be told before there is anything to write.
///
/// # Errors
///
/// As for [`replace`].
pub fn may_replace(path: &Path) -> io::Result<()> {
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    refuse_special(path)?;
    Temporary::beside(path).map(drop)
}

/// A device or a folder is nothing to put a file in the place of.
pub(crate) fn refuse_special(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(status) if !status.is_file() => Err(io::Error::new(ErrorKind::InvalidInput, "this is no regular file")),
        _ => Ok(()),
    }
}

pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// Brings the name itself to the disk, where folders can be opened for that.
pub(crate) fn sync(folder: &Path) {
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

/// How the names of temporary files begin and end.
pub(crate) const PREFIX: &str = ".memcpy-select-";
pub(crate) const SUFFIX: &str = ".new";

/// A file whose name begins with a dot; it is gone when this is dropped, unless it was renamed.
#[derive(Debug)]
pub(crate) struct Temporary {
    pub(crate) path: PathBuf,
    pub(crate) file: File,
    is_renamed: bool,
}

impl Temporary {
    pub(crate) fn beside(path: &Path) -> io::Result<Self> {
        if path.file_name().is_none() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "this is no name of a file"));
        }
        for n in 0_u32.. {
            let path = folder_of(path).join(format!("{PREFIX}{}-{n}{SUFFIX}", process::id()));
            match File::create_new(&path) {
                Ok(file) => return Ok(Self { path, file, is_renamed: false }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    pub(crate) fn rename(mut self, to: &Path) -> io::Result<()> {
        fs::rename(&self.path, to)?;
        self.is_renamed = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.is_renamed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

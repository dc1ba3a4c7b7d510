//! Files that are there as a whole or not at all: written under a temporary name in the same folder, brought to the disk, and
//! then named.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Makes a file that must not exist yet. On an error nothing is left of it, so that the same call can be repeated.
///
/// # Errors
///
/// [`ErrorKind::AlreadyExists`] if there is anything of that name, which stays as it is, even if another process made it
/// meanwhile; what the system says if the file cannot be made or written.
pub fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    refuse_existing(path)?;
    let temporary = Temporary::with(path, bytes)?;
    match fs::hard_link(&temporary.path, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(error),
        // Not every file system has links. Then the name is claimed first: only our own empty file is replaced.
        Err(_) => {
            File::create_new(path)?;
            temporary.rename(path).inspect_err(|_| _ = fs::remove_file(path))?;
        }
        Ok(()) => {}
    }
    sync(folder_of(path));
    Ok(())
}

/// Makes a file, or puts it in the place of another: a reader finds the old one or the new one.
///
/// # Errors
///
/// What the system says if the file cannot be made or written; the old one stays as it is.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // The file behind a symbolic link is replaced, not the link.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    refuse_special(path)?;
    let temporary = Temporary::with(path, bytes)?;
    if let Ok(old) = fs::metadata(path) {
        fs::set_permissions(&temporary.path, old.permissions())?;
    }
    temporary.rename(path)?;
    sync(folder_of(path));
    Ok(())
}

/// Whether [`create`] can make a file of that name, as far as can be told before there is anything to write.
///
/// # Errors
///
/// As for [`create`].
pub fn may_create(path: &Path) -> io::Result<()> {
    refuse_existing(path)?;
    Temporary::beside(path).map(drop)
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

/// A link to nothing is something, too.
fn refuse_existing(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok() { Err(ErrorKind::AlreadyExists.into()) } else { Ok(()) }
}

/// A device or a folder is nothing to put a file in the place of.
fn refuse_special(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(status) if !status.is_file() => Err(io::Error::new(ErrorKind::InvalidInput, "this is no regular file")),
        _ => Ok(()),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// Brings the name itself to the disk, where folders can be opened for that.
fn sync(folder: &Path) {
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
}

/// A file whose name begins with a dot; it is gone when this is dropped, unless it was renamed.
struct Temporary {
    path: PathBuf,
    file: File,
    is_renamed: bool,
}

impl Temporary {
    fn beside(path: &Path) -> io::Result<Self> {
        if path.file_name().is_none() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "this is no name of a file"));
        }
        for n in 0_u32.. {
            let path = folder_of(path).join(format!(".memcpy-select-{}-{n}.new", std::process::id()));
            match File::create_new(&path) {
                Ok(file) => return Ok(Self { path, file, is_renamed: false }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }

    fn with(path: &Path, bytes: &[u8]) -> io::Result<Self> {
        let mut temporary = Self::beside(path)?;
        temporary.file.write_all(bytes)?;
        temporary.file.sync_all()?;
        Ok(temporary)
    }

    fn rename(mut self, to: &Path) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("memcpy-select-file-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_made_once_and_replaced_only_when_asked() {
        let folder = folder("once");
        let path = folder.join("plan");
        may_create(&path).unwrap();
        create(&path, b"first").unwrap();
        assert_eq!(may_create(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(create(&path, b"second").unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        may_replace(&path).unwrap();
        replace(&path, b"third").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"third");
        assert_eq!(names(&folder), ["plan"], "nothing else is left");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_cannot_be_a_file_is_refused_before_anything_is_written() {
        let folder = folder("refused");
        for path in [folder.join("missing/plan"), folder.join("..")] {
            assert!(may_create(&path).is_err() && create(&path, b"").is_err(), "{path:?}");
        }
        assert!(may_replace(&folder).is_err() && replace(&folder, b"").is_err());
        assert!(names(&folder).is_empty());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_links() {
        let folder = folder("links");
        let (page, link, broken) = (folder.join("page"), folder.join("link"), folder.join("broken"));
        create(&page, b"old").unwrap();
        std::os::unix::fs::symlink("page", &link).unwrap();
        std::os::unix::fs::symlink("nothing", &broken).unwrap();
        replace(&link, b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&page).unwrap(), b"new");
        assert_eq!(create(&broken, b"").unwrap_err().kind(), ErrorKind::AlreadyExists);
        fs::remove_dir_all(&folder).unwrap();
    }
}

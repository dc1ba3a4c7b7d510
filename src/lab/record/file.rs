//! Files that are there as a whole or not at all: written under a temporary name in the same folder, brought to the disk, and
//! then named. Those that take the place of another one are made where saved plans need it, too.

pub use crate::select::whole_file::{may_replace, replace};

use crate::select::whole_file::{PREFIX, SUFFIX, Temporary, folder_of, sync};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::Path;

/// Makes a file that must not exist yet. On an error nothing is left of it, so that the same call can be repeated.
///
/// # Errors
///
/// [`ErrorKind::AlreadyExists`] if there is anything of that name, which stays as it is, even if another process made it
/// meanwhile; what the system says if the file cannot be made or written.
pub fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = NewFile::begin(path)?;
    new.file().write_all(bytes)?;
    new.file().sync_all()?;
    new.finish()
}

/// A file that gets its name once it is whole; dropped before that, it is gone.
#[derive(Debug)]
pub struct NewFile<'a> {
    path: &'a Path,
    temporary: Temporary,
}

impl<'a> NewFile<'a> {
    /// Begins a file that must not exist yet. To begin one and to drop it tells whether it could be made.
    ///
    /// # Errors
    ///
    /// As for [`create`].
    pub fn begin(path: &'a Path) -> io::Result<Self> {
        // A link to nothing is something, too.
        if fs::symlink_metadata(path).is_ok() {
            return Err(ErrorKind::AlreadyExists.into());
        }
        Ok(Self { path, temporary: Temporary::beside(path)? })
    }

    /// Where its bytes go.
    pub const fn file(&self) -> &File {
        &self.temporary.file
    }

    /// Gives it its name.
    ///
    /// # Errors
    ///
    /// As for [`create`].
    pub fn finish(self) -> io::Result<()> {
        let Self { path, temporary } = self;
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
}

/// Removes what processes left of files in a folder when they were killed before the files had their names.
pub(super) fn remove_left_over(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(SUFFIX)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

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
        drop(NewFile::begin(&path).unwrap());
        assert!(names(&folder).is_empty(), "what was begun and dropped is gone");
        create(&path, b"first").unwrap();
        assert_eq!(NewFile::begin(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
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
            assert!(NewFile::begin(&path).is_err() && create(&path, b"").is_err(), "{path:?}");
        }
        assert!(may_replace(&folder).is_err() && replace(&folder, b"").is_err());
        assert!(names(&folder).is_empty());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_another_process_made_meanwhile_stays() {
        let folder = folder("meanwhile");
        let path = folder.join("plan");
        let new = NewFile::begin(&path).unwrap();
        new.file().write_all(b"ours").unwrap();
        fs::write(&path, b"theirs").unwrap();
        assert_eq!(new.finish().unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"theirs");
        assert_eq!(names(&folder), ["plan"], "nothing else is left");
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

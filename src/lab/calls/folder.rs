//! The folder that recordings are written to while a program runs.

use crate::lab::LabError;
use crate::lab::instruments::preload::RECORDER;
use rustix::fs::{Mode, mkdir, statvfs};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Memory of the system's that takes recordings; they are not to be written to a disk.
const SHARED_MEMORY: &str = "/dev/shm";
/// With less than that left, in bytes, it is not used: a program that writes where nothing is left dies of it.
const LEAST_LEFT_BYTES: u64 = 256 << 20;

/// A folder that only this user may use, removed with all that is in it when it is dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes one, in memory if there is enough of it, else where temporary files go.
    ///
    /// # Errors
    ///
    /// [`LabError::Asked`] with the system's reason.
    pub fn make() -> Result<Self, LabError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let has_room =
            |path: &str| statvfs(path).is_ok_and(|of| of.f_bavail.saturating_mul(of.f_frsize) >= LEAST_LEFT_BYTES);
        let temporary = std::env::temp_dir();
        let memory = has_room(SHARED_MEMORY).then(|| PathBuf::from(SHARED_MEMORY));
        let mut refused = None;
        for place in memory.into_iter().chain([temporary]) {
            for _ in 0..1000 {
                // Each once: the name of a folder that is gone is no other folder's of this process.
                let number = NEXT.fetch_add(1, Ordering::Relaxed);
                let path = place.join(format!("memcpy-select-{}-{number}", std::process::id()));
                match mkdir(&path, Mode::RWXU) {
                    Ok(()) => return Ok(Self(path)),
                    Err(rustix::io::Errno::EXIST) => {}
                    Err(error) => {
                        refused = Some(format!("{}: {error}", path.display()));
                        break;
                    }
                }
            }
        }
        let cause = refused.unwrap_or_else(|| "each name for a folder is taken".to_owned());
        let fix = "the program was not run; set TMPDIR to a folder that can be written";
        Err(LabError::Asked(format!("{cause}: there is no place for recordings: {fix}")))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The files in it that may be recordings.
    pub fn recordings(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "recording")).collect()
    }

    /// What `LD_PRELOAD` must be for a program to load this library first, and then what it would load anyway.
    ///
    /// # Errors
    ///
    /// [`LabError::Asked`] if there is no path to it that the variable can name.
    pub fn preload(&self, library: &Path) -> Result<OsString, LabError> {
        // Spaces and colons separate.
        let is_nameable = |path: &Path| !path.as_os_str().as_bytes().iter().any(|byte| b" :\t\n".contains(byte));
        let link = self.0.join(RECORDER.file);
        let mut value = if is_nameable(library) {
            library.as_os_str().to_owned()
        } else {
            let made = std::os::unix::fs::symlink(library, &link);
            let cause = match made {
                Ok(()) if is_nameable(&link) => None,
                Ok(()) => Some("its folder has a space or a colon in its name".to_owned()),
                Err(error) => Some(error.to_string()),
            };
            if let Some(cause) = cause {
                return Err(LabError::Asked(format!(
                    "{}: LD_PRELOAD cannot name this library, for its path has a space or a colon, nor a link to it ({cause}): \
                     the program was not run; move the library, and name it with --library",
                    library.display()
                )));
            }
            link.into_os_string()
        };
        if let Some(before) = std::env::var_os("LD_PRELOAD").filter(|before| !before.is_empty()) {
            value.push(OsStr::new(":"));
            value.push(before);
        }
        Ok(value)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Chooses the signal of a lease (`linux/fcntl.h`).
const F_SETSIG: i32 = 10;

/// Whether a process may still write to a file; `None` where the system does not tell.
pub fn is_written(path: &Path) -> Option<bool> {
    // Of a pipe this does not wait for a writer.
    let file = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).ok()?;
    // A process that opens it meanwhile makes the system send a signal, which by default would end this one; this one does not.
    // SAFETY: the descriptor is open, and the command takes a number.
    unsafe { libc::fcntl(file.as_raw_fd(), F_SETSIG, libc::SIGURG) };
    // SAFETY: the descriptor is open, and the command takes a number. It fails while another process has the file open for writing
    // or mapped so; the lease ends with the descriptor.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK) };
    match std::io::Error::last_os_error().raw_os_error() {
        _ if result == 0 => Some(false),
        Some(libc::EAGAIN) => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_pipe_is_not_waited_for() {
        let folder = Folder::make().unwrap();
        let path = folder.path().join("1-2.recording");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert_eq!(is_written(&path), None);
    }

    #[test]
    fn a_folder_is_its_users_alone_and_is_gone_afterwards() {
        let folder = Folder::make().unwrap();
        let path = folder.path().to_owned();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(path.join("1-2.recording"), "").unwrap();
        fs::write(path.join("plan"), "").unwrap();
        assert_eq!(folder.recordings(), [path.join("1-2.recording")]);
        drop(folder);
        assert!(!path.exists());
    }

    #[test]
    fn a_library_is_named_so_that_the_loader_understands() {
        let folder = Folder::make().unwrap();
        let odd = folder.path().join("a b.so");
        fs::write(&odd, "").unwrap();
        let value = folder.preload(&odd).unwrap().into_string().unwrap();
        assert!(!value.contains(' ') && Path::new(value.split(':').next().unwrap()).canonicalize().unwrap() == odd);
    }

    #[test]
    fn a_file_that_is_mapped_for_writing_is_known() {
        let folder = Folder::make().unwrap();
        let path = folder.path().join("1-2.recording");
        let file = fs::File::create(&path).unwrap();
        if let Some(is_written) = is_written(&path) {
            assert!(is_written, "it is open for writing");
            drop(file);
            assert_eq!(super::is_written(&path), Some(false));
        }
    }
}

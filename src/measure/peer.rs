//! Other people's `memcpy`, from shared objects that the reader names, beside ours in the same run.

use super::sweep::Contender;
use super::verify::{WrongCopy, verify};
use std::fmt;
use std::path::PathBuf;

/// The environment variable that `cargo bench` reads peers from: `name=/path/lib.so`, several with commas between.
pub const VARIABLE: &str = "MEMCPY_SELECT_PEER";

/// The peers that the environment names, each loaded, verified and ready; and why each of the others is left out.
pub fn from_environment() -> (Vec<Contender>, Vec<PeerError>) {
    let text = std::env::var(VARIABLE).unwrap_or_default();
    let (mut peers, mut errors) = (Vec::new(), Vec::new());
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match load(word) {
            Ok(peer) => peers.push(peer),
            Err(error) => errors.push(error),
        }
    }
    (peers, errors)
}

/// Loads one peer, from `name=/path/lib.so`, and verifies its copies.
///
/// # Errors
///
/// [`PeerError`] if the word has another form, the name is taken, the file cannot be loaded, it has no `memcpy`, or
/// that copies wrongly.
pub fn load(word: &str) -> Result<Contender, PeerError> {
    let Some((name, path)) = word.split_once('=').filter(|(name, path)| !name.is_empty() && !path.is_empty()) else {
        return Err(PeerError::Form { word: word.to_owned() });
    };
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    let is_taken = Contender::all_available().iter().any(|own| own.name() == name);
    if !is_plain || is_taken {
        return Err(PeerError::Name { name: name.to_owned() });
    }
    let failed = |cause| PeerError::NotLoaded { name: name.to_owned(), path: PathBuf::from(path), cause };
    let entry = platform::memcpy_of(path).map_err(failed)?;
    // SAFETY: C's `memcpy` takes what the kernel contract gives; that this one can run here is for whoever named it.
    let peer = unsafe { Contender::foreign(name.to_owned(), entry) };
    verify(&peer).map_err(PeerError::Wrong)?;
    Ok(peer)
}

#[cfg(all(unix, target_arch = "x86_64"))]
mod platform {
    use crate::kernel::CopyFn;
    use std::ffi::{CStr, CString, c_char, c_int, c_void};

    unsafe extern "C" {
        fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
        fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
        fn dlerror() -> *const c_char;
    }

    /// Resolve everything at once; the same number on all systems.
    const RTLD_NOW: c_int = 2;

    pub(super) fn memcpy_of(path: &str) -> Result<CopyFn, String> {
        let path = CString::new(path).map_err(|error| error.to_string())?;
        // SAFETY: the path is a string. Loading runs the library's own initialisation, which is what was asked for.
        let library = unsafe { dlopen(path.as_ptr(), RTLD_NOW) };
        if library.is_null() {
            return Err(last_error());
        }
        // SAFETY: the library was just opened; it is never closed, so that the routine stays.
        let symbol = unsafe { dlsym(library, c"memcpy".as_ptr()) };
        if symbol.is_null() {
            return Err(last_error());
        }
        let libc = crate::kernel::Kernel::named("libc").map(|libc| libc.entry() as *const ());
        if libc.is_some_and(|libc| libc.addr() == symbol.addr()) {
            return Err("it has no memcpy of its own, only the installed libc's".to_owned());
        }
        // SAFETY: C's `memcpy` has this convention on every system here, and a result that may be ignored.
        Ok(unsafe { core::mem::transmute::<*mut c_void, CopyFn>(symbol) })
    }

    fn last_error() -> String {
        // SAFETY: no precondition; the text stays until the next call of this thread.
        let text = unsafe { dlerror() };
        if text.is_null() {
            return "no reason given".to_owned();
        }
        // SAFETY: not null, so a string, as above.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    }
}

#[cfg(not(all(unix, target_arch = "x86_64")))]
mod platform {
    use crate::kernel::CopyFn;

    pub(super) fn memcpy_of(_path: &str) -> Result<CopyFn, String> {
        Err("shared objects are loaded on x86-64 Unix systems only".to_owned())
    }
}

/// Why a peer is not measured.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PeerError {
    /// Not `name=/path/lib.so`.
    Form {
        /// What it was.
        word: String,
    },
    /// A name that a kernel has, or that would not be one word in a record.
    Name {
        /// The name.
        name: String,
    },
    /// The file cannot be loaded, or has no `memcpy`.
    NotLoaded {
        /// The peer's name.
        name: String,
        /// The file.
        path: PathBuf,
        /// What the loader said.
        cause: String,
    },
    /// It copies wrongly.
    Wrong(WrongCopy),
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form { word } => write!(f, "{VARIABLE}: {word:?} is left out: write name=/path/lib.so"),
            Self::Name { name } => write!(
                f,
                "{VARIABLE}: the name {name:?} is left out: choose one of letters, digits, '_', '-' and '.' that no \
                 kernel has"
            ),
            Self::NotLoaded { name, path, cause } => write!(
                f,
                "{VARIABLE}: {name} is left out: {}: {cause}; name a shared object that exports memcpy",
                path.display()
            ),
            Self::Wrong(wrong) => write!(f, "{VARIABLE}: {wrong}"),
        }
    }
}

impl std::error::Error for PeerError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_a_peer_is_named_and_left_out() {
        let message = |word: &str| load(word).unwrap_err().to_string();
        assert!(message("no-path").contains("write name=/path/lib.so"));
        assert!(message("=/lib.so").contains("write name=/path/lib.so"));
        assert!(message("portable=/lib.so").contains("that no kernel has"));
        assert!(message("a b=/lib.so").contains("that no kernel has"));
        let missing = message("peer=/nowhere/libnothing.so");
        assert!(missing.contains("peer is left out") && missing.contains("/nowhere/libnothing.so"), "{missing}");
    }
}

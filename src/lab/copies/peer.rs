//! Other people's `memcpy`, from shared objects that the reader names, beside ours in the same run.

use crate::lab::copies::contender::Contender;
use crate::lab::copies::verify::{WrongCopy, verify};
use crate::lab::record::PeerFile;
use rustix::process::{Resource, Rlimit};
use std::fmt;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// The environment variable that `cargo bench` reads peers from: `name=/path/lib.so`, several with commas between.
pub const VARIABLE: &str = "MEMCPY_SELECT_PEER";

/// The environment variable by which a process knows that it tries a peer, and which.
const TRIED_VARIABLE: &str = "MEMCPY_SELECT_TRIED_PEER";
/// Verification takes far less than a second; what takes longer than this does not end.
const BOUND: Duration = Duration::from_secs(60);

/// Another library's `memcpy`, loaded and verified.
#[derive(Clone, Debug)]
pub struct Peer {
    /// What is timed.
    pub contender: Contender,
    /// The file that the routine lies in, as far as the loader tells.
    pub file: Option<PathBuf>,
    /// FNV-1a, 64 bits, over that file, if it can be read.
    pub hash: Option<u64>,
}

impl Peer {
    /// What a record says of it.
    pub fn recorded(&self) -> PeerFile {
        PeerFile {
            name: self.contender.name().to_owned(),
            file: self.file.as_ref().map(|file| file.to_string_lossy().into_owned()),
            hash: self.hash.map(|hash| format!("{hash:016x}")),
        }
    }
}

/// What a record says of a peer that was not loaded.
pub(super) fn unknown(name: &str) -> PeerFile {
    PeerFile { name: name.to_owned(), file: None, hash: None }
}

/// Loads and verifies one peer, if the environment says that this process is there for it, and then returns how that ended. A
/// program that [tries](try_apart) peers calls this before anything else.
pub fn serve_if_asked() -> Option<ExitCode> {
    let word = std::env::var(TRIED_VARIABLE).ok()?;
    // That a peer crashes is an answer; its memory is of no use.
    let _ = rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    Some(if load(&word).is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Loads and verifies a peer in a process of its own, of this program, which calls [`serve_if_asked`]: one that crashes takes
/// nothing else with it.
///
/// # Errors
///
/// [`PeerError::Crashed`] if a signal ended that process, or if it did not come to an end. What else is wrong [`load`] says.
pub fn try_apart(word: &str) -> Result<(), PeerError> {
    let name = word.split('=').next().unwrap_or_default();
    let crashed = |how: String| PeerError::Crashed { name: name.to_owned(), how };
    // Where no process can be started, there is no such trial.
    let Ok(program) = std::env::current_exe() else {
        return Ok(());
    };
    let mut command = Command::new(program);
    command.env(TRIED_VARIABLE, word).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return Ok(()) };
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.code().is_none() => {
                return Err(crashed(format!("ends its process by {status}")));
            }
            Ok(None) if start.elapsed() < BOUND => std::thread::sleep(Duration::from_millis(2)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(crashed(format!("did not come to an end in {} s", BOUND.as_secs())));
            }
            _ => return Ok(()),
        }
    }
}

/// The peers that the environment names, each [tried](try_apart), loaded, verified and ready; and why each of the others is
/// left out.
pub fn from_environment() -> (Vec<Peer>, Vec<PeerError>) {
    let text = std::env::var(VARIABLE).unwrap_or_default();
    let (mut peers, mut errors) = (Vec::new(), Vec::new());
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match try_apart(word).and_then(|()| load(word)) {
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
pub fn load(word: &str) -> Result<Peer, PeerError> {
    let Some((name, path)) = word.split_once('=').filter(|(name, path)| !name.is_empty() && !path.is_empty()) else {
        return Err(PeerError::Form { word: word.to_owned() });
    };
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    let is_taken = Contender::all_available().iter().any(|own| own.name() == name);
    if !is_plain || is_taken {
        return Err(PeerError::Name { name: name.to_owned() });
    }
    let failed = |cause| PeerError::NotLoaded { name: name.to_owned(), path: PathBuf::from(path), cause };
    let (entry, file) = platform::memcpy_of(path).map_err(failed)?;
    let hash = file.as_ref().and_then(|file| std::fs::read(file).ok()).map(|bytes| fnv1a(&bytes));
    // SAFETY: C's `memcpy` takes what the kernel contract gives; that this one can run here is up to the user who named it.
    let peer = unsafe { Contender::foreign(name.to_owned(), entry) };
    verify(&peer).map_err(PeerError::Wrong)?;
    Ok(Peer { contender: peer, file, hash })
}

/// Fowler, Noll and Vo's hash, 64 bits: whether a file is another one; it does not withstand forgery.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(all(unix, target_arch = "x86_64"))]
mod platform {
    use crate::kernel::CopyFn;
    use std::ffi::{CStr, CString, OsStr, c_char, c_int, c_void};
    use std::os::unix::ffi::OsStrExt;
    use std::path::PathBuf;

    unsafe extern "C" {
        fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
        fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
        fn dlerror() -> *const c_char;
        fn dladdr(address: *const c_void, found: *mut Found) -> c_int;
    }

    /// `Dl_info` of `<dlfcn.h>`.
    #[repr(C)]
    struct Found {
        file: *const c_char,
        base: *mut c_void,
        symbol: *const c_char,
        address: *mut c_void,
    }

    /// Resolve everything at once; the same number on all systems.
    const RTLD_NOW: c_int = 2;

    /// The routine, and the file it lies in.
    pub(super) fn memcpy_of(path: &str) -> Result<(CopyFn, Option<PathBuf>), String> {
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
        let entry = unsafe { core::mem::transmute::<*mut c_void, CopyFn>(symbol) };
        Ok((entry, file_of(symbol)))
    }

    /// The file that the loader took a symbol from: the name that was asked for may be one it searched.
    fn file_of(symbol: *mut c_void) -> Option<PathBuf> {
        let null: *mut c_void = std::ptr::null_mut();
        let mut found = Found { file: null.cast(), base: null, symbol: null.cast(), address: null };
        // SAFETY: the address is only compared with the ranges of loaded objects; `found` is of the layout that is written.
        let is_found = unsafe { dladdr(symbol, &raw mut found) } != 0;
        if !is_found || found.file.is_null() {
            return None;
        }
        // SAFETY: not null, so the path of an object that is never closed.
        let file = unsafe { CStr::from_ptr(found.file) };
        Some(PathBuf::from(OsStr::from_bytes(file.to_bytes())))
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
    use std::path::PathBuf;

    pub(super) fn memcpy_of(_path: &str) -> Result<(CopyFn, Option<PathBuf>), String> {
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
    /// It does not survive its verification.
    Crashed {
        /// The peer's name.
        name: String,
        /// What became of the process that tried it.
        how: String,
    },
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
            Self::Crashed { name, how } => write!(
                f,
                "{VARIABLE}: {name} {how} when it is loaded and verified: it is left out; look at its memcpy with a debugger"
            ),
        }
    }
}

impl PeerError {
    /// The same for a reader who named the peer with an option.
    pub(super) fn without_variable(&self) -> String {
        self.to_string().replacen(&format!("{VARIABLE}: "), "", 1)
    }
}

impl std::error::Error for PeerError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_fnv_1a() {
        // From draft-eastlake-fnv, the 64-bit vectors of "" and "foobar".
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

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

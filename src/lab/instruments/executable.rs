//! What will happen to a program when it is started: which file that is, and whether its loader takes a library that is to be
//! loaded first.

#![forbid(unsafe_code)]

use object::read::elf::{ElfFile64, ProgramHeader};
use object::{Architecture, Endianness, Object, ObjectKind, ObjectSymbol, SymbolKind};
use rustix::fs::{Access, StatVfsMountFlags, access, getxattr, statvfs};
use rustix::process::{getegid, geteuid, getgid, getuid};
use rustix::thread::no_new_privs;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where programs are looked for if `PATH` is not set, as by glibc.
const DEFAULT_PATH: &str = "/bin:/usr/bin";
/// What runs a file that the system does not know how to start, as for a shell.
const SHELL: &str = "/bin/sh";
/// Linux starts the interpreter of an interpreter's interpreter, and gives up behind that (`exec_binprm` in `fs/exec.c`).
const MOST_INTERPRETERS: usize = 5;
/// As much of a script's first line as Linux reads (`BINPRM_BUF_SIZE` in `include/uapi/linux/binfmts.h`).
const FIRST_LINE_BYTES: usize = 256;
/// What a program may have in its own code instead of taking it from a library.
const COPIES: [&str; 2] = ["memcpy", "memmove"];

/// The file that a shell would start under that name: a path if there is a slash in it, otherwise the first one in `PATH`.
///
/// # Errors
///
/// [`NotStarted`] if there is no such file, or none that may be executed.
pub fn find(name: &OsStr) -> Result<PathBuf, NotStarted> {
    find_in(name, &std::env::var_os("PATH").unwrap_or_else(|| OsString::from(DEFAULT_PATH)))
}

/// The same with these folders for `PATH`.
///
/// # Errors
///
/// As for [`find`].
pub fn find_in(name: &OsStr, folders: &OsStr) -> Result<PathBuf, NotStarted> {
    if name.as_bytes().contains(&b'/') {
        return executable(Path::new(name)).map_err(|error| NotStarted::of(name, error));
    }
    let mut denied = None;
    for folder in std::env::split_paths(folders).filter(|_| !name.is_empty()) {
        // An empty name is the current folder.
        let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
        match executable(&folder.join(name)) {
            Ok(path) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                denied.get_or_insert_with(|| NotStarted::of(folder.join(name).as_os_str(), error));
            }
            Err(_) => {}
        }
    }
    Err(denied.unwrap_or_else(|| NotStarted::NotFound { name: name.to_owned() }))
}

fn executable(path: &Path) -> io::Result<PathBuf> {
    let is_file = fs::metadata(path)?.is_file();
    access(path, Access::EXEC_OK)?;
    if is_file { Ok(path.to_owned()) } else { Err(io::ErrorKind::PermissionDenied.into()) }
}

/// Why a program was not started.
#[derive(Debug)]
pub enum NotStarted {
    /// There is no such file.
    NotFound {
        /// What was asked for.
        name: OsString,
    },
    /// The system does not start it.
    Refused {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

impl NotStarted {
    /// What the system said when that file was looked at or started.
    pub fn of(path: impl AsRef<OsStr>, error: io::Error) -> Self {
        let path = path.as_ref();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::NotFound { name: path.to_owned() },
            _ => Self::Refused { path: path.into(), error },
        }
    }

    /// The exit status that a shell has for it.
    pub fn status(&self) -> u8 {
        if matches!(self, Self::NotFound { .. }) { 127 } else { 126 }
    }
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { name } => write!(
                f,
                "{}: there is no such program, or what it is to be run by is missing: nothing was started; name one that is \
                 in PATH, or its file",
                name.display()
            ),
            Self::Refused { path, error } => {
                write!(f, "{}: {error}: nothing was started; name a file that may be executed", path.display())
            }
        }
    }
}

impl std::error::Error for NotStarted {}

/// Why the loader of a program does not take a library that is to be loaded first, or why that would change nothing.
#[derive(Debug)]
#[non_exhaustive]
pub enum Obstacle {
    /// What it is cannot be seen.
    Unreadable(io::Error),
    /// Its file is damaged.
    Damaged(object::read::Error),
    /// For another machine, which this is.
    OtherMachine(String),
    /// It has no loader.
    Static,
    /// Its loader is of a C library whose programs are not known to take it.
    OtherLoader(PathBuf),
    /// It gets rights that its caller has not, and its loader ignores what the caller asks for.
    Privileged(&'static str),
    /// It has a routine of that name in its own code, and calls that.
    OwnCopy(String),
    /// Scripts that run each other in a circle, or too many.
    TooManyInterpreters,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "{error}: it cannot be seen what kind of program it is"),
            Self::Damaged(error) => write!(f, "it is damaged ({error})"),
            Self::OtherMachine(machine) => write!(f, "it is for another machine ({machine}) than the library (x86-64)"),
            Self::Static => f.write_str("it is linked statically, so that no library can be loaded in front of it"),
            Self::OtherLoader(loader) => {
                write!(f, "its loader is {}, which is neither glibc's nor musl's", loader.display())
            }
            Self::Privileged(why) => write!(f, "{why}, so that its loader ignores LD_PRELOAD"),
            Self::OwnCopy(name) => write!(f, "it has a {name} of its own, which it calls instead of a library's"),
            Self::TooManyInterpreters => write!(f, "it is a script of a script, more than {MOST_INTERPRETERS} deep"),
        }
    }
}

/// The program that the system really runs for a file, which is another one for a script, and what stands against loading a
/// library in front of it.
///
/// What the system does later is not known here: a sandbox can still refuse the library, and the loader then says so itself.
pub fn obstacle(program: &Path) -> (PathBuf, Option<Obstacle>) {
    let mut program = program.to_owned();
    for _ in 0..MOST_INTERPRETERS {
        let bytes = match read(&program) {
            Ok(bytes) => bytes,
            Err(error) => return (program, Some(Obstacle::Unreadable(error))),
        };
        if bytes.starts_with(b"\x7fELF") {
            let found = elf(&bytes).or_else(|| privilege(&program));
            return (program, found);
        }
        program = interpreter(&bytes);
    }
    (program, Some(Obstacle::TooManyInterpreters))
}

/// A file, which must be a regular one: others need not end.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "this is no regular file"));
    }
    fs::read(path)
}

/// What runs a file that is no program itself.
fn interpreter(script: &[u8]) -> PathBuf {
    let line = &script[..script.len().min(FIRST_LINE_BYTES)];
    let Some(line) = line.strip_prefix(b"#!") else { return PathBuf::from(SHELL) };
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t' | 0)).filter(|word| !word.is_empty());
    PathBuf::from(OsStr::from_bytes(words.next().unwrap_or(SHELL.as_bytes())))
}

/// The loaders that read `LD_PRELOAD`: glibc's, and musl's, in which a library that needs no other works as well.
const LOADERS: [&[u8]; 2] = [b"/ld-linux-x86-64.so.2", b"/ld-musl-x86_64.so.1"];

/// What in a program's file stands against it.
fn elf(bytes: &[u8]) -> Option<Obstacle> {
    /// `EI_CLASS`: 32 bits.
    const SHORT: u8 = 1;
    if bytes.get(4) == Some(&SHORT) {
        return Some(Obstacle::OtherMachine("32 bits".to_owned()));
    }
    let file = match ElfFile64::<Endianness>::parse(bytes) {
        Ok(file) => file,
        Err(error) => return Some(Obstacle::Damaged(error)),
    };
    if file.architecture() != Architecture::X86_64 {
        return Some(Obstacle::OtherMachine(format!("{:?}", file.architecture())));
    }
    let endian = file.endian();
    let loader = file.elf_program_headers().iter().find_map(|header| header.interpreter(endian, bytes).transpose());
    match loader {
        None => return Some(Obstacle::Static),
        Some(Err(error)) => return Some(Obstacle::Damaged(error)),
        Some(Ok(loader)) if !LOADERS.iter().any(|known| loader.ends_with(known)) => {
            return Some(Obstacle::OtherLoader(PathBuf::from(OsStr::from_bytes(loader))));
        }
        Some(Ok(_)) => {}
    }
    COPIES.iter().find(|name| defines(&file, name)).map(|name| Obstacle::OwnCopy((*name).to_owned()))
}

type Elf<'a> = ElfFile64<'a, Endianness>;

/// Whether code of that name is in the file, for others to call or for itself.
fn defines(file: &Elf<'_>, name: &str) -> bool {
    let mut all = file.dynamic_symbols().chain(file.symbols());
    all.any(|symbol| {
        let is_code = matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Unknown);
        is_code && !symbol.is_undefined() && symbol.name_bytes() == Ok(name.as_bytes())
    })
}

/// Whether the loader will be told not to trust its environment (`AT_SECURE`), by the rules of `cap_bprm_creds_from_file` and
/// `bprm_fill_uid` in Linux.
fn privilege(program: &Path) -> Option<Obstacle> {
    if getuid() != geteuid() || getgid() != getegid() {
        return Some(Obstacle::Privileged("memcpy-select itself has the rights of another user"));
    }
    let metadata = fs::metadata(program).ok()?;
    if statvfs(program).is_ok_and(|mount| mount.f_flag.contains(StatVfsMountFlags::NOSUID)) {
        return None;
    }
    const SETUID: u32 = 0o4000;
    const SETGID_OF_GROUP: u32 = 0o2010;
    let has = |bits| metadata.mode() & bits == bits && !no_new_privs().unwrap_or(false);
    if has(SETUID) && metadata.uid() != getuid().as_raw() {
        return Some(Obstacle::Privileged("it is setuid"));
    }
    if has(SETGID_OF_GROUP) && metadata.gid() != getgid().as_raw() {
        return Some(Obstacle::Privileged("it is setgid"));
    }
    // What is in the attribute does not matter, nor whether it fits.
    let mut words = [0_u8; 64];
    let has_capabilities = getxattr(program, "security.capability", &mut words).is_ok();
    (has_capabilities && !getuid().is_root()).then_some(Obstacle::Privileged("its file has capabilities"))
}

/// Why a file is no library that can be loaded first.
#[derive(Debug)]
#[non_exhaustive]
pub enum NoLibrary {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It is no shared library for x86-64 Linux.
    OtherKind,
    /// It does not export that routine.
    Lacks(&'static str),
    /// Its path has a character at which the loader ends it.
    Separator(char),
    /// The file system that it is on may not be executed from.
    NoExec,
}

impl fmt::Display for NoLibrary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => error.fmt(f),
            Self::OtherKind => f.write_str("it is no shared library for x86-64 Linux"),
            Self::Lacks(symbol) => write!(f, "it does not export {symbol}"),
            Self::Separator(character) => {
                write!(f, "its path has a {character:?} in it, at which LD_PRELOAD is split; put it elsewhere")
            }
            Self::NoExec => f.write_str("it is on a file system that is mounted noexec; put it elsewhere"),
        }
    }
}

impl std::error::Error for NoLibrary {}

/// Whether the loader can load that file first, and it exports that routine.
///
/// # Errors
///
/// [`NoLibrary`] with what stands against it.
pub fn check_library(path: &Path, symbol: &'static str) -> Result<(), NoLibrary> {
    let separator = path.to_string_lossy().chars().find(|character| matches!(character, ' ' | ':'));
    if let Some(separator) = separator {
        return Err(NoLibrary::Separator(separator));
    }
    let bytes = read(path).map_err(NoLibrary::Unreadable)?;
    let file = ElfFile64::<Endianness>::parse(&*bytes).map_err(|_| NoLibrary::OtherKind)?;
    if file.architecture() != Architecture::X86_64 || file.kind() != ObjectKind::Dynamic {
        return Err(NoLibrary::OtherKind);
    }
    let is_it = |name: object::read::Result<&[u8]>| name == Ok(symbol.as_bytes());
    if !file.dynamic_symbols().any(|known| !known.is_undefined() && is_it(known.name_bytes())) {
        return Err(NoLibrary::Lacks(symbol));
    }
    match statvfs(path) {
        Ok(mount) if mount.f_flag.contains(StatVfsMountFlags::NOEXEC) => Err(NoLibrary::NoExec),
        _ => Ok(()),
    }
}

//! Which plan serves, and what is said of a file that gives none.

use crate::environment::{PathBuffer, fill, is_privileged, open_file, variables};
use core::cell::UnsafeCell;
use core::fmt::{self, Write};
use memcpy_select::cpu::Cpu;
use memcpy_select::select::{BUILD, CpuName, MAX_TEXT_BYTES, Plan, Policy, Stored, install as put_in_force};
use rustix::io::Errno;

/// A file of two plans is twice as long, and has a line more.
const FILE_BYTES: usize = 3 * MAX_TEXT_BYTES;

/// The plan that was read. It is written once, before it is in force, by the constructor.
struct Kept(UnsafeCell<Option<Plan>>);

// SAFETY: `install` runs once, in the constructor, while no other code of the library looks at it.
unsafe impl Sync for Kept {}

static KEPT: Kept = Kept(UnsafeCell::new(None));

/// Puts the plan of the first file in force that gives one.
pub fn install(cpu: &Cpu) {
    if is_privileged() {
        return;
    }
    let [named, cache, home] = variables([b"MEMCPY_SELECT_PLAN=", b"XDG_CACHE_HOME=", b"HOME="]);
    let plan = match named {
        Some(path) => read(&path, cpu).map_err(|error| say(&path, error)).ok(),
        None => None,
    };
    let plan = plan.or_else(|| {
        let path = saved(cache, home, cpu)?;
        match read(&path, cpu) {
            Err(Error::Unreadable(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS)) => None,
            Err(error) => {
                say(&path, error);
                None
            }
            Ok(plan) => Some(plan),
        }
    });
    if let Some(plan) = plan {
        // SAFETY: this is the only access, as the type says; nothing refers to the place yet.
        let kept: &'static Plan = unsafe { (*KEPT.0.get()).insert(plan) };
        // It was checked for this CPU when it was read.
        let _ = put_in_force(Policy::User, kept);
    }
}

/// Where `tune` keeps this machine's plan.
fn saved(cache: Option<PathBuffer>, home: Option<PathBuffer>, cpu: &Cpu) -> Option<PathBuffer> {
    let is_absolute = |path: &PathBuffer| path.as_bytes().first() == Some(&b'/');
    let mut path = match (cache.filter(is_absolute), home.filter(is_absolute)) {
        (Some(cache), _) => cache,
        (None, Some(mut home)) => {
            home.push(b"/.cache")?;
            home
        }
        (None, None) => return None,
    };
    let mut name = Line::new();
    write!(name, "/memcpy-select/{}-{BUILD}.plan", CpuName::of(&cpu.signature)).ok()?;
    path.push(name.as_bytes())?;
    Some(path)
}

/// Why a file gives no plan.
enum Error {
    Unreadable(Errno),
    TooLong,
    NotText,
    Refused(memcpy_select::select::StoredError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "it cannot be read (error {} of the system)", error.raw_os_error()),
            Self::TooLong => f.write_str("it is longer than any plan"),
            Self::NotText => f.write_str("it is no text"),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

fn read(path: &PathBuffer, cpu: &Cpu) -> Result<Plan, Error> {
    let path = path.as_c_str().ok_or(Error::NotText)?;
    let file = open_file(path).map_err(Error::Unreadable)?;
    let mut text = [0; FILE_BYTES];
    let len = fill(&file, &mut text).map_err(Error::Unreadable)?;
    if len == FILE_BYTES {
        return Err(Error::TooLong);
    }
    let text = core::str::from_utf8(&text[..len]).map_err(|_| Error::NotText)?;
    Stored::split(text).user_plan(cpu).map_err(Error::Refused)
}

/// One line on the standard error, by one system call; nothing where that is closed.
fn say(path: &PathBuffer, error: Error) {
    let mut line = Line::new();
    let path = core::str::from_utf8(path.as_bytes()).unwrap_or("the file of the plan");
    let _ = writeln!(line, "memcpy-select: {path}: {error}; the program runs without this plan");
    // SAFETY: nobody has to have the standard error open: where it is not, the call fails.
    let _ = rustix::io::write(unsafe { rustix::stdio::stderr() }, line.as_bytes());
}

/// Text in a place of its own; what does not fit is left out.
struct Line {
    bytes: [u8; 1024],
    len: usize,
}

impl Line {
    const fn new() -> Self {
        Self { bytes: [0; 1024], len: 0 }
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.len() - self.len;
        let fits = text.len().min(room);
        self.bytes[self.len..self.len + fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.len += fits;
        if fits == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

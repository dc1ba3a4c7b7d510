//! A program that runs with the recorder in it, from its start to its end: in its own terminal, with its own descriptors, arguments
//! and environment; looked at once a second.

#![forbid(unsafe_code)]

use super::folder::{Folder, is_written};
use super::gathered::Gathered;
use super::mappings::Mappings;
use super::recorded::{Recorded, Room, Unread};
use super::signals::{PassingOn, send};
use super::symbols::unfit;
use crate::lab::LabError;
use crate::lab::show::count;
use crate::recording::{RecordingError, Under};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, WaitId, WaitIdOptions, pidfd_open, waitid};
use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How often the folder is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// With so many recordings in it, it is looked at again at once.
const MANY: usize = 128;
/// How long a program that was asked to end is waited for.
const GRACE: Duration = Duration::from_secs(5);
/// So many causes are told by themselves.
const MOST_CAUSES: usize = 4;
/// The longest text of mappings that is read, in bytes.
const MAPS_BYTES: u64 = 4 << 20;

/// What is run, and how.
#[derive(Clone, Debug)]
pub struct Job {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// The recorder's library.
    pub library: PathBuf,
    /// One call in that many is sampled.
    pub period: u32,
    /// What carries out the calls.
    pub under: Under,
    /// The text of the plan that is recorded, if it is not what the program would follow by itself.
    pub plan: Option<String>,
    /// After that long the program is asked to end, by SIGTERM.
    pub limit: Option<Duration>,
    /// Whether what it writes to the standard output goes to the standard error.
    pub is_output_taken: bool,
}

/// How it went.
#[derive(Debug)]
pub struct Watched {
    /// How the program ended; nothing if it was not waited for any longer.
    pub status: Option<ExitStatus>,
    /// How long it ran.
    pub elapsed: Duration,
    /// Processes that go on.
    pub going_on: u32,
    /// What was recorded.
    pub gathered: Gathered,
    /// What was not, and why.
    pub caveats: Vec<String>,
}

/// Runs the program to its end.
///
/// # Errors
///
/// [`LabError::Asked`] if it cannot be started, or there is no place for recordings.
pub fn watch(job: &Job) -> Result<Watched, LabError> {
    let folder = Folder::make()?;
    let signals = PassingOn::begin();
    let mut child = start(job, &folder)?;
    signals.to(child.id());
    let start = Instant::now();
    let mut looking = Looking {
        folder: &folder,
        maps: HashMap::new(),
        gathered: Gathered::default(),
        causes: Vec::new(),
        room: Room::default(),
    };
    let is_ended = looking.until_end(&child, start, job.limit);
    let elapsed = start.elapsed();
    // Its number may be another process's once it was waited for.
    drop(signals);
    let status = if is_ended { child.wait().ok() } else { None };
    let going_on = looking.take_all();
    let Looking { gathered, mut causes, .. } = looking;
    if gathered.count() == 0 && causes.is_empty() {
        causes.push(nothing(job));
    }
    Ok(Watched { status, elapsed, going_on, gathered, caveats: causes })
}

/// Why nothing was recorded.
fn nothing(job: &Job) -> String {
    let program = path_of(&job.command);
    let cause = program.as_deref().and_then(unfit);
    let cause =
        cause.unwrap_or("it was not started with the recorder in it, or may not make files in a folder of this user's");
    format!("{}: nothing was recorded: {cause}; it ran unchanged", job.command[0].display())
}

/// The file of a program, as the shell finds it.
fn path_of(command: &[OsString]) -> Option<PathBuf> {
    let program = Path::new(command.first()?);
    if program.components().count() > 1 {
        return Some(program.to_owned());
    }
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn start(job: &Job, folder: &Folder) -> Result<Child, LabError> {
    let [program, arguments @ ..] = &job.command[..] else {
        return Err(LabError::Asked("no program is named: nothing was run; name one behind --".to_owned()));
    };
    let mut command = Command::new(program);
    command.args(arguments).env("LD_PRELOAD", folder.preload(&job.library)?);
    command.env("MEMCPY_SELECT_RECORDING", folder.path());
    command.env("MEMCPY_SELECT_RECORDING_EVERY", job.period.to_string());
    command.env("MEMCPY_SELECT_RECORDING_UNDER", job.under.name());
    if let Some(text) = &job.plan {
        let path = folder.path().join("plan");
        let kept = fs::write(&path, text);
        kept.map_err(|error| {
            LabError::Asked(format!("{}: {error}: the program was not run; make room there", path.display()))
        })?;
        command.env("MEMCPY_SELECT_PLAN", path);
    }
    if job.is_output_taken {
        let errors = io::stderr().as_fd().try_clone_to_owned();
        command.stdout(errors.map_or_else(|_| Stdio::null(), Stdio::from));
    }
    command.spawn().map_err(|error| {
        let fix = match error.kind() {
            ErrorKind::NotFound => "there is no such program; check its name, or give its path",
            ErrorKind::PermissionDenied => "it may not be executed; check its permissions",
            _ => "it cannot be started",
        };
        LabError::Asked(format!("{}: {error}: nothing was run: {fix}", program.display()))
    })
}

/// Looks at the recordings of a program while it runs.
struct Looking<'a> {
    folder: &'a Folder,
    /// What the processes had mapped when they were seen last.
    maps: HashMap<PathBuf, Mappings>,
    gathered: Gathered,
    /// Why some were not read.
    causes: Vec<String>,
    room: Room,
}

impl Looking<'_> {
    /// Until the program has ended; or, after its time is over, until it is not waited for any longer: whether it has ended.
    fn until_end(&mut self, child: &Child, start: Instant, limit: Option<Duration>) -> bool {
        let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return true };
        let handle = pidfd_open(pid, PidfdFlags::empty()).ok();
        let mut is_asked = false;
        loop {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            match waitid(WaitId::Pid(pid), options) {
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Ok(Some(_)) | Err(_) => return true,
            }
            let passed = start.elapsed();
            let left = limit.map(|limit| if is_asked { limit + GRACE } else { limit }.saturating_sub(passed));
            match left {
                Some(Duration::ZERO) if is_asked => return false,
                Some(Duration::ZERO) => {
                    send(pid.as_raw_nonzero().get(), libc::SIGTERM);
                    is_asked = true;
                    continue;
                }
                _ => {}
            }
            let is_full = self.look() > MANY;
            let pause = if is_full { Duration::ZERO } else { left.map_or(LOOK, |left| left.min(LOOK)) };
            wait(handle.as_ref(), pause);
        }
    }

    /// Takes the recordings of processes that have ended, and sees what the others have mapped; how many there were.
    fn look(&mut self) -> usize {
        let recordings = self.folder.recordings();
        for path in &recordings {
            if is_written(path) == Some(false) {
                self.take(path);
                let _ = fs::remove_file(path);
            } else if let Some(text) = pid_of(path).and_then(|pid| self.maps_of(pid)) {
                let mut now = Mappings::of(&text);
                now.add(self.maps.remove(path).unwrap_or_default());
                self.maps.insert(path.clone(), now);
            }
        }
        recordings.len()
    }

    /// Takes all that is left; how many processes go on.
    fn take_all(&mut self) -> u32 {
        let mut going_on = 0;
        for path in self.folder.recordings() {
            if let Some(mut recorded) = self.read(&path) {
                let still = recorded.pids.iter().collect::<std::collections::BTreeSet<_>>();
                let still = still.into_iter().filter(|pid| self.maps_of(**pid).is_some()).count() as u32;
                if still > 0 {
                    recorded.process.end = "goes on".to_owned();
                }
                going_on += still;
                self.gathered.add(recorded);
            }
        }
        going_on
    }

    /// What a process has mapped, if a recording is among it: in another namespace its number is another process's.
    fn maps_of(&self, pid: u32) -> Option<String> {
        maps_of(pid).filter(|text| self.folder.path().to_str().is_some_and(|path| text.contains(path)))
    }

    fn take(&mut self, path: &Path) {
        if let Some(recorded) = self.read(path) {
            self.gathered.add(recorded);
        }
    }

    fn read(&mut self, path: &Path) -> Option<Recorded> {
        let maps = self.maps.remove(path);
        match Recorded::read(path, &mut self.room, maps.as_ref()) {
            Ok(recorded) => Some(recorded),
            Err(error) => {
                // A process that ended while its recording was made has counted nothing.
                if !matches!(error, Unread::Content(RecordingError::NotReady)) {
                    self.refuse(path, &error);
                }
                None
            }
        }
    }

    fn refuse(&mut self, path: &Path, error: &Unread) {
        if self.causes.len() < MOST_CAUSES {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            self.causes.push(format!("{}: {error}", name.escape_debug()));
        } else if self.causes.len() == MOST_CAUSES {
            self.causes.push("further recordings could not be read either".to_owned());
        }
    }
}

/// Waits for that long, or until the process has ended.
fn wait(process: Option<&OwnedFd>, pause: Duration) {
    let Some(process) = process else {
        // A system without descriptors for processes.
        std::thread::sleep(pause.min(Duration::from_millis(20)));
        return;
    };
    let limit = Timespec::try_from(pause).ok();
    // A signal that was passed on interrupts it.
    let _ = poll(&mut [PollFd::new(process, PollFlags::IN)], limit.as_ref());
}

/// The process that a recording's name says: `<pid>-<start time>.recording`.
fn pid_of(path: &Path) -> Option<u32> {
    path.file_name()?.to_str()?.split_once('-')?.0.parse().ok()
}

/// What a process has mapped.
fn maps_of(pid: u32) -> Option<String> {
    use io::Read;
    let mut text = Vec::new();
    let file = fs::File::open(format!("/proc/{pid}/maps")).ok()?;
    file.take(MAPS_BYTES).read_to_end(&mut text).ok()?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

/// How a program ended, in words, and the exit status of one that stands for it.
pub fn ending(status: Option<ExitStatus>) -> (String, u8) {
    let Some(status) = status else { return ("goes on".to_owned(), 0) };
    match (status.code(), status.signal()) {
        (Some(code), _) => (format!("exit status {code}"), u8::try_from(code).unwrap_or(u8::MAX)),
        (_, Some(signal)) => {
            let name = signal_hook::low_level::signal_name(signal);
            let core = if status.core_dumped() { ", core dumped" } else { "" };
            let words = name.map_or_else(|| format!("signal {signal}"), |name| format!("signal {signal} ({name})"));
            (words + core, u8::try_from(128 + signal).unwrap_or(u8::MAX))
        }
        _ => ("an unknown end".to_owned(), u8::MAX),
    }
}

/// How many processes go on, in a sentence; nothing if none does.
pub fn going_on_text(going_on: u32) -> Option<String> {
    let verb = if going_on == 1 { "goes" } else { "go" };
    (going_on > 0).then(|| format!("{} {verb} on; recorded until now", count(going_on, "process")))
}

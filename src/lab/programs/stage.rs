//! Where workloads run: a folder for all that they read and write, processes that are timed, and a keeper that ends them and
//! removes the folder, however this process ends.

#![forbid(unsafe_code)]

use super::workloads::PATH;
use nix::sys::resource::{UsageWho, getrusage};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Reads the group of processes that is under way, a line each, and after the last line, which comes with the end of the process
/// that wrote them, kills that group and removes the folder. What the group leaves behind may go on writing for a moment.
const KEEPER: &str = "trap '' INT TERM HUP
group=0
while read -r line; do group=$line; done
[ \"$group\" -le 1 ] || kill -s KILL -- \"-$group\" 2>/dev/null
for try in 1 2 3 4 5 6 7 8 9 10; do rm -rf -- \"$1\" 2>/dev/null && break; sleep 0.1; done";
/// Waits until its end is known to the keeper, then becomes the script.
const WAIT_FOR_GO: &str = "read -r go || exit 125\nexec < /dev/null\n";
/// What all inputs and outputs need at most, in bytes: about three times what they have.
const ROOM_BYTES: u64 = 2 << 30;
/// No script takes as long.
pub const LIMIT: Duration = Duration::from_secs(120);

/// A folder for all that workloads read and write.
#[derive(Debug)]
pub struct Stage {
    folder: PathBuf,
    keeper: Child,
    to_keeper: Option<ChildStdin>,
}

impl Stage {
    /// A new one: in memory where there is room, otherwise where temporary files go.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn open() -> io::Result<Self> {
        let folder = place().join(format!("memcpy-select-{}", std::process::id()));
        let mut keeper = Command::new("/bin/sh");
        keeper.args(["-c", KEEPER, "keeper"]).arg(&folder).process_group(0);
        let mut keeper = keeper.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let to_keeper = keeper.stdin.take();
        let stage = Self { folder, keeper, to_keeper };
        fs::create_dir(&stage.folder)?;
        Ok(stage)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Tells the keeper which group of processes there is; 0 for none.
    fn keep(&mut self, group: i32) -> io::Result<()> {
        match &mut self.to_keeper {
            Some(keeper) => keeper.write_all(format!("{group}\n").as_bytes()),
            None => Ok(()),
        }
    }

    /// Makes a script ready to run in `folder`, in a group of processes of its own.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn prepare(&mut self, folder: &Path, script: &str, variables: &[(OsString, OsString)]) -> io::Result<Ready> {
        let ready = Ready::new(folder, script, variables, 0)?;
        self.keep(ready.group)?;
        Ok(ready)
    }

    /// Runs a script to its end, and what it left behind to its own.
    ///
    /// # Errors
    ///
    /// What the system says, or what the script said where it failed.
    pub fn run(&mut self, folder: &Path, script: &str, variables: &[(OsString, OsString)]) -> io::Result<Spent> {
        let ready = self.prepare(folder, script, variables)?;
        let spent = ready.run();
        self.keep(0)?;
        spent
    }

    /// Runs a server, and while it runs, what `meanwhile` does; the server's processor time.
    ///
    /// # Errors
    ///
    /// What the system says, what `meanwhile` says, or what the server said where it did not end as it was told.
    pub fn serve<T>(
        &mut self,
        folder: &Path,
        script: &str,
        variables: &[(OsString, OsString)],
        meanwhile: impl FnOnce(&Beside<'_>) -> io::Result<T>,
    ) -> io::Result<(T, Duration)> {
        let mut server = self.prepare(folder, script, variables)?;
        server.go()?;
        let done = meanwhile(&Beside { folder, group: server.group });
        let before = children_cpu()?;
        server.signal(Signal::TERM);
        let ended = server.wait(true);
        let cpu = children_cpu()?.saturating_sub(before);
        drop(server);
        self.keep(0)?;
        let done = done?;
        ended?;
        Ok((done, cpu))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // The keeper does the rest.
        self.to_keeper = None;
        let _ = self.keeper.wait();
    }
}

/// Where scripts can run while a server does.
#[derive(Debug)]
pub struct Beside<'a> {
    folder: &'a Path,
    group: i32,
}

impl Beside<'_> {
    /// Runs a script to its end.
    ///
    /// # Errors
    ///
    /// As for [`Stage::run`].
    pub fn run(&self, script: &str, variables: &[(OsString, OsString)]) -> io::Result<Spent> {
        Ready::new(self.folder, script, variables, self.group)?.run()
    }
}

/// What a script took.
#[derive(Clone, Debug)]
pub struct Spent {
    /// From its start to its end.
    pub wall: Duration,
    /// Processor time of it and of what it waited for, in user and in kernel mode.
    pub cpu: Duration,
    /// What it printed.
    pub printed: Vec<u8>,
}

/// A process that waits for the word to become its script. Dropped, it and its group are killed.
#[derive(Debug)]
pub struct Ready {
    child: Child,
    handle: OwnedFd,
    group: i32,
    /// Whether the group is this process's, and ends with it.
    leads: bool,
    errors: PathBuf,
    output: PathBuf,
}

impl Ready {
    fn new(folder: &Path, script: &str, variables: &[(OsString, OsString)], group: i32) -> io::Result<Self> {
        let leads = group == 0;
        // A script beside a server has files of its own.
        let [output, errors] = ["output", "errors"]
            .map(|name| folder.join(if leads { format!(".{name}") } else { format!(".{name}-beside") }));
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("{WAIT_FOR_GO}{script}")]).current_dir(folder).env_clear();
        command.env("PATH", PATH).env("HOME", folder).env("TMPDIR", folder).env("LC_ALL", "C");
        command.envs(variables.iter().map(|(name, value)| (name, value))).process_group(group);
        command.stdin(Stdio::piped()).stdout(File::create(&output)?).stderr(File::create(&errors)?);
        let mut child = command.spawn()?;
        let pid = Pid::from_child(&child);
        let handle = pidfd_open(pid, PidfdFlags::empty()).inspect_err(|_| {
            let _ = child.kill();
        })?;
        let group = if leads { pid.as_raw_nonzero().get() } else { group };
        Ok(Self { child, handle, group, leads, errors, output })
    }

    fn go(&mut self) -> io::Result<()> {
        self.child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(b"go\n"))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = Pid::from_raw(self.group) {
            let _ = kill_process_group(group, signal);
        }
    }

    fn run(mut self) -> io::Result<Spent> {
        let before = children_cpu()?;
        let start = Instant::now();
        self.go()?;
        self.wait(false)?;
        let wall = start.elapsed();
        let cpu = children_cpu()?.saturating_sub(before);
        Ok(Spent { wall, cpu, printed: fs::read(&self.output)? })
    }

    /// Waits for the end, which must be a success; of a server, it may come of the signal that stops it.
    fn wait(&mut self, is_stopped: bool) -> io::Result<()> {
        let limit = Timespec::try_from(LIMIT).map_err(io::Error::other)?;
        if poll(&mut [PollFd::new(&self.handle, PollFlags::IN)], Some(&limit))? == 0 {
            return Err(io::Error::other(format!("did not end in {} s", LIMIT.as_secs())));
        }
        let status = self.child.wait()?;
        if status.success() || is_stopped && is_terminated(status) { Ok(()) } else { Err(self.failed(status)) }
    }

    /// How it ended, and the last line that it wrote about it.
    fn failed(&self, status: ExitStatus) -> io::Error {
        let said = fs::read(&self.errors).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
        io::Error::other(format!("{status}: {last}"))
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        if self.leads {
            self.signal(Signal::KILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// By the signal, or with the status that a shell, or a program that runs another one, has for it.
fn is_terminated(status: ExitStatus) -> bool {
    let signal = Signal::TERM.as_raw();
    status.signal() == Some(signal) || status.code() == Some(128 + signal)
}

/// The processor time of all that this process has started and waited for.
fn children_cpu() -> io::Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let both = usage.user_time() + usage.system_time();
    Ok(Duration::from_micros((both.tv_sec() as u64) * 1_000_000 + both.tv_usec() as u64))
}

/// A folder that is in memory, from which programs may be run, and where there is room; otherwise the one for temporary files.
fn place() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let fits = statvfs(memory).is_ok_and(|found| {
        !found.f_flag.contains(StatVfsMountFlags::NOEXEC) && found.f_bavail.saturating_mul(found.f_frsize) >= ROOM_BYTES
    });
    let is_writable = rustix::fs::access(memory, rustix::fs::Access::WRITE_OK).is_ok();
    if fits && is_writable && std::env::var_os("TMPDIR").is_none() { memory.to_owned() } else { std::env::temp_dir() }
}

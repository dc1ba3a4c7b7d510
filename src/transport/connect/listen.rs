//! Where a table is found, the socket that it listens on, and how one is connected to.

use super::channel::Deadline;
use super::credentials::{Origin, overflow_user};
use super::{ConnectError, Greeting};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use rustix::process::{Pid, getpid};
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};
use std::{fmt, fs, thread};

/// The address of a table.
///
/// Written `@name`, or as a path with a slash: `./table`, `/run/table`.
///
/// ```
/// use memcpy_select::transport::Address;
///
/// let address: Address = "@greetings".parse()?;
/// assert_eq!(address, Address::Abstract("greetings".to_owned()));
/// assert!("greetings".parse::<Address>().is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A name in the abstract namespace, outside any file system: the kernel removes it when the server ends, however it ends.
    /// Every process of the network namespace can try to connect to it.
    Abstract(String),
    /// A file. Its permissions say which users may connect. It stays behind when the server is killed; the next one to listen
    /// there replaces it.
    Path(PathBuf),
}

impl FromStr for Address {
    type Err = ConnectError;

    fn from_str(text: &str) -> Result<Self, ConnectError> {
        match text.strip_prefix('@') {
            Some(name) if !name.is_empty() => Ok(Self::Abstract(name.to_owned())),
            None if text.contains('/') => Ok(Self::Path(PathBuf::from(text))),
            _ => Err(ConnectError::Address { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Abstract(name) => write!(f, "@{name}"),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

impl Address {
    fn to_socket_address(&self) -> Result<SocketAddrUnix, Errno> {
        match self {
            Self::Abstract(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
            Self::Path(path) => SocketAddrUnix::new(path.as_path()),
        }
    }

    /// Connects. Where the server's backlog is full this waits in line until the time is over, and where no time is given it is
    /// [`ConnectError::Congested`].
    pub(super) fn connect(&self, deadline: Option<&Deadline>) -> Result<UnixStream, ConnectError> {
        let flags = if deadline.is_some() { SocketFlags::empty() } else { SocketFlags::NONBLOCK };
        let (socket, address) = (new_socket(flags)?, self.to_socket_address().map_err(ConnectError::socket)?);
        loop {
            if let Some(deadline) = deadline {
                let limit = Some(deadline.left()?);
                set_socket_timeout(&socket, Timeout::Send, limit).map_err(ConnectError::socket)?;
            }
            match rustix::net::connect(&socket, &address) {
                Ok(()) => return Ok(socket.into()),
                Err(Errno::AGAIN) if deadline.is_none() => return Err(ConnectError::Congested),
                // The time is over, which the deadline says, or nearly so.
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(cause) => return Err(ConnectError::socket(cause)),
            }
        }
    }
}

fn new_socket(flags: SocketFlags) -> Result<OwnedFd, ConnectError> {
    socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC | flags, None)
        .map_err(ConnectError::socket)
}

/// Whose processes may connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Peers {
    /// Processes of the server's own user. A user namespace shows all users that it does not map as one, the overflow user
    /// (65534 on most systems); a server that runs as that user itself takes no client then.
    #[default]
    SameUser,
    /// Of all users, if they reach the address.
    Anyone,
}

/// Connections that wait to be accepted, at most: few, so that a flood of dead ones does not stand before a client for long.
/// The others wait in line to connect.
const BACKLOG: i32 = 16;
/// How long no client is accepted after the system refused, at first; each time it refuses again, twice as long.
const MIN_REST: Duration = Duration::from_millis(10);
const MAX_REST: Duration = Duration::from_secs(1);

/// The socket that a server listens on. The file of an [`Address::Path`] is removed with it.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    peers: Peers,
    overflow_user: u32,
    /// The file of the socket, and which one that is.
    file: Option<(PathBuf, Identity)>,
    /// Given up when there are no descriptors left, so that a client can be hung up on instead of waiting for ever: one
    /// more of the socket, since a container can be without any file.
    spare: Option<OwnedFd>,
    /// The process that listened last: clients see it as the one at the other end.
    process: Pid,
    rest: Duration,
    rests_until: Option<Instant>,
}

/// The device and the number of a file.
type Identity = (u64, u64);

impl Listener {
    /// Listens at that address. A file that a server which was killed left there is replaced.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Socket`], also if another server listens there or the file is not a socket.
    pub fn bind(address: &Address, peers: Peers) -> Result<Self, ConnectError> {
        let socket = new_socket(SocketFlags::NONBLOCK)?;
        let socket_address = address.to_socket_address().map_err(ConnectError::socket)?;
        let bind = || rustix::net::bind(&socket, &socket_address);
        let path = if let Address::Path(path) = address { Some(path) } else { None };
        // Until the lock is gone no other server takes the file for one that was left behind.
        let lock = path.map(|path| lock_folder(path)).transpose()?.flatten();
        match (bind(), path) {
            (Err(Errno::ADDRINUSE), Some(path)) if lock.is_some() => {
                remove_if_abandoned(path)?;
                bind()
            }
            (result, _) => result,
        }
        .map_err(ConnectError::socket)?;
        let named = |path: &PathBuf| identity(path).map(|found| (path.clone(), found));
        let file = path.map(named).transpose().map_err(ConnectError::socket)?;
        let (process, rest) = (getpid(), MIN_REST);
        let (overflow_user, spare, rests_until) = (overflow_user(), None, None);
        let mut listener = Self { socket, peers, overflow_user, file, spare, process, rest, rests_until };
        listener.listen()?;
        listener.spare = listener.socket.try_clone().ok();
        Ok(listener)
    }

    fn listen(&self) -> Result<(), ConnectError> {
        rustix::net::listen(&self.socket, BACKLOG).map_err(ConnectError::socket)
    }

    /// The next client that waits, to be greeted within that time; as far as it has come, its first step is taken. `None` if
    /// there is none, and while the listener [rests](Self::rest).
    ///
    /// # Errors
    ///
    /// [`ConnectError::PeerGone`] for a client that has left already, and why another one was hung up on: it belongs to
    /// another user, its first message is wrong, or there are no descriptors for it. The listener goes on.
    ///
    /// [`ConnectError::Socket`] also if the system refuses to accept any client. Then the listener rests for a while.
    pub fn accept(&mut self, limit: Duration) -> Result<Option<Greeting>, ConnectError> {
        if self.rest().is_some() {
            return Ok(None);
        }
        let mut greeting = match self.accept_stream() {
            Ok(None) => return Ok(None),
            Ok(Some(stream)) => Greeting::over(stream, limit),
            Err(cause) => return self.hang_up(cause, limit).map(|()| None),
        };
        self.rest = MIN_REST;
        // First what has come, which of one that has gone is all that it costs.
        greeting.step()?;
        if self.process != getpid() {
            // This process has the socket from the one that listened. Clients that connect from now on see this one.
            self.listen()?;
            self.process = getpid();
        }
        let origin = Origin::of_peer(greeting.as_fd()).map_err(ConnectError::socket);
        greeting.origin = origin.as_ref().ok().copied();
        if self.peers == Peers::SameUser {
            let checked = origin.and_then(|origin| origin.check_user(self.overflow_user));
            checked.inspect_err(|error| greeting.refuse(error.refusal()))?;
        }
        Ok(Some(greeting))
    }

    /// The next connection, if there is one, and its other side has not gone before it was accepted.
    fn accept_stream(&self) -> Result<Option<UnixStream>, Errno> {
        match rustix::net::accept_with(&self.socket, SocketFlags::CLOEXEC) {
            Ok(socket) => Ok(Some(socket.into())),
            Err(Errno::WOULDBLOCK | Errno::INTR | Errno::CONNABORTED) => Ok(None),
            Err(cause) => Err(cause),
        }
    }

    /// The system accepts no client, for that cause. If it lacks a descriptor, the next client learns so in the place of the spare
    /// one; else the listener rests.
    fn hang_up(&mut self, cause: Errno, limit: Duration) -> Result<(), ConnectError> {
        let has_spare = matches!(cause, Errno::MFILE | Errno::NFILE) && self.spare.take().is_some();
        let error = ConnectError::socket(cause);
        let result = match if has_spare { self.accept_stream() } else { Err(cause) } {
            // No client waits: the system looks for a descriptor first.
            Ok(None) => Ok(()),
            Ok(Some(stream)) => {
                Greeting::over(stream, limit).refuse(error.refusal());
                Err(error)
            }
            Err(_) => {
                self.rests_until = Some(Instant::now() + self.rest);
                self.rest = (self.rest * 2).min(MAX_REST);
                Err(error)
            }
        };
        self.spare = self.spare.take().or_else(|| self.socket.try_clone().ok());
        result
    }

    /// How long no client will be accepted because the system refused; `None` if that is over.
    pub fn rest(&self) -> Option<Duration> {
        let left = self.rests_until?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }
}

impl AsFd for Listener {
    /// Readable when a client waits.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    /// Removes the file if it is still that one, and this not a copy that the process forked.
    fn drop(&mut self) {
        if let Some((path, found)) = &self.file
            && self.process == getpid()
            && identity(path).is_ok_and(|other| other == *found)
        {
            let _ = fs::remove_file(path);
        }
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    fs::symlink_metadata(path).map(|status| (status.dev(), status.ino()))
}

/// The folder of a socket's file, locked until the returned descriptor is closed; `None` for a folder that cannot be read.
/// Its users take turns, so that none removes the file of another one that was bound and does not listen yet.
fn lock_folder(path: &Path) -> Result<Option<OwnedFd>, ConnectError> {
    const LIMIT: Duration = Duration::from_secs(2);
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(lock) = rustix::fs::open(folder, flags, Mode::empty()) else { return Ok(None) };
    let start = Instant::now();
    loop {
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(lock)),
            Err(Errno::WOULDBLOCK | Errno::INTR) if start.elapsed() < LIMIT => thread::sleep(Duration::from_millis(1)),
            // Not every file system has locks.
            Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::INVAL) => return Ok(None),
            Err(cause) => {
                let text = format!("{}: another process has this folder locked", folder.display());
                return Err(ConnectError::socket(io::Error::new(cause.kind(), text)));
            }
        }
    }
}

/// Removes the file of a server that no longer listens.
fn remove_if_abandoned(path: &Path) -> Result<(), ConnectError> {
    let is_socket = || fs::symlink_metadata(path).is_ok_and(|status| status.file_type().is_socket());
    match Address::Path(path.to_owned()).connect(None) {
        Err(ConnectError::Socket { cause }) if cause.kind() == ErrorKind::ConnectionRefused && is_socket() => {
            fs::remove_file(path).map_err(ConnectError::socket)
        }
        Err(ConnectError::Socket { cause }) if cause.kind() == ErrorKind::NotFound => Ok(()),
        _ => Err(ConnectError::socket(Errno::ADDRINUSE)),
    }
}

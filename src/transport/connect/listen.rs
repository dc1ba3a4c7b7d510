//! The socket that a table listens on, and how one is connected to.

use super::address::Address;
use super::channel::Deadline;
use super::credentials::Credentials;
use super::{ConnectError, Greeting};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::sockopt::Timeout;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use rustix::process::{Pid, getpid};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

impl Address {
    fn to_socket_address(&self) -> Result<SocketAddrUnix, ConnectError> {
        match self {
            Self::Abstract(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
            Self::Path(path) => SocketAddrUnix::new(path.as_path()),
        }
        .map_err(ConnectError::socket)
    }

    /// Connects. Where the server's backlog is full this waits in line, until the time is over.
    pub(super) fn connect(&self, deadline: &Deadline) -> Result<UnixStream, ConnectError> {
        let (socket, address) = (self.new_socket(SocketFlags::empty())?, self.to_socket_address()?);
        loop {
            let limit = deadline.left()?;
            rustix::net::sockopt::set_socket_timeout(&socket, Timeout::Send, Some(limit))
                .map_err(ConnectError::socket)?;
            match rustix::net::connect(&socket, &address) {
                Ok(()) => return Ok(socket.into()),
                // The time is over, which the deadline says, or nearly so.
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(cause) => return Err(ConnectError::socket(cause)),
            }
        }
    }

    /// Connects at once or not at all.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Congested`] if the server's backlog is full.
    pub(super) fn try_connect(&self) -> Result<UnixStream, ConnectError> {
        let socket = self.new_socket(SocketFlags::NONBLOCK)?;
        match rustix::net::connect(&socket, &self.to_socket_address()?) {
            Ok(()) => Ok(socket.into()),
            Err(Errno::AGAIN) => Err(ConnectError::Congested),
            Err(cause) => Err(ConnectError::socket(cause)),
        }
    }

    fn new_socket(&self, flags: SocketFlags) -> Result<OwnedFd, ConnectError> {
        socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC | flags, None)
            .map_err(ConnectError::socket)
    }
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
    file: Option<BoundFile>,
    /// Given up when there are no descriptors left, so that a client can be hung up on instead of waiting for ever.
    spare: Option<OwnedFd>,
    /// The process that listened last: clients see it as the one at the other end.
    process: Pid,
    rest: Duration,
    rests_until: Option<Instant>,
}

impl Listener {
    /// Listens at that address. A file that a server which was killed left there is replaced.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Socket`], also if another server listens there or the file is not a socket.
    pub fn bind(address: &Address, peers: Peers) -> Result<Self, ConnectError> {
        let socket = address.new_socket(SocketFlags::NONBLOCK)?;
        let socket_address = address.to_socket_address()?;
        // Until the lock is gone no other server takes the file for one that was left behind.
        let (_lock, file) = match address {
            Address::Abstract(_) => {
                rustix::net::bind(&socket, &socket_address).map_err(ConnectError::socket)?;
                (None, None)
            }
            Address::Path(path) => {
                let lock = lock_folder(path)?;
                match rustix::net::bind(&socket, &socket_address) {
                    Err(Errno::ADDRINUSE) if lock.is_some() => {
                        remove_if_abandoned(path)?;
                        rustix::net::bind(&socket, &socket_address)
                    }
                    result => result,
                }
                .map_err(ConnectError::socket)?;
                (lock, Some(BoundFile::new(path)?))
            }
        };
        rustix::net::listen(&socket, BACKLOG).map_err(ConnectError::socket)?;
        let (process, spare) = (getpid(), spare(&socket));
        Ok(Self { socket, peers, file, spare, process, rest: MIN_REST, rests_until: None })
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
        let stream = match self.accept_stream() {
            Ok(stream) => stream,
            // The last of these: gone before it was accepted.
            Err(Errno::WOULDBLOCK | Errno::INTR | Errno::CONNABORTED) => return Ok(None),
            Err(cause @ (Errno::MFILE | Errno::NFILE)) if self.spare.take().is_some() => {
                let error = ConnectError::socket(cause);
                let result = match self.accept_stream() {
                    Ok(stream) => {
                        // The client learns why.
                        Greeting::over(stream, limit).refuse_for(&error);
                        Err(error)
                    }
                    // No client waits: the system looks for a descriptor first.
                    Err(Errno::WOULDBLOCK | Errno::INTR | Errno::CONNABORTED) => Ok(None),
                    Err(_) => {
                        self.begin_rest();
                        Err(error)
                    }
                };
                self.spare = spare(&self.socket);
                return result;
            }
            Err(cause) => {
                self.begin_rest();
                self.spare = self.spare.take().or_else(|| spare(&self.socket));
                return Err(ConnectError::socket(cause));
            }
        };
        self.rest = MIN_REST;
        let mut greeting = Greeting::over(stream, limit);
        // First what has come, which of one that has gone is all that it costs.
        greeting.step()?;
        if self.process != getpid() {
            // This process has the socket from the one that listened. Clients that connect from now on see this one.
            rustix::net::listen(&self.socket, BACKLOG).map_err(ConnectError::socket)?;
            self.process = getpid();
            self.file.iter_mut().for_each(|file| file.process = self.process);
        }
        let peer = Credentials::of_peer(greeting.as_fd());
        if let Ok(peer) = peer {
            greeting.came_from(peer.origin());
        }
        if self.peers == Peers::SameUser {
            check_user(peer).inspect_err(|error| greeting.refuse_for(error))?;
        }
        Ok(Some(greeting))
    }

    fn accept_stream(&self) -> Result<UnixStream, Errno> {
        rustix::net::accept_with(&self.socket, SocketFlags::CLOEXEC).map(UnixStream::from)
    }

    fn begin_rest(&mut self) {
        self.rests_until = Some(Instant::now() + self.rest);
        self.rest = (self.rest * 2).min(MAX_REST);
    }

    /// How long no client will be accepted because the system refused; `None` if that is over.
    pub fn rest(&mut self) -> Option<Duration> {
        let left = self.rests_until?.saturating_duration_since(Instant::now());
        if left.is_zero() {
            self.rests_until = None;
        }
        self.rests_until.map(|_| left)
    }

    /// Where the file of the socket is, if it has one.
    pub fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.path.as_path())
    }
}

impl AsFd for Listener {
    /// Readable when a client waits.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Whether the process at the other end is of this one's user.
fn check_user(peer: Result<Credentials, Errno>) -> Result<(), ConnectError> {
    let peer = peer.map_err(ConnectError::socket)?;
    if peer.is_own_user() { Ok(()) } else { Err(ConnectError::OtherUser { user: peer.user }) }
}

/// A descriptor to be given up: one more of the socket, since a container can be without any file.
fn spare(socket: &OwnedFd) -> Option<OwnedFd> {
    socket.try_clone().ok()
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
                return Err(ConnectError::socket(io::Error::new(
                    io::Error::from(cause).kind(),
                    format!("{}: another process has this folder locked", folder.display()),
                )));
            }
        }
    }
}

/// Removes the file of a server that no longer listens.
fn remove_if_abandoned(path: &Path) -> Result<(), ConnectError> {
    match Address::Path(path.to_owned()).try_connect() {
        Err(ConnectError::Socket { cause }) if cause.kind() == ErrorKind::ConnectionRefused && is_socket(path) => {
            fs::remove_file(path).map_err(ConnectError::socket)
        }
        Err(ConnectError::Socket { cause }) if cause.kind() == ErrorKind::NotFound => Ok(()),
        _ => Err(ConnectError::socket(Errno::ADDRINUSE)),
    }
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|status| status.file_type().is_socket())
}

/// The file of a socket, removed with it if it is still that file, and not by a copy that the process forked.
#[derive(Debug)]
struct BoundFile {
    path: PathBuf,
    identity: (u64, u64),
    process: Pid,
}

impl BoundFile {
    fn new(path: &Path) -> Result<Self, ConnectError> {
        let status = fs::symlink_metadata(path).map_err(ConnectError::socket)?;
        Ok(Self { path: path.to_owned(), identity: (status.dev(), status.ino()), process: getpid() })
    }
}

impl Drop for BoundFile {
    fn drop(&mut self) {
        let is_ours =
            fs::symlink_metadata(&self.path).is_ok_and(|status| (status.dev(), status.ino()) == self.identity);
        if is_ours && self.process == getpid() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

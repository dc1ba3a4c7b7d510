//! Where a table is found: an address of its socket, and the socket that listens there.

use super::channel::{Channel, Deadline};
use super::{ConnectError, Greeting};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use std::fmt;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// The address of a table.
///
/// Written `@name`, or as a path with a slash: `./table`, `/run/table`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A name in no file system, which goes away with the server however that dies. Every process of the machine (of the
    /// network namespace) can try to connect to it.
    Abstract(String),
    /// A file. Its permissions say who may connect. It stays behind when the server is killed; the next one to listen
    /// there replaces it.
    Path(PathBuf),
}

impl Address {
    /// Reads an address as it is written.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Socket`] if it is neither.
    pub fn parse(text: &str) -> Result<Self, ConnectError> {
        match text.strip_prefix('@') {
            Some(name) if !name.is_empty() => Ok(Self::Abstract(name.to_owned())),
            None if text.contains('/') => Ok(Self::Path(PathBuf::from(text))),
            _ => Err(ConnectError::socket(io::Error::new(
                ErrorKind::InvalidInput,
                format!("{text:?} is no address: write @name, or a path with a slash"),
            ))),
        }
    }

    fn to_socket_address(&self) -> Result<SocketAddr, ConnectError> {
        match self {
            Self::Abstract(name) => SocketAddr::from_abstract_name(name),
            Self::Path(path) => SocketAddr::from_pathname(path),
        }
        .map_err(ConnectError::socket)
    }

    /// Connects; where the server's backlog is full, tries again until the time is over.
    pub(super) fn connect(&self, deadline: &Deadline) -> Result<UnixStream, ConnectError> {
        loop {
            match self.try_connect() {
                Err(Errno::AGAIN | Errno::INTR) => thread::sleep(deadline.left()?.min(Duration::from_millis(1))),
                result => return result.map_err(ConnectError::socket),
            }
        }
    }

    /// Connects at once or not at all.
    fn try_connect(&self) -> Result<UnixStream, Errno> {
        let address = match self {
            Self::Abstract(name) => SocketAddrUnix::new_abstract_name(name.as_bytes()),
            Self::Path(path) => SocketAddrUnix::new(path.as_path()),
        }?;
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::connect(&socket, &address)?;
        Ok(socket.into())
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

/// Who may connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Peers {
    /// Processes of the server's own user.
    #[default]
    SameUser,
    /// Whoever reaches the address.
    Anyone,
}

/// The socket that a server listens on. The file of a [`Address::Path`] is removed with it.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    peers: Peers,
    file: Option<BoundFile>,
    /// Given up when there are no descriptors left, so that whoever connects can be hung up on instead of waiting for ever.
    spare: Option<fs::File>,
}

impl Listener {
    /// Listens at that address. A file that a server which was killed left there is replaced.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Socket`], also if another server listens there or the file is not a socket.
    pub fn bind(address: &Address, peers: Peers) -> Result<Self, ConnectError> {
        let socket_address = address.to_socket_address()?;
        let socket = match (UnixListener::bind_addr(&socket_address), address) {
            (Err(error), Address::Path(path)) if error.kind() == ErrorKind::AddrInUse => {
                remove_if_abandoned(path)?;
                UnixListener::bind_addr(&socket_address)
            }
            (result, _) => result,
        }
        .map_err(ConnectError::socket)?;
        let file = match address {
            Address::Abstract(_) => None,
            Address::Path(path) => Some(BoundFile::new(path)?),
        };
        socket.set_nonblocking(true).map_err(ConnectError::socket)?;
        Ok(Self { socket, peers, file, spare: spare() })
    }

    /// The next client that waits, to be greeted within that time. `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Socket`] for a client that was hung up on: it belongs to another user, or there are no descriptors
    /// for it. The listener goes on.
    pub fn accept(&mut self, limit: Duration) -> Result<Option<Greeting>, ConnectError> {
        let stream = match self.socket.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock || error.kind() == ErrorKind::Interrupted => {
                return Ok(None);
            }
            // Gone before it was accepted.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => return Ok(None),
            Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::MFILE | Errno::NFILE)) => {
                self.spare = None;
                let hung_up_on = self.socket.accept().map(drop);
                self.spare = spare();
                return if hung_up_on.is_ok() { Err(ConnectError::socket(error)) } else { Ok(None) };
            }
            Err(error) => return Err(ConnectError::socket(error)),
        };
        let channel = Channel::connected(stream);
        let is_allowed =
            self.peers == Peers::Anyone || channel.peer_user() == Some(rustix::process::geteuid().as_raw());
        if !is_allowed {
            return Err(ConnectError::socket(io::Error::from(ErrorKind::PermissionDenied)));
        }
        Ok(Some(Greeting::new(channel, limit)))
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

fn spare() -> Option<fs::File> {
    fs::File::open("/dev/null").ok()
}

/// Removes the file of a server that no longer listens.
fn remove_if_abandoned(path: &Path) -> Result<(), ConnectError> {
    match Address::Path(path.to_owned()).try_connect() {
        Err(Errno::CONNREFUSED) if is_socket(path) => fs::remove_file(path).map_err(ConnectError::socket),
        Err(Errno::NOENT) => Ok(()),
        _ => Err(ConnectError::socket(io::Error::from(ErrorKind::AddrInUse))),
    }
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|status| status.file_type().is_socket())
}

/// The file of a socket, removed with it if it is still that file.
#[derive(Debug)]
struct BoundFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl BoundFile {
    fn new(path: &Path) -> Result<Self, ConnectError> {
        let status = fs::symlink_metadata(path).map_err(ConnectError::socket)?;
        Ok(Self { path: path.to_owned(), identity: (status.dev(), status.ino()) })
    }
}

impl Drop for BoundFile {
    fn drop(&mut self) {
        let is_ours =
            fs::symlink_metadata(&self.path).is_ok_and(|status| (status.dev(), status.ino()) == self.identity);
        if is_ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

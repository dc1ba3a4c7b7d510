//! What the ways through a table have in common: one object, a client at the near end and the table at the far one.

use crate::lab::paths::ways::{Config, End, Mode, Opening, PathError, Token};
use crate::transport::connect::{JoinOptions, OwnRegion};
use crate::transport::ring::MAX_ROOM_BYTES;
use crate::transport::{
    Answer, Answered, Client, ClientError, ClientOptions, Event, Geometry, Job, RegionOptions, SessionError, Table,
    TableError, TableOptions, Waiting,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

/// The only object of the table.
pub(crate) const OBJECT: u32 = 1;
/// How long a side waits for the other, or for the handshake.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);
/// The most messages that are under way, far from what the ring holds.
pub(crate) const MAX_DEPTH: usize = 64;

/// From entry to entry, so that payloads up to this length travel in it where any can; else as tables have it.
pub(crate) fn stride_bytes(max_bytes: usize) -> u16 {
    match u16::try_from(max_bytes) {
        Ok(bytes) if max_bytes <= MAX_ROOM_BYTES => (16 + bytes).next_multiple_of(64),
        _ => TableOptions::GEOMETRY.request_stride_bytes,
    }
}

/// As the other paths over shared memory have it: pages of the usual size, all there before the first use.
const REGIONS: RegionOptions = RegionOptions { huge_pages: false, prefault: true };

pub(crate) fn waiting(mode: Mode) -> Waiting {
    match mode {
        Mode::Polling => Waiting::Poll,
        Mode::Blocking => Waiting::Sleep,
        Mode::Adaptive => Waiting::Adaptive,
    }
}

pub(crate) fn table_error(error: TableError) -> PathError {
    PathError::protocol(format!("table: {error}"))
}

pub(crate) fn client_error(error: ClientError) -> PathError {
    match error {
        ClientError::Timeout { limit } => PathError::Timeout { after: limit },
        ClientError::Session(SessionError::PeerGone) => PathError::PeerGone,
        other => PathError::protocol(format!("client: {other}")),
    }
}

/// Makes the near end, whose client connects once the far end is joining.
pub(crate) fn open(
    config: &Config,
    near_end: impl FnOnce(Client) -> Result<Box<dyn End>, PathError> + 'static,
) -> Result<Opening, PathError> {
    // Polling sides of the table keep their core.
    if config.mode == Mode::Polling && config.one_core {
        let reason = "the table's sides poll without giving the core away".to_owned();
        return Err(PathError::Unavailable { reason });
    }
    let (near, far) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)
        .map_err(PathError::unavailable("socketpair"))?;
    let waiting = waiting(config.mode);
    Ok(Opening::pending(Token::of([far]), move || {
        let own_region = OwnRegion::New(REGIONS);
        let join = JoinOptions::default().limit(LIMIT).own_region(own_region).prefault(true);
        let client = Client::over(UnixStream::from(near), ClientOptions { join, limit: LIMIT, waiting });
        near_end(client.map_err(|error| PathError::protocol(format!("client: {error}")))?)
    }))
}

/// The options of a table of this geometry.
pub(crate) fn options(config: &Config, geometry: Geometry) -> TableOptions {
    TableOptions { geometry, waiting: waiting(config.mode), regions: REGIONS, ..TableOptions::default() }
}

/// The table with the client at the other end of the socket.
pub(crate) fn join(config: &Config, geometry: Geometry, socket: OwnedFd) -> Result<Table, PathError> {
    let mut table = Table::without_address(options(config, geometry)).map_err(table_error)?;
    table.adopt(UnixStream::from(socket)).map_err(table_error)?;
    joined(&mut table)?;
    Ok(table)
}

/// One more client of the table, in this process.
pub(crate) fn join_idle(table: &mut Table) -> Result<Client, PathError> {
    let (ours, theirs) = UnixStream::pair().map_err(|error| PathError::protocol(error.to_string()))?;
    table.adopt(ours).map_err(table_error)?;
    let options = ClientOptions { limit: LIMIT, ..ClientOptions::default() };
    let joining = thread::spawn(move || Client::over(theirs, options));
    joined(table)?;
    let client = joining.join().map_err(|_| PathError::PeerGone)?;
    client.map_err(|error| PathError::protocol(format!("client: {error}")))
}

/// Waits until the client is there.
pub(crate) fn joined(table: &mut Table) -> Result<(), PathError> {
    match table.next(LIMIT).map_err(table_error)? {
        Some(Event::Joined(_)) => Ok(()),
        Some(Event::Refused { why, .. }) => Err(table_error(why.into())),
        Some(_) => Err(PathError::PeerGone),
        None => Err(PathError::Timeout { after: LIMIT }),
    }
}

/// The next job.
#[inline(always)]
pub(crate) fn next_job(table: &mut Table) -> Result<Job, PathError> {
    loop {
        match table.next(LIMIT) {
            Ok(Some(Event::Job(job))) => return Ok(job),
            other => no_job(other)?,
        }
    }
}

/// Takes in what a table says next that is no job: an error if there is nothing more to wait for.
#[cold]
pub(crate) fn no_job(next: Result<Option<Event>, TableError>) -> Result<(), PathError> {
    match next.map_err(table_error)? {
        Some(Event::Left { .. }) => Err(PathError::PeerGone),
        Some(_) => Ok(()),
        None => Err(PathError::Timeout { after: LIMIT }),
    }
}

/// Answers, if the client is there to hear what was meant.
#[inline(always)]
pub(crate) fn answer(table: &mut Table, job: Job, answer: Answer<'_>) -> Result<(), PathError> {
    match table.answer(job, answer) {
        Answered::Sent => Ok(()),
        Answered::Instead(code) => Err(PathError::protocol(format!("a table that had to answer {code}"))),
        Answered::Left => Err(PathError::PeerGone),
    }
}

//! A client that connects to a proxy, and the session that the proxy asks of the table behind for it: two handshakes that wait
//! for each other, in steps that never wait.

use super::pair::Pair;
use crate::transport::connect::{
    Address, ClientHandshake, ConnectError, Greeted, Greeting, JoinOptions, Refusal, Step,
};
use crate::transport::geometry::{Allocator, Geometry, GeometryError};
use crate::transport::region::{Region, RegionOptions};
use crate::transport::semaphore::Key;
use crate::transport::session::QueueLayout;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// A client that connects.
#[derive(Debug)]
pub(super) struct PendingClient {
    stage: Stage,
    until: Instant,
    /// The other socket: the one to the table behind.
    pub(super) behind_key: Option<Key>,
}

/// How far both have come.
#[derive(Debug)]
enum Stage {
    /// The client has not asked yet.
    Silent(Greeting),
    /// It has, and now the table is asked.
    Asking(Greeting, ClientHandshake),
    /// It has what the table offered, but for the blocks in the region for names.
    Offered(Greeting, ClientHandshake, Region),
    /// It has accepted, and so has the proxy.
    Agreed(Greeted, ClientHandshake, Region),
    /// There will be no session.
    Over,
}

/// What a step came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing more can be done before a socket has something.
    Waits,
    /// Take the next step.
    GoesOn,
    /// The table is being asked: its socket has to be watched, and the next step to be taken.
    Asks,
    /// Both sides are there: [`PendingClient::finish`].
    Agrees,
}

impl PendingClient {
    /// A client with a time limit.
    pub(super) fn new(greeting: Greeting, limit: Duration) -> Box<Self> {
        Box::new(Self { stage: Stage::Silent(greeting), until: Instant::now() + limit, behind_key: None })
    }

    /// Whether its time is over.
    pub(super) fn is_late(&self) -> bool {
        self.until <= Instant::now()
    }

    /// Whether it has asked, and the table has not been, because too many wanted to connect to that.
    pub(super) fn waits_for_table(&self) -> bool {
        matches!(&self.stage, Stage::Silent(greeting) if !greeting.is_silent())
    }

    /// Its handshake, while that goes on.
    pub(super) fn greeting(&self) -> Option<&Greeting> {
        match &self.stage {
            Stage::Silent(greeting) | Stage::Asking(greeting, _) | Stage::Offered(greeting, ..) => Some(greeting),
            Stage::Agreed(..) | Stage::Over => None,
        }
    }

    /// Refuses the client, and tells it why.
    pub(super) fn refuse(&mut self, reason: Refusal) {
        match &mut self.stage {
            Stage::Silent(greeting) | Stage::Asking(greeting, _) | Stage::Offered(greeting, ..) => {
                greeting.refuse(reason)
            }
            Stage::Agreed(..) | Stage::Over => {}
        }
    }

    /// The client's socket.
    pub(super) fn front(&self) -> Option<BorrowedFd<'_>> {
        match &self.stage {
            Stage::Agreed(greeted, ..) => Some(greeted.channel.as_fd()),
            _ => self.greeting().map(Greeting::as_fd),
        }
    }

    /// The socket to the table behind.
    pub(super) fn behind(&self) -> Option<BorrowedFd<'_>> {
        match &self.stage {
            Stage::Asking(_, asking) | Stage::Offered(_, asking, _) | Stage::Agreed(_, asking, _) => {
                Some(asking.as_fd())
            }
            Stage::Silent(_) | Stage::Over => None,
        }
    }

    /// Goes on as far as the side whose turn it is has come.
    ///
    /// # Errors
    ///
    /// Why there will be no session; the client has been told, as far as it can be.
    pub(super) fn step(&mut self, table: &Address, is_full: bool) -> Result<Progress, ConnectError> {
        let (stage, progress) = match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Silent(mut greeting) => match greeting.step()? {
                Step::Asked if is_full => return Err(refused(greeting, ConnectError::Full)),
                Step::Asked => match ClientHandshake::start(table) {
                    Ok(asking) => (Stage::Asking(greeting, asking), Progress::Asks),
                    // Too many want to connect to the table. This is tried again at the next look.
                    Err(ConnectError::Congested) => (Stage::Silent(greeting), Progress::Waits),
                    Err(error) => return Err(refused(greeting, error)),
                },
                Step::Pending | Step::Agreed => (Stage::Silent(greeting), Progress::Waits),
            },
            Stage::Asking(mut greeting, mut asking) => match offer(&mut greeting, &mut asking) {
                Ok(Some(names)) => (Stage::Offered(greeting, asking, names), Progress::GoesOn),
                Ok(None) => (Stage::Asking(greeting, asking), Progress::Waits),
                Err(error) => return Err(refused(greeting, error)),
            },
            Stage::Offered(mut greeting, mut asking, names) => match greeting.step()? {
                Step::Agreed => {
                    let greeted = greeting.finish()?;
                    asking.ready(greeted.client_data.as_ref(), Some(&names))?;
                    (Stage::Agreed(greeted, asking, names), Progress::GoesOn)
                }
                Step::Pending | Step::Asked => (Stage::Offered(greeting, asking, names), Progress::Waits),
            },
            Stage::Agreed(greeted, mut asking, names) => {
                let progress = if asking.has_word()? { Progress::Agrees } else { Progress::Waits };
                (Stage::Agreed(greeted, asking, names), progress)
            }
            Stage::Over => return Err(ConnectError::PeerGone),
        };
        self.stage = stage;
        Ok(progress)
    }

    /// Both sessions.
    ///
    /// # Errors
    ///
    /// [`ConnectError::PeerGone`] if the last step was not [`Progress::Agrees`].
    pub(super) fn finish(self) -> Result<Pair, ConnectError> {
        let Stage::Agreed(greeted, asking, names) = self.stage else { return Err(ConnectError::PeerGone) };
        let mut pair = Pair::new(greeted, asking.finish(None)?, &names)?;
        pair.behind_key = self.behind_key;
        Ok(pair)
    }
}

/// Tells the client that there will be no session, and why.
fn refused(mut greeting: Greeting, error: ConnectError) -> ConnectError {
    // What the table behind said is its answer to the client, too.
    let reason = match &error {
        ConnectError::Refused { reason } => *reason,
        other => other.refusal().unwrap_or(Refusal::Handshake),
    };
    greeting.refuse(reason);
    error
}

/// Offers a client what the table offers, but for the blocks that the proxy needs for names: the region of these. None if the
/// table has not offered anything yet.
fn offer(greeting: &mut Greeting, asking: &mut ClientHandshake) -> Result<Option<Region>, ConnectError> {
    let Some(offered) = asking.offered(&JoinOptions::default())? else { return Ok(None) };
    let (geometry, names_bytes) = without_names(offered.geometry)?;
    let layout = QueueLayout::of(&geometry)?;
    let queue = Region::create(layout.len_bytes, RegionOptions::default())?;
    let names = Region::create(names_bytes, RegionOptions::default())?;
    names.seal_writing()?;
    greeting.offer(geometry, queue, &offered.data)?;
    Ok(Some(names))
}

/// The geometry that is left for a client when the proxy has taken blocks for names, in whole pages, and their length.
fn without_names(geometry: Geometry) -> Result<(Geometry, usize), GeometryError> {
    const PAGE_BYTES: u32 = 4096;
    let blocks = geometry.client_blocks;
    let no_room =
        GeometryError { what: "blocks of a client, too few to leave some to a proxy", found: blocks.count.into() };
    if geometry.allocator == Allocator::Shared {
        return Err(GeometryError { what: "blocks that both sides write, which no proxy can guard", ..no_room });
    }
    let unit = (PAGE_BYTES / blocks.block_bytes).max(1);
    let wanted = (blocks.count / 8).clamp(1, geometry.capacity);
    let names = wanted.next_multiple_of(unit);
    if names >= blocks.count || !blocks.count.is_multiple_of(unit) {
        return Err(no_room);
    }
    let mut left = geometry;
    left.client_blocks.count -= names;
    Ok((left, names as usize * blocks.block_bytes as usize))
}

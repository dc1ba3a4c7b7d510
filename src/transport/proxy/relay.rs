//! A client that connects to a proxy, and the session that the proxy asks of the table behind for it: two handshakes that wait
//! for each other, in steps that never wait.

use super::asked::Asked;
use super::pair::Pair;
use crate::transport::connect::{Address, ClientHandshake, ConnectError, Greeting, JoinOptions, Step};
use crate::transport::error::SessionError;
use crate::transport::geometry::{Allocator, Geometry, GeometryError};
use crate::transport::job::{ClientKey, Event};
use crate::transport::reactor::{Offer, Progress, Service};
use crate::transport::region::{Region, RegionOptions};
use crate::transport::request::ErrorCode;
use crate::transport::session::QueueLayout;
use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};

/// Where a proxy's clients get what they ask for.
#[derive(Debug)]
pub(super) struct Relay<R> {
    /// The table behind.
    pub(super) table: Address,
    pub(super) rule: R,
}

/// What the table behind offers, and what the proxy adds to it.
#[derive(Debug, Default)]
pub(super) struct Behind {
    asking: Option<ClientHandshake>,
    /// The region for names, when the client has been offered the rest.
    names: Option<Region>,
    has_accepted: bool,
}

impl Offer for Behind {
    fn other(&self) -> Option<BorrowedFd<'_>> {
        self.asking.as_ref().map(ClientHandshake::as_fd)
    }
}

impl<R: FnMut(&Asked<'_>) -> Result<(), ErrorCode>> Service<Behind, Pair> for Relay<R> {
    fn go_on(&mut self, greeting: &mut Greeting, offer: &mut Behind, step: Step) -> Result<Progress, ConnectError> {
        let Behind { asking, names, has_accepted } = offer;
        let Some(asking) = asking else {
            return match ClientHandshake::start(&self.table) {
                Ok(new) => {
                    *asking = Some(new);
                    Ok(Progress::GoesOn)
                }
                // Too many want to connect to the table.
                Err(ConnectError::Congested) => Ok(Progress::TriesAgain),
                Err(why) => Err(why),
            };
        };
        if step != Step::Agreed {
            *names = make_offer(greeting, asking)?;
            return Ok(if names.is_some() { Progress::GoesOn } else { Progress::Waits });
        }
        if !*has_accepted {
            asking.ready(greeting.client_data(), names.as_ref())?;
            *has_accepted = true;
        }
        Ok(if asking.has_go()? { Progress::Agrees } else { Progress::Waits })
    }

    fn begin(&mut self, mut greeting: Greeting, offer: Behind) -> Result<Pair, ConnectError> {
        let Behind { asking: Some(asking), names: Some(names), .. } = offer else {
            return Err(ConnectError::PeerGone);
        };
        let joined = asking.finish(None).inspect_err(|why| greeting.refuse_for(why))?;
        Pair::new(greeting.finish()?, joined, &names)
    }

    fn serve(
        &mut self,
        client: ClientKey,
        session: &mut Pair,
        turn: usize,
        _events: &mut VecDeque<Event>,
    ) -> Result<bool, SessionError> {
        session.forward(client, turn, &mut self.rule)
    }

    fn end(&mut self, client: ClientKey, mut session: Pair, _others: usize) {
        // What the table answered before it went is forwarded still.
        let _ = session.forward(client, usize::MAX, &mut self.rule);
    }
}

/// Offers a client what the table offers, but for the blocks that the proxy needs for names: the region of these. None if the
/// table has not offered anything yet.
fn make_offer(greeting: &mut Greeting, asking: &mut ClientHandshake) -> Result<Option<Region>, ConnectError> {
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

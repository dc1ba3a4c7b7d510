//! What a table offers to clients that connect: the numbers of a session and its regions.

use super::served::Session;
use crate::transport::connect::{ConnectError, Greeting, Peers};
use crate::transport::error::{SessionError, TableError};
use crate::transport::geometry::{Allocator, Blocks, Geometry};
use crate::transport::job::{ClientKey, Event, Job};
use crate::transport::memory::Mapped;
use crate::transport::options::{Waiting, options};
use crate::transport::reactor::{Progress, Service};
use crate::transport::region::{Region, RegionOptions};
use crate::transport::request::{Flags, Kind};
use crate::transport::session::{Incoming, QueueLayout, data_bytes, lay_out_shared};
use std::collections::VecDeque;
use std::time::Duration;

options! {
    /// How a table works; usually with [`GEOMETRY`](Self::GEOMETRY) in ordinary pages; with 1024 clients of the own user, each of
    /// which may hold all blocks that it is lent and has five seconds to connect; looks, then sleeps.
    pub struct TableOptions {
        /// The numbers of every session.
        pub geometry: Geometry = Self::GEOMETRY,
        /// Whose processes may connect.
        pub peers: Peers = Peers::default(),
        /// How many clients there may be.
        pub max_clients: usize = 1024,
        /// How long a client may take to connect.
        pub connect_limit: Duration = Duration::from_secs(5),
        /// What the regions lie in. Those of a client are pre-faulted bit by bit once it is one.
        pub regions: RegionOptions = RegionOptions::default(),
        /// How the table waits.
        pub waiting: Waiting = Waiting::default(),
        /// How many blocks a client may hold; with [`Allocator::Shared`], where it takes blocks itself, how many an answer may
        /// have. A client that gives one block back and asks for another at once should be one below it, and below what its
        /// session has: what it gives back may be seen after the request.
        pub max_held_blocks: u32 = u32::MAX,
        /// With [`Allocator::Shared`]: one region for all clients, which then can read and write each other's bytes.
        pub one_region: bool = false,
    }
}

impl TableOptions {
    /// The numbers that serve most: rings of 128 entries with room for 112 bytes in each, 4 MiB for each direction in blocks of 64 KiB.
    pub const GEOMETRY: Geometry = Geometry::symmetric(128, 128, Blocks { block_bytes: 64 << 10, count: 64 });
}

/// What a table does for its clients, and what it has for all of them.
#[derive(Debug)]
pub(super) struct TableService {
    options: TableOptions,
    /// The one region of all clients, if they have one.
    common: Option<Region>,
    /// Sessions that have something to publish.
    pub(super) touched: Vec<ClientKey>,
}

impl TableService {
    pub(super) fn new(options: TableOptions) -> Result<Self, TableError> {
        QueueLayout::of(&options.geometry)?;
        let Geometry { allocator, server_blocks, .. } = options.geometry;
        let common = if options.one_region && allocator == Allocator::Shared {
            let region = new_data(&options, options.regions)?;
            lay_out_shared(region.memory(), server_blocks)?;
            Some(region)
        } else {
            None
        };
        Ok(Self { options, common, touched: Vec::new() })
    }

    /// This session has something to publish.
    #[inline(always)]
    pub(super) fn touch(&mut self, client: ClientKey, session: &mut Session) {
        if !std::mem::replace(&mut session.is_touched, true) {
            self.touched.push(client);
        }
    }

    /// Takes what a client asks for next.
    #[inline(always)]
    pub(super) fn take(&mut self, client: ClientKey, session: &mut Session) -> Result<Option<Incoming>, SessionError> {
        session.take_returned();
        let incoming = session.side.take_request()?;
        if incoming.is_some() {
            self.touch(client, session);
        }
        Ok(incoming)
    }
}

/// What a request is for the program.
#[inline(always)]
pub(super) fn event(client: ClientKey, Incoming { job, request }: Incoming) -> Event {
    match job {
        Some(key) if request.kind != Kind::Credit => Event::Job(Job { client, key, request }),
        _ if request.kind == Kind::Credit => Event::Credit { client },
        _ => {
            let (handle, is_discarded) = (request.handle, request.flags.has(Flags::META));
            Event::Closed { client, handle, is_discarded }
        }
    }
}

impl Service for TableService {
    /// The region of the server's blocks that a client was offered.
    type Offer = Option<Mapped>;
    type Session = Session;

    fn go_on(&mut self, greeting: &mut Greeting, offer: &mut Option<Mapped>) -> Result<Progress, ConnectError> {
        if !greeting.has_asked() {
            return Ok(Progress::Agrees);
        }
        let own;
        let data = match &self.common {
            Some(common) => common,
            None => {
                // No memory before the client has accepted.
                own = new_data(&self.options, RegionOptions { prefault: false, ..self.options.regions })?;
                &own
            }
        };
        *offer = Some(data.memory().clone());
        greeting.offer(self.options.geometry, data)?;
        Ok(Progress::Waits)
    }

    fn begin(&mut self, greeting: Greeting, offer: Option<Mapped>) -> Result<(Session, Vec<Mapped>), ConnectError> {
        let data = offer.ok_or(ConnectError::PeerGone)?;
        let Geometry { allocator, server_blocks, .. } = self.options.geometry;
        let is_own = self.common.is_none();
        if is_own && allocator == Allocator::Shared {
            lay_out_shared(&data, server_blocks)?;
        }
        let session = Session::new(greeting.finish()?, data, self.options.max_held_blocks)?;
        // The one region of all was pre-faulted when it was made, and the queue when the client accepted.
        let is_to_be = self.options.regions.prefault && is_own;
        let unfaulted = if is_to_be { session.memory[1..].to_vec() } else { Vec::new() };
        Ok((session, unfaulted))
    }

    #[inline(always)]
    fn serve(
        &mut self,
        client: ClientKey,
        session: &mut Session,
        turn: usize,
        events: &mut VecDeque<Event>,
    ) -> Result<bool, SessionError> {
        let mut any = false;
        for _ in 0..turn {
            let Some(incoming) = self.take(client, session)? else { break };
            any = true;
            events.push_back(event(client, incoming));
        }
        if !any && session.side.lent_blocks() > 0 {
            // Where there is nothing better to do: the line of the releases is not in this CPU's cache when they have changed.
            session.side.take_releases()?;
        }
        Ok(any)
    }

    fn end(&mut self, _client: ClientKey, mut session: Session, others: usize) -> Vec<Mapped> {
        session.take_returned();
        let memory = std::mem::take(&mut session.memory);
        // The client is hung up on before the list is a new one: it gives nothing back to that.
        drop(session);
        if let Some(common) = &self.common
            && others == 0
        {
            // What the clients that left still held is free again. The numbers were checked before.
            let _ = lay_out_shared(common.memory(), self.options.geometry.server_blocks);
        }
        memory
    }
}

/// A region of the server's blocks, or of those that are shared, whose list is not laid out yet.
fn new_data(options: &TableOptions, regions: RegionOptions) -> Result<Region, ConnectError> {
    let Geometry { allocator, server_blocks, .. } = options.geometry;
    let region = Region::create(data_bytes(server_blocks, allocator)?, regions)?;
    if allocator == Allocator::Owned {
        region.seal_writing()?;
    }
    Ok(region)
}

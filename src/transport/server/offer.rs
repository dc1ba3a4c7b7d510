//! What a table offers to clients that connect: the numbers of a session and its regions.

use super::pending::PendingClient;
use crate::transport::client::Waiting;
use crate::transport::connect::{ConnectError, Peers};
use crate::transport::geometry::{Allocator, Blocks, Geometry};
use crate::transport::region::{Region, RegionOptions};
use crate::transport::ring::Publication;
use crate::transport::session::{QueueLayout, data_bytes, lay_out_shared};
use std::time::Duration;

/// How a table works.
#[derive(Debug)]
pub struct TableOptions {
    /// The numbers of every session.
    pub geometry: Geometry,
    /// Who may connect.
    pub peers: Peers,
    /// How many clients there may be.
    pub max_clients: usize,
    /// How long a client may take to connect.
    pub connect_limit: Duration,
    /// What the regions lie in. Those of a client are pre-faulted bit by bit once it is one, when no newcomer waits.
    pub regions: RegionOptions,
    /// How the table waits.
    pub waiting: Waiting,
    /// How many blocks a client may hold.
    pub max_held_blocks: u32,
    /// With [`Allocator::Shared`]: one region for all clients, which then can read and write each other's bytes.
    pub one_region: bool,
}

impl TableOptions {
    /// The numbers that serve most: rings of 128 entries, 4 MiB for each direction in blocks of 64 KiB.
    pub const GEOMETRY: Geometry = Geometry {
        capacity: 128,
        request_stride_bytes: 16,
        response_stride_bytes: 16,
        publication: Publication::Phase,
        allocator: Allocator::Owned,
        client_blocks: Blocks { block_bytes: 64 << 10, count: 64 },
        server_blocks: Blocks { block_bytes: 64 << 10, count: 64 },
    };
}

impl Default for TableOptions {
    fn default() -> Self {
        Self {
            geometry: Self::GEOMETRY,
            peers: Peers::default(),
            max_clients: 1024,
            connect_limit: Duration::from_secs(5),
            regions: RegionOptions::default(),
            waiting: Waiting::default(),
            max_held_blocks: u32::MAX,
            one_region: false,
        }
    }
}

/// Offers a session to a client that connects.
pub(super) fn offer(
    pending: &mut PendingClient,
    options: &TableOptions,
    common: Option<&Region>,
) -> Result<(), ConnectError> {
    let layout = QueueLayout::of(&options.geometry)?;
    let queue = Region::create(layout.len_bytes, RegionOptions::default())?;
    let own;
    let data = match common {
        Some(common) => common,
        None => {
            // No memory before the client has accepted.
            own = new_data(options, RegionOptions { prefault: false, ..options.regions })?;
            &own
        }
    };
    pending.data = Some(data.memory().clone());
    pending.greeting.offer(options.geometry, queue, data)
}

/// A region of the server's blocks, or of those that are shared.
pub(super) fn new_data(options: &TableOptions, regions: RegionOptions) -> Result<Region, ConnectError> {
    let Geometry { allocator, server_blocks, .. } = options.geometry;
    let region = Region::create(data_bytes(server_blocks, allocator)?, regions)?;
    match allocator {
        Allocator::Owned => region.seal_writing()?,
        Allocator::Shared => lay_out_shared(region.memory(), server_blocks)?,
    }
    Ok(region)
}

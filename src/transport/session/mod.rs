//! One session, without an operating system: what each side does with the memory that the two share.
//!
//! [`ServerSide`] and [`ClientSide`] hold all the rules. They are generic over [`Memory`], wait for nothing and call
//! nothing, so that tests can put any memory under them. [`Table`](super::Table) and [`Client`](super::Client) add the
//! sockets, the regions and the waiting.

mod client_side;
mod directions;
mod jobs;
mod layout;
mod lent;
mod outcome;
mod releases;
mod server_side;
mod tickets;

pub use client_side::{Came, ClientSide};
pub use jobs::JobKey;
pub use layout::{QueueLayout, data_bytes, lay_out_shared};
pub use outcome::{AnswerError, Outcome, Reply, SubmitError};
pub use server_side::{Incoming, ServerSide};
pub use tickets::Ticket;

use super::geometry::{Geometry, GeometryError};
use super::memory::Memory;

/// Refuses regions that are too short for what is to be in them.
fn check_lengths<M: Memory>(
    geometry: &Geometry,
    layout: &QueueLayout,
    queue: &M,
    client_data: &M,
    server_data: &M,
) -> Result<(), GeometryError> {
    let too_short =
        |found: usize| GeometryError { what: "bytes in a region, too few for the session", found: found as u64 };
    let client_bytes = data_bytes(geometry.client_blocks, geometry.allocator)?;
    let server_bytes = data_bytes(geometry.server_blocks, geometry.allocator)?;
    for (memory, wanted_bytes) in [(queue, layout.len_bytes), (client_data, client_bytes), (server_data, server_bytes)]
    {
        if memory.len_bytes() < wanted_bytes {
            return Err(too_short(memory.len_bytes()));
        }
    }
    Ok(())
}

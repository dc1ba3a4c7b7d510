//! One session, without an operating system: what each side does with the memory that the two share.
//!
//! [`ServerSide`] and [`ClientSide`] hold all the rules. They are generic over [`Memory`], wait for nothing and call
//! nothing, so that tests can put any memory under them. [`Table`](super::Table) and [`Client`](super::Client) add the
//! sockets, the regions and the waiting.

mod client_side;
mod data;
mod jobs;
mod layout;
mod releases;
mod server_side;
mod tickets;

pub use client_side::ClientSide;
pub use data::Data;
pub use jobs::{JobKey, Pending};
pub use layout::{QueueLayout, data_bytes, lay_out_shared};
pub use server_side::{Incoming, ServerSide};
pub use tickets::Ticket;

use super::chain::Chain;
use super::completion::Completion;
use super::error::causes;
use super::geometry::GeometryError;
use super::memory::{Copier, Memory};
use super::request::{JobId, Value};
use super::violation::Violation;

/// What became of a request, before its bytes are lent to the program and its object is received: bytes are in the server's blocks or
/// copied out of the response ([`release`](ClientSide::release) them), an object came over the socket under the job's number.
pub type Outcome = Completion<Chain, JobId>;

/// What [`ClientSide::poll_into`](ClientSide::poll_into) found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// So many bytes, which were copied out.
    Bytes(usize),
    /// A response, as [`poll`](ClientSide::poll) would return it.
    Response(Ticket),
}

/// Why a request was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitError {
    /// As many are under way as the ring holds.
    Full,
    /// The server broke the protocol.
    Violation(Violation),
}

causes! { SubmitError { Violation(Violation) } }

/// What to answer with.
#[derive(Debug)]
pub enum Reply<'a> {
    /// A value.
    Value(Value),
    /// A value, and a descriptor that was sent for the job before.
    WithObject(Value),
    /// Bytes that were [lent](ServerSide::lend).
    Bytes(Chain),
    /// A copy of these bytes, which [fit](Data::fits) into the response.
    Copy(&'a [u8], Copier),
}

/// Why a job was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerError {
    /// There is no such job, or it was answered.
    NoSuchJob,
    /// More than the client asked for, or than fits into the response. The job still waits; the bytes' blocks are given back.
    MoreThanAsked {
        /// How many bytes it may have.
        asked: u32,
    },
    /// The client takes no message of the stream now. The stream goes on.
    NoCredit,
    /// The client broke the protocol.
    Violation(Violation),
}

causes! { AnswerError { Violation(Violation) } }

/// Refuses a region that is too short for what is to be in it.
fn check_length<M: Memory>(memory: &M, wanted_bytes: usize) -> Result<(), GeometryError> {
    let found = memory.len_bytes();
    let what = "bytes in a region, too few for the session";
    GeometryError::unless(found >= wanted_bytes, what, found as u64).map(drop)
}

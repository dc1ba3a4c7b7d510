//! What becomes of requests, on the client's side and on the server's.

use crate::transport::chain::Chain;
use crate::transport::memory::Copier;
use crate::transport::request::{ErrorCode, JobId, Value};
use crate::transport::violation::Violation;

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The table refused it.
    Refused(ErrorCode),
    /// Bytes, in the server's blocks or copied out of the response: [`release`](super::ClientSide::release) them.
    Bytes(Chain),
    /// A stream has ended.
    Ended,
    /// How many bytes were written; 0 where there is nothing to count.
    Amount(u32),
    /// A handle.
    Handle(u32),
    /// A handle, and an object that came over the socket under the job's number.
    HandleWithObject(u32, JobId),
    /// A position.
    Position(u64),
    /// An object that came over the socket under the job's number.
    Object(JobId),
}

/// Why a request was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitError {
    /// As many are under way as the ring holds.
    Full,
    /// The server broke the protocol.
    Violation(Violation),
}

impl From<Violation> for SubmitError {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

/// What to answer with.
#[derive(Debug)]
pub enum Reply<'a> {
    /// A value.
    Value(Value),
    /// A value, and a descriptor that was sent for the job before.
    WithObject(Value),
    /// Bytes that were [lent](super::ServerSide::lend).
    Bytes(Chain),
    /// A copy of these bytes, which [fit](super::ServerSide::fits) into the response.
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

impl From<Violation> for AnswerError {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

//! What a rule judges.

use crate::transport::job::{ClientKey, Operation};

/// What a client asks for, for a rule to judge.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The client that asks.
    pub client: ClientKey,
    /// What for.
    pub operation: Operation,
    /// The name, where one says which object; else empty.
    pub name: &'a [u8],
}

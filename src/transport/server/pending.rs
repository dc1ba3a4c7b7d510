//! A client that connects: until the handshake is over.

use crate::transport::connect::Greeting;
use crate::transport::memory::Mapped;

/// A client that connects.
#[derive(Debug)]
pub(super) struct PendingClient {
    pub(super) greeting: Greeting,
    /// The region of the server's blocks that it was offered.
    pub(super) data: Option<Mapped>,
}

impl PendingClient {
    pub(super) fn new(greeting: Greeting) -> Box<Self> {
        Box::new(Self { greeting, data: None })
    }
}

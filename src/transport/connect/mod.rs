//! How two processes come to share memory: a Unix socket, a handshake of four messages, and descriptors sent with them.
//!
//! | | message | with it | what the receiver does |
//! |---|---|---|---|
//! | 1 | client: Hello | | the server makes a queue region for it |
//! | 2 | server: Welcome | queue region, data region | the client checks the geometry and both regions, and maps them |
//! | 3 | client: Ready | its own data region, if each side has one | the server checks and maps it, and seals the queue region |
//! | 4 | server: Go | | the client checks that seal |
//!
//! Once both have mapped the queue region, it is sealed against new writable mappings, and so against punching holes too:
//! neither side can take pages away from under the other.
//!
//! The server never waits here: a [`Greeting`] is asked to go on when its socket has something, thousands of them at once,
//! and is over when its time is. Every wait of the client ends at its limit.

mod address;
mod channel;
mod credentials;
mod error;
mod greeting;
mod join;
mod listen;
mod wire;

pub use address::{Address, AddressError};
pub use channel::{Channel, Woken};
pub(super) use credentials::Origin;
pub use error::ConnectError;
pub(super) use error::{is_forbidden, is_limit};
pub use greeting::{Greeted, Greeting, Step};
pub(super) use join::ClientHandshake;
pub use join::{DataTrust, JoinOptions, Joined, OwnRegion, join, join_over};
pub use listen::{Listener, Peers};
pub use wire::{MAGIC, MESSAGE_BYTES, Parcel, Refusal, VERSION};

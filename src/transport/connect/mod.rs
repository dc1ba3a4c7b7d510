//! How two processes come to share memory: a Unix socket, a handshake of four messages, and descriptors sent with them. The
//! [protocol](super::protocol) says what is in them, and how neither side can take pages away from under the other.
//!
//! The server never waits here: a [`Greeting`] is asked to go on when its socket has something, thousands of them at once,
//! and is over when its time is. Every wait of the client ends at its limit.

mod channel;
mod credentials;
mod error;
mod greeting;
mod join;
mod listen;
mod wire;

pub use channel::Channel;
pub(super) use credentials::Origin;
pub use error::ConnectError;
pub(super) use error::{is_forbidden, is_limit};
pub use greeting::{Greeted, Greeting, Step};
pub(super) use join::ClientHandshake;
pub use join::{JoinOptions, Joined, OwnRegion, join, join_over};
pub use listen::{Address, Listener, Peers};
pub use wire::{Parcel, Refusal, VERSION};

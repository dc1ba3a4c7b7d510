//! The messages of the handshake, and those that follow on its socket: 64 bytes each, words little-endian.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | [`MAGIC`] |
//! | 8 | 4 | [`VERSION`] |
//! | 12 | 4 | kind |
//! | 16 | 48 | depends on the kind; what it does not name is zero |
//!
//! The first 16 bytes, and `Refused` with its reason at 16, are the same in every version.

#![forbid(unsafe_code)]

use super::ConnectError;
use crate::transport::geometry::{Allocator, Blocks, Geometry};
use crate::transport::memory::Access;
use crate::transport::region::Sealing;
use crate::transport::ring::Publication;

/// What every message starts with.
pub const MAGIC: [u8; 8] = *b"mcsTable";
/// The version of the protocol: of these messages and of all layouts in shared memory.
pub const VERSION: u32 = 1;
/// The length of every message.
pub const MESSAGE_BYTES: usize = 64;

/// A message that passes a memory object. Its descriptor comes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// The sender's name for it.
    pub id: u64,
    /// Where the shared part starts in the object.
    pub start_bytes: u64,
    /// The length of the shared part.
    pub len_bytes: u64,
    /// The length of the whole object.
    pub whole_bytes: u64,
    /// What the receiver may map it for.
    pub access: Access,
    /// What its seals keep from being changed; `None` if nothing is promised.
    pub sealing: Option<Sealing>,
}

/// Why a side refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// It speaks another version: the one in its message.
    Version,
    /// It has as many clients as it takes, or as many are connecting.
    Full,
    /// What it was sent was not as agreed.
    Handshake,
    /// It has too little memory or too few descriptors, or the system does not let it share memory.
    Resources,
    /// It takes clients of its own user only.
    OtherUser,
    /// The handshake took too long.
    Late,
    /// A reason that this build does not know.
    Other(u32),
}

impl Refusal {
    const CODES: [(Self, u32); 6] = [
        (Self::Version, 1),
        (Self::Full, 2),
        (Self::Handshake, 3),
        (Self::Resources, 4),
        (Self::OtherUser, 5),
        (Self::Late, 6),
    ];

    fn code(self) -> u32 {
        match self {
            Self::Other(code) => code,
            named => Self::CODES.iter().find(|(reason, _)| *reason == named).map_or(0, |(_, code)| *code),
        }
    }

    fn of_code(code: u32) -> Self {
        Self::CODES.iter().find(|(_, known)| *known == code).map_or(Self::Other(code), |(reason, _)| *reason)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Hello,
    Welcome { geometry: Geometry, queue_bytes: u64, data_bytes: u64 },
    Ready { data_bytes: u64, last_bytes: u64 },
    Go,
    Refused { reason: Refusal, version: u32 },
    Parcel(Parcel),
    Wake,
}

const HELLO: u32 = 1;
const WELCOME: u32 = 2;
const READY: u32 = 3;
const GO: u32 = 4;
const REFUSED: u32 = 5;
const PARCEL: u32 = 6;
const WAKE: u32 = 7;

impl Message {
    pub(super) fn encode(self) -> [u8; MESSAGE_BYTES] {
        let mut bytes = [0; MESSAGE_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        put32(&mut bytes, 8, VERSION);
        let kind = match self {
            Self::Hello => HELLO,
            Self::Welcome { geometry, queue_bytes, data_bytes } => {
                put_geometry(&mut bytes, &geometry);
                put64(&mut bytes, 48, queue_bytes);
                put64(&mut bytes, 56, data_bytes);
                WELCOME
            }
            Self::Ready { data_bytes, last_bytes } => {
                put64(&mut bytes, 48, last_bytes);
                put64(&mut bytes, 56, data_bytes);
                READY
            }
            Self::Go => GO,
            Self::Refused { reason, version } => {
                put32(&mut bytes, 8, version);
                put32(&mut bytes, 16, reason.code());
                REFUSED
            }
            Self::Parcel(parcel) => {
                put64(&mut bytes, 16, parcel.id);
                put64(&mut bytes, 24, parcel.start_bytes);
                put64(&mut bytes, 32, parcel.len_bytes);
                put64(&mut bytes, 40, parcel.whole_bytes);
                put32(&mut bytes, 48, u32::from(parcel.access == Access::ReadWrite));
                put32(
                    &mut bytes,
                    52,
                    match parcel.sealing {
                        None => 0,
                        Some(Sealing::Size) => 1,
                        Some(Sealing::SizeAndWriting) => 2,
                    },
                );
                PARCEL
            }
            Self::Wake => WAKE,
        };
        put32(&mut bytes, 12, kind);
        bytes
    }

    pub(super) fn decode(bytes: &[u8; MESSAGE_BYTES]) -> Result<Self, ConnectError> {
        if bytes[..8] != MAGIC {
            return Err(ConnectError::NotATable);
        }
        let (version, kind) = (get32(bytes, 8), get32(bytes, 12));
        if kind == REFUSED {
            return Ok(Self::Refused { reason: Refusal::of_code(get32(bytes, 16)), version });
        }
        if version != VERSION {
            return Err(ConnectError::Version { ours: VERSION, theirs: version });
        }
        let unknown = ConnectError::Message { kind };
        match kind {
            HELLO => Ok(Self::Hello),
            WELCOME => Ok(Self::Welcome {
                geometry: get_geometry(bytes).ok_or(unknown)?,
                queue_bytes: get64(bytes, 48),
                data_bytes: get64(bytes, 56),
            }),
            READY => Ok(Self::Ready { data_bytes: get64(bytes, 56), last_bytes: get64(bytes, 48) }),
            GO => Ok(Self::Go),
            PARCEL => Ok(Self::Parcel(Parcel {
                id: get64(bytes, 16),
                start_bytes: get64(bytes, 24),
                len_bytes: get64(bytes, 32),
                whole_bytes: get64(bytes, 40),
                access: match get32(bytes, 48) {
                    0 => Access::Read,
                    1 => Access::ReadWrite,
                    _ => return Err(unknown),
                },
                sealing: match get32(bytes, 52) {
                    0 => None,
                    1 => Some(Sealing::Size),
                    2 => Some(Sealing::SizeAndWriting),
                    _ => return Err(unknown),
                },
            })),
            WAKE => Ok(Self::Wake),
            _ => Err(unknown),
        }
    }

    pub(super) fn kind(self) -> u32 {
        get32(&self.encode(), 12)
    }

    /// How many descriptors come with it.
    pub(super) fn descriptors(self) -> usize {
        match self {
            Self::Welcome { .. } => 2,
            Self::Parcel(_) => 1,
            Self::Ready { data_bytes, last_bytes } => usize::from(data_bytes > 0) + usize::from(last_bytes > 0),
            Self::Hello | Self::Go | Self::Refused { .. } | Self::Wake => 0,
        }
    }
}

/// | offset | bytes | what |
/// |---|---|---|
/// | 16 | 4 | capacity |
/// | 20 | 2 | bytes from request to request |
/// | 22 | 2 | bytes from response to response |
/// | 24 | 1 | published by index (0) or phase (1) |
/// | 25 | 1 | allocator: owned (0) or shared (1) |
/// | 28 | 4 + 4 | the client's blocks: bytes of one, count |
/// | 36 | 4 + 4 | the server's blocks: bytes of one, count |
fn put_geometry(bytes: &mut [u8; MESSAGE_BYTES], geometry: &Geometry) {
    put32(bytes, 16, geometry.capacity);
    put32(bytes, 20, u32::from(geometry.request_stride_bytes) | u32::from(geometry.response_stride_bytes) << 16);
    bytes[24] = u8::from(geometry.publication == Publication::Phase);
    bytes[25] = u8::from(geometry.allocator == Allocator::Shared);
    put32(bytes, 28, geometry.client_blocks.block_bytes);
    put32(bytes, 32, geometry.client_blocks.count);
    put32(bytes, 36, geometry.server_blocks.block_bytes);
    put32(bytes, 40, geometry.server_blocks.count);
}

fn get_geometry(bytes: &[u8; MESSAGE_BYTES]) -> Option<Geometry> {
    let strides = get32(bytes, 20);
    Some(Geometry {
        capacity: get32(bytes, 16),
        request_stride_bytes: (strides & 0xFFFF) as u16,
        response_stride_bytes: (strides >> 16) as u16,
        publication: match bytes[24] {
            0 => Publication::Index,
            1 => Publication::Phase,
            _ => return None,
        },
        allocator: match bytes[25] {
            0 => Allocator::Owned,
            1 => Allocator::Shared,
            _ => return None,
        },
        client_blocks: Blocks { block_bytes: get32(bytes, 28), count: get32(bytes, 32) },
        server_blocks: Blocks { block_bytes: get32(bytes, 36), count: get32(bytes, 40) },
    })
}

fn put32(bytes: &mut [u8; MESSAGE_BYTES], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn put64(bytes: &mut [u8; MESSAGE_BYTES], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

fn get32(bytes: &[u8; MESSAGE_BYTES], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]))
}

fn get64(bytes: &[u8; MESSAGE_BYTES], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry() -> Geometry {
        Geometry {
            capacity: 128,
            request_stride_bytes: 16,
            response_stride_bytes: 12,
            publication: Publication::Phase,
            allocator: Allocator::Owned,
            client_blocks: Blocks { block_bytes: 4096, count: 256 },
            server_blocks: Blocks { block_bytes: 65536, count: 3 },
        }
    }

    #[test]
    fn a_welcome_has_these_bytes() {
        let bytes = Message::Welcome { geometry: geometry(), queue_bytes: 0x1_0000, data_bytes: 0x3_0000 }.encode();
        let words: Vec<u32> = (8..64).step_by(4).map(|at| get32(&bytes, at)).collect();
        assert_eq!(&bytes[..8], b"mcsTable");
        assert_eq!(words, [1, 2, 128, 12 << 16 | 16, 1, 4096, 256, 65536, 3, 0, 0x1_0000, 0, 0x3_0000, 0]);
    }

    #[test]
    fn every_message_is_read_back() {
        let parcel = Parcel {
            id: 7,
            start_bytes: 4096,
            len_bytes: 8192,
            whole_bytes: 1 << 40,
            access: Access::ReadWrite,
            sealing: Some(Sealing::Size),
        };
        let unpromised = Parcel { access: Access::Read, sealing: None, ..parcel };
        let sealed = Parcel { sealing: Some(Sealing::SizeAndWriting), ..parcel };
        for message in [
            Message::Hello,
            Message::Welcome { geometry: geometry(), queue_bytes: u64::MAX, data_bytes: 1 << 40 },
            Message::Ready { data_bytes: 5, last_bytes: 0 },
            Message::Ready { data_bytes: 5, last_bytes: 6 },
            Message::Go,
            Message::Refused { reason: Refusal::Full, version: 9 },
            Message::Refused { reason: Refusal::Late, version: 1 },
            Message::Refused { reason: Refusal::Other(99), version: 1 },
            Message::Parcel(parcel),
            Message::Parcel(unpromised),
            Message::Parcel(sealed),
            Message::Wake,
        ] {
            assert_eq!(Message::decode(&message.encode()).unwrap(), message);
        }
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let bytes = Message::Hello.encode();
        for at in 0..8 {
            let mut wrong = bytes;
            wrong[at] ^= 1;
            assert!(matches!(Message::decode(&wrong), Err(ConnectError::NotATable)));
        }
        let mut wrong = bytes;
        put32(&mut wrong, 8, 2);
        assert!(matches!(Message::decode(&wrong), Err(ConnectError::Version { ours: 1, theirs: 2 })));
        for kind in [0, 8, u32::MAX] {
            let mut wrong = bytes;
            put32(&mut wrong, 12, kind);
            assert!(matches!(Message::decode(&wrong), Err(ConnectError::Message { kind: found }) if found == kind));
        }
        for at in [24, 25] {
            let mut wrong = Message::Welcome { geometry: geometry(), queue_bytes: 0, data_bytes: 0 }.encode();
            wrong[at] = 2;
            assert!(matches!(Message::decode(&wrong), Err(ConnectError::Message { kind: WELCOME })));
        }
    }
}

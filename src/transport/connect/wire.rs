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
pub const VERSION: u32 = 2;
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
    pub(super) fn kind(self) -> u32 {
        self.parts().0
    }

    /// Its kind, and the words from offset 16 on.
    fn parts(self) -> (u32, [u64; 6]) {
        match self {
            Self::Hello => (HELLO, [0; 6]),
            Self::Welcome { geometry, queue_bytes, data_bytes } => {
                let [a, b, c, d] = geometry_to_words(&geometry);
                (WELCOME, [a, b, c, d, queue_bytes, data_bytes])
            }
            Self::Ready { data_bytes, last_bytes } => (READY, [0, 0, 0, 0, last_bytes, data_bytes]),
            Self::Go => (GO, [0; 6]),
            Self::Refused { reason, .. } => (REFUSED, [reason.code().into(), 0, 0, 0, 0, 0]),
            Self::Parcel(Parcel { id, start_bytes, len_bytes, whole_bytes, access, sealing }) => {
                let access = u32::from(access == Access::ReadWrite);
                let sealing = match sealing {
                    None => 0,
                    Some(Sealing::Size) => 1,
                    Some(Sealing::SizeAndWriting) => 2,
                };
                (PARCEL, [id, start_bytes, len_bytes, whole_bytes, pair(access, sealing), 0])
            }
            Self::Wake => (WAKE, [0; 6]),
        }
    }

    pub(super) fn encode(self) -> [u8; MESSAGE_BYTES] {
        let version = if let Self::Refused { version, .. } = self { version } else { VERSION };
        let (kind, words) = self.parts();
        let mut bytes = [0; MESSAGE_BYTES];
        let (magic, rest) = bytes.split_at_mut(MAGIC.len());
        magic.copy_from_slice(&MAGIC);
        for (chunk, word) in rest.chunks_exact_mut(8).zip([pair(version, kind)].iter().chain(&words)) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8; MESSAGE_BYTES]) -> Result<Self, ConnectError> {
        if bytes[..8] != MAGIC {
            return Err(ConnectError::NotATable);
        }
        let [head, a, b, c, d, e, f] = std::array::from_fn(|at| word(bytes, 8 + 8 * at));
        let (version, kind) = halves(head);
        if kind == REFUSED {
            return Ok(Self::Refused { reason: Refusal::of_code(a as u32), version });
        }
        if version != VERSION {
            return Err(ConnectError::Version { ours: VERSION, theirs: version });
        }
        let message = match kind {
            HELLO => Some(Self::Hello),
            WELCOME => words_to_geometry([a, b, c, d]).map(|geometry| Self::Welcome {
                geometry,
                queue_bytes: e,
                data_bytes: f,
            }),
            READY => Some(Self::Ready { data_bytes: f, last_bytes: e }),
            GO => Some(Self::Go),
            PARCEL => match halves(e) {
                (access @ 0..=1, sealing @ 0..=2) => Some(Self::Parcel(Parcel {
                    id: a,
                    start_bytes: b,
                    len_bytes: c,
                    whole_bytes: d,
                    access: [Access::Read, Access::ReadWrite][access as usize],
                    sealing: [None, Some(Sealing::Size), Some(Sealing::SizeAndWriting)][sealing as usize],
                })),
                _ => None,
            },
            WAKE => Some(Self::Wake),
            _ => None,
        };
        message.ok_or(ConnectError::Message { kind })
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
fn geometry_to_words(geometry: &Geometry) -> [u64; 4] {
    let Geometry { capacity, request_stride_bytes, response_stride_bytes, publication, allocator, .. } = *geometry;
    let Geometry { client_blocks, server_blocks, .. } = *geometry;
    let strides = u32::from(request_stride_bytes) | u32::from(response_stride_bytes) << 16;
    let ways = u32::from(publication == Publication::Phase) | u32::from(allocator == Allocator::Shared) << 8;
    [
        pair(capacity, strides),
        pair(ways, client_blocks.block_bytes),
        pair(client_blocks.count, server_blocks.block_bytes),
        server_blocks.count.into(),
    ]
}

fn words_to_geometry([a, b, c, d]: [u64; 4]) -> Option<Geometry> {
    let ((capacity, strides), (ways, client_bytes), (client_count, server_bytes)) = (halves(a), halves(b), halves(c));
    Some(Geometry {
        capacity,
        request_stride_bytes: strides as u16,
        response_stride_bytes: (strides >> 16) as u16,
        publication: *[Publication::Index, Publication::Phase].get(usize::from(ways as u8))?,
        allocator: *[Allocator::Owned, Allocator::Shared].get(usize::from((ways >> 8) as u8))?,
        client_blocks: Blocks { block_bytes: client_bytes, count: client_count },
        server_blocks: Blocks { block_bytes: server_bytes, count: d as u32 },
    })
}

/// A word of two halves, the first one of which travels first.
fn pair(first: u32, second: u32) -> u64 {
    u64::from(first) | u64::from(second) << 32
}

fn halves(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

fn word(bytes: &[u8; MESSAGE_BYTES], at: usize) -> u64 {
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
        let words: Vec<u32> = (8..64).step_by(8).flat_map(|at| <[u32; 2]>::from(halves(word(&bytes, at)))).collect();
        assert_eq!(&bytes[..8], b"mcsTable");
        assert_eq!(words, [2, 2, 128, 12 << 16 | 16, 1, 4096, 256, 65536, 3, 0, 0x1_0000, 0, 0x3_0000, 0]);
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
        wrong[8] = 1;
        assert!(matches!(Message::decode(&wrong), Err(ConnectError::Version { ours: 2, theirs: 1 })));
        for kind in [0, 8, u32::MAX] {
            let mut wrong = bytes;
            wrong[12..16].copy_from_slice(&kind.to_le_bytes());
            assert!(matches!(Message::decode(&wrong), Err(ConnectError::Message { kind: found }) if found == kind));
        }
        for at in [24, 25] {
            let mut wrong = Message::Welcome { geometry: geometry(), queue_bytes: 0, data_bytes: 0 }.encode();
            wrong[at] = 2;
            assert!(matches!(Message::decode(&wrong), Err(ConnectError::Message { kind: WELCOME })));
        }
    }
}

//! The messages of the handshake, and those that follow on its socket, as the [protocol](crate::transport::protocol) has them: in
//! words of 4 bytes.

#![forbid(unsafe_code)]

use super::ConnectError;
use crate::transport::geometry::{Allocator, Blocks, Geometry};
use crate::transport::memory::Access;
use crate::transport::region::Sealing;

/// What every message starts with.
pub(super) const MAGIC: [u8; 8] = *b"mcsTable";
/// The version of the protocol: of these messages and of all layouts in shared memory.
pub const VERSION: u32 = 4;
/// The length of every message.
pub(super) const MESSAGE_BYTES: usize = 64;
/// A message, by its words.
pub(super) type Bytes = [[u8; 4]; MESSAGE_BYTES / 4];

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

/// What the words that stand for one of a few things mean: its place here, of the reasons one more.
const REFUSALS: [Refusal; 6] =
    [Refusal::Version, Refusal::Full, Refusal::Handshake, Refusal::Resources, Refusal::OtherUser, Refusal::Late];
const ALLOCATORS: [Allocator; 2] = [Allocator::Owned, Allocator::Shared];
const ACCESSES: [Access; 2] = [Access::Read, Access::ReadWrite];
const SEALINGS: [Option<Sealing>; 3] = [None, Some(Sealing::Size), Some(Sealing::SizeAndWriting)];

fn place_in<T: PartialEq>(table: &[T], value: T) -> u32 {
    table.iter().position(|known| *known == value).unwrap_or_default() as u32
}

impl Refusal {
    pub(super) fn code(self) -> u32 {
        match self {
            Self::Other(code) => code,
            named => 1 + place_in(&REFUSALS, named),
        }
    }

    fn of_code(code: u32) -> Self {
        REFUSALS.get(code.wrapping_sub(1) as usize).copied().unwrap_or(Self::Other(code))
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

/// The kind that is the same in every version.
const REFUSED: u32 = 5;

impl Message {
    pub(super) fn kind(self) -> u32 {
        match self {
            Self::Hello => 1,
            Self::Welcome { .. } => 2,
            Self::Ready { .. } => 3,
            Self::Go => 4,
            Self::Refused { .. } => REFUSED,
            Self::Parcel(_) => 6,
            Self::Wake => 7,
        }
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

    pub(super) fn encode(self) -> Bytes {
        let mut words = [0; MESSAGE_BYTES / 4];
        (words[2], words[3]) = (VERSION, self.kind());
        let long = |value: u64| [value as u32, (value >> 32) as u32];
        let blocks = |blocks: Blocks| [blocks.block_bytes, blocks.count];
        match self {
            Self::Hello | Self::Go | Self::Wake => {}
            Self::Welcome { geometry, queue_bytes, data_bytes } => {
                words[4] = geometry.capacity;
                words[5] = u32::from(geometry.request_stride_bytes) | u32::from(geometry.response_stride_bytes) << 16;
                words[6] = place_in(&ALLOCATORS, geometry.allocator);
                words[7..11].copy_from_slice(&[geometry.client_blocks, geometry.server_blocks].map(blocks).concat());
                words[12..].copy_from_slice(&[long(queue_bytes), long(data_bytes)].concat());
            }
            Self::Ready { data_bytes, last_bytes } => {
                words[12..].copy_from_slice(&[long(last_bytes), long(data_bytes)].concat());
            }
            Self::Refused { reason, version } => (words[2], words[4]) = (version, reason.code()),
            Self::Parcel(Parcel { id, start_bytes, len_bytes, whole_bytes, access, sealing }) => {
                words[4..12].copy_from_slice(&[id, start_bytes, len_bytes, whole_bytes].map(long).concat());
                (words[12], words[13]) = (place_in(&ACCESSES, access), place_in(&SEALINGS, sealing));
            }
        }
        let mut bytes = words.map(u32::to_le_bytes);
        bytes.as_flattened_mut()[..MAGIC.len()].copy_from_slice(&MAGIC);
        bytes
    }

    pub(super) fn decode(bytes: &Bytes) -> Result<Self, ConnectError> {
        if bytes.as_flattened()[..MAGIC.len()] != MAGIC {
            return Err(ConnectError::NotATable);
        }
        let words = bytes.map(u32::from_le_bytes);
        let (version, kind) = (words[2], words[3]);
        if kind != REFUSED && version != VERSION {
            return Err(ConnectError::Version { ours: VERSION, theirs: version });
        }
        Self::of_words(&words).ok_or(ConnectError::Message { kind })
    }

    fn of_words(words: &[u32; MESSAGE_BYTES / 4]) -> Option<Self> {
        let long = |at: usize| u64::from(words[at]) | u64::from(words[at + 1]) << 32;
        let blocks = |at: usize| Blocks { block_bytes: words[at], count: words[at + 1] };
        Some(match words[3] {
            1 => Self::Hello,
            2 => Self::Welcome {
                geometry: Geometry {
                    capacity: words[4],
                    request_stride_bytes: words[5] as u16,
                    response_stride_bytes: (words[5] >> 16) as u16,
                    allocator: *ALLOCATORS.get(words[6] as usize)?,
                    client_blocks: blocks(7),
                    server_blocks: blocks(9),
                },
                queue_bytes: long(12),
                data_bytes: long(14),
            },
            3 => Self::Ready { last_bytes: long(12), data_bytes: long(14) },
            4 => Self::Go,
            REFUSED => Self::Refused { reason: Refusal::of_code(words[4]), version: words[2] },
            6 => Self::Parcel(Parcel {
                id: long(4),
                start_bytes: long(6),
                len_bytes: long(8),
                whole_bytes: long(10),
                access: *ACCESSES.get(words[12] as usize)?,
                sealing: *SEALINGS.get(words[13] as usize)?,
            }),
            7 => Self::Wake,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_read_back() {
        let geometry = Geometry {
            capacity: 128,
            request_stride_bytes: 16,
            response_stride_bytes: 12,
            allocator: Allocator::Owned,
            client_blocks: Blocks { block_bytes: 4096, count: 256 },
            server_blocks: Blocks { block_bytes: 65536, count: 3 },
        };
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
            Message::Welcome { geometry, queue_bytes: u64::MAX, data_bytes: 1 << 40 },
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
    fn what_does_not_begin_as_a_message_is_none() {
        for at in 0..MAGIC.len() {
            let mut wrong = Message::Hello.encode();
            wrong.as_flattened_mut()[at] ^= 1;
            assert!(matches!(Message::decode(&wrong), Err(ConnectError::NotATable)));
        }
    }
}

//! The numbers of a session: how long its rings are and how its blocks are cut. Both sides know them from the handshake
//! and keep them; they are never read from shared memory.

#![forbid(unsafe_code)]

use super::blocks::BlockGeometry;
pub use super::geometry_error::GeometryError;
use super::ring::{MAX_CAPACITY, Publication, room_bytes};

/// Which side allocates blocks from which memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Allocator {
    /// Each side from memory that it alone can write.
    #[default]
    Owned,
    /// Both from one region that both write. For sides that trust each other.
    Shared,
}

/// Blocks of one region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// The length of each: a power of two.
    pub block_bytes: u32,
    /// How many there are.
    pub count: u32,
}

impl Blocks {
    /// The shortest block: 16 entries of a chain, or one cache line.
    pub const MIN_BYTES: u32 = 64;

    /// The length of all blocks together.
    pub const fn total_bytes(self) -> u64 {
        self.block_bytes as u64 * self.count as u64
    }

    /// How a region is cut into them.
    ///
    /// # Errors
    ///
    /// [`GeometryError`] if none can be.
    pub(super) const fn cut(self) -> Result<BlockGeometry, GeometryError> {
        BlockGeometry::new(self.block_bytes, self.count)
    }
}

/// The numbers of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Entries of each ring: a power of two.
    pub capacity: u32,
    /// From one request to the next, in bytes: 16, 32, or a multiple of 64 up to 512. What is above 16 is room for a payload:
    /// one that fits travels in the request, and takes no block.
    pub request_stride_bytes: u16,
    /// From one response to the next, in bytes: 12, 16, 32, or a multiple of 64 up to 512. What is above 16 is room for the
    /// bytes of an answer.
    pub response_stride_bytes: u16,
    /// How entries are published.
    pub publication: Publication,
    /// Which side allocates from which memory.
    pub allocator: Allocator,
    /// With [`Allocator::Owned`] the client's own blocks. With [`Allocator::Shared`] there are none: the same as
    /// `server_blocks`.
    pub client_blocks: Blocks,
    /// The server's own blocks, or the shared ones.
    pub server_blocks: Blocks,
}

impl Geometry {
    /// The longest payload that travels in a request.
    pub const fn request_room_bytes(&self) -> usize {
        room_bytes(self.request_stride_bytes as u32) as usize
    }

    /// The longest answer whose bytes travel in the response.
    pub const fn response_room_bytes(&self) -> usize {
        room_bytes(self.response_stride_bytes as u32) as usize
    }

    /// Whether a session can have these numbers within those limits.
    ///
    /// # Errors
    ///
    /// [`GeometryError`] naming the first number that is wrong.
    pub fn check(&self, limits: &Limits) -> Result<(), GeometryError> {
        let refuse = |what, found: u64| Err(GeometryError { what, found });
        if !self.capacity.is_power_of_two() || !(2..=MAX_CAPACITY).contains(&self.capacity) {
            return refuse("entries of a ring (a power of two from 2 to 32768)", self.capacity.into());
        }
        let is_stride =
            |bytes: u16| [16, 32].contains(&bytes) || (64..=512).contains(&bytes) && bytes.is_multiple_of(64);
        let (request_bytes, response_bytes) = (self.request_stride_bytes, self.response_stride_bytes);
        if !is_stride(request_bytes) {
            let what = "bytes from request to request (16, 32, or a multiple of 64 up to 512)";
            return refuse(what, request_bytes.into());
        }
        if response_bytes != 12 && !is_stride(response_bytes) {
            let what = "bytes from response to response (12, 16, 32, or a multiple of 64 up to 512)";
            return refuse(what, response_bytes.into());
        }
        for blocks in [self.client_blocks, self.server_blocks] {
            blocks.cut()?;
            if blocks.block_bytes < Blocks::MIN_BYTES {
                return refuse("bytes in a block (64 or more)", blocks.block_bytes.into());
            }
            if blocks.total_bytes() > limits.max_data_bytes {
                return refuse("bytes of all blocks of a side, more than the limit", blocks.total_bytes());
            }
        }
        if self.allocator == Allocator::Shared && self.client_blocks != self.server_blocks {
            return refuse("bytes of blocks beside the shared ones", self.client_blocks.total_bytes());
        }
        Ok(())
    }

    /// The length of the blocks, if the two regions that hold the first and the last of them fit.
    pub(crate) fn check_parts(
        &self,
        blocks: Blocks,
        first_bytes: u64,
        last_bytes: u64,
    ) -> Result<usize, GeometryError> {
        const PAGE_BYTES: u64 = 4096;
        let total_bytes = blocks.total_bytes();
        let in_pages = [total_bytes, first_bytes, last_bytes].iter().all(|bytes| bytes.is_multiple_of(PAGE_BYTES));
        let fits = first_bytes.checked_add(last_bytes).is_some_and(|both| both <= total_bytes);
        usize::try_from(total_bytes)
            .ok()
            .filter(|_| in_pages && fits && first_bytes > 0 && last_bytes > 0)
            .ok_or(GeometryError { what: "bytes in two data regions, which do not fit the blocks", found: first_bytes })
    }
}

/// What this side is ready to map for a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest queue region.
    pub max_queue_bytes: u64,
    /// The longest data region.
    pub max_data_bytes: u64,
}

impl Default for Limits {
    /// 64 MiB of queues and 16 GiB of blocks, of which only what is used takes memory.
    fn default() -> Self {
        Self { max_queue_bytes: 64 << 20, max_data_bytes: 16 << 30 }
    }
}

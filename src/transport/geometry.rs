//! The numbers of a session: how long its rings are and how its blocks are cut. Both sides know them from the handshake
//! and keep them; they are never read from shared memory.

#![forbid(unsafe_code)]

use super::ring::{MAX_CAPACITY, room_bytes};
pub use super::violation::GeometryError;

/// Which side allocates blocks from which memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Allocator {
    /// Each side from memory that it alone can write.
    #[default]
    Owned,
    /// Both from one region that both write. For sides that trust each other.
    Shared,
}

/// The blocks of one region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// The length of each: a power of two.
    pub block_bytes: u32,
    /// How many there are.
    pub count: u32,
}

impl Blocks {
    /// The shortest block of a session: 16 entries of a chain, or one cache line.
    pub const MIN_BYTES: u32 = 64;

    /// Whether a region can be cut into them.
    ///
    /// # Errors
    ///
    /// [`GeometryError`] unless the length is a power of two from 8 bytes (a list block needs two entries of 4 bytes, or a chain
    /// would never end) to 1 GiB, and there are 1 to 2^30, and not more than fit into this process.
    pub fn check(self) -> Result<(), GeometryError> {
        const MAX: u32 = 1 << 30;
        let Self { block_bytes, count } = self;
        let is_length = block_bytes.is_power_of_two() && (8..=MAX).contains(&block_bytes);
        let what = "bytes in a block (a power of two from 8 to 2^30, so that chains can be built of them)";
        GeometryError::unless(is_length, what, block_bytes.into())?;
        let is_count = (1..=MAX).contains(&count) && self.total_bytes() <= isize::MAX as u64;
        let what = "blocks of a region (1 to 2^30, and no more than the address space holds)";
        GeometryError::unless(is_count, what, count.into()).map(drop)
    }

    /// The length of all blocks together.
    #[inline(always)]
    pub const fn total_bytes(self) -> u64 {
        self.block_bytes as u64 * self.count as u64
    }

    /// The length of all blocks, if two regions of whole pages that hold the first and the last of them fit.
    pub(crate) fn check_parts(self, first_bytes: u64, last_bytes: u64) -> Result<usize, GeometryError> {
        let total_bytes = self.total_bytes();
        let in_pages = [total_bytes, first_bytes, last_bytes].iter().all(|bytes| bytes.is_multiple_of(4096));
        let fits = first_bytes.checked_add(last_bytes).is_some_and(|both| both <= total_bytes);
        let fits = in_pages && fits && first_bytes > 0 && last_bytes > 0;
        GeometryError::unless(fits, "bytes in two data regions, which do not fit the blocks", first_bytes)?;
        Ok(total_bytes as usize)
    }

    /// The offset of a block in the region.
    #[inline(always)]
    pub const fn block_at(self, block: u32) -> usize {
        block as usize * self.block_bytes as usize
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
    /// Which side allocates from which memory.
    pub allocator: Allocator,
    /// With [`Allocator::Owned`] the client's own blocks. With [`Allocator::Shared`] there are none: the same as
    /// `server_blocks`.
    pub client_blocks: Blocks,
    /// The server's own blocks, or the shared ones.
    pub server_blocks: Blocks,
}

impl Geometry {
    /// The same in both directions: strides, and each side's own blocks.
    pub const fn symmetric(capacity: u32, stride_bytes: u16, blocks: Blocks) -> Self {
        Self {
            capacity,
            request_stride_bytes: stride_bytes,
            response_stride_bytes: stride_bytes,
            allocator: Allocator::Owned,
            client_blocks: blocks,
            server_blocks: blocks,
        }
    }

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
        let (requests, responses) = (self.request_stride_bytes, self.response_stride_bytes);
        let is_stride =
            |bytes: u16| [16, 32].contains(&bytes) || (64..=512).contains(&bytes) && bytes.is_multiple_of(64);
        let is_capacity = self.capacity.is_power_of_two() && (2..=MAX_CAPACITY).contains(&self.capacity);
        let what = "entries of a ring (a power of two from 2 to 32768)";
        GeometryError::unless(is_capacity, what, self.capacity.into())?;
        let what = "bytes from request to request (16, 32, or a multiple of 64 up to 512)";
        GeometryError::unless(is_stride(requests), what, requests.into())?;
        let what = "bytes from response to response (12, 16, 32, or a multiple of 64 up to 512)";
        GeometryError::unless(responses == 12 || is_stride(responses), what, responses.into())?;
        for blocks in [self.client_blocks, self.server_blocks] {
            blocks.check()?;
            let (block_bytes, total_bytes) = (blocks.block_bytes, blocks.total_bytes());
            let what = "bytes in a block (64 or more)";
            GeometryError::unless(block_bytes >= Blocks::MIN_BYTES, what, block_bytes.into())?;
            let what = "bytes of all blocks of a side, more than the limit";
            GeometryError::unless(total_bytes <= limits.max_data_bytes, what, total_bytes)?;
        }
        let are_fine = self.allocator == Allocator::Owned || self.client_blocks == self.server_blocks;
        let what = "bytes of blocks beside the shared ones";
        GeometryError::unless(are_fine, what, self.client_blocks.total_bytes()).map(drop)
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

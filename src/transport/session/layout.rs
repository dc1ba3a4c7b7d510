//! Where everything is in the two kinds of region. Computed by each side from the geometry that it agreed to.

use crate::transport::blocks::FreeList;
use crate::transport::geometry::{Allocator, Blocks, Geometry, GeometryError, Limits};
use crate::transport::memory::Memory;
use crate::transport::ring::{Publication, RingLayout, RingPlace};

/// Words that different sides write are this far apart: two lines, because the neighbour of a line is fetched with it.
const APART_BYTES: usize = 128;

/// The queue region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLayout {
    /// Requests: the client writes.
    pub requests: RingLayout,
    /// Responses: the server writes.
    pub responses: RingLayout,
    /// Blocks of the server's that the client gives back: the client writes.
    pub releases: RingLayout,
    /// The words by which the server sleeps and is woken: 64 bytes.
    pub server_doorbell_at: usize,
    /// The words by which the client sleeps and is woken: 64 bytes.
    pub client_doorbell_at: usize,
    /// The length of it all.
    pub len_bytes: usize,
}

impl QueueLayout {
    /// The layout of a session's queue region.
    ///
    /// # Errors
    ///
    /// [`GeometryError`] if no session can have this geometry.
    pub fn of(geometry: &Geometry) -> Result<Self, GeometryError> {
        geometry.check(&Limits { max_queue_bytes: u64::MAX, max_data_bytes: u64::MAX })?;
        let word = |number: usize| number * APART_BYTES;
        let ring = |first_word, entries_at, stride_bytes: u32, publication| {
            let at = RingPlace { tail_at: word(first_word), head_at: word(first_word + 1), entries_at };
            RingLayout::new(at, geometry.capacity, stride_bytes, publication)
        };
        let requests = ring(0, word(8), geometry.request_stride_bytes.into(), geometry.publication)?;
        let responses_at = requests.end_at().next_multiple_of(APART_BYTES);
        let responses = ring(2, responses_at, geometry.response_stride_bytes.into(), geometry.publication)?;
        let releases_at = responses.end_at().next_multiple_of(APART_BYTES);
        // A block index has no bit to spare for a lap.
        let releases = ring(4, releases_at, 4, Publication::Index)?;
        Ok(Self {
            requests,
            responses,
            releases,
            server_doorbell_at: word(6),
            client_doorbell_at: word(7),
            len_bytes: releases.end_at().next_multiple_of(4096),
        })
    }
}

/// The list of free blocks of a shared region: behind the blocks, so that one region with one list can serve many sessions.
pub(super) fn free_list(blocks: Blocks) -> FreeList {
    let head_at = (blocks.total_bytes() as usize).next_multiple_of(APART_BYTES);
    FreeList { head_at, links_at: head_at + APART_BYTES }
}

/// The length of a data region with these blocks.
///
/// # Errors
///
/// [`GeometryError`] if no region can be cut into them.
pub fn data_bytes(blocks: Blocks, allocator: Allocator) -> Result<usize, GeometryError> {
    blocks.check()?;
    let end = match allocator {
        Allocator::Owned => blocks.total_bytes() as usize,
        Allocator::Shared => free_list(blocks).links_at + 4 * blocks.count as usize,
    };
    Ok(end.next_multiple_of(4096))
}

impl Geometry {
    /// The length of a data region, if it holds these blocks, with their list if they are shared, and, but for rounding up
    /// to huge pages, nothing else.
    pub(crate) fn check_data_bytes(&self, blocks: Blocks, found_bytes: u64) -> Result<usize, GeometryError> {
        const HUGE_PAGE_BYTES: u64 = 2 << 20;
        let total_bytes = data_bytes(blocks, self.allocator)? as u64;
        let fits = found_bytes >= total_bytes && found_bytes - total_bytes < HUGE_PAGE_BYTES;
        GeometryError::unless(fits, "bytes in a data region, which do not fit its blocks", found_bytes)
    }
}

/// Writes the list of a shared region, all blocks free, before either side uses it.
///
/// # Errors
///
/// [`GeometryError`] if no region can be cut into these blocks.
pub fn lay_out_shared<M: Memory>(memory: &M, blocks: Blocks) -> Result<(), GeometryError> {
    blocks.check()?;
    free_list(blocks).lay_out(memory, blocks);
    Ok(())
}

//! Where everything is in the two kinds of region. Computed by each side from the geometry that it agreed to.

use crate::transport::blocks::FreeList;
use crate::transport::geometry::{Allocator, Blocks, Geometry, GeometryError, Limits};
use crate::transport::memory::Memory;
use crate::transport::request::LAP_BIT;
use crate::transport::ring::{RingLayout, RingPlace};

/// Words that different sides write are this far apart: two lines, because the neighbour of a line is fetched with it.
const APART_BYTES: usize = 128;
/// The lap bit of a release, which is the number of a block: no region has as many.
const RELEASE_LAP_BIT: u32 = 1 << 31;

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
        let ring = |head_at, end_at: usize, stride_bytes: u32, lap_bit| {
            let at = RingPlace { head_at, entries_at: end_at.next_multiple_of(APART_BYTES) };
            RingLayout::new(at, geometry.capacity, stride_bytes, lap_bit)
        };
        let requests = ring(word(0), word(5), geometry.request_stride_bytes.into(), LAP_BIT)?;
        let responses = ring(word(1), requests.end_at(), geometry.response_stride_bytes.into(), LAP_BIT)?;
        let releases = ring(word(2), responses.end_at(), 4, RELEASE_LAP_BIT)?;
        Ok(Self {
            requests,
            responses,
            releases,
            server_doorbell_at: word(3),
            client_doorbell_at: word(4),
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

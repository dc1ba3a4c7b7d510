//! Blocks that a client has, on the server's own account: known by the first one of their chain.

use super::directions::Sending;
use crate::transport::blocks::Marks;
use crate::transport::chain::Chain;
use crate::transport::memory::Memory;
use crate::transport::ring::Consumer;
use crate::transport::violation::Violation;
use std::collections::HashMap;

/// The account, and the ring by which the client gives blocks back. Where both take from one list there is neither.
#[derive(Debug)]
pub(super) struct Lent<M> {
    releases: Option<Consumer<M, 1>>,
    alone: Marks,
    chains: HashMap<u32, Chain>,
    blocks: u32,
    limit_blocks: u32,
}

impl<M: Memory> Lent<M> {
    /// Nothing of so many blocks is lent.
    pub(super) fn new(releases: Option<Consumer<M, 1>>, count: u32) -> Self {
        let alone = Marks::new(if releases.is_some() { count } else { 0 });
        Self { releases, alone, chains: HashMap::new(), blocks: 0, limit_blocks: count }
    }

    /// Lets the client hold that many blocks at most.
    pub(super) fn limit(&mut self, limit_blocks: u32) {
        self.limit_blocks = limit_blocks;
    }

    /// How many blocks the client holds.
    #[inline(always)]
    pub(super) fn blocks(&self) -> u32 {
        self.blocks
    }

    /// Whether blocks are booked at all.
    #[inline(always)]
    pub(super) fn is_owned(&self) -> bool {
        self.releases.is_some()
    }

    /// Whether so many more may be lent.
    #[inline(always)]
    pub(super) fn allows(&self, count: u32) -> bool {
        self.blocks + count <= self.limit_blocks
    }

    /// Books blocks to the client. The chain comes back if its blocks are known without it.
    #[inline(always)]
    pub(super) fn lend(&mut self, chain: Chain) -> Result<Option<Chain>, Violation> {
        match *chain.blocks() {
            [] => return Ok(Some(chain)),
            [block] => {
                self.alone.mark(block)?;
                self.blocks += 1;
                return Ok(Some(chain));
            }
            _ => self.blocks += chain.blocks().len() as u32,
        }
        self.chains.insert(chain.slice().block, chain);
        Ok(None)
    }

    /// Takes back the blocks that the client is done with.
    pub(super) fn take_releases(&mut self, sending: &mut Sending<M>) -> Result<(), Violation> {
        let Some(releases) = &mut self.releases else { return Ok(()) };
        // Bounded by what the client can hold: each release must be of something that it does.
        while let Some([block]) = releases.pop()? {
            if self.alone.is_marked(block) {
                self.alone.clear(block)?;
                self.blocks -= 1;
                sending.free(&[block])?;
            } else if let Some(chain) = self.chains.remove(&block) {
                self.blocks -= chain.blocks().len() as u32;
                sending.free(chain.blocks())?;
                sending.keep(chain);
            } else {
                return Err(Violation::NotHeld { block });
            }
        }
        releases.release();
        Ok(())
    }
}

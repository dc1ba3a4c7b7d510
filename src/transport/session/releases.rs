//! Blocks of the server's that a client has: on their way back, and on the server's own account. A release is one block, which
//! stands for its chain. Where both sides take from one list there are none.

use super::data::Data;
use crate::transport::blocks::Marks;
use crate::transport::chain::Chain;
use crate::transport::memory::Memory;
use crate::transport::request::{Flags, JobId, Kind, Request, Value};
use crate::transport::ring::{Consumer, Producer};
use crate::transport::violation::Violation;
use std::collections::{HashMap, VecDeque};

/// While as many wait for room, nothing is asked for that could bring more: a server may answer, and make no room.
const MAX_UNSENT_REQUESTS: usize = 1024;

/// What a client gives back: blocks, and credits of streams.
#[derive(Debug)]
pub(super) struct Returns<M> {
    /// None where both sides take from one list.
    releases: Option<Producer<M, 1>>,
    unsent: VecDeque<u32>,
    /// How many blocks that gives back, at most.
    unsent_blocks: u32,
    /// Blocks of the server's.
    most: u32,
    /// Requests without a response: credits for streams, of which there are few, since none is owed before the last ones were used, and
    /// the ends of handles that came for requests which were given up.
    pub(super) unsent_requests: VecDeque<Request>,
    /// Whether one of the requests that are not published yet asks for more than a block.
    pub(super) asks_for_many: bool,
}

impl<M: Memory> Returns<M> {
    pub(super) fn new(releases: Option<Producer<M, 1>>, most: u32) -> Self {
        let (unsent, unsent_requests) = (VecDeque::new(), VecDeque::new());
        Self { releases, unsent, unsent_blocks: 0, most, unsent_requests, asks_for_many: false }
    }

    /// Whether more requests without a response wait for room than should.
    #[inline(always)]
    pub(super) fn is_behind(&self) -> bool {
        self.unsent_requests.len() >= MAX_UNSENT_REQUESTS
    }

    /// The blocks of a chain; [`Violation::BlockTwice`] if the server lends what it did not take back.
    #[inline(always)]
    pub(super) fn add(&mut self, chain: &Chain) -> Result<(), Violation> {
        if chain.blocks().is_empty() {
            return Ok(());
        }
        let block = chain.slice().block;
        // No block is lent again before its release was taken in, so that there are never more than blocks.
        if self.unsent.len() >= self.most as usize {
            return Err(Violation::BlockTwice { block });
        }
        self.unsent.push_back(block);
        self.unsent_blocks += chain.blocks().len() as u32;
        Ok(())
    }

    /// Credits of a stream, if these are some, or its end.
    #[inline(always)]
    pub(super) fn add_credits(&mut self, id: JobId, credits: u32, is_end: bool) {
        if credits > 0 || is_end {
            let request = Request::new(Kind::Credit, Flags::NONE, 0, Value::number(credits));
            self.unsent_requests.push_back(Request { id, ..request });
        }
    }

    /// Sends it all as far as there is room, and publishes the requests so far; whether there were any.
    #[inline(always)]
    pub(super) fn publish(&mut self, requests: &mut Producer<M, 4>) -> Result<bool, Violation> {
        // Ahead of requests for many blocks, and if many are given back: the server must not find a request first, count them as
        // lent still, and refuse. One block for one goes behind: stores become visible in order, and no side waits for it.
        let asks_for_many = std::mem::take(&mut self.asks_for_many) || !self.unsent_requests.is_empty();
        if self.unsent_blocks > 1 || asks_for_many && self.unsent_blocks == 1 {
            self.send_releases()?;
        }
        while let Some(request) = self.unsent_requests.front()
            && requests.push(request.to_entry())?
        {
            self.unsent_requests.pop_front();
        }
        let is_published = requests.publish();
        if self.unsent_blocks > 0 {
            self.send_releases()?;
        }
        Ok(is_published)
    }

    #[inline]
    fn send_releases(&mut self) -> Result<(), Violation> {
        let Some(releases) = &mut self.releases else { return Ok(()) };
        while let Some(&block) = self.unsent.front()
            && releases.push([block])?
        {
            self.unsent.pop_front();
        }
        if self.unsent.is_empty() {
            self.unsent_blocks = 0;
        }
        releases.publish();
        Ok(())
    }
}

/// What the server has lent.
#[derive(Debug)]
pub(super) struct Lent<M> {
    releases: Option<Consumer<M, 1>>,
    alone: Marks,
    chains: HashMap<u32, Chain>,
    pub(super) blocks: u32,
}

impl<M: Memory + Clone> Lent<M> {
    /// Nothing of so many blocks is lent.
    pub(super) fn new(releases: Option<Consumer<M, 1>>, count: u32) -> Self {
        let alone = Marks::new(if releases.is_some() { count } else { 0 });
        Self { releases, alone, chains: HashMap::new(), blocks: 0 }
    }

    /// Books blocks to the client. The chain is kept for the next one if its blocks are known without it.
    #[inline(always)]
    pub(super) fn lend(&mut self, chain: Chain, data: &mut Data<M>) -> Result<(), Violation> {
        match *chain.blocks() {
            // The client gives them back to the list itself.
            _ if data.pool.is_shared() => data.give_up(chain.blocks())?,
            [] => {}
            [block] => {
                self.alone.mark(block)?;
                self.blocks += 1;
            }
            _ => {
                self.blocks += chain.blocks().len() as u32;
                self.chains.insert(chain.slice().block, chain);
                return Ok(());
            }
        }
        data.keep(chain);
        Ok(())
    }

    /// Takes back the blocks that the client is done with.
    pub(super) fn take_releases(&mut self, data: &mut Data<M>) -> Result<(), Violation> {
        let Some(releases) = &mut self.releases else { return Ok(()) };
        // Bounded by what the client can hold: each release must be of something that it does.
        while let Some([block]) = releases.pop() {
            if self.alone.clear(block).is_ok() {
                self.blocks -= 1;
                data.free(&[block])?;
            } else if let Some(chain) = self.chains.remove(&block) {
                self.blocks -= chain.blocks().len() as u32;
                data.free(chain.blocks())?;
                data.keep(chain);
            } else {
                return Err(Violation::NotHeld { block });
            }
        }
        releases.release();
        Ok(())
    }
}

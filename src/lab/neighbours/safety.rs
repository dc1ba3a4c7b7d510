//! The price of safety: blocks on one's own account against a list that both sides share, and chains that are looked at
//! entry by entry. Both sides of a session in one thread, so that nothing but the code is timed.

use crate::lab::instruments::effort::Effort;
use crate::transport::blocks::{BlockMemory, FreeList, Marks, Pool};
use crate::transport::chain::{Chain, blocks_for};
use crate::transport::geometry::{Blocks, Geometry};
use crate::transport::session::{ClientSide, Outcome, QueueLayout, Reply, ServerSide, data_bytes, lay_out_shared};
use crate::transport::{Allocator, Copier, Flags, Kind, Mapped, Request, Slice, TableOptions, Value};
use serde::{Deserialize, Serialize};
use std::hint::black_box;
use std::time::Instant;

const PAYLOADS: [usize; 3] = [64, 4 << 10, 64 << 10];
const ENTRIES: [u32; 6] = [1, 2, 8, 32, 128, 256];
/// The longest chain needs as many blocks, and some that hold its list.
const CHAIN_BLOCKS: u32 = 512;
const CHAIN_BLOCK_BYTES: u32 = 4096;

/// A timing: a number of turns, and how long they took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// `allocate`, `request` or `validate`.
    pub what: String,
    /// `owned` or `shared`; of `validate` neither.
    pub allocator: String,
    /// Of `request`, bytes of the payload; of `validate`, entries of the chain; of `allocate`, blocks at once.
    pub size: u32,
    /// In which round.
    pub round: u32,
    /// How often it was done.
    pub turns: u64,
    /// Time of all turns together, in nanoseconds.
    pub total_ns: u64,
}

/// Does everything once, and compares what was moved.
pub(super) fn verify() -> Result<(), String> {
    let prices = round(0, 1)?;
    if prices.is_empty() { Err("nothing has a price".to_owned()) } else { Ok(()) }
}

pub(super) fn measure(effort: Effort) -> Result<Vec<Price>, String> {
    let (rounds, scale) = match effort {
        Effort::Quick => (5, 4),
        Effort::Default => (21, 8),
        Effort::Full => (101, 16),
    };
    let mut prices = Vec::new();
    // One for nothing, which brings all memory near.
    round(0, 1)?;
    for number in 0..rounds {
        prices.extend(round(number, scale)?);
    }
    Ok(prices)
}

/// Everything once, the two allocators right after each other, which first by turns.
fn round(number: u32, scale: u64) -> Result<Vec<Price>, String> {
    let mut prices = Vec::new();
    let mut order = [Allocator::Owned, Allocator::Shared];
    if number % 2 == 1 {
        order.reverse();
    }
    let mut add = |what: &str, allocator: &str, size, turns, total_ns| {
        let (what, allocator) = (what.to_owned(), allocator.to_owned());
        prices.push(Price { what, allocator, size, round: number, turns, total_ns });
    };
    for blocks in [1, 16] {
        for allocator in order {
            let turns = 2000 * scale;
            add("allocate", name(allocator), blocks, turns, allocations(allocator, blocks, turns)?);
        }
    }
    for payload_bytes in PAYLOADS {
        let mut sessions = order.map(|allocator| (allocator, Session::new(allocator)));
        for (allocator, session) in &mut sessions {
            let turns = (200 * scale).min(((64 * scale) << 20) / (payload_bytes as u64 * 64));
            let session = session.as_mut().map_err(|error| error.clone())?;
            add("request", name(*allocator), payload_bytes as u32, turns, session.requests(payload_bytes, turns)?);
        }
    }
    for entries in ENTRIES {
        let batches = (16 * scale / u64::from(entries)).max(1);
        let (turns, total_ns) = validations(entries, batches)?;
        add("validate", "", entries, turns, total_ns);
    }
    Ok(prices)
}

fn name(allocator: Allocator) -> &'static str {
    match allocator {
        Allocator::Owned => "owned",
        Allocator::Shared => "shared",
    }
}

fn text(error: impl std::fmt::Debug) -> String {
    format!("{error:?}")
}

fn memory(len_bytes: usize) -> Result<Mapped, String> {
    Mapped::private(len_bytes).ok_or_else(|| format!("no memory for {len_bytes} bytes"))
}

/// Allocates this many blocks and frees them.
fn allocations(allocator: Allocator, blocks: u32, turns: u64) -> Result<u64, String> {
    let geometry = Blocks { block_bytes: 64, count: 64 };
    match allocator {
        Allocator::Owned => allocate_and_free(&mut Pool::owned(geometry), blocks, turns),
        Allocator::Shared => {
            let list = FreeList { head_at: 0, links_at: 128 };
            let memory = memory(4096)?;
            list.lay_out(&memory, geometry);
            allocate_and_free(&mut Pool::shared(memory, list, geometry), blocks, turns)
        }
    }
}

fn allocate_and_free(allocator: &mut Pool<Mapped>, blocks: u32, turns: u64) -> Result<u64, String> {
    let mut some = Vec::with_capacity(blocks as usize);
    let start = Instant::now();
    for _ in 0..turns {
        some.clear();
        if blocks == 1 {
            some.push(allocator.allocate_one(0).map_err(text)?);
        } else {
            allocator.allocate(0, blocks, &mut some).map_err(text)?;
        }
        allocator.free(black_box(&some)).map_err(text)?;
    }
    Ok(start.elapsed().as_nanos() as u64)
}

/// Both sides of a session.
struct Session {
    client: ClientSide<Mapped>,
    server: ServerSide<Mapped>,
}

impl Session {
    fn new(allocator: Allocator) -> Result<Self, String> {
        let geometry = Geometry { allocator, ..TableOptions::GEOMETRY };
        let queue = memory(QueueLayout::of(&geometry).map_err(text)?.len_bytes)?;
        let client_data = memory(data_bytes(geometry.client_blocks, allocator).map_err(text)?)?;
        let (theirs, ours) = match allocator {
            Allocator::Owned => {
                let server_data = memory(data_bytes(geometry.server_blocks, allocator).map_err(text)?)?;
                ((client_data.clone(), server_data.read_only()), (client_data.read_only(), server_data))
            }
            Allocator::Shared => {
                lay_out_shared(&client_data, geometry.client_blocks).map_err(text)?;
                ((client_data.clone(), client_data.clone()), (client_data.clone(), client_data))
            }
        };
        Ok(Self {
            client: ClientSide::new(&geometry, queue.clone(), theirs.0, theirs.1).map_err(text)?,
            server: ServerSide::new(&geometry, queue, ours.0, ours.1).map_err(text)?,
        })
    }

    /// This many payloads there and back, compared at each end.
    fn requests(&mut self, payload_bytes: usize, turns: u64) -> Result<u64, String> {
        let bytes: Vec<u8> = (0..payload_bytes).map(|at| (at * 31 / 7) as u8).collect();
        let mut got = [vec![0; payload_bytes], vec![0; payload_bytes]];
        self.request(&bytes, &mut got)?;
        got.iter_mut().for_each(|bytes| bytes.fill(0));
        let start = Instant::now();
        for _ in 0..turns {
            self.request(&bytes, &mut got)?;
        }
        let total_ns = start.elapsed().as_nanos() as u64;
        if got.iter().all(|got| *got == bytes) { Ok(total_ns) } else { Err("other bytes than were sent".to_owned()) }
    }

    fn request(&mut self, bytes: &[u8], [there, back]: &mut [Vec<u8>; 2]) -> Result<(), String> {
        let length = bytes.len() as u32;
        let mut chain = self.client.data.allocate(length).map_err(text)?;
        let place = &self.client.data.own;
        chain.write(place, 0, bytes, Copier::AUTO);
        let ticket = self.client.submit(Request::new(Kind::Write, Flags::DATA, 1, Value(0)), chain).map_err(text)?;
        self.client.flush().map_err(text)?;
        self.serve(there)?;
        match self.outcome(ticket)? {
            Outcome::Amount(amount) if amount == length => {}
            other => return Err(text(other)),
        }
        let args = Value::number(length);
        let ticket = self.client.submit(Request::new(Kind::Read, Flags::DATA, 1, args), Chain::EMPTY).map_err(text)?;
        self.client.flush().map_err(text)?;
        self.serve(there)?;
        let Outcome::Read(chain) = self.outcome(ticket)? else { return Err("no bytes".to_owned()) };
        let place = &self.client.data.theirs;
        chain.read(place, 0, back, Copier::AUTO);
        self.client.release(chain).map_err(text)
    }

    fn outcome(&mut self, ticket: crate::transport::session::Ticket) -> Result<Outcome, String> {
        if self.client.poll().map_err(text)? != Some(ticket) {
            return Err("no answer".to_owned());
        }
        self.client.take(ticket).ok_or_else(|| "no outcome".to_owned())
    }

    /// Takes what was written, or sends it back.
    fn serve(&mut self, file: &mut [u8]) -> Result<(), String> {
        self.server.take_releases().map_err(text)?;
        let incoming = self.server.take_request().map_err(text)?.ok_or("no request")?;
        let job = incoming.job.ok_or("no job")?;
        let reply = if incoming.request.kind == Kind::Write {
            let place = &self.server.data.theirs;
            let chain = &self.server.job(job).ok_or("no payload")?.payload;
            chain.read(place, 0, file, Copier::AUTO);
            Reply::Value(Value::number(file.len() as u32))
        } else {
            let mut chain = self.server.lend(file.len() as u32).map_err(text)?;
            let place = &self.server.data.own;
            chain.write(place, 0, file, Copier::AUTO);
            Reply::Bytes(chain)
        };
        self.server.answer(job, reply).map_err(text)?;
        self.server.flush();
        Ok(())
    }
}

/// Chains that are read out of the other side's memory and validated: how many, and how long it took.
fn validations(entries: u32, batches: u64) -> Result<(u64, u64), String> {
    const BATCH: usize = 64;
    let geometry = Blocks { block_bytes: CHAIN_BLOCK_BYTES, count: CHAIN_BLOCKS };
    let place = BlockMemory::new(memory(geometry.total_bytes() as usize)?, geometry).map_err(text)?;
    let length = entries * CHAIN_BLOCK_BYTES;
    let mut theirs = Chain::EMPTY;
    theirs.allocate(&place, &mut Pool::owned(geometry), length).map_err(text)?;
    let first = theirs.blocks()[if entries == 1 { 0 } else { blocks_for(&place, length).0 as usize }];
    let slice = Slice { block: first, length };
    let mut chain = Chain::EMPTY;
    let mut total_ns = 0;
    let mut marks = vec![Marks::new(CHAIN_BLOCKS); BATCH];
    for _ in 0..batches {
        let start = Instant::now();
        for marks in &mut marks {
            chain.resolve(&place, marks, black_box(slice)).map_err(text)?;
        }
        total_ns += start.elapsed().as_nanos() as u64;
        if chain.data() != theirs.data() {
            return Err("another chain than was built".to_owned());
        }
        for marks in &mut marks {
            chain.blocks().iter().try_for_each(|block| marks.clear(*block)).map_err(text)?;
        }
    }
    Ok((batches * BATCH as u64, total_ns))
}

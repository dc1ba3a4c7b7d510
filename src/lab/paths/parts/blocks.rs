//! Blocks and chains: taken and given back, and checked when the other side names them.

use crate::lab::paths::parts::{Part, PartSample, Round};
use crate::transport::blocks::{AllocateError, BlockMemory, FreeList, Marks, Pool};
use crate::transport::chain::{Chain, blocks_for};
use crate::transport::geometry::{Blocks, GeometryError};
use crate::transport::memory::{Load, Mapped, Memory, Store};
use std::fmt;
use std::hint::black_box;
use std::sync::atomic::Ordering;

/// Blocks of the region: as many as a session of usual numbers has.
const COUNT: u32 = 64;
const BLOCK_BYTES: u32 = 4096;
/// How many blocks are held before they go back: one at a time, and half of them.
const HELD: [u32; 2] = [1, COUNT / 2];
/// Blocks that are taken in one round.
const TAKEN: u64 = 100_000;
/// Where the list of a shared region starts, behind its blocks.
const LIST: FreeList =
    FreeList { head_at: COUNT as usize * BLOCK_BYTES as usize, links_at: COUNT as usize * BLOCK_BYTES as usize + 128 };

/// Entries of the chains that are checked, and how many are checked in one round.
const ENTRIES: [u32; 2] = [16, 1024];
const CHECKED: u64 = 200_000;
/// The shortest blocks that chains of these lengths are usual with.
const CHAIN_BLOCK_BYTES: u32 = 4096;

/// What the transport refused, which it has no reason to.
struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn refused(error: impl fmt::Debug) -> Refused {
    Refused(format!("{error:?} from an allocator without another user"))
}

fn memory(len_bytes: usize) -> Result<Mapped, String> {
    Mapped::private(len_bytes.next_multiple_of(4096)).ok_or_else(|| format!("no memory of {len_bytes} bytes"))
}

/// Each allocator: the owned one; the shared list with the few blocks that a side keeps for itself, and without, when
/// every block goes through the list.
pub(crate) fn allocation(round: Round) -> Result<Vec<PartSample>, String> {
    let blocks = Blocks { block_bytes: BLOCK_BYTES, count: COUNT };
    let mut samples = Vec::new();
    samples.push(exchanges(round)?);
    for held in HELD {
        samples.push(allocate(round, "owned", held, &mut Pool::owned(blocks))?);
        let memory = memory(LIST.links_at + 4 * COUNT as usize)?;
        LIST.lay_out(&memory, blocks);
        samples.push(allocate(round, "shared", held, &mut Pool::shared(memory.clone(), LIST, blocks))?);
        samples.push(allocate(round, "shared_list", held, &mut Pool::keeping(memory, LIST, blocks, 0))?);
    }
    Ok(samples)
}

/// The floor of taking a block from a list that others take from, and giving it back: two atomic exchanges.
fn exchanges(round: Round) -> Result<PartSample, String> {
    let memory = memory(1)?;
    let work = || {
        for turn in 0..TAKEN as u32 {
            for value in [turn, !turn] {
                black_box(memory.word32(0).map(|word| word.swap(value, Ordering::AcqRel)));
            }
        }
        Ok::<_, Refused>(())
    };
    round.time((Part::Block, "two_exchanges"), (1, BLOCK_BYTES), TAKEN, work)
}

fn allocate(round: Round, subject: &str, held: u32, allocator: &mut Pool<Mapped>) -> Result<PartSample, String> {
    let mut blocks = Vec::with_capacity(held as usize);
    let turn = |_: u64| -> Result<(), Refused> {
        for _ in 0..held {
            blocks.push(allocator.allocate_one(0).map_err(|error: AllocateError| refused(error))?);
        }
        for block in blocks.drain(..) {
            allocator.free(black_box(&[block])).map_err(refused)?;
        }
        Ok(())
    };
    steady(round, (Part::Block, subject), (held, BLOCK_BYTES), TAKEN, turn)
}

/// So many in all of what each turn does to `members`. What is new is not timed.
fn steady(
    round: Round,
    what: (Part, &str),
    (members, bytes): (u32, u32),
    count: u64,
    mut turn: impl FnMut(u64) -> Result<(), Refused>,
) -> Result<PartSample, String> {
    let turns = count / u64::from(members);
    (0..turns / 16).try_for_each(&mut turn).map_err(|error| error.to_string())?;
    round.time(what, (members, bytes), turns * u64::from(members), || (0..turns).try_for_each(&mut turn))
}

/// A chain is walked, every entry checked and marked as the other side's, and given up again.
pub(crate) fn validation(round: Round) -> Result<Vec<PartSample>, String> {
    let mut samples = Vec::new();
    for entries in ENTRIES {
        samples.push(validate(round, entries)?);
        samples.push(walk(round, entries)?);
    }
    Ok(samples)
}

/// The floor of that: as many entries copied out of one list, each below a count, and kept.
fn walk(round: Round, entries: u32) -> Result<PartSample, String> {
    let memory = memory(4 * entries as usize)?;
    for entry in 0..entries {
        memory.store32(4 * entry as usize, entry, Store::Relaxed);
    }
    let mut kept = vec![0; entries as usize];
    let turn = |_: u64| {
        for (at, kept) in black_box(&mut kept).iter_mut().enumerate() {
            let entry = memory.load32(4 * at, Load::Relaxed);
            if entry >= entries {
                return Err(refused(entry));
            }
            *kept = entry;
        }
        Ok(())
    };
    steady(round, (Part::ChainEntry, "bare_walk"), (entries, CHAIN_BLOCK_BYTES), CHECKED, turn)
}

fn validate(round: Round, entries: u32) -> Result<PartSample, String> {
    let length = entries * CHAIN_BLOCK_BYTES;
    let blocks = |count| Blocks { block_bytes: CHAIN_BLOCK_BYTES, count };
    let text = |error: GeometryError| error.to_string();
    let (_, lists) = blocks_for(&BlockMemory::new((), blocks(entries)).map_err(text)?, length);
    let blocks = blocks(entries + lists);
    let place = BlockMemory::new(memory(blocks.total_bytes() as usize)?, blocks).map_err(text)?;
    let mut sent = Chain::EMPTY;
    sent.allocate(&place, &mut Pool::owned(blocks), length)
        .map_err(|error| format!("a chain of {entries} entries: {error:?}"))?;
    let (mut marks, mut chain) = (Marks::new(blocks.count), Chain::EMPTY);
    let turn = |_: u64| {
        chain.resolve(&place, &mut marks, black_box(sent.slice())).map_err(refused)?;
        marks.clear_all(chain.blocks()).map_err(refused)
    };
    steady(round, (Part::ChainEntry, "resolve"), (entries, CHAIN_BLOCK_BYTES), CHECKED, turn)
}

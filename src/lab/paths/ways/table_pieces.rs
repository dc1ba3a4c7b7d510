//! The table in place, piece by piece: a payload is a number of blocks that are sent one after the other, so that the consumer
//! reads the first while the producer writes the next, and few blocks are in use, which stay in the caches.
//!
//! A payload to the far side is a write for each piece, and one to the near side the answers to as many reads, of which a
//! few are always under way.

use crate::lab::paths::ways::stream_table::{Kept, Kind, only};
use crate::lab::paths::ways::table::{MAX_DEPTH, OBJECT, client_error, table_error};
use crate::lab::paths::ways::{
    Config, Consumer, End, Limits, MAX_BYTES, Opening, Path, PathError, Producer, Token, table,
};
use crate::transport::{
    Allocator, Answer, Blocks, Client, ClientError, Completion, Geometry, Handle, Lease, Table, TableOptions, Ticket,
    View,
};
use std::collections::VecDeque;
use std::ops::Range;

/// What is sent at once: some microseconds of writing, so that the requests cost little beside it.
const PIECE_BYTES: usize = 32 << 10;
/// Pieces under way: one that is written, one that is read, and what evens out the difference between the two.
const UNDER_WAY: usize = 4;

/// The way.
#[derive(Debug)]
pub(crate) struct TablePieces;

struct Near {
    client: Client,
    depth: usize,
}

struct Far {
    table: Table,
    kept: Kept,
}

/// Where each piece of a payload is in it.
fn pieces(len_bytes: usize) -> impl ExactSizeIterator<Item = Range<usize>> {
    // No bytes are a message, too.
    let count = len_bytes.div_ceil(PIECE_BYTES).max(1);
    (0..count).map(move |at| at * PIECE_BYTES..len_bytes.min((at + 1) * PIECE_BYTES))
}

/// Fills a block with a piece.
fn write(lease: &mut Lease, piece: &Range<usize>, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
    let at = only(lease.parts(), piece.len())?;
    // SAFETY: the block is this side's until it is sent, and has as many bytes.
    unsafe { producer.write_piece(at.as_ptr(), piece.len(), piece.start, piece.end == len_bytes) };
    Ok(())
}

impl Near {
    /// A block for a piece. If none is free, the answer to an earlier piece frees one.
    fn lease(&mut self, len_bytes: usize) -> Result<Lease, PathError> {
        loop {
            match self.client.lease(len_bytes) {
                Err(ClientError::OutOfBlocks { .. }) if self.client.in_flight() > 0 => {
                    let (_, completion) = self.client.wait().map_err(client_error)?;
                    written(&completion)?;
                }
                lease => return lease.map_err(client_error),
            }
        }
    }

    /// Reads a piece where it is.
    fn read(&mut self, view: View, piece: &Range<usize>, len_bytes: usize, to: &mut Consumer) -> Result<(), PathError> {
        if !piece.is_empty() {
            let at = only(view.parts(), piece.len())?;
            // SAFETY: the block is mapped as long as the view, and has as many bytes.
            unsafe { to.read_piece(at.as_ptr(), piece.len(), piece.start, piece.end == len_bytes) };
        }
        self.client.release(view).map_err(client_error)
    }
}

/// What every write comes to.
fn written(completion: &Completion) -> Result<(), PathError> {
    match completion {
        Completion::Amount(_) => Ok(()),
        other => Err(PathError::protocol(format!("{other:?} for a write"))),
    }
}

impl End for Near {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        for piece in pieces(len_bytes) {
            let mut lease = self.lease(piece.len())?;
            if !piece.is_empty() {
                write(&mut lease, &piece, len_bytes, producer)?;
            }
            self.client.submit_write_in_place(Handle(OBJECT), lease).map_err(client_error)?;
            // Where one message is under way, the reads that follow go with the last piece.
            if piece.end < len_bytes || self.depth > 1 {
                self.client.flush().map_err(client_error)?;
            }
        }
        Ok(())
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        let mut asked = VecDeque::<(Ticket, Range<usize>)>::with_capacity(UNDER_WAY);
        let mut left = pieces(len_bytes);
        loop {
            while asked.len() < UNDER_WAY
                && let Some(piece) = left.next()
            {
                let read = self.client.submit_read(Handle(OBJECT), piece.len() as u32);
                asked.push_back((read.map_err(client_error)?, piece));
            }
            let Some((ticket, piece)) = asked.pop_front() else {
                break;
            };
            match self.client.finish(ticket).map_err(client_error)? {
                Completion::Read(view) if view.len() == piece.len() => self.read(view, &piece, len_bytes, consumer)?,
                other => {
                    return Err(PathError::protocol(format!("{other:?} for a read of {} bytes", piece.len())));
                }
            }
        }
        // What became of writes, so that their blocks and places are free again.
        while self.client.in_flight() > 0
            && let Some((_, completion)) = self.client.poll().map_err(client_error)?
        {
            written(&completion)?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), PathError> {
        self.client.flush().map_err(client_error)
    }

    fn system_calls(&self) -> Option<u64> {
        None
    }
}

impl End for Far {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        for piece in pieces(len_bytes) {
            let job = self.kept.next(&mut self.table, Kind::Read)?;
            let mut lease = self.table.lease(&job, piece.len()).map_err(table_error)?;
            if !piece.is_empty() {
                write(&mut lease, &piece, len_bytes, producer)?;
            }
            table::answer(&mut self.table, job, Answer::Lease(lease))?;
            self.table.flush();
        }
        Ok(())
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        for piece in pieces(len_bytes) {
            let job = self.kept.next(&mut self.table, Kind::Write)?;
            let payload = self.table.payload(&job);
            if payload.len() != piece.len() {
                return Err(PathError::protocol(format!("{} bytes in place of {}", payload.len(), piece.len())));
            }
            if !piece.is_empty() {
                let at = only(payload.parts(), piece.len())?;
                // SAFETY: the block is mapped as long as the session, and has as many bytes.
                unsafe { consumer.read_piece(at.as_ptr(), piece.len(), piece.start, piece.end == len_bytes) };
            }
            table::answer(&mut self.table, job, Answer::Amount(piece.len() as u32))?;
            // The last one is published with what follows it.
            if piece.end < len_bytes {
                self.table.flush();
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), PathError> {
        self.table.flush();
        Ok(())
    }

    fn system_calls(&self) -> Option<u64> {
        None
    }
}

impl Path for TablePieces {
    fn name(&self) -> &str {
        "table_in_pieces"
    }

    fn about(&self) -> &str {
        "StreamTable, in place both ways, sent and read in pieces of 32 KiB"
    }

    fn limits(&self) -> Limits {
        Limits { min_bytes: 0, max_bytes: MAX_BYTES, max_depth: MAX_DEPTH }
    }

    fn copies(&self, _len_bytes: usize, _config: &Config) -> u32 {
        0
    }

    fn keeps_offset(&self) -> bool {
        true
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        let depth = config.depth;
        table::open(config, move |client| Ok(Box::new(Near { client, depth })))
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        let [socket] = token.take()?;
        let block_bytes = config.max_bytes.clamp(Blocks::MIN_BYTES as usize, PIECE_BYTES).next_power_of_two();
        // A window of short messages has a block each; of long ones, no more than are to be under way.
        let window = if config.max_bytes <= PIECE_BYTES { config.depth } else { 1 };
        let blocks = Blocks { block_bytes: block_bytes as u32, count: (2 * UNDER_WAY.max(window)) as u32 };
        let geometry = Geometry {
            allocator: Allocator::Owned,
            client_blocks: blocks,
            server_blocks: blocks,
            ..TableOptions::GEOMETRY
        };
        let table = table::join(config, geometry, socket)?;
        Ok(Box::new(Far { table, kept: Kept::default() }))
    }
}

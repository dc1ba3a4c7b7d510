//! The table between two processes: the near side is its client, the far side its server. A payload to the far side is a
//! write, and one to the near side the answer to a read that was asked for. Copied in or written in place, copied out or
//! read in place: the four together say what each copy costs; two allocators say what not trusting the other side costs.

use crate::lab::paths::ways::copier::Copier;
use crate::lab::paths::ways::forwarder::Forwarder;
use crate::lab::paths::ways::table::{MAX_DEPTH, OBJECT, client_error, table_error, waiting};
use crate::lab::paths::ways::{
    Buffer, Config, Consumer, End, Limits, MAX_BYTES, Mode, Opening, PAGE_BYTES, Path, PathError, Producer, Token,
    forwarder, table,
};
use crate::transport::{
    Allocator, Answer, Blocks, Client, Completion, Geometry, Handle, Job, Operation, Table, TableOptions,
};
use std::collections::VecDeque;
use std::ptr::NonNull;

/// A way through the table.
#[derive(Debug)]
pub(crate) struct StreamTable {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// Whether the producer writes elsewhere, and its payload is copied into the blocks.
    pub(crate) copies_in: bool,
    /// Whether the payload is copied out of the blocks, and the consumer reads it there.
    pub(crate) copies_out: bool,
    pub(crate) allocator: Allocator,
    /// Whether a proxy stands between client and table: a thread of the far process, which forwards requests and answers
    /// and lets the payload pass where it lies.
    pub(crate) is_proxied: bool,
    /// Whether the entries have no room for payloads: beside the others it says what the room is worth, and to which length.
    pub(crate) in_blocks: bool,
}

/// What both ends have.
struct Common {
    copies_in: bool,
    copies_out: bool,
    copier: Copier,
    src: Buffer,
    dst: Buffer,
}

struct Near {
    client: Client,
    depth: usize,
    common: Common,
}

struct Far {
    /// Held until the end, when it stops.
    _proxy: Option<Forwarder>,
    table: Table,
    kept: Kept,
    common: Common,
}

/// What the far side is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Write,
    Read,
}

/// Jobs whose turn has not come, by kind.
#[derive(Debug, Default)]
pub(crate) struct Kept([VecDeque<Job>; 2]);

impl Kept {
    /// The next write, or the next read. Jobs of the other kind that come before it are kept.
    #[inline]
    pub(crate) fn next(&mut self, table: &mut Table, wanted: Kind) -> Result<Job, PathError> {
        if let Some(job) = self.0[wanted as usize].pop_front() {
            return Ok(job);
        }
        loop {
            let job = table::next_job(table)?;
            let found = match job.operation() {
                Operation::Write { handle: OBJECT } => Kind::Write,
                Operation::Read { handle: OBJECT, .. } => Kind::Read,
                other => return Err(PathError::protocol(format!("{other:?} at a table of one object"))),
            };
            if found == wanted {
                return Ok(job);
            }
            self.0[found as usize].push_back(job);
        }
    }
}

/// A block for each message of a window, twice, since those that were received come back a little later.
fn blocks(config: &Config) -> Blocks {
    let block_bytes = config.max_bytes.max(Blocks::MIN_BYTES as usize).next_power_of_two();
    Blocks { block_bytes: block_bytes as u32, count: 2 * config.depth as u32 + 2 }
}

impl StreamTable {
    fn geometry(&self, config: &Config) -> Geometry {
        let (own, shared) = (blocks(config), Blocks { count: 2 * blocks(config).count, ..blocks(config) });
        let server_blocks = if self.allocator == Allocator::Shared { shared } else { own };
        // A proxy takes some of the client's blocks for names, in whole pages.
        let in_a_page = (PAGE_BYTES as u32 / own.block_bytes).max(1);
        let with_names = Blocks { count: 2 * own.count.next_multiple_of(in_a_page), ..own };
        let client_blocks = if self.is_proxied { with_names } else { server_blocks };
        let stride_bytes = if self.in_blocks { 16 } else { table::stride_bytes(config.max_bytes) };
        Geometry {
            request_stride_bytes: stride_bytes,
            response_stride_bytes: stride_bytes,
            allocator: self.allocator,
            client_blocks,
            server_blocks,
            ..TableOptions::GEOMETRY
        }
    }

    fn common(&self, config: &Config) -> Result<Common, PathError> {
        let bytes = |is_needed: bool| if is_needed { config.max_bytes } else { 0 };
        Ok(Common {
            copies_in: self.copies_in,
            copies_out: self.copies_out,
            copier: Copier::named(config.kernel.as_deref())?,
            src: Buffer::new(bytes(self.copies_in), config.src_offset),
            dst: Buffer::new(bytes(self.copies_out), config.dst_offset),
        })
    }
}

/// The one part of a payload that fits one block.
pub(crate) fn only(
    mut parts: impl Iterator<Item = (NonNull<u8>, usize)>,
    len_bytes: usize,
) -> Result<NonNull<u8>, PathError> {
    match (parts.next(), parts.next()) {
        (Some((at, found)), None) if found == len_bytes => Ok(at),
        _ => Err(PathError::protocol("a payload that is not one block")),
    }
}

fn check_len(found: usize, len_bytes: usize) -> Result<(), PathError> {
    if found == len_bytes {
        return Ok(());
    }
    Err(PathError::protocol(format!("a payload of {found} bytes in place of {len_bytes}")))
}

impl Near {
    /// Takes what became of writes, so that their blocks and places are free again.
    fn drain(&mut self) -> Result<(), PathError> {
        while self.client.in_flight() > 0 {
            match self.client.poll().map_err(client_error)? {
                Some((_, Completion::Amount(_))) => {}
                Some((_, other)) => return Err(PathError::protocol(format!("{other:?} for a write"))),
                None => break,
            }
        }
        Ok(())
    }
}

impl End for Near {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        let object = Handle::of(OBJECT);
        let Common { copies_in, copier, src, .. } = &mut self.common;
        if *copies_in || len_bytes == 0 {
            let payload = src.head(len_bytes);
            producer.fill(payload);
            self.client.submit_write(object, payload, copier.for_transport()).map_err(client_error)?;
        } else {
            let mut lease = self.client.lease(len_bytes).map_err(client_error)?;
            let at = only(lease.parts(), len_bytes)?;
            // SAFETY: the block is this side's until it is sent, and has `len_bytes` bytes.
            unsafe { producer.write(at.as_ptr(), len_bytes) };
            self.client.submit_write_in_place(object, lease).map_err(client_error)?;
        }
        // Where one message is under way, the read that follows goes with it.
        if self.depth > 1 { self.client.flush().map_err(client_error) } else { Ok(()) }
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        let ticket = self.client.submit_read(Handle::of(OBJECT), len_bytes as u32).map_err(client_error)?;
        let view = match self.client.finish(ticket).map_err(client_error)? {
            Completion::Read(view) => view,
            other => return Err(PathError::protocol(format!("{other:?} for a read"))),
        };
        check_len(view.len(), len_bytes)?;
        let Common { copies_out, copier, dst, .. } = &mut self.common;
        if *copies_out {
            let payload = dst.head(len_bytes);
            view.read_with(0, payload, copier.for_transport());
            consumer.check(payload);
        } else if len_bytes > 0 {
            let at = only(view.parts(), len_bytes)?;
            // SAFETY: the block is mapped as long as the view, and has `len_bytes` bytes.
            unsafe { consumer.read(at.as_ptr(), len_bytes) };
        }
        self.client.release(view).map_err(client_error)?;
        self.drain()
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
        let job = self.kept.next(&mut self.table, Kind::Read)?;
        let Common { copies_in, copier, src, .. } = &mut self.common;
        let answered = if *copies_in || len_bytes == 0 {
            let payload = src.head(len_bytes);
            producer.fill(payload);
            table::answer(&mut self.table, job, Answer::BytesWith(payload, copier.for_transport()))
        } else {
            let mut lease = self.table.lease(&job, len_bytes).map_err(table_error)?;
            let at = only(lease.parts(), len_bytes)?;
            // SAFETY: the block is this side's until it is sent, and has `len_bytes` bytes.
            unsafe { producer.write(at.as_ptr(), len_bytes) };
            table::answer(&mut self.table, job, Answer::Lease(lease))
        };
        self.table.flush();
        answered
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        let job = self.kept.next(&mut self.table, Kind::Write)?;
        let payload = self.table.payload(&job);
        check_len(payload.len(), len_bytes)?;
        let Common { copies_out, copier, dst, .. } = &mut self.common;
        if *copies_out {
            let copy = dst.head(len_bytes);
            payload.read_with(0, copy, copier.for_transport());
            consumer.check(copy);
        } else if len_bytes > 0 {
            let at = only(payload.parts(), len_bytes)?;
            // SAFETY: the block is mapped as long as the session, and has `len_bytes` bytes.
            unsafe { consumer.read(at.as_ptr(), len_bytes) };
        }
        table::answer(&mut self.table, job, Answer::Amount(len_bytes as u32))
    }

    fn flush(&mut self) -> Result<(), PathError> {
        self.table.flush();
        Ok(())
    }

    fn system_calls(&self) -> Option<u64> {
        None
    }
}

impl Path for StreamTable {
    fn name(&self) -> &str {
        self.name
    }

    fn about(&self) -> &str {
        self.about
    }

    fn limits(&self) -> Limits {
        Limits { min_bytes: 0, max_bytes: MAX_BYTES, max_depth: MAX_DEPTH }
    }

    fn copies(&self, _len_bytes: usize, _config: &Config) -> u32 {
        u32::from(self.copies_in) + u32::from(self.copies_out)
    }

    fn modes(&self) -> &[Mode] {
        // Three that poll would need three cores.
        if self.is_proxied { &[Mode::Blocking, Mode::Adaptive] } else { &Mode::ALL }
    }

    fn has_kernel(&self) -> bool {
        self.copies_in || self.copies_out
    }

    fn keeps_offset(&self) -> bool {
        !self.copies_out
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        let (depth, common) = (config.depth, self.common(config)?);
        table::open(config, move |client| Ok(Box::new(Near { client, depth, common })))
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        let [socket] = token.take()?;
        let (table, proxy) = if self.is_proxied {
            let address = forwarder::address();
            let mut table =
                Table::create(&address, table::options(config, self.geometry(config))).map_err(table_error)?;
            let proxy = Forwarder::start(socket.into(), address, waiting(config.mode))?;
            table::joined(&mut table)?;
            (table, Some(proxy))
        } else {
            (table::join(config, self.geometry(config), socket)?, None)
        };
        let common = self.common(config)?;
        Ok(Box::new(Far { _proxy: proxy, table, kept: Kept::default(), common }))
    }
}

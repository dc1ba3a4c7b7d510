//! The table between two processes: the near side is its client, the far side its server. A payload to the far side is a
//! write, and one to the near side the answer to a read that was asked for. Copied in or written in place, copied out or
//! read in place: the four together say what each copy costs; two allocators say what not trusting the other side costs.
//! Pushed, a payload to the near side is a message of a stream that was asked for once, which spares a request for each.

use crate::lab::paths::ways::copier::Copier;
use crate::lab::paths::ways::forwarder::Forwarder;
use crate::lab::paths::ways::table::{LIMIT, MAX_DEPTH, OBJECT, client_error, table_error, waiting};
use crate::lab::paths::ways::{
    Buffer, Config, Consumer, End, Limits, MAX_BYTES, Mode, Opening, PAGE_BYTES, Path, PathError, Producer, Token,
    forwarder, table,
};
use crate::transport::{
    Allocator, Answer, Blocks, Client, Completion, Event, Geometry, Handle, Job, Operation, Pushed, Table,
    TableOptions, Ticket, View,
};
use std::collections::VecDeque;
use std::ptr::NonNull;

/// Messages that may be on their way to the near side, where writes of a whole window need room for their answers too.
const CREDITS: u32 = MAX_DEPTH as u32 - 1;

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
    /// Whether payloads to the near side are messages of a stream, and not answers to reads.
    pub(crate) is_pushed: bool,
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
    /// The stream that payloads come by, if they are pushed, and those that came while something else was waited for.
    messages: Option<Ticket>,
    pushed: VecDeque<View>,
}

struct Far {
    /// Held until the end, when it stops.
    _proxy: Option<Forwarder>,
    table: Table,
    kept: Kept,
    common: Common,
    is_pushed: bool,
}

/// What the far side is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Write,
    Read,
    Stream,
}

/// Jobs whose turn has not come, by kind.
#[derive(Debug, Default)]
pub(crate) struct Kept([VecDeque<Job>; 3]);

impl Kept {
    /// The next job of that kind. Those of another kind that come before it are kept.
    #[inline(always)]
    pub(crate) fn next(&mut self, table: &mut Table, wanted: Kind) -> Result<Job, PathError> {
        if let Some(job) = self.0[wanted as usize].pop_front() {
            return Ok(job);
        }
        loop {
            let job = table::next_job(table)?;
            let found = Kind::of(&job)?;
            if found == wanted {
                return Ok(job);
            }
            self.0[found as usize].push_back(job);
        }
    }

    /// Takes in what happens next, for a message that has no credit.
    #[cold]
    fn take_in(&mut self, table: &mut Table) -> Result<(), PathError> {
        match table.next(LIMIT) {
            Ok(Some(Event::Job(job))) => self.0[Kind::of(&job)? as usize].push_back(job),
            other => table::no_job(other)?,
        }
        Ok(())
    }
}

impl Kind {
    #[inline]
    fn of(job: &Job) -> Result<Self, PathError> {
        match job.operation() {
            Operation::Write { handle: OBJECT } => Ok(Self::Write),
            Operation::Read { handle: OBJECT, .. } => Ok(Self::Read),
            Operation::Stream { handle: OBJECT, .. } => Ok(Self::Stream),
            other => Err(PathError::protocol(format!("{other:?} at a table of one object"))),
        }
    }
}

/// A block for each message of a window, twice, since those that were received come back a little later; and as many bytes as tables
/// have by themselves, where that is more.
fn blocks(config: &Config) -> Blocks {
    let usual = TableOptions::GEOMETRY.server_blocks;
    let block_bytes = config.max_bytes.max(Blocks::MIN_BYTES as usize).next_power_of_two() as u32;
    let count = usual.count.min((usual.total_bytes() / u64::from(block_bytes)) as u32);
    Blocks { block_bytes, count: count.max(2 * config.depth as u32 + 2) }
}

impl StreamTable {
    /// The plainest of them, from which the others differ.
    pub(crate) const IN_PLACE: Self = Self {
        name: "table_in_place",
        about: "StreamTable, in place both ways",
        copies_in: false,
        copies_out: false,
        allocator: Allocator::Owned,
        is_proxied: false,
        in_blocks: false,
        is_pushed: false,
    };

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
    /// Waits for the payload that is asked for, or for the next message.
    #[inline]
    fn next_view(&mut self, len_bytes: usize) -> Result<View, PathError> {
        let completion = match self.messages {
            Some(messages) => self.client.next_message(messages),
            None => {
                let read = self.client.submit_read(Handle(OBJECT), len_bytes as u32).map_err(client_error)?;
                self.client.finish(read)
            }
        };
        match completion.map_err(client_error)? {
            Completion::Read(view) => Ok(view),
            other => Err(PathError::protocol(format!("{other:?} for a payload"))),
        }
    }

    /// Takes what became of writes, so that their blocks and places are free again.
    fn drain(&mut self) -> Result<(), PathError> {
        while self.client.in_flight() > 0 {
            match self.client.poll().map_err(client_error)? {
                Some((_, Completion::Amount(_))) => {}
                Some((ticket, Completion::Read(view))) if self.messages == Some(ticket) => self.pushed.push_back(view),
                Some((_, other)) => return Err(PathError::protocol(format!("{other:?} for a write"))),
                None => break,
            }
        }
        Ok(())
    }
}

impl End for Near {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        let object = Handle(OBJECT);
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
        let view = match self.pushed.pop_front() {
            Some(view) => view,
            None => self.next_view(len_bytes)?,
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
        let Self { table, kept, common: Common { copies_in, copier, src, .. }, is_pushed, .. } = self;
        let job = kept.next(table, if *is_pushed { Kind::Stream } else { Kind::Read })?;
        let mut answer = if *copies_in || len_bytes == 0 {
            let payload = src.head(len_bytes);
            producer.fill(payload);
            Answer::BytesWith(payload, copier.for_transport())
        } else {
            let mut lease = table.lease(&job, len_bytes).map_err(table_error)?;
            let at = only(lease.parts(), len_bytes)?;
            // SAFETY: the block is this side's until it is sent, and has `len_bytes` bytes.
            unsafe { producer.write(at.as_ptr(), len_bytes) };
            Answer::Lease(lease)
        };
        if !*is_pushed {
            let answered = table::answer(table, job, answer);
            table.flush();
            return answered;
        }
        loop {
            match table.push(&job, answer) {
                Pushed::Sent => break,
                // Bounded: each turn takes in an event, for which the wait has a limit.
                Pushed::NoCredit(back) => answer = back,
                Pushed::Ended => return Err(PathError::PeerGone),
                Pushed::Refused(code) => {
                    return Err(PathError::protocol(format!("a message that was refused: {code}")));
                }
            }
            kept.take_in(table)?;
        }
        kept.0[Kind::Stream as usize].push_back(job);
        table.flush();
        Ok(())
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
        let (depth, common, is_pushed) = (config.depth, self.common(config)?, self.is_pushed);
        let max_bytes = config.max_bytes as u32;
        table::open(config, move |mut client| {
            let stream = || client.stream(Handle(OBJECT), max_bytes, CREDITS).map_err(client_error);
            let messages = is_pushed.then(stream).transpose()?;
            client.flush().map_err(client_error)?;
            Ok(Box::new(Near { client, depth, common, messages, pushed: VecDeque::new() }))
        })
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
        Ok(Box::new(Far { _proxy: proxy, table, kept: Kept::default(), common, is_pushed: self.is_pushed }))
    }
}

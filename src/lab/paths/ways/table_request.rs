//! A bare request of the table and its answer: 16 bytes there, 12 back, no block. The eight bytes of payload travel in the
//! entries themselves: there as the position that a seek asks for, back as the position that it is answered with. What the
//! table's other paths take more than this one is blocks and payload.
//!
//! The near side asks and the far side answers, so the far side sends only after it has received. A request that brings no
//! payload back, because only one side sends any, is answered with position 0, which no payload is: every request has its
//! answer, whatever the pattern, and those of a credit are published together.

use crate::lab::paths::ways::table::{MAX_DEPTH, OBJECT, client_error};
use crate::lab::paths::ways::{
    Buffer, Config, Consumer, End, Limits, Opening, Path, PathError, Producer, Token, table,
};
use crate::transport::{
    Answer, Blocks, Client, Completion, Geometry, Handle, Job, Operation, Table, TableOptions, Ticket,
};
use std::collections::VecDeque;
use std::io::SeekFrom;

/// What a request and an answer carry.
const BYTES: usize = 8;
/// Answers a request that brings nothing back.
const RECEIVED: u64 = 0;
/// There are blocks, since every session has some; they are not used.
const BLOCKS: Blocks = Blocks { block_bytes: Blocks::MIN_BYTES, count: 64 };

/// How the entries of the rings lie; what is not said is as tables have it.
#[derive(Debug)]
pub(crate) struct TableRequest {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// From one response to the next.
    pub(crate) response_stride_bytes: u16,
    /// Clients that the table has beside this one, and that ask for nothing.
    pub(crate) others: usize,
}

struct Near {
    client: Client,
    asked: VecDeque<Ticket>,
    payload: Buffer,
}

struct Far {
    table: Table,
    _others: Vec<Client>,
    /// Received, and not answered yet.
    held: Option<Job>,
    payload: Buffer,
}

/// The payload as a number, just produced.
fn produced(payload: &mut Buffer, len_bytes: usize, producer: &mut Producer) -> Result<u64, PathError> {
    let payload = payload.head(len_bytes);
    producer.fill(payload);
    let bytes = <[u8; BYTES]>::try_from(&*payload);
    bytes.map(u64::from_le_bytes).map_err(|_| PathError::protocol("a payload that is not eight bytes"))
}

/// The number as a payload, consumed.
fn consume(number: u64, payload: &mut Buffer, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
    let payload = payload.head(len_bytes);
    if len_bytes != BYTES {
        return Err(PathError::protocol("a payload that is not eight bytes"));
    }
    payload.copy_from_slice(&number.to_le_bytes());
    consumer.check(payload);
    Ok(())
}

impl End for Near {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        let position = produced(&mut self.payload, len_bytes, producer)?;
        let seek = self.client.submit_seek(Handle(OBJECT), SeekFrom::Start(position));
        self.asked.push_back(seek.map_err(client_error)?);
        Ok(())
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        // Bounded: each turn takes the answer to one request that was under way.
        while let Some(ticket) = self.asked.pop_front() {
            match self.client.finish(ticket).map_err(client_error)? {
                Completion::Position(RECEIVED) => {}
                Completion::Position(position) => return consume(position, &mut self.payload, len_bytes, consumer),
                other => return Err(PathError::protocol(format!("{other:?} for a seek"))),
            }
        }
        Err(PathError::protocol("nothing was asked, so that nothing is answered"))
    }

    fn flush(&mut self) -> Result<(), PathError> {
        self.client.flush().map_err(client_error)
    }

    fn system_calls(&self) -> Option<u64> {
        None
    }
}

impl Far {
    fn answer(&mut self, job: Job, position: u64) -> Result<(), PathError> {
        table::answer(&mut self.table, job, Answer::Position(position))
    }

    /// The next request, and the position that it asks for.
    fn next(&mut self) -> Result<(Job, u64), PathError> {
        let job = table::next_job(&mut self.table)?;
        match job.operation() {
            Operation::Seek { handle: OBJECT, to: SeekFrom::Start(position) } => Ok((job, position)),
            other => Err(PathError::protocol(format!("{other:?} at a table that is asked to seek"))),
        }
    }
}

impl End for Far {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        let job = self.held.take().ok_or_else(|| PathError::protocol("there is nothing to answer"))?;
        let position = produced(&mut self.payload, len_bytes, producer)?;
        self.answer(job, position)?;
        self.table.flush();
        Ok(())
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        if let Some(job) = self.held.take() {
            self.answer(job, RECEIVED)?;
        }
        let (job, position) = self.next()?;
        self.held = Some(job);
        consume(position, &mut self.payload, len_bytes, consumer)
    }

    fn flush(&mut self) -> Result<(), PathError> {
        self.table.flush();
        Ok(())
    }

    fn system_calls(&self) -> Option<u64> {
        None
    }
}

impl Path for TableRequest {
    fn name(&self) -> &str {
        self.name
    }

    fn about(&self) -> &str {
        self.about
    }

    fn limits(&self) -> Limits {
        Limits { min_bytes: BYTES, max_bytes: BYTES, max_depth: MAX_DEPTH }
    }

    /// Into the entry, and out of it.
    fn copies(&self, _len_bytes: usize, _config: &Config) -> u32 {
        2
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        table::open(config, |client| {
            let (asked, payload) = (VecDeque::with_capacity(MAX_DEPTH), Buffer::new(BYTES, 0));
            Ok(Box::new(Near { client, asked, payload }))
        })
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        let [socket] = token.take()?;
        let geometry = Geometry {
            response_stride_bytes: self.response_stride_bytes,
            client_blocks: BLOCKS,
            server_blocks: BLOCKS,
            ..TableOptions::GEOMETRY
        };
        let mut table = table::join(config, geometry, socket)?;
        let others = (0..self.others).map(|_| table::join_idle(&mut table)).collect::<Result<_, _>>()?;
        Ok(Box::new(Far { table, _others: others, held: None, payload: Buffer::new(BYTES, 0) }))
    }
}

//! One entry for one message, both ways: the near side posts writes, which have no answer, and the far side pushes messages
//! over a stream that was asked for once. The payload travels in the entries, copied in and copied out.

use crate::lab::paths::ways::table::{LIMIT, MAX_DEPTH, OBJECT, client_error, stride_bytes};
use crate::lab::paths::ways::{
    Buffer, Config, Consumer, End, Limits, Opening, Path, PathError, Producer, Token, table,
};
use crate::transport::ring::MAX_ROOM_BYTES;
use crate::transport::{
    Answer, Blocks, Client, Event, Geometry, Handle, Job, Operation, Pushed, Table, TableError, TableOptions, Ticket,
};
use std::collections::VecDeque;

/// There are blocks, since every session has some; they are not used.
const BLOCKS: Blocks = Blocks { block_bytes: Blocks::MIN_BYTES, count: 64 };
/// Messages that may be on their way to the near side: those of a window, and as many whose credits have not come back yet.
const CREDITS: u32 = 2 * MAX_DEPTH as u32 - 1;

#[derive(Debug)]
pub(crate) struct TablePush;

struct Near {
    client: Client,
    messages: Ticket,
    max_bytes: usize,
    payload: Buffer,
}

struct Far {
    table: Table,
    /// The stream to the near side, once it was asked for.
    messages: Option<Job>,
    /// Writes whose turn has not come.
    kept: VecDeque<Job>,
    payload: Buffer,
}

fn geometry(config: &Config) -> Geometry {
    let stride_bytes = stride_bytes(config.max_bytes);
    Geometry::symmetric(TableOptions::GEOMETRY.capacity, stride_bytes, BLOCKS)
}

impl End for Near {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        let payload = self.payload.head(len_bytes);
        producer.fill(payload);
        self.client.post(Handle(OBJECT), payload).map_err(client_error)?;
        self.client.flush().map_err(client_error)
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        match self.client.receive(self.messages, self.payload.head(self.max_bytes)).map_err(client_error)? {
            Some(found) if found == len_bytes => consumer.check(self.payload.head(len_bytes)),
            found => return Err(PathError::protocol(format!("{found:?} bytes for a message of {len_bytes}"))),
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

impl Far {
    /// Takes a write in: its payload, and its end.
    #[inline(always)]
    fn consume(&mut self, job: Job, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        let payload = self.payload.head(len_bytes);
        let found = self.table.payload(&job);
        if found.len() != len_bytes {
            return Err(PathError::protocol(format!("a payload of {} bytes in place of {len_bytes}", found.len())));
        }
        found.read_at(0, payload);
        consumer.check(payload);
        table::answer(&mut self.table, job, Answer::Done)
    }

    /// Takes in what is no write to be consumed now.
    #[cold]
    fn take_in(&mut self, next: Result<Option<Event>, TableError>) -> Result<(), PathError> {
        let Ok(Some(Event::Job(job))) = next else { return table::no_job(next) };
        match job.operation() {
            Operation::Write { handle: OBJECT } => self.kept.push_back(job),
            Operation::Stream { handle: OBJECT, .. } => self.messages = Some(job),
            other => return Err(PathError::protocol(format!("{other:?} at a table of one object"))),
        }
        Ok(())
    }
}

impl End for Far {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        producer.fill(self.payload.head(len_bytes));
        // Each turn but the last takes in an event, for which the wait has a limit.
        loop {
            let payload = self.payload.head(len_bytes);
            match self.messages.as_ref().map(|messages| self.table.push(messages, Answer::Bytes(payload))) {
                Some(Pushed::Sent) => break,
                None | Some(Pushed::NoCredit(_)) => {
                    let next = self.table.next(LIMIT);
                    self.take_in(next)?;
                }
                Some(Pushed::Ended) => return Err(PathError::PeerGone),
                Some(Pushed::Refused(code)) => {
                    return Err(PathError::protocol(format!("a message that was refused: {code}")));
                }
            }
        }
        self.table.flush();
        Ok(())
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        if let Some(job) = self.kept.pop_front() {
            return self.consume(job, len_bytes, consumer);
        }
        // A job is consumed where it is found: moved, it would be read in other pieces than it was just written in.
        loop {
            match self.table.next(LIMIT) {
                Ok(Some(Event::Job(job))) if matches!(job.operation(), Operation::Write { handle: OBJECT }) => {
                    return self.consume(job, len_bytes, consumer);
                }
                next => self.take_in(next)?,
            }
        }
    }

    fn flush(&mut self) -> Result<(), PathError> {
        self.table.flush();
        Ok(())
    }

    fn system_calls(&self) -> Option<u64> {
        None
    }
}

impl Path for TablePush {
    fn name(&self) -> &str {
        "table_push"
    }

    fn about(&self) -> &str {
        "StreamTable, posted and pushed: an entry a message, the payload in it"
    }

    fn limits(&self) -> Limits {
        Limits { min_bytes: 1, max_bytes: MAX_ROOM_BYTES, max_depth: MAX_DEPTH }
    }

    fn copies(&self, _len_bytes: usize, _config: &Config) -> u32 {
        2
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        let max_bytes = config.max_bytes;
        table::open(config, move |mut client| {
            let messages = client.stream(Handle(OBJECT), max_bytes as u32, CREDITS).map_err(client_error)?;
            client.flush().map_err(client_error)?;
            Ok(Box::new(Near { client, messages, max_bytes, payload: Buffer::new(max_bytes, 0) }))
        })
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        let [socket] = token.take()?;
        let table = table::join(config, geometry(config), socket)?;
        let payload = Buffer::new(config.max_bytes, 0);
        Ok(Box::new(Far { table, messages: None, kept: VecDeque::new(), payload }))
    }
}

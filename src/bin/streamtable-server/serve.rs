//! What a client asks for, done with files.

use crate::directory::Directory;
use crate::draft::OpenFile;
use crate::handles::Handles;
use crate::log::Log;
use crate::name::MAX_NAME_BYTES;
use crate::publish::Publish;
use crate::refusal::Refusal;
use crate::signals::Signals;
use memcpy_select::transport::{
    Answer, Answered, ClientKey, ErrorCode, Event, Flags, Job, Lease, Operation, SessionError, Table, TableError,
};
use rustix::fs::SeekFrom as FileSeek;
use std::time::Duration;

/// So long a signal waits at most to be seen.
const LOOK: Duration = Duration::from_millis(100);
/// No text that says what to do with a file as a whole is longer.
const MAX_TEXT_BYTES: usize = 32;

/// A table of files.
pub struct Server<'a> {
    table: Table,
    directory: Directory,
    handles: Handles,
    log: &'a mut Log,
}

/// Bytes for the client: where they are, and how many of them the file had.
enum Bytes {
    /// All that the lease holds.
    InPlace(Lease),
    /// The file has become shorter meanwhile.
    Copied(Vec<u8>),
}

impl<'a> Server<'a> {
    pub fn new(table: Table, directory: Directory, log: &'a mut Log) -> Self {
        Self { table, directory, handles: Handles::default(), log }
    }

    /// Serves until a signal ends it, and says which; or until the table cannot go on.
    pub fn run(mut self, signals: &Signals) -> Result<String, String> {
        loop {
            if let Some(name) = signals.received() {
                return Ok(format!("ended by {name}, with {} clients", self.table.clients()));
            }
            match self.table.next(LOOK).map_err(|error| error.to_string())? {
                None => self.log.catch_up(),
                Some(Event::Joined(_)) => self.say_clients("joined"),
                Some(Event::Left { client, why }) => {
                    self.handles.close_all(client);
                    match why {
                        SessionError::PeerGone => self.say_clients("left"),
                        why => self.log.say(format_args!("a client was disconnected: {why}")),
                    }
                }
                Some(Event::Closed { client, handle, is_discarded: true }) => _ = self.handles.close(client, handle),
                Some(Event::Closed { client, handle, .. }) => self.close(client, handle),
                Some(Event::Job(job)) => self.serve(job),
                Some(Event::Refused { why, count: 1 }) => {
                    self.log.say(format_args!("a client was not taken in: {why}"));
                }
                Some(Event::Refused { why, count }) => {
                    self.log.say(format_args!("{count} clients were not taken in; the last of them: {why}"));
                }
                Some(Event::Throttled { .. }) => {
                    self.log.say(format_args!("too many connect at once: they wait while clients are served"));
                }
                Some(_) => {}
            }
        }
    }

    fn say_clients(&mut self, what: &str) {
        self.log.say(format_args!("a client {what}; there are {} now", self.table.clients()));
    }

    /// Closes a file. One without a name gets it, if it is whole as far as is known: no client waits for an answer that could say otherwise.
    fn close(&mut self, client: ClientKey, number: u32) {
        let Some(mut handle) = self.handles.close(client, number) else { return };
        let Some(draft) = &handle.open.draft else { return };
        let name = String::from_utf8_lossy(draft.name.as_bytes()).into_owned();
        if draft.is_broken {
            self.log.say(format_args!("{name}: closed after a write that failed: dropped; it was not published"));
        } else if let Err(Refusal { code, cause }) = self.directory.publish(&mut handle.open, Publish::default()) {
            let cause = cause.map(|cause| format!(" ({cause})")).unwrap_or_default();
            self.log.say(format_args!("{name}: closed, but not published{cause}: dropped; {code}"));
        }
    }

    fn serve(&mut self, job: Job) {
        let answer = match job.operation() {
            Operation::Read { handle, amount, advance } => return self.answer_read(job, handle, amount, advance),
            Operation::Write { handle } if job.flags().has(Flags::META) => {
                self.settle(&job, handle).map(Answer::Amount)
            }
            Operation::Write { handle } => self.write(&job, handle).map(Answer::Amount),
            Operation::Open => self.open(&job).map(Answer::Handle),
            Operation::Create => self.create(&job).map(Answer::Handle),
            Operation::Destroy => {
                self.name(&job).and_then(|name| self.directory.destroy_file(&name)).map(|()| Answer::Done)
            }
            Operation::Seek { handle, to } => self
                .handles
                .get(job.client(), handle)
                .map_err(Refusal::from)
                .and_then(|handle| handle.seek(to))
                .map(Answer::Position),
            _ => Err(ErrorCode::UNSUPPORTED.into()),
        };
        let answer = answer.unwrap_or_else(|refusal| self.refuse(refusal));
        self.table.answer(job, answer);
    }

    /// What the client is told. What it is told to ask for here is said here.
    fn refuse(&mut self, refusal: Refusal) -> Answer<'static> {
        if refusal.code == ErrorCode::IO {
            let cause = refusal.cause.map_or_else(|| "no more is known".to_owned(), |cause| cause.to_string());
            self.log.say(format_args!("the system failed a request of a client: {cause}; the client was told"));
        }
        Answer::Error(refusal.code)
    }

    /// The name that came with a job, copied out once.
    fn name(&self, job: &Job) -> Result<Vec<u8>, Refusal> {
        let payload = self.table.payload(job);
        if payload.len() > MAX_NAME_BYTES { Err(ErrorCode::BAD_NAME.into()) } else { Ok(payload.to_vec()) }
    }

    fn open(&mut self, job: &Job) -> Result<u32, Refusal> {
        self.handles.check_room(job.client())?;
        let open = self.directory.open_file(&self.name(job)?)?;
        Ok(self.handles.insert(job.client(), open))
    }

    fn create(&mut self, job: &Job) -> Result<u32, Refusal> {
        self.handles.check_room(job.client())?;
        let (name, may_exist) = (self.name(job)?, job.flags().has(Flags::META));
        if !may_exist && self.handles.has_draft(job.client(), &name) {
            return Err(ErrorCode::EXISTS.into());
        }
        let open = self.directory.begin_file(&name, may_exist)?;
        Ok(self.handles.insert(job.client(), open))
    }

    /// Does with a file as a whole what the payload says; how many bytes that took.
    fn settle(&mut self, job: &Job, number: u32) -> Result<u32, Refusal> {
        let payload = self.table.payload(job);
        let mut text = [0; MAX_TEXT_BYTES];
        let text = text.get_mut(..payload.len()).ok_or(ErrorCode::UNSUPPORTED)?;
        payload.read_at(0, text);
        let open = &mut self.handles.get(job.client(), number)?.open;
        match &*text {
            _ if open.draft.is_none() => return Err(ErrorCode::UNSUPPORTED.into()),
            b"publish" => self.directory.publish(open, Publish::default())?,
            b"publish sync" => self.directory.publish(open, Publish { replace: false, sync: true })?,
            b"publish replace" => self.directory.publish(open, Publish { replace: true, sync: false })?,
            b"publish replace sync" => self.directory.publish(open, Publish { replace: true, sync: true })?,
            b"discard" => _ = self.handles.close(job.client(), number),
            _ => return Err(ErrorCode::UNSUPPORTED.into()),
        }
        Ok(text.len() as u32)
    }

    /// Writes the client's blocks to the file.
    fn write(&mut self, job: &Job, handle: u32) -> Result<u32, Refusal> {
        let handle = self.handles.get(job.client(), handle)?;
        self.directory.check_writable()?;
        let OpenFile { file, is_writable, draft } = &mut handle.open;
        if !*is_writable {
            return Err(ErrorCode::DENIED.into());
        }
        let payload = self.table.payload(job);
        let sent = rustix::fs::seek(&*file, FileSeek::Start(handle.position))
            .map_err(Refusal::of_bytes)
            .and_then(|_| Ok(payload.write_to_file(&*file)?))
            .inspect_err(|_| draft.iter_mut().for_each(|draft| draft.is_broken = true))?;
        if job.flags().has(Flags::ADVANCE) {
            handle.position += sent.len_bytes as u64;
        }
        u32::try_from(sent.len_bytes).map_err(|_| ErrorCode::TOO_LARGE.into())
    }

    fn answer_read(&mut self, job: Job, handle: u32, amount: u32, advance: bool) {
        let answered = match self.read(&job, handle, amount, advance) {
            Ok(Bytes::InPlace(lease)) => self.table.answer(job, Answer::Lease(lease)),
            Ok(Bytes::Copied(bytes)) => self.table.answer(job, Answer::Bytes(&bytes)),
            Err(refusal) => {
                let answer = self.refuse(refusal);
                self.table.answer(job, answer)
            }
        };
        if let Answered::Instead(code) = answered {
            self.log.say(format_args!("a client could not be sent what it asked for: {code}"));
        }
    }

    /// Reads the file into blocks for the client.
    fn read(&mut self, job: &Job, handle: u32, amount: u32, advance: bool) -> Result<Bytes, Refusal> {
        if job.flags().has(Flags::META) {
            return Err(ErrorCode::UNSUPPORTED.into());
        }
        let handle = self.handles.get(job.client(), handle)?;
        let left = handle.len_bytes()?.saturating_sub(handle.position);
        let len_bytes = usize::try_from(left.min(u64::from(amount))).unwrap_or(usize::MAX);
        let mut lease = self.table.lease(job, len_bytes).map_err(|error| match error {
            TableError::OutOfBlocks { .. } => ErrorCode::OUT_OF_BLOCKS,
            TableError::TooLarge { .. } => ErrorCode::TOO_LARGE,
            _ => ErrorCode::IO,
        })?;
        let read = lease.read_from_file(&handle.open.file, handle.position)?;
        if advance {
            handle.position += read as u64;
        }
        if read == len_bytes {
            return Ok(Bytes::InPlace(lease));
        }
        let mut bytes: Vec<u8> =
            lease.slices_mut().into_iter().flatten().flat_map(|part| part.iter().copied()).collect();
        bytes.truncate(read);
        Ok(Bytes::Copied(bytes))
    }
}

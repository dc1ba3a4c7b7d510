//! What a client asks for, done with files.

use crate::directory::{Directory, MAX_NAME_BYTES, code_of};
use crate::handles::Handles;
use memcpy_select::report::say;
use memcpy_select::transport::{
    Answer, Answered, ErrorCode, Event, Job, Lease, Operation, SessionError, Table, TableError,
};
use rustix::fs::SeekFrom as FileSeek;
use rustix::io::Errno;
use std::io;
use std::time::Duration;

/// A table of files.
pub struct Server {
    table: Table,
    directory: Directory,
    handles: Handles,
}

/// Bytes for the client: where they are, and how many of them the file had.
enum Bytes {
    /// All that the lease holds.
    InPlace(Lease),
    /// The file has become shorter meanwhile.
    Copied(Vec<u8>),
}

impl Server {
    pub fn new(table: Table, directory: Directory) -> Self {
        Self { table, directory, handles: Handles::default() }
    }

    /// Serves until the table cannot go on.
    pub fn run(mut self) -> Result<(), String> {
        loop {
            match self.table.next(Duration::from_secs(1)).map_err(|error| error.to_string())? {
                None => {}
                Some(Event::Joined(_)) => say(format_args!("a client joined; there are {} now", self.table.clients())),
                Some(Event::Left { client, why }) => {
                    self.handles.close_all(client);
                    match why {
                        SessionError::PeerGone => {
                            say(format_args!("a client left; there are {} now", self.table.clients()));
                        }
                        why => say(format_args!("a client was disconnected: {why}")),
                    }
                }
                Some(Event::Closed { client, handle }) => self.handles.close(client, handle),
                Some(Event::Job(job)) => self.serve(job),
                Some(Event::Refused { why, count: 1 }) => say(format_args!("a client was not taken in: {why}")),
                Some(Event::Refused { why, count }) => {
                    say(format_args!("{count} clients were not taken in, the last of them because {why}"));
                }
                Some(Event::Throttled { .. }) => say(format_args!("clients that connect have to wait for others")),
                Some(_) => {}
            }
        }
    }

    fn serve(&mut self, job: Job) {
        let answer = match job.operation() {
            Operation::Read { handle, amount, advance } => return self.answer_read(job, handle, amount, advance),
            Operation::Write { handle } => self.write(&job, handle).map(Answer::Amount),
            Operation::Open => self.open(&job, Directory::open_file).map(Answer::Handle),
            Operation::Create => self.open(&job, Directory::create_file).map(Answer::Handle),
            Operation::Destroy => {
                self.name(&job).and_then(|name| self.directory.destroy_file(&name)).map(|()| Answer::Done)
            }
            Operation::Seek { handle, to } => {
                self.handles.get(job.client(), handle).and_then(|handle| handle.seek(to)).map(Answer::Position)
            }
            _ => Err(ErrorCode::UNSUPPORTED),
        };
        self.table.answer(job, answer.unwrap_or_else(Answer::Error));
    }

    /// The name that came with a job, copied out once.
    fn name(&self, job: &Job) -> Result<Vec<u8>, ErrorCode> {
        let payload = self.table.payload(job);
        if payload.len() > MAX_NAME_BYTES { Err(ErrorCode::BAD_NAME) } else { Ok(payload.to_vec()) }
    }

    fn open(
        &mut self,
        job: &Job,
        how: fn(&Directory, &[u8]) -> Result<crate::directory::OpenFile, ErrorCode>,
    ) -> Result<u32, ErrorCode> {
        self.handles.check_room(job.client())?;
        let open = how(&self.directory, &self.name(job)?)?;
        Ok(self.handles.insert(job.client(), open))
    }

    /// Writes the client's blocks to the file.
    fn write(&mut self, job: &Job, handle: u32) -> Result<u32, ErrorCode> {
        let handle = self.handles.get(job.client(), handle)?;
        self.directory.check_writable()?;
        if !handle.open.is_writable {
            return Err(ErrorCode::DENIED);
        }
        let payload = self.table.payload(job);
        let start = FileSeek::Start(handle.position);
        rustix::fs::seek(&handle.open.file, start).map_err(code_of)?;
        let sent = payload.write_to_file(&handle.open.file).map_err(|error| code_of_io(&error))?;
        if job.flags().advance {
            handle.position += sent.len_bytes as u64;
        }
        u32::try_from(sent.len_bytes).map_err(|_| ErrorCode::TOO_LARGE)
    }

    fn answer_read(&mut self, job: Job, handle: u32, amount: u32, advance: bool) {
        let answered = match self.read(&job, handle, amount, advance) {
            Ok(Bytes::InPlace(lease)) => self.table.answer(job, Answer::Lease(lease)),
            Ok(Bytes::Copied(bytes)) => self.table.answer(job, Answer::Bytes(&bytes)),
            Err(code) => self.table.answer(job, Answer::Error(code)),
        };
        if let Answered::Instead(code) = answered {
            say(format_args!("a client could not be sent what it asked for: {code}"));
        }
    }

    /// Reads the file into blocks for the client.
    fn read(&mut self, job: &Job, handle: u32, amount: u32, advance: bool) -> Result<Bytes, ErrorCode> {
        if job.flags().meta {
            return Err(ErrorCode::UNSUPPORTED);
        }
        let handle = self.handles.get(job.client(), handle)?;
        let left = handle.len_bytes()?.saturating_sub(handle.position);
        let len_bytes = usize::try_from(left.min(u64::from(amount))).unwrap_or(usize::MAX);
        let mut lease = self.table.lease(job, len_bytes).map_err(|error| match error {
            TableError::OutOfBlocks { .. } => ErrorCode::OUT_OF_BLOCKS,
            TableError::TooLarge { .. } => ErrorCode::TOO_LARGE,
            _ => ErrorCode::IO,
        })?;
        let read = lease.read_from_file(&handle.open.file, handle.position).map_err(|error| code_of_io(&error))?;
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

fn code_of_io(error: &io::Error) -> ErrorCode {
    Errno::from_io_error(error).map_or(ErrorCode::IO, code_of)
}

//! The server's program.

use crate::transport::{Answer, Answered, ClientKey, ErrorCode, Job, Operation, Table};
use std::collections::HashMap;
use std::io::SeekFrom;

/// A program over a table: each client has a file, which is what it wrote last.
#[derive(Debug, Default)]
pub struct Program {
    files: HashMap<usize, Vec<u8>>,
}

impl Program {
    /// Does what a client asks for.
    pub fn answer(&mut self, table: &mut Table, job: Job) -> Answered {
        let file = self.files.entry(job.client().slot()).or_default();
        let answer = match job.operation() {
            Operation::Open | Operation::Create => Answer::Handle(table.payload(&job).len() as u32),
            Operation::Write { .. } => {
                *file = table.payload(&job).to_vec();
                Answer::Amount(file.len() as u32)
            }
            Operation::Read { amount, .. } => Answer::Bytes(&file[..file.len().min(amount as usize)]),
            Operation::Destroy => Answer::Done,
            Operation::Seek { to: SeekFrom::Start(to), .. } => Answer::Position(to),
            _ => Answer::Error(ErrorCode::UNSUPPORTED),
        };
        table.answer(job, answer)
    }

    /// Drops the file of a client that has left.
    pub fn forget(&mut self, client: ClientKey) {
        self.files.remove(&client.slot());
    }
}

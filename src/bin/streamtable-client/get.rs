//! `get` and `cat`: a file of the server's, here.

use crate::Server;
use crate::progress::{DEPTH, Progress, chunk_bytes};
use clap::Args;
use memcpy_select::lab::record::file::NewFile;
use memcpy_select::transport::{Client, Completion, Handle};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, SeekFrom};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Get a file from the server.
#[derive(Args)]
pub struct Get {
    /// Its name there
    name: String,
    /// Where to keep it, which must not exist yet [default: its last part, in this directory]
    file: Option<PathBuf>,
}

/// Print a file of the server's.
#[derive(Args)]
pub struct Cat {
    /// Its name there
    name: String,
}

impl Get {
    pub fn run(self, server: &Server) -> Result<(), String> {
        let path = match (&self.file, Path::new(&self.name).file_name()) {
            (Some(path), _) => path.clone(),
            (None, Some(last)) => PathBuf::from(last),
            (None, None) => return Err(format!("{:?} names no file: nothing was asked for", self.name)),
        };
        let mut client = server.connect()?;
        let remote = client.open(&self.name).map_err(|error| format!("{}: {error}", self.name))?;
        let failed = |error: io::Error| {
            format!("{}: {error}: nothing was got; name a file that can be made and does not exist", path.display())
        };
        let local = NewFile::begin(&path).map_err(failed)?;
        let result = fetch(&mut client, remote, local.file(), &self.name);
        result.map_err(|FetchError(message)| format!("{}: {message}", self.name))?;
        local.finish().map_err(failed)
    }
}

impl Cat {
    pub fn run(self, server: &Server) -> Result<(), String> {
        let mut client = server.connect()?;
        let remote = client.open(&self.name).map_err(|error| format!("{}: {error}", self.name))?;
        let result = fetch(&mut client, remote, io::stdout(), &self.name);
        result.map_err(|FetchError(message)| format!("{}: {message}", self.name))
    }
}

struct FetchError(String);

impl<E: std::error::Error> From<E> for FetchError {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// Writes all of a remote file to a local one, each chunk from the blocks it arrives in.
fn fetch(client: &mut Client, remote: Handle, local: impl AsFd, what: &str) -> Result<(), FetchError> {
    let total_bytes = client.seek(remote, SeekFrom::End(0))?;
    client.seek(remote, SeekFrom::Start(0))?;
    let chunk = chunk_bytes(client.max_read_bytes()) as u64;
    let mut progress = Progress::start(total_bytes);
    let mut under_way = VecDeque::new();
    let (mut asked_bytes, mut got_bytes) = (0, 0);
    while got_bytes < total_bytes {
        while under_way.len() < DEPTH && asked_bytes < total_bytes {
            let amount = chunk.min(total_bytes - asked_bytes);
            under_way.push_back((client.submit_read(remote, amount as u32)?, amount));
            asked_bytes += amount;
        }
        client.flush()?;
        let left = total_bytes - got_bytes;
        let shorter = || {
            FetchError(format!(
                "the server sent nothing where {left} bytes are left: the file has become shorter; ask for it again"
            ))
        };
        let (ticket, amount) = under_way.pop_front().ok_or_else(shorter)?;
        let Completion::Read(view) = client.finish(ticket)? else {
            return Err(shorter());
        };
        if view.is_empty() {
            return Err(shorter());
        }
        let sent = match view.write_to_file(&local) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            result => result?,
        };
        got_bytes += sent.len_bytes as u64;
        // The next ones go on where a short answer ended: what it lacks has to be asked for at the end.
        asked_bytes -= amount.saturating_sub(sent.len_bytes as u64);
        progress.add(sent.len_bytes, sent.in_place);
    }
    // All is here, also if the server is gone since.
    let _ = client.close(remote);
    progress.finish(what);
    Ok(())
}

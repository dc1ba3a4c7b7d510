//! `put`: a local file, at the server.

use crate::Server;
use crate::progress::{DEPTH, Progress, chunk_bytes};
use clap::Args;
use memcpy_select::transport::{Client, ClientError, Completion, ErrorCode, Handle, Ticket};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::fmt::Display;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Put a file to the server: there as a whole, or not at all.
#[derive(Args)]
pub struct Put {
    /// The file
    file: PathBuf,
    /// Its name there, which must not exist yet [default: the last part of FILE]
    name: Option<String>,
    /// Take the place of a file of that name, which is there until the new one is
    #[arg(long)]
    replace: bool,
    /// Return once it is on the server's disk, so that it outlasts a loss of power
    #[arg(long)]
    sync: bool,
}

impl Put {
    pub fn run(self, server: &Server) -> Result<(), String> {
        let (local, len_bytes) =
            open(&self.file).map_err(|why| format!("{}: {why}: nothing was put", self.file.display()))?;
        let name = match (&self.name, Path::new(&self.file).file_name().and_then(|last| last.to_str())) {
            (Some(name), _) => name.as_str(),
            (None, Some(last)) => last,
            (None, None) => return Err(format!("{}: say what to name it there", self.file.display())),
        };
        let nothing = |why: &dyn Display| format!("{name}: nothing was put: {why}");
        let mut client = server.connect()?;
        let begun = if self.replace { client.create_or_replace(name) } else { client.create(name) };
        let remote = begun.map_err(|error| nothing(&error))?;
        // Whatever goes wrong until it is published, the server drops what there is of it.
        let progress = send(&mut client, &local, len_bytes, remote).map_err(|why| nothing(&why))?;
        let publish = match (self.replace, self.sync) {
            (false, false) => "publish",
            (false, true) => "publish sync",
            (true, false) => "publish replace",
            (true, true) => "publish replace sync",
        };
        match client.write_meta(remote, publish.as_bytes()) {
            Ok(_) => progress.finish(name),
            // The server failed, or is gone: perhaps after it had done it.
            Err(
                error @ (ClientError::Refused(ErrorCode::IO) | ClientError::Timeout { .. } | ClientError::Session(_)),
            ) => {
                return Err(format!("{name}: it may have been put or not: {error}"));
            }
            Err(error) => return Err(nothing(&error)),
        }
        // It is put, also if the server is gone since.
        let _ = client.close(remote);
        Ok(())
    }
}

/// A local file and its length. Waits for no other process: neither for the writer of a pipe nor for one that has a lease on the file.
fn open(path: &Path) -> Result<(File, u64), String> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| match error {
        Errno::AGAIN => "another program has a lease on it".to_owned(),
        error => std::io::Error::from(error).to_string(),
    })?;
    let file = File::from(file);
    let status = file.metadata().map_err(|error| error.to_string())?;
    if status.is_file() { Ok((file, status.len())) } else { Err("not a file".to_owned()) }
}

/// Reads all of a local file, each chunk into the blocks that the server writes from.
fn send(client: &mut Client, local: &File, total_bytes: u64, remote: Handle) -> Result<Progress, String> {
    let chunk = chunk_bytes(client.max_write_bytes()) as u64;
    let mut progress = Progress::start(total_bytes);
    let mut under_way: VecDeque<(Ticket, usize)> = VecDeque::new();
    let mut read_bytes = 0;
    while read_bytes < total_bytes || !under_way.is_empty() {
        if under_way.len() == DEPTH || read_bytes == total_bytes {
            let Some((ticket, len_bytes)) = under_way.pop_front() else { break };
            match client.finish(ticket).map_err(|error| error.to_string())? {
                Completion::Amount(amount) if amount as usize == len_bytes => progress.add(len_bytes, true),
                _ => return Err(format!("the server took less than the {len_bytes} bytes it was sent")),
            }
            continue;
        }
        let amount = chunk.min(total_bytes - read_bytes) as usize;
        let mut lease = client.lease(amount).map_err(|error| error.to_string())?;
        let read = lease.read_from_file(local, read_bytes).map_err(|error| error.to_string())?;
        if read < amount {
            return Err(format!(
                "the local file has become shorter: {} of {total_bytes} bytes",
                read_bytes + read as u64
            ));
        }
        under_way.push_back((client.submit_write_in_place(remote, lease).map_err(|error| error.to_string())?, amount));
        client.flush().map_err(|error| error.to_string())?;
        read_bytes += amount as u64;
    }
    Ok(progress)
}

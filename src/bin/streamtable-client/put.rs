//! `put`: a local file, at the server.

use crate::Server;
use crate::progress::{DEPTH, Progress, chunk_bytes};
use clap::Args;
use memcpy_select::transport::{Client, ClientError, Completion, ErrorCode, Handle, Ticket};
use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Put a file to the server.
#[derive(Args)]
pub struct Put {
    /// The file
    file: PathBuf,
    /// Its name there, which must not exist yet [default: the last part of FILE]
    name: Option<String>,
    /// Remove a file of that name first
    #[arg(long)]
    replace: bool,
}

impl Put {
    pub fn run(self, server: &Server) -> Result<(), String> {
        let describe = |error: &dyn std::error::Error| format!("{}: {error}: nothing was put", self.file.display());
        let local = File::open(&self.file).map_err(|error| describe(&error))?;
        let status = local.metadata().map_err(|error| describe(&error))?;
        if !status.is_file() {
            return Err(format!("{}: not a file: nothing was put", self.file.display()));
        }
        let name = match (&self.name, Path::new(&self.file).file_name().and_then(|last| last.to_str())) {
            (Some(name), _) => name.as_str(),
            (None, Some(last)) => last,
            (None, None) => return Err(format!("{}: say what to name it there", self.file.display())),
        };
        let mut client = server.connect()?;
        if self.replace {
            match client.destroy(name) {
                Ok(()) | Err(ClientError::Refused(ErrorCode::NOT_FOUND)) => {}
                Err(error) => return Err(format!("{name}: {error}")),
            }
        }
        let remote = client.create(name).map_err(|error| format!("{name}: {error}"))?;
        if let Err(message) = send(&mut client, &local, status.len(), remote, name) {
            // Half a file is none.
            let _ = client.destroy(name);
            return Err(format!("{name}: {message}"));
        }
        Ok(())
    }
}

/// Reads all of a local file, each chunk into the blocks that the server writes from.
fn send(client: &mut Client, local: &File, total_bytes: u64, remote: Handle, what: &str) -> Result<(), String> {
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
    client.close(remote).map_err(|error| error.to_string())?;
    progress.finish(what);
    Ok(())
}

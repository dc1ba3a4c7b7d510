//! Which files each client has open, and where it is in each.

use crate::draft::OpenFile;
use crate::refusal::Refusal;
use memcpy_select::transport::{ClientKey, ErrorCode};
use std::collections::HashMap;
use std::io::SeekFrom;

/// Most files that one client can have open.
const MAX_OPEN: usize = 64;

/// An open file of one client.
pub struct Handle {
    pub open: OpenFile,
    pub position: u64,
}

/// The open files of all clients.
#[derive(Default)]
pub struct Handles {
    clients: HashMap<ClientKey, Client>,
}

#[derive(Default)]
struct Client {
    files: HashMap<u32, Handle>,
    last: u32,
}

impl Handles {
    /// Whether the client can open one more.
    pub fn check_room(&self, client: ClientKey) -> Result<(), ErrorCode> {
        let open = self.clients.get(&client).map_or(0, |client| client.files.len());
        if open < MAX_OPEN { Ok(()) } else { Err(ErrorCode::TABLE_FULL) }
    }

    /// Keeps a file, and numbers it. A number comes again only after all others.
    pub fn insert(&mut self, client: ClientKey, open: OpenFile) -> u32 {
        let client = self.clients.entry(client).or_default();
        // Ends: fewer numbers are taken than there are.
        loop {
            client.last = client.last.wrapping_add(1).max(1);
            if !client.files.contains_key(&client.last) {
                client.files.insert(client.last, Handle { open, position: 0 });
                return client.last;
            }
        }
    }

    /// Whether the client has begun a file of that name, and not published it.
    pub fn has_draft(&self, client: ClientKey, name: &[u8]) -> bool {
        let files = self.clients.get(&client).into_iter().flat_map(|client| client.files.values());
        files.filter_map(|handle| handle.open.draft.as_ref()).any(|draft| draft.name.as_bytes() == name)
    }

    pub fn get(&mut self, client: ClientKey, handle: u32) -> Result<&mut Handle, ErrorCode> {
        let client = self.clients.get_mut(&client).ok_or(ErrorCode::WRONG_HANDLE)?;
        client.files.get_mut(&handle).ok_or(ErrorCode::WRONG_HANDLE)
    }

    pub fn close(&mut self, client: ClientKey, handle: u32) -> Option<Handle> {
        self.clients.get_mut(&client)?.files.remove(&handle)
    }

    /// Closes all files of a client.
    pub fn close_all(&mut self, client: ClientKey) {
        self.clients.remove(&client);
    }
}

impl Handle {
    pub fn len_bytes(&self) -> Result<u64, Refusal> {
        let status = rustix::fs::fstat(&self.open.file)?;
        Ok(u64::try_from(status.st_size).unwrap_or_default())
    }

    /// Moves the position; beyond the end is allowed, before the start is not.
    pub fn seek(&mut self, to: SeekFrom) -> Result<u64, Refusal> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
            SeekFrom::End(offset) => self.len_bytes()?.checked_add_signed(offset),
        };
        // Files end where a signed offset does, and so do the errors of a response not begin before.
        let position = position.filter(|position| i64::try_from(*position).is_ok()).ok_or(ErrorCode::BAD_POSITION)?;
        self.position = position;
        Ok(position)
    }
}

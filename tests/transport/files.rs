//! A table of files in memory: what a server under test serves, and what a client's results are compared with.

use memcpy_select::transport::ErrorCode;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
struct Open {
    name: Vec<u8>,
    position: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Files {
    contents: BTreeMap<Vec<u8>, Vec<u8>>,
    handles: BTreeMap<u32, Open>,
    next_handle: u32,
}

/// The longest file: what is beyond is refused.
pub const MAX_BYTES: u64 = 1 << 20;
/// Most handles.
pub const MAX_HANDLES: usize = 16;

impl Files {
    fn at(&mut self, handle: u32) -> Result<&mut Open, ErrorCode> {
        let open = self.handles.get_mut(&handle).ok_or(ErrorCode::WRONG_HANDLE)?;
        if self.contents.contains_key(&open.name) { Ok(open) } else { Err(ErrorCode::NOT_FOUND) }
    }

    pub fn open(&mut self, name: &[u8]) -> Result<u32, ErrorCode> {
        if !self.contents.contains_key(name) {
            return Err(ErrorCode::NOT_FOUND);
        }
        if self.handles.len() == MAX_HANDLES {
            return Err(ErrorCode::TABLE_FULL);
        }
        self.next_handle += 1;
        self.handles.insert(self.next_handle, Open { name: name.to_vec(), position: 0 });
        Ok(self.next_handle)
    }

    pub fn create(&mut self, name: &[u8]) -> Result<u32, ErrorCode> {
        if name.is_empty() {
            return Err(ErrorCode::BAD_NAME);
        }
        if self.contents.contains_key(name) {
            return Err(ErrorCode::EXISTS);
        }
        self.contents.insert(name.to_vec(), Vec::new());
        self.open(name)
    }

    pub fn destroy(&mut self, name: &[u8]) -> Result<(), ErrorCode> {
        self.contents.remove(name).map(drop).ok_or(ErrorCode::NOT_FOUND)
    }

    pub fn close(&mut self, handle: u32) {
        self.handles.remove(&handle);
    }

    pub fn read(&mut self, handle: u32, amount: usize, advance: bool) -> Result<Vec<u8>, ErrorCode> {
        let open = self.at(handle)?;
        let (name, position) = (open.name.clone(), open.position as usize);
        let bytes = self.contents[&name].get(position..).unwrap_or_default();
        let got = bytes[..amount.min(bytes.len())].to_vec();
        if advance {
            self.at(handle)?.position += got.len() as u64;
        }
        Ok(got)
    }

    /// Undoes the move of a read whose bytes did not get away.
    pub fn unread(&mut self, handle: u32, amount: usize, advance: bool) {
        if advance && let Ok(open) = self.at(handle) {
            open.position -= amount as u64;
        }
    }

    pub fn write(&mut self, handle: u32, bytes: &[u8]) -> Result<u32, ErrorCode> {
        let open = self.at(handle)?;
        let (name, position) = (open.name.clone(), open.position);
        let end = position + bytes.len() as u64;
        if end > MAX_BYTES {
            return Err(ErrorCode::TOO_LARGE);
        }
        open.position = end;
        let content = self.contents.get_mut(&name).expect("`at` looked");
        if content.len() < end as usize {
            content.resize(end as usize, 0);
        }
        content[position as usize..end as usize].copy_from_slice(bytes);
        Ok(bytes.len() as u32)
    }

    fn seek(&mut self, handle: u32, position: Option<u64>) -> Result<u64, ErrorCode> {
        let open = self.at(handle)?;
        let position = position.filter(|&position| position <= MAX_BYTES).ok_or(ErrorCode::BAD_POSITION)?;
        open.position = position;
        Ok(position)
    }

    pub fn seek_start(&mut self, handle: u32, offset: u64) -> Result<u64, ErrorCode> {
        self.seek(handle, Some(offset))
    }

    pub fn seek_current(&mut self, handle: u32, offset: i64) -> Result<u64, ErrorCode> {
        let position = self.at(handle)?.position.checked_add_signed(offset);
        self.seek(handle, position)
    }

    pub fn seek_end(&mut self, handle: u32, offset: i64) -> Result<u64, ErrorCode> {
        let name = self.at(handle)?.name.clone();
        let end = self.contents[&name].len() as u64;
        self.seek(handle, end.checked_add_signed(offset))
    }
}

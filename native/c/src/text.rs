//! Texts from C and to C.

use crate::error::{Code, Failure};
use std::ffi::{CStr, CString, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Where the caller wants a text: a buffer, and a place for the length of the whole.
#[derive(Clone, Copy)]
pub struct Place {
    text: *mut c_char,
    text_bytes: usize,
    length: *mut usize,
}

impl Place {
    /// # Safety
    ///
    /// `text` is null or valid for writes of `text_bytes` bytes, `length` is null or valid for a write, until the place is
    /// no longer used.
    pub const unsafe fn new(text: *mut c_char, text_bytes: usize, length: *mut usize) -> Self {
        Self { text, text_bytes, length }
    }

    /// Does something that ends with a remark, or with a message.
    pub fn remark(self, what: impl FnOnce() -> Result<String, Failure>) -> Code {
        self.answer(|| what().map(String::into_bytes)).0
    }

    /// Finds a text, which is what the caller wants: all of it or a failure.
    pub fn give(self, what: impl FnOnce() -> Result<Vec<u8>, Failure>) -> Code {
        match self.answer(what) {
            (Code::Ok, false) => Code::Truncated,
            (code, _) => code,
        }
    }

    /// The code, and whether the whole text fitted.
    fn answer(self, what: impl FnOnce() -> Result<Vec<u8>, Failure>) -> (Code, bool) {
        let result = if self.text.is_null() && self.text_bytes > 0 {
            Err(Failure::null("the buffer for the text, whose size is not 0,"))
        } else {
            what()
        };
        match result {
            Ok(text) => (Code::Ok, self.put(&text)),
            Err(failure) => (failure.code, self.put(failure.message.as_bytes())),
        }
    }

    /// Puts down what there is room for, and a NUL after it; whether that was all.
    fn put(self, text: &[u8]) -> bool {
        if !self.length.is_null() {
            // SAFETY: valid for a write, by the contract of `new`.
            unsafe { self.length.write(text.len()) };
        }
        let Some(room) = self.text_bytes.checked_sub(1).filter(|_| !self.text.is_null()) else { return false };
        let kept = cut(text, room);
        // SAFETY: `kept` has at most `text_bytes - 1` bytes, for which `text` is valid by the contract of `new`; a text of
        // ours does not overlap the caller's buffer.
        unsafe { self.text.cast::<u8>().copy_from_nonoverlapping(kept.as_ptr(), kept.len()) };
        // SAFETY: `kept.len() < text_bytes`, for which `text` is valid.
        unsafe { self.text.add(kept.len()).write(0) };
        kept.len() == text.len()
    }
}

/// The first bytes of a text, at most `room`, without a part of a character at the end.
fn cut(text: &[u8], room: usize) -> &[u8] {
    let is_inside = |at: usize| text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let end = (0..=room.min(text.len())).rev().find(|at| !is_inside(*at)).unwrap_or(0);
    &text[..end]
}

/// The string that an argument points to.
///
/// # Safety
///
/// `string` is null or points to a string that ends in NUL and stays as it is for `'a`.
unsafe fn string<'a>(string: *const c_char, argument: &str) -> Result<&'a CStr, Failure> {
    if string.is_null() {
        return Err(Failure::null(argument));
    }
    // SAFETY: not null, so the caller vouches for a string with its NUL.
    Ok(unsafe { CStr::from_ptr(string) })
}

/// The text that an argument points to.
///
/// # Safety
///
/// As [`string`].
pub unsafe fn utf8<'a>(text: *const c_char, argument: &str) -> Result<&'a str, Failure> {
    // SAFETY: the same preconditions.
    let text = unsafe { string(text, argument) }?;
    text.to_str().map_err(|error| {
        let message = format!("{argument}: {error}: the text is refused; pass UTF-8");
        Failure::new(Code::NotUtf8, message)
    })
}

/// The name of a file that an argument points to.
///
/// # Safety
///
/// As [`string`].
pub unsafe fn path<'a>(path: *const c_char, argument: &str) -> Result<&'a Path, Failure> {
    // SAFETY: the same preconditions.
    let path = unsafe { string(path, argument) }?;
    Ok(Path::new(OsStr::from_bytes(path.to_bytes())))
}

/// A string for C that stays to the end of the program. For names, of which there are few: each is kept once.
pub fn kept(text: &str) -> *const c_char {
    static KEPT: Mutex<Vec<CString>> = Mutex::new(Vec::new());
    let mut all = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = all.iter().find(|known| known.to_bytes() == text.as_bytes()) {
        return known.as_ptr();
    }
    // No name has a NUL.
    let new = CString::new(text).unwrap_or_default();
    // The bytes stay where they are when the list grows.
    let at = new.as_ptr();
    all.push(new);
    at
}

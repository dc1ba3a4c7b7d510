//! How the CSV files of a record are stored: plain while they grow, so that a kill costs a row at most; once they are whole,
//! compressed with gzip, which programs that load CSV files take as it is.
//!
//! A file that grew is compressed under a temporary name, brought to the disk and named; then `env.toml` says that the
//! record is complete; then the plain file is removed. So a kill between any two of these steps leaves both forms at the
//! worst: the plain one counts in a record that is not complete, the compressed one in a complete record.

use super::error::RecordError;
use super::file;
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// What is behind the plain file's name.
const SUFFIX: &str = ".gz";

/// No compressed file holds more, whatever it says of itself: ten times the largest record so far. A larger file stays plain.
const MAX_BYTES: u64 = 1 << 28;

fn compressed(plain: &Path) -> PathBuf {
    let mut path = plain.as_os_str().to_owned();
    path.push(SUFFIX);
    path.into()
}

/// Where the file is that would have this path if it were plain; nothing if it is there in neither form.
pub(super) fn find(plain: &Path, is_complete: bool) -> Option<PathBuf> {
    let mut forms = [plain.to_owned(), compressed(plain)];
    if is_complete {
        forms.reverse();
    }
    forms.into_iter().find(|path| path.exists())
}

/// The path that a file would have if it were plain.
pub(super) fn plain(path: &Path) -> PathBuf {
    if is_compressed(path) { path.with_extension("") } else { path.to_owned() }
}

fn is_compressed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| *extension == SUFFIX[1..])
}

/// What a file holds, in whichever form.
///
/// # Errors
///
/// [`RecordError::Unreadable`]; [`RecordError::Damaged`] with the line up to which a compressed file can be read, if that
/// is not its end, if something is behind its end, or if it holds more than any record.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, RecordError> {
    let unreadable = |error: io::Error| RecordError::Unreadable { path: path.to_owned(), cause: error.to_string() };
    let stored = fs::read(path).map_err(unreadable)?;
    if !is_compressed(path) {
        return Ok(stored);
    }
    let mut bytes = Vec::new();
    let mut decoder = GzDecoder::new(&stored[..]);
    let end = decoder.by_ref().take(MAX_BYTES + 1).read_to_end(&mut bytes);
    let cause = match end {
        Err(error) => format!("the compressed file cannot be read beyond this line: {error}"),
        Ok(_) if bytes.len() as u64 > MAX_BYTES => {
            format!("the compressed file holds more than {} MiB, which is no record", MAX_BYTES >> 20)
        }
        Ok(_) if !decoder.get_ref().is_empty() => {
            format!("{} bytes are behind the end of the compressed file", decoder.get_ref().len())
        }
        Ok(_) => return Ok(bytes),
    };
    let line = 1 + bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
    Err(RecordError::Damaged { path: path.to_owned(), line, cause })
}

/// Writes a whole file, or puts it in the place of another, of either form.
pub(super) fn write(plain: &Path, bytes: &[u8]) -> io::Result<()> {
    if bytes.len() as u64 > MAX_BYTES {
        return file::replace(plain, bytes);
    }
    file::replace(&compressed(plain), &gzip(bytes)?)?;
    remove_plain(plain);
    Ok(())
}

/// Puts the compressed form beside a plain file.
pub(super) fn compress(plain: &Path) -> io::Result<()> {
    let bytes = fs::read(plain)?;
    if bytes.len() as u64 > MAX_BYTES { Ok(()) } else { file::replace(&compressed(plain), &gzip(&bytes)?) }
}

/// Removes a plain file whose compressed form is there. If that fails, the record is larger and nothing else.
pub(super) fn remove_plain(plain: &Path) {
    if compressed(plain).exists() {
        let _ = fs::remove_file(plain);
    }
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

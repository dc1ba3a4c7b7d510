//! Why something was not done.

use memcpy_select::transport::ErrorCode;
use rustix::io::Errno;
use std::io;

/// What the client is told, and what the system said, if it was that.
#[derive(Debug)]
pub struct Refusal {
    pub code: ErrorCode,
    pub cause: Option<Errno>,
}

impl Refusal {
    /// The system failed a file that is open.
    pub fn of_bytes(error: Errno) -> Self {
        match error {
            // A position that no file of this file system has.
            Errno::INVAL => Self { code: ErrorCode::TOO_LARGE, cause: Some(error) },
            _ => Self::from(error),
        }
    }

    /// What was done is not known.
    pub fn io(error: Errno) -> Self {
        Self { code: ErrorCode::IO, cause: Some(error) }
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, cause: None }
    }
}

impl From<Errno> for Refusal {
    fn from(error: Errno) -> Self {
        let code = match error {
            Errno::NOENT => ErrorCode::NOT_FOUND,
            Errno::EXIST => ErrorCode::EXISTS,
            // XDEV: it leads out of the directory.
            Errno::XDEV | Errno::LOOP | Errno::NAMETOOLONG | Errno::NOTDIR | Errno::INVAL => ErrorCode::BAD_NAME,
            Errno::ISDIR => ErrorCode::UNSUPPORTED,
            Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::TXTBSY => ErrorCode::DENIED,
            Errno::FBIG | Errno::OVERFLOW => ErrorCode::TOO_LARGE,
            Errno::MFILE | Errno::NFILE => ErrorCode::TABLE_FULL,
            // A lease.
            Errno::AGAIN => ErrorCode::BUSY,
            Errno::NOSPC | Errno::DQUOT => ErrorCode::NO_SPACE,
            _ => ErrorCode::IO,
        };
        Self { code, cause: Some(error) }
    }
}

/// Of a file that is open.
impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Errno::from_io_error(&error).map_or(ErrorCode::IO.into(), Self::of_bytes)
    }
}

//! Two pipes, one each way: the oldest. The kernel copies in and out, page by page.

use crate::lab::paths::ways::descriptor::ByteStream;
use crate::lab::paths::ways::{Config, End, Limits, Opening, Path, PathError, Token};
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};
use std::os::fd::OwnedFd;

/// The least and the most that a pipe is asked to hold; the most is what users may have by default.
const PIPE_BYTES: (usize, usize) = (64 << 10, 1 << 20);

#[derive(Debug)]
pub(crate) struct Pipe;

/// A pipe that holds a window of payloads, as far as the system lets it.
fn sized(config: &Config) -> Result<(OwnedFd, OwnedFd), PathError> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(PathError::system("pipe2"))?;
    let wanted = config.max_bytes.saturating_mul(config.depth).clamp(PIPE_BYTES.0, PIPE_BYTES.1);
    // A smaller pipe is a slower one, no other.
    let _ = fcntl_setpipe_size(&write, wanted);
    Ok((read, write))
}

/// Two pipes, one each way: what the far end reads from and writes to, and what the near one does.
pub(crate) fn both_ways(config: &Config) -> Result<([OwnedFd; 2], [OwnedFd; 2]), PathError> {
    let (far_reads, near_writes) = sized(config)?;
    let (near_reads, far_writes) = sized(config)?;
    Ok(([far_reads, far_writes], [near_reads, near_writes]))
}

impl Path for Pipe {
    fn name(&self) -> &str {
        "pipe"
    }

    fn about(&self) -> &str {
        "two pipes, written and read"
    }

    fn limits(&self) -> Limits {
        Limits::from(1)
    }

    fn copies(&self, _len_bytes: usize, _config: &Config) -> u32 {
        2
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        let (far, [reads, writes]) = both_ways(config)?;
        Ok(Opening::ready(Token::of(far), ByteStream::new(reads, writes, config)?))
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        let [reads, writes] = token.take()?;
        Ok(Box::new(ByteStream::new(reads, writes, config)?))
    }
}

//! A pair of Unix stream sockets: what most programs use. The kernel copies in and out.

use crate::lab::paths::ways::descriptor::ByteStream;
use crate::lab::paths::ways::{Config, End, Limits, Opening, Path, PathError, Token, socket};
use rustix::net::SocketType;
use std::os::fd::OwnedFd;

#[derive(Debug)]
pub(crate) struct UnixStream;

fn end(socket: OwnedFd, config: &Config) -> Result<ByteStream, PathError> {
    let other = rustix::io::fcntl_dupfd_cloexec(&socket, 3).map_err(PathError::system("F_DUPFD_CLOEXEC"))?;
    ByteStream::new(socket, other, config)
}

impl Path for UnixStream {
    fn name(&self) -> &str {
        "unix_stream"
    }

    fn about(&self) -> &str {
        "a pair of Unix stream sockets"
    }

    fn limits(&self) -> Limits {
        Limits::from(1)
    }

    fn copies(&self, _len_bytes: usize, _config: &Config) -> u32 {
        2
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        let (near, far) = socket::pair(SocketType::STREAM)?;
        Ok(Opening::ready(Token::of([far]), end(near, config)?))
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        let [socket] = token.take()?;
        Ok(Box::new(end(socket, config)?))
    }
}

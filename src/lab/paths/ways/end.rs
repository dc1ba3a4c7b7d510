//! The two ends of a path, and how the second finds the first.

use crate::lab::paths::ways::error::PathError;
use crate::lab::paths::ways::payload::{Consumer, Producer};
use std::fmt;
use std::os::fd::OwnedFd;

/// One end of a path: it sends to and receives from the other.
pub trait End {
    /// Sends a payload of `len_bytes` bytes, which the producer writes where the path takes it from.
    ///
    /// A path may hold messages back until [`flush`](Self::flush) or [`receive`](Self::receive) is called.
    ///
    /// # Errors
    ///
    /// [`PathError`]; the end is of no use afterwards.
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError>;

    /// Waits for the next payload, which has `len_bytes` bytes, and lets the consumer read it where the path puts it.
    ///
    /// # Errors
    ///
    /// [`PathError`]; the end is of no use afterwards.
    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError>;

    /// Lets go of what was held back.
    ///
    /// # Errors
    ///
    /// [`PathError`]; the end is of no use afterwards.
    fn flush(&mut self) -> Result<(), PathError> {
        Ok(())
    }

    /// How many system calls this end has made; nothing if it does not count them.
    fn system_calls(&self) -> Option<u64>;

    /// What this end has timed beside the transfers: how often, and nanoseconds in all.
    fn beside(&self) -> (u64, u64) {
        (0, 0)
    }
}

/// By what the far end finds the near one.
#[derive(Debug, Default)]
pub struct Token {
    /// Words of the path's own, up to [`Token::MAX_BYTES`].
    pub bytes: Vec<u8>,
    /// Descriptors, up to [`Token::MAX_DESCRIPTORS`].
    pub descriptors: Vec<OwnedFd>,
}

impl Token {
    /// The most bytes of a token.
    pub const MAX_BYTES: usize = 1024;
    /// The most descriptors of a token.
    pub const MAX_DESCRIPTORS: usize = 16;

    /// A token of descriptors alone.
    pub fn of<const N: usize>(descriptors: [OwnedFd; N]) -> Self {
        Self { bytes: Vec::new(), descriptors: descriptors.into() }
    }

    /// The descriptors, if there are as many as expected.
    ///
    /// # Errors
    ///
    /// [`PathError::Protocol`] if there are not.
    pub fn take<const N: usize>(self) -> Result<[OwnedFd; N], PathError> {
        let found = self.descriptors.len();
        let wrong = |_| PathError::protocol(format!("a token with {found} descriptors in place of {N}"));
        self.descriptors.try_into().map_err(wrong)
    }
}

/// The rest of opening a near end, once the far side is joining.
type Finish = Box<dyn FnOnce() -> Result<Box<dyn End>, PathError>>;

/// A near end in the making.
pub struct Opening {
    /// What the far side needs.
    pub token: Token,
    finish: Finish,
}

impl Opening {
    /// An end that is complete.
    pub fn ready(token: Token, end: impl End + 'static) -> Self {
        Self { token, finish: Box::new(move || Ok(Box::new(end))) }
    }

    /// An end that needs the far side to join at the same time: `finish` is called once the far side has the token.
    pub fn pending(token: Token, finish: impl FnOnce() -> Result<Box<dyn End>, PathError> + 'static) -> Self {
        Self { token, finish: Box::new(finish) }
    }

    /// The token, and the rest.
    pub fn split(self) -> (Token, impl FnOnce() -> Result<Box<dyn End>, PathError>) {
        (self.token, self.finish)
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").field("token", &self.token).finish_non_exhaustive()
    }
}

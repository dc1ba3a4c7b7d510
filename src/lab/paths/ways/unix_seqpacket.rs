//! A pair of Unix seqpacket sockets: as the stream, but each message is one call and one piece.

use crate::lab::paths::ways::descriptor::{moved, poll};
use crate::lab::paths::ways::{
    Buffer, Config, Consumer, End, Limits, MAX_DEPTH, Mode, Opening, Path, PathError, Patience, Producer, Token, socket,
};
use rustix::event::PollFlags;
use rustix::net::{RecvFlags, SendFlags, SocketType};
use std::os::fd::OwnedFd;

/// What of a socket's buffer no payload can have: the kernel's own share (`sock_alloc_send_pskb`).
const KERNELS_BYTES: usize = 32;

#[derive(Debug)]
pub(crate) struct UnixSeqpacket;

#[derive(Debug)]
struct Seqpacket {
    socket: OwnedFd,
    patience: Patience,
    calls: u64,
    src: Buffer,
    dst: Buffer,
}

impl Seqpacket {
    fn new(socket: OwnedFd, config: &Config) -> Self {
        Self {
            socket,
            patience: Patience::of(config),
            calls: 0,
            src: Buffer::new(config.max_bytes, config.src_offset),
            dst: Buffer::new(config.max_bytes, config.dst_offset),
        }
    }
}

impl End for Seqpacket {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        let Self { socket, patience, calls, src, .. } = self;
        let payload = src.head(len_bytes);
        producer.fill(payload);
        let now = if patience.mode() == Mode::Blocking { SendFlags::empty() } else { SendFlags::DONTWAIT };
        let attempt = |calls: &mut u64| {
            *calls += 1;
            moved("send", rustix::net::send(&*socket, payload, now | SendFlags::NOSIGNAL))
        };
        let sleep = |calls: &mut u64, limit| {
            *calls += 1;
            poll(&*socket, PollFlags::OUT, limit)
        };
        patience.until(calls, attempt, sleep).map(drop)
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        let Self { socket, patience, calls, dst, .. } = self;
        let payload = dst.head(len_bytes);
        let now = if patience.mode() == Mode::Blocking { RecvFlags::empty() } else { RecvFlags::DONTWAIT };
        let attempt = |(calls, payload): &mut (&mut u64, &mut [u8])| {
            **calls += 1;
            moved("recv", rustix::net::recv(&*socket, &mut **payload, now | RecvFlags::TRUNC).map(|(_, sent)| sent))
        };
        let sleep = |(calls, _): &mut (&mut u64, &mut [u8]), limit| {
            **calls += 1;
            poll(&*socket, PollFlags::IN, limit)
        };
        match patience.until(&mut (calls, &mut *payload), attempt, sleep)? {
            0 => Err(PathError::PeerGone),
            sent if sent == len_bytes => {
                consumer.check(payload);
                Ok(())
            }
            sent => Err(PathError::protocol(format!("a message of {sent} bytes in place of {len_bytes}"))),
        }
    }

    fn system_calls(&self) -> Option<u64> {
        Some(self.calls + self.patience.yields())
    }
}

impl Path for UnixSeqpacket {
    fn name(&self) -> &str {
        "unix_seqpacket"
    }

    fn about(&self) -> &str {
        "a pair of Unix seqpacket sockets"
    }

    fn limits(&self) -> Limits {
        // A message has to fit the buffer as a whole.
        let granted = socket::pair(SocketType::SEQPACKET)
            .ok()
            .and_then(|(one, _)| rustix::net::sockopt::socket_send_buffer_size(&one).ok());
        let max_bytes = granted.unwrap_or(0).saturating_sub(KERNELS_BYTES);
        Limits { min_bytes: 1, max_bytes, max_depth: MAX_DEPTH }
    }

    fn copies(&self, _len_bytes: usize, _config: &Config) -> u32 {
        2
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        let (near, far) = socket::pair(SocketType::SEQPACKET)?;
        Ok(Opening::ready(Token::of([far]), Seqpacket::new(near, config)))
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        let [socket] = token.take()?;
        Ok(Box::new(Seqpacket::new(socket, config)))
    }
}

//! ipc-channel, in its two ways: bytes through its Unix sockets, and shared memory handed over through them, new for each
//! message as the library has it.

use ipc_channel::TryRecvError;
use ipc_channel::ipc::{
    IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcReceiver, IpcSender, IpcSharedMemory, bytes_channel, channel,
};
use memcpy_select::lab::paths::ways::{
    Buffer, Config, Consumer, End, Limits, Mode, Opening, Path, PathError, Patience, Producer, Token,
};
use std::time::Duration;

const MODES: [Mode; 2] = [Mode::Polling, Mode::Blocking];

fn failed(error: impl std::fmt::Display) -> PathError {
    PathError::Protocol { what: format!("ipc-channel: {error}") }
}

/// Receives: sleeping in the library, or looking again and again.
fn receive<T>(
    patience: &mut Patience,
    block: impl FnOnce() -> Result<T, PathError>,
    look: impl Fn() -> Result<T, TryRecvError>,
) -> Result<T, PathError> {
    if patience.mode() == Mode::Blocking {
        return block();
    }
    let attempt = |(): &mut ()| match look() {
        Ok(message) => Ok(Some(message)),
        Err(TryRecvError::Empty) => Ok(None),
        Err(TryRecvError::IpcError(error)) => Err(failed(error)),
    };
    patience.until(&mut (), attempt, |(), _: Duration| Ok(()))
}

pub struct Bytes;

struct ByteEnds {
    sender: IpcBytesSender,
    receiver: IpcBytesReceiver,
    patience: Patience,
    src: Buffer,
}

impl ByteEnds {
    fn new((sender, receiver): (IpcBytesSender, IpcBytesReceiver), config: &Config) -> Self {
        let src = Buffer::new(config.max_bytes, config.src_offset);
        Self { sender, receiver, patience: Patience::of(config), src }
    }
}

impl End for ByteEnds {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        let payload = self.src.head(len_bytes);
        producer.fill(payload);
        self.sender.send(payload).map_err(failed)
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        let receiver = &self.receiver;
        let block = || receiver.recv().map_err(failed);
        let payload = receive(&mut self.patience, block, || receiver.try_recv())?;
        if payload.len() != len_bytes {
            return Err(failed("a message of another length"));
        }
        consumer.check(&payload);
        Ok(())
    }

    fn system_calls(&self) -> Option<u64> {
        None
    }
}

pub struct Shared;

struct SharedEnds {
    sender: IpcSender<IpcSharedMemory>,
    receiver: IpcReceiver<IpcSharedMemory>,
    patience: Patience,
}

impl End for SharedEnds {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        // The library fills new memory once; its other way would copy a payload into it.
        let mut payload = IpcSharedMemory::from_byte(0, len_bytes);
        // SAFETY: nobody else has this memory before it is sent.
        producer.fill(unsafe { payload.deref_mut() });
        self.sender.send(payload).map_err(failed)
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        let receiver = &self.receiver;
        let block = || receiver.recv().map_err(failed);
        let payload = receive(&mut self.patience, block, || receiver.try_recv())?;
        if payload.len() != len_bytes {
            return Err(failed("a message of another length"));
        }
        consumer.check(&payload);
        Ok(())
    }

    fn system_calls(&self) -> Option<u64> {
        None
    }
}

impl Path for Bytes {
    fn name(&self) -> &str {
        "ipc_channel"
    }

    fn about(&self) -> &str {
        "ipc-channel, bytes"
    }

    fn limits(&self) -> Limits {
        Limits::from(1)
    }

    fn copies(&self, _len_bytes: usize, _config: &Config) -> u32 {
        2
    }

    fn modes(&self) -> &[Mode] {
        &MODES
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        let (server, name) = IpcOneShotServer::<(IpcBytesSender, IpcBytesReceiver)>::new().map_err(failed)?;
        let config = config.clone();
        Ok(Opening::pending(Token { bytes: name.into_bytes(), descriptors: Vec::new() }, move || {
            let (_, ends) = server.accept().map_err(failed)?;
            Ok(Box::new(ByteEnds::new(ends, &config)))
        }))
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        let name = String::from_utf8(token.bytes).map_err(failed)?;
        let ((near_sends, far_receives), (far_sends, near_receives)) =
            (bytes_channel().map_err(failed)?, bytes_channel().map_err(failed)?);
        let meeting = IpcSender::<(IpcBytesSender, IpcBytesReceiver)>::connect(name).map_err(failed)?;
        meeting.send((near_sends, near_receives)).map_err(failed)?;
        Ok(Box::new(ByteEnds::new((far_sends, far_receives), config)))
    }
}

type SharedPair = (IpcSender<IpcSharedMemory>, IpcReceiver<IpcSharedMemory>);

impl Path for Shared {
    fn name(&self) -> &str {
        "ipc_channel_shared"
    }

    fn about(&self) -> &str {
        "ipc-channel, shared memory of its own for each payload"
    }

    fn limits(&self) -> Limits {
        Limits::from(1)
    }

    fn copies(&self, _len_bytes: usize, _config: &Config) -> u32 {
        0
    }

    fn modes(&self) -> &[Mode] {
        &MODES
    }

    fn keeps_offset(&self) -> bool {
        true
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        let (server, name) = IpcOneShotServer::<SharedPair>::new().map_err(failed)?;
        let patience = Patience::of(config);
        Ok(Opening::pending(Token { bytes: name.into_bytes(), descriptors: Vec::new() }, move || {
            let (_, (sender, receiver)) = server.accept().map_err(failed)?;
            Ok(Box::new(SharedEnds { sender, receiver, patience }))
        }))
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        let name = String::from_utf8(token.bytes).map_err(failed)?;
        let ((near_sends, far_receives), (far_sends, near_receives)) =
            (channel().map_err(failed)?, channel().map_err(failed)?);
        let meeting = IpcSender::<SharedPair>::connect(name).map_err(failed)?;
        meeting.send((near_sends, near_receives)).map_err(failed)?;
        Ok(Box::new(SharedEnds { sender: far_sends, receiver: far_receives, patience: Patience::of(config) }))
    }
}

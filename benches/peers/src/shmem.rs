//! shmem-ipc: its ring of bytes in sealed shared memory. Payloads are written and read in the ring itself where they do
//! not wrap round its end, and through a private buffer where they do. A side that sleeps does so in the ring's eventfd,
//! which then is written to when the ring was empty.

use memcpy_select::lab::paths::ways::{
    Buffer, Config, Consumer, End, Limits, MAX_BYTES, MAX_DEPTH, Mode, Opening, Path, PathError, Producer, Token,
};
use shmem_ipc::sharedring::{Receiver, Sender};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// Windows that the ring holds: wrapping round its end costs a copy, and should be rare.
const WINDOWS: usize = 8;
/// The least that the ring holds, in bytes.
const MIN_RING_BYTES: usize = 64 << 10;
/// After how long without a message a polling side gives up.
const LIMIT: Duration = Duration::from_secs(10);

pub struct ShmemIpc;

struct Ends {
    sender: Sender<u8>,
    receiver: Receiver<u8>,
    mode: Mode,
    one_core: bool,
    spare: Buffer,
}

fn failed(error: impl std::fmt::Display) -> PathError {
    PathError::Protocol { what: format!("shmem-ipc: {error}") }
}

fn capacity(config: &Config) -> usize {
    (config.max_bytes * config.depth * WINDOWS).max(MIN_RING_BYTES)
}

impl Ends {
    fn new(sender: Sender<u8>, receiver: Receiver<u8>, config: &Config) -> Self {
        let spare = Buffer::new(config.max_bytes, 0);
        Self { sender, receiver, mode: config.mode, one_core: config.one_core, spare }
    }

    /// Waits until that many bytes can be read. Sleeping ends with the first byte, so the rest is looked for.
    fn wait(&mut self, len_bytes: usize) -> Result<(), PathError> {
        let mut start = None;
        for look in 1_u64.. {
            if self.receiver.receiver_mut().read_count().map_err(failed)? >= len_bytes {
                break;
            }
            if self.mode == Mode::Blocking {
                self.receiver.block_until_readable().map_err(failed)?;
            }
            if self.one_core {
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
            if look % 1024 == 0 && start.get_or_insert_with(Instant::now).elapsed() > LIMIT {
                return Err(PathError::Timeout { after: LIMIT });
            }
        }
        Ok(())
    }

    /// One call of the ring's: `fill` gets a place and how many bytes it has, and says how many it wrote.
    fn send_some(&mut self, fill: impl FnOnce(*mut u8, usize) -> usize) -> Result<(), PathError> {
        if self.mode == Mode::Polling {
            self.sender.sender_mut().send(fill).map(drop).map_err(failed)
        } else {
            self.sender.send_raw(fill).map(drop).map_err(failed)
        }
    }

    fn receive_some(&mut self, take: impl FnOnce(*const u8, usize) -> usize) -> Result<(), PathError> {
        if self.mode == Mode::Polling {
            self.receiver.receiver_mut().recv(take).map(drop).map_err(failed)
        } else {
            self.receiver.receive_raw(take).map(drop).map_err(failed)
        }
    }
}

impl End for Ends {
    fn send(&mut self, len_bytes: usize, producer: &mut Producer) -> Result<(), PathError> {
        // The window leaves room for the whole payload, in at most two parts.
        let mut is_whole = false;
        self.send_some(|place, room| {
            if room < len_bytes {
                return 0;
            }
            is_whole = true;
            // SAFETY: the ring gives `room` bytes at `place` to write to.
            unsafe { producer.write(place, len_bytes) };
            len_bytes
        })?;
        if is_whole {
            return Ok(());
        }
        producer.fill(self.spare.head(len_bytes));
        let mut done = 0;
        while done < len_bytes {
            let rest = self.spare.head(len_bytes)[done..].as_ptr();
            let mut count = 0;
            self.send_some(|place, room| {
                count = room.min(len_bytes - done);
                // SAFETY: `count` bytes are left at `rest`, and the ring gives as many at `place`.
                unsafe { memcpy_select::memcpy_auto_unchecked(place, rest, count) };
                count
            })?;
            if count == 0 {
                return Err(failed("a ring without room for a window"));
            }
            done += count;
        }
        Ok(())
    }

    fn receive(&mut self, len_bytes: usize, consumer: &mut Consumer) -> Result<(), PathError> {
        self.wait(len_bytes)?;
        let mut is_whole = false;
        self.receive_some(|place, there| {
            if there < len_bytes {
                return 0;
            }
            is_whole = true;
            // SAFETY: the ring gives `there` bytes at `place` to read.
            unsafe { consumer.read(place, len_bytes) };
            len_bytes
        })?;
        if is_whole {
            return Ok(());
        }
        let mut done = 0;
        while done < len_bytes {
            let rest = self.spare.head(len_bytes)[done..].as_mut_ptr();
            let mut count = 0;
            self.receive_some(|place, there| {
                count = there.min(len_bytes - done);
                // SAFETY: `count` bytes are left at `rest`, and the ring has as many at `place`.
                unsafe { memcpy_select::memcpy_auto_unchecked(rest, place, count) };
                count
            })?;
            if count == 0 {
                return Err(failed("a ring that has less than it said"));
            }
            done += count;
        }
        consumer.check(self.spare.head(len_bytes));
        Ok(())
    }

    fn system_calls(&self) -> Option<u64> {
        None
    }
}

/// The descriptors of a ring: memory, and the two signals.
fn descriptors(memory: &File, empty: &File, full: &File) -> Result<[OwnedFd; 3], PathError> {
    let copy = |file: &File| file.try_clone().map(OwnedFd::from).map_err(failed);
    Ok([copy(memory)?, copy(empty)?, copy(full)?])
}

impl Path for ShmemIpc {
    fn name(&self) -> &str {
        "shmem_ipc"
    }

    fn about(&self) -> &str {
        "shmem-ipc's ring, in place both ways where a payload does not wrap"
    }

    fn limits(&self) -> Limits {
        // Credits as long as this keep payloads aligned.
        Limits { min_bytes: 16, max_bytes: MAX_BYTES, max_depth: MAX_DEPTH }
    }

    fn copies(&self, _len_bytes: usize, _config: &Config) -> u32 {
        0
    }

    fn modes(&self) -> &[Mode] {
        &[Mode::Polling, Mode::Blocking]
    }

    fn keeps_offset(&self) -> bool {
        true
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        let sender = Sender::new(capacity(config)).map_err(failed)?;
        let receiver = Receiver::new(capacity(config)).map_err(failed)?;
        let out = descriptors(sender.memfd().as_file(), sender.empty_signal(), sender.full_signal())?;
        let back = descriptors(receiver.memfd().as_file(), receiver.empty_signal(), receiver.full_signal())?;
        let token = Token { bytes: Vec::new(), descriptors: out.into_iter().chain(back).collect() };
        Ok(Opening::ready(token, Ends::new(sender, receiver, config)))
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        let [memory, empty, full, back_memory, back_empty, back_full] = token.take()?.map(File::from);
        let receiver = Receiver::open(capacity(config), memory, empty, full).map_err(failed)?;
        let sender = Sender::open(capacity(config), back_memory, back_empty, back_full).map_err(failed)?;
        Ok(Box::new(Ends::new(sender, receiver, config)))
    }
}

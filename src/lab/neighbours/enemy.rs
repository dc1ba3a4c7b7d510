//! A client that is none: it owns a valid connection and does with it what it can. The tests' attacks and the hostile neighbours
//! that are measured are made of it.
//!
//! It runs in a process of its own, and panics where it could not do what it meant to; what came of it is for the side under
//! attack to say.

use super::{LONG, until};
use crate::lab::instruments::random::SplitMix64;
use crate::transport::connect::{Channel, ConnectError, JoinOptions, Joined, Parcel, VERSION, join};
use crate::transport::geometry::Blocks;
use crate::transport::memory::Store;
use crate::transport::ring::{Consumer, Producer};
use crate::transport::session::QueueLayout;
use crate::transport::{
    Access, Address, Copier, Flags, Geometry, JobId, Kind, Mapped, Memory, Region, RegionOptions, Request, Response,
    Slice, TableOptions, Value,
};
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::{Duration, Instant};

/// How long an enemy waits for an answer that may not come.
const MOMENT: Duration = Duration::from_millis(20);

/// A client that is none.
pub struct Enemy {
    pub channel: Channel,
    pub geometry: Geometry,
    pub layout: QueueLayout,
    pub queue: Mapped,
    /// What this side may write of the data.
    pub data: Mapped,
    pub regions: Vec<Region>,
    requests: Producer<Mapped, 4>,
    responses: Consumer<Mapped, 3>,
    releases: Producer<Mapped, 1>,
    next_id: u64,
    pub rng: SplitMix64,
    /// The other end, where there is no server.
    _other: Option<UnixStream>,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Got {
    Answer(Value),
    /// The session was ended.
    Gone,
    /// Nothing, in time.
    Nothing,
}

impl Enemy {
    /// Connects to a server that is there.
    ///
    /// # Panics
    ///
    /// If it is not.
    pub fn connect(address: &Address) -> Self {
        Self::join(address).unwrap()
    }

    /// Connects to a server, which may have ended.
    pub fn join(address: &Address) -> Result<Self, ConnectError> {
        join(address, JoinOptions::default().limit(LONG)).map(Self::over)
    }

    /// Has what there is of a session with a server that is none. `wait` is called where it would wait for that one, and told how
    /// often it will be still, this time too.
    ///
    /// # Panics
    ///
    /// If the system refuses.
    pub fn alone(mut wait: impl FnMut(u32)) -> Self {
        let geometry = TableOptions::GEOMETRY;
        let (ours, other) = UnixStream::pair().unwrap();
        let region = |len_bytes: usize| Region::create(len_bytes, RegionOptions::default()).unwrap();
        let sealed = |blocks: Blocks| {
            let region = region(blocks.total_bytes() as usize);
            region.seal_writing().unwrap();
            region
        };
        wait(2);
        let queue = region(QueueLayout::of(&geometry).unwrap().len_bytes);
        let (data, own_data) = (sealed(geometry.server_blocks), sealed(geometry.client_blocks));
        wait(1);
        let joined = Joined { channel: Channel::new(ours), geometry, queue, own_data: Some(own_data), data };
        Self { _other: Some(other), ..Self::over(joined) }
    }

    fn over(Joined { channel, geometry, queue, own_data, data }: Joined) -> Self {
        let layout = QueueLayout::of(&geometry).unwrap();
        let memory = queue.memory().clone();
        let writable = own_data.as_ref().unwrap_or(&data).memory().clone();
        Self {
            requests: Producer::new(memory.clone(), layout.requests),
            responses: Consumer::new(memory.clone(), layout.responses),
            releases: Producer::new(memory.clone(), layout.releases),
            channel,
            geometry,
            layout,
            queue: memory,
            data: writable,
            regions: [Some(queue), own_data, Some(data)].into_iter().flatten().collect(),
            next_id: 1,
            rng: SplitMix64(u64::from(std::process::id())),
            _other: None,
        }
    }

    /// An id that no other request has.
    pub fn id(&mut self) -> JobId {
        self.next_id += 1;
        JobId(self.next_id as u32 & 0xFF_FFFF)
    }

    /// Writes a request and publishes it; the server is not told. False if the ring is full.
    pub fn put(&mut self, request: Request) -> bool {
        let is_pushed = self.requests.push(request.to_entry()).unwrap_or(false);
        self.requests.publish();
        is_pushed
    }

    pub fn request(&mut self, kind: Kind, args: Value) -> Request {
        Request { kind, flags: Flags::DATA, id: self.id(), handle: 1, args }
    }

    /// Tells the server to look, whether it sleeps or not.
    pub fn ring(&self) {
        self.queue.store32(self.layout.server_doorbell_at, 0, Store::Relaxed);
        self.queue.unpark(self.layout.server_doorbell_at);
        let _ = self.channel.wake();
    }

    pub fn is_gone(&self) -> bool {
        self.channel.is_gone()
    }

    /// What comes of all that was put, in a moment: nothing may.
    pub fn wait(&mut self) -> Got {
        self.wait_within(MOMENT)
    }

    /// What comes of all that was put, where something must.
    pub fn answer(&mut self) -> Got {
        self.wait_within(LONG)
    }

    fn wait_within(&mut self, limit: Duration) -> Got {
        self.ring();
        let start = Instant::now();
        loop {
            if let Some(entry) = self.responses.pop() {
                self.responses.release();
                return Got::Answer(Response::from_entry(entry).value);
            }
            if self.is_gone() {
                return Got::Gone;
            }
            if start.elapsed() > limit {
                return Got::Nothing;
            }
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    pub fn ask(&mut self, kind: Kind, args: Value) -> Got {
        let request = self.request(kind, args);
        assert!(self.put(request), "no room in the ring");
        self.answer()
    }

    /// Asks for what ends the session, and waits until it has.
    pub fn ask_and_be_gone(&mut self, kind: Kind, args: Value) {
        let request = self.request(kind, args);
        assert!(self.put(request), "no room in the ring");
        self.ring();
        until("the server ends the session", || self.is_gone());
    }

    pub fn release(&mut self, block: u32) {
        assert!(self.releases.push([block]).unwrap());
        self.releases.publish();
    }

    /// A list block with these entries, where this side may write.
    pub fn list(&self, block: u32, entries: &[u32]) {
        let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        self.data.write((block * self.geometry.client_blocks.block_bytes) as usize, &bytes, Copier::AUTO);
    }

    pub fn block_bytes(&self) -> u32 {
        self.geometry.client_blocks.block_bytes
    }

    /// The words of the queue region that mean something: heads, doorbells, and the words of some entries.
    pub fn fields(&self) -> Vec<usize> {
        let entries = |end: usize, stride: usize| {
            let start = end - self.geometry.capacity as usize * stride;
            (start..start + stride).step_by(4)
        };
        (0..5)
            .map(|word| word * 128)
            .chain(entries(self.layout.requests.end_at(), self.geometry.request_stride_bytes.into()))
            .chain(entries(self.layout.responses.end_at(), self.geometry.response_stride_bytes.into()))
            .chain(entries(self.layout.releases.end_at(), 4))
            .collect()
    }
}

/// Bytes in one block, or a chain that starts there.
pub fn slice(block: u32, length: u32) -> Value {
    Value::slice(Slice { block, length })
}

pub fn amount(amount: u32) -> Value {
    Value::number(amount)
}

/// Passes this process's standard input as an object, as often as it goes; how often.
pub fn flood(channel: &Channel, times: usize) -> usize {
    let file = std::fs::File::open("/dev/null").unwrap();
    let parcel =
        |id| Parcel { id, start_bytes: 0, len_bytes: 4096, whole_bytes: 4096, access: Access::Read, sealing: None };
    (0..times).filter(|id| channel.pass(parcel(*id as u64), file.as_fd()).is_ok()).count()
}

/// A connection that says nothing.
pub fn silent(address: &Address) -> std::io::Result<UnixStream> {
    let Address::Abstract(name) = address else { panic!("{address}") };
    UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)
}

/// A connection that asks for a session, and does not go on.
pub fn hello(address: &Address) -> std::io::Result<UnixStream> {
    say(address, 64)
}

/// A connection that says half of what asks for a session.
pub fn half(address: &Address) -> std::io::Result<UnixStream> {
    say(address, 32)
}

/// A connection that says so many bytes of a Hello.
fn say(address: &Address, len_bytes: usize) -> std::io::Result<UnixStream> {
    let mut stream = silent(address)?;
    let mut bytes = [0; 64];
    bytes[..8].copy_from_slice(b"mcsTable");
    (bytes[8], bytes[12]) = (VERSION as u8, 1);
    std::io::Write::write_all(&mut stream, &bytes[..len_bytes])?;
    Ok(stream)
}

/// Takes and posts wakes, and moves sleepers to another word, until the other side has gone or the time is over.
pub fn meddle(memory: &Mapped, bells: [usize; 2], time: Duration, is_over: impl Fn() -> bool) {
    use rustix::thread::futex;
    let start = Instant::now();
    let mut rng = SplitMix64(11);
    while start.elapsed() < time && !is_over() {
        for at in bells {
            match rng.below(6) {
                // Clears a flag without a wake, sets one where no thread sleeps, or writes nonsense.
                0 => memory.store32(at, 0, Store::Relaxed),
                1 => memory.store32(at, [1, 2, 3, u32::MAX][rng.below(4) as usize], Store::Relaxed),
                2 => memory.unpark(at),
                _ => {
                    // A thread that sleeps on the doorbell sleeps on another word now, which is never posted.
                    let (bell, other) = (memory.word32(at).unwrap(), memory.word32(at + 64).unwrap());
                    let _ = futex::requeue(bell, futex::Flags::empty(), 0, i32::MAX as u32, other);
                }
            }
        }
        std::thread::sleep(Duration::from_micros(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Table;
    use std::io::Read;

    #[test]
    fn one_that_greets_is_offered_a_session_and_one_that_says_half_of_it_is_not() {
        let address = Address::Abstract(format!("memcpy-select-greeted-{}", std::process::id()));
        let mut table = Table::create(&address, TableOptions::default()).unwrap();
        let (mut whole, mut part) = (hello(&address).unwrap(), half(&address).unwrap());
        whole.set_nonblocking(true).unwrap();
        let (mut message, mut len_bytes) = ([0; 64], 0);
        until("an offer", || {
            table.next(Duration::from_millis(1)).unwrap();
            len_bytes += whole.read(&mut message[len_bytes..]).unwrap_or(0);
            len_bytes == message.len()
        });
        assert_eq!(message[12], 2, "a Welcome");
        part.set_nonblocking(true).unwrap();
        assert!(part.read(&mut message).is_err(), "nothing has come");
    }
}

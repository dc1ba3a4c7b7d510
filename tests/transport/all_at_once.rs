//! Promise: whatever a client has under way at once, and in whatever order its table answers, each request has its answer, each message
//! comes in order, no side waits for what does not come, and in the end every block is free.

use crate::cases::Effort;
use crate::proxy::with_proxy;
use crate::rng::Rng;
use crate::table::{LONG, address};
use memcpy_select::transport::{
    Allocator, Answer, Answered, Blocks, Client, ClientError, ClientKey, ClientOptions, Completion, Copier, ErrorCode,
    Event, Geometry, Handle, Job, Kind, Object, Operation, PageRange, ProxyOptions, Pushed, Region, RegionOptions,
    SessionError, Table, TableOptions, Ticket, View, Waiting,
};
use std::collections::{HashMap, VecDeque};
use std::io::SeekFrom;
use std::thread;
use std::time::Duration;

const OBJECT: Handle = Handle(1);
const A_WHILE: Duration = Duration::from_millis(1);

/// The bytes of a message, a write or an answer: what they are follows from their number.
fn painted(number: u32, most: usize) -> Vec<u8> {
    let len = number as usize * 7 % (most + 1);
    (0..len).map(|at| (number as usize + at) as u8).collect()
}

fn pick<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    of[rng.below(of.len())]
}

fn geometry(rng: &mut Rng, allocator: Allocator) -> Geometry {
    let strides = [16, 32, 64, 192];
    let blocks = Blocks { block_bytes: pick(rng, &[256, 4096]), count: 128 };
    Geometry {
        request_stride_bytes: pick(rng, &strides),
        response_stride_bytes: pick(rng, &strides),
        allocator,
        ..Geometry::symmetric(pick(rng, &[2, 4, 8, 64]), 16, blocks)
    }
}

fn waiting(rng: &mut Rng) -> Waiting {
    pick(rng, &[Waiting::Adaptive, Waiting::Sleep, Waiting::Poll])
}

/// What a table has of a client.
#[derive(Default)]
struct Seen {
    held: Vec<Job>,
    /// Each with the number of its next message, and how many there are.
    streams: Vec<(Job, u32, u32)>,
    posts: u32,
}

/// Serves clients until so many have left. Some jobs are held for a while, and answered in another order than they came.
fn serve(table: &mut Table, mut rng: Rng, clients: usize, room_bytes: usize) {
    let region = Region::create(4096, RegionOptions::default()).unwrap();
    region.seal_writing().unwrap();
    let mut seen: HashMap<ClientKey, Seen> = HashMap::new();
    let mut left = 0;
    let mut idle = 0;
    while left < clients {
        match table.next(A_WHILE).unwrap() {
            Some(Event::Joined(client)) => drop(seen.insert(client, Seen::default())),
            Some(Event::Left { client, why }) => {
                assert_eq!(why, SessionError::PeerGone, "after {left} others");
                seen.remove(&client);
                left += 1;
            }
            Some(Event::Job(job)) => {
                let seen = seen.get_mut(&job.client()).unwrap();
                if !job.wants_answer() {
                    assert_eq!(table.payload(&job).to_vec(), painted(seen.posts, room_bytes), "a post");
                    seen.posts += 1;
                }
                match job.operation() {
                    Operation::Stream { .. } => seen.streams.push((job, 0, rng.below(20) as u32)),
                    // It says how many posts came before it.
                    Operation::Seek { to: SeekFrom::Start(posts), .. } => {
                        assert_eq!(posts, u64::from(seen.posts));
                        seen.held.push(job);
                    }
                    _ => seen.held.push(job),
                }
                idle = 0;
            }
            Some(_) => idle = 0,
            None => idle += 1,
        }
        assert!(idle < 20_000, "no client says anything");
        for seen in seen.values_mut() {
            let most = if idle == 0 { rng.below(6) } else { 0 };
            while seen.held.len() > most {
                let job = seen.held.swap_remove(rng.below(seen.held.len()));
                answer(table, &region, &mut rng, job);
            }
            for (job, next, count) in std::mem::take(&mut seen.streams) {
                seen.streams.extend(push(table, job, next, count));
            }
        }
    }
}

fn answer(table: &mut Table, region: &Region, rng: &mut Rng, job: Job) {
    let payload = table.payload(&job).to_vec();
    let with_object = rng.below(2) == 0;
    let answered = match job.operation() {
        Operation::Read { amount, .. } => {
            let bytes = vec![amount as u8; amount as usize];
            match with_object.then(|| table.lease(&job, bytes.len())) {
                Some(Ok(mut lease)) => {
                    lease.write_at(0, &bytes);
                    table.answer(job, Answer::Lease(lease))
                }
                _ => table.answer(job, Answer::Bytes(&bytes)),
            }
        }
        Operation::Write { .. } => table.answer(job, Answer::Amount(payload.len() as u32)),
        Operation::Open | Operation::Create if with_object => {
            table.answer(job, Answer::HandleAndObject(1, Object::of(region, PageRange::WHOLE).unwrap()))
        }
        Operation::Open | Operation::Create => table.answer(job, Answer::Handle(1)),
        Operation::Seek { .. } => table.answer(job, Answer::Position(77)),
        Operation::Share { part, .. } => table.answer(job, Answer::Object(Object::of(region, part).unwrap())),
        _ => table.answer(job, Answer::Error(ErrorCode::NOT_FOUND)),
    };
    assert!(matches!(answered, Answered::Sent | Answered::Left | Answered::Instead(ErrorCode::OUT_OF_BLOCKS)));
}

/// Pushes what a stream takes; the stream, if it goes on.
fn push(table: &mut Table, job: Job, mut next: u32, count: u32) -> Option<(Job, u32, u32)> {
    let Operation::Stream { amount, .. } = job.operation() else { panic!("{job:?}") };
    while next < count {
        match table.push(&job, Answer::Bytes(&painted(next, amount as usize))) {
            Pushed::Sent => next += 1,
            Pushed::NoCredit(_) | Pushed::Refused(ErrorCode::OUT_OF_BLOCKS) => return Some((job, next, count)),
            Pushed::Ended => return None,
            other => panic!("{other:?}"),
        }
    }
    table.answer(job, Answer::Done);
    None
}

/// What a client expects of a request.
#[derive(Clone, Copy, Debug)]
enum Expected {
    Read(u32),
    Written(usize),
    Opened,
    Position,
    Shared,
    Refused,
    /// Messages of so many bytes at most; the number of the next one.
    Stream(usize, u32),
}

struct Asking {
    client: Client,
    rng: Rng,
    under_way: Vec<(Ticket, Expected)>,
    views: VecDeque<View>,
    posts: u32,
}

impl Asking {
    /// Does one thing more. What there is no room for now waits until something has come.
    fn act(&mut self) {
        let Self { client, rng, .. } = self;
        let most = client.max_read_bytes() / 8;
        let amount = if rng.below(2) == 0 { rng.below(100) } else { rng.below(most) };
        let asked = match rng.below(13) {
            0 | 1 => client.submit_read(OBJECT, amount as u32).map(|ticket| (ticket, Expected::Read(amount as u32))),
            2 => client
                .submit_write(OBJECT, &vec![5; amount], Copier::AUTO)
                .map(|ticket| (ticket, Expected::Written(amount))),
            3 => client
                .lease(amount)
                .and_then(|lease| client.submit_write_in_place(OBJECT, lease))
                .map(|ticket| (ticket, Expected::Written(amount))),
            4 => {
                let kind = pick(rng, &[Kind::Open, Kind::Create]);
                client.submit_named(kind, &vec![b'n'; rng.below(90)]).map(|ticket| (ticket, Expected::Opened))
            }
            5 => client
                .submit_seek(OBJECT, SeekFrom::Start(self.posts.into()))
                .map(|ticket| (ticket, Expected::Position)),
            6 => client.submit_share(OBJECT, PageRange::WHOLE).map(|ticket| (ticket, Expected::Shared)),
            7 => client.submit_named(Kind::Destroy, b"name").map(|ticket| (ticket, Expected::Refused)),
            8 => {
                let credits = 1 + rng.below(client.geometry().capacity as usize) as u32;
                client.stream(OBJECT, amount as u32, credits).map(|ticket| (ticket, Expected::Stream(amount, 0)))
            }
            9 | 10 => return self.post(),
            11 => {
                return client.close(OBJECT).unwrap();
            }
            _ => return self.give_up(),
        };
        match asked {
            Ok(asked) => self.under_way.push(asked),
            Err(ClientError::Full | ClientError::OutOfBlocks { .. }) => self.take(),
            Err(error) => panic!("{error}"),
        }
    }

    fn post(&mut self) {
        let bytes = painted(self.posts, self.client.geometry().request_room_bytes());
        self.client.post(OBJECT, &bytes).unwrap();
        self.posts += 1;
    }

    fn give_up(&mut self) {
        if !self.under_way.is_empty() {
            let (ticket, _) = self.under_way.swap_remove(self.rng.below(self.under_way.len()));
            self.client.abandon(ticket).unwrap();
        }
    }

    /// Takes an answer, or a message, of one request or of any.
    fn take(&mut self) {
        while self.views.len() > self.rng.below(4) {
            match self.views.pop_front() {
                Some(view) if self.rng.below(2) == 0 => self.client.release(view).unwrap(),
                view => drop(view),
            }
        }
        if self.under_way.is_empty() {
            return self.client.flush().unwrap();
        }
        let at = self.rng.below(self.under_way.len());
        let (ticket, expected) = self.under_way[at];
        let (ticket, completion) = match (self.rng.below(3), expected) {
            (0, _) => self.client.wait().unwrap(),
            (1, _) => match self.client.poll().unwrap() {
                Some(found) => found,
                None => return,
            },
            (_, Expected::Stream(most, next)) => {
                let mut bytes = vec![0; most];
                match self.client.receive(ticket, &mut bytes).unwrap() {
                    Some(len) => {
                        assert_eq!(bytes[..len], painted(next, most));
                        self.under_way[at].1 = Expected::Stream(most, next + 1);
                    }
                    None => drop(self.under_way.swap_remove(at)),
                }
                return;
            }
            _ => match self.client.finish(ticket) {
                Ok(completion) => (ticket, completion),
                Err(ClientError::Refused(code)) => (ticket, Completion::Refused(code)),
                Err(error) => panic!("{error}: {expected:?}"),
            },
        };
        self.compare(ticket, completion);
    }

    fn compare(&mut self, ticket: Ticket, completion: Completion) {
        let at = self.under_way.iter().position(|(other, _)| *other == ticket).expect("nothing was asked for");
        let (_, expected) = self.under_way[at];
        match (expected, completion) {
            (Expected::Stream(most, next), Completion::Read(view)) => {
                assert_eq!(view.to_vec(), painted(next, most));
                self.under_way[at].1 = Expected::Stream(most, next + 1);
                return self.views.push_back(view);
            }
            (Expected::Read(amount), Completion::Read(view)) => {
                assert_eq!(view.to_vec(), vec![amount as u8; amount as usize]);
                self.views.push_back(view);
            }
            (Expected::Written(amount), Completion::Amount(got)) => assert_eq!(got as usize, amount),
            (Expected::Opened, Completion::Opened(handle, object)) => {
                assert_eq!(handle, OBJECT);
                drop(object.map(|object| object.map().unwrap()));
            }
            (Expected::Shared, Completion::Shared(object)) => assert_eq!(object.map().unwrap().len_bytes(), 4096),
            (Expected::Position, Completion::Position(77)) | (Expected::Stream(..), Completion::Ended) => {}
            (Expected::Refused, Completion::Refused(ErrorCode::NOT_FOUND)) => {}
            (Expected::Read(_), Completion::Refused(ErrorCode::OUT_OF_BLOCKS)) => {}
            (expected, completion) => panic!("{completion:?} for {expected:?}"),
        }
        self.under_way.swap_remove(at);
    }

    /// All is answered, and then all blocks are free.
    fn end(mut self) {
        while !self.under_way.is_empty() {
            self.take();
        }
        self.views.clear();
        let Self { mut client, .. } = self;
        let most = client.max_read_bytes().min(client.max_write_bytes());
        if client.geometry().allocator == Allocator::Owned {
            while client.in_flight() > 0 {
                client.flush().unwrap();
                assert!(client.poll().unwrap().is_none(), "that was given up");
                thread::yield_now();
            }
            client.lease(client.max_write_bytes()).unwrap();
            // What was given back may be seen after the request.
            let read = (0..200).map(|_| client.read(OBJECT, &mut vec![0; most])).reduce(|a, b| a.or(b)).unwrap();
            assert_eq!(read.unwrap(), most);
        }
    }
}

fn run(seed: u64, has_proxy: bool) {
    let mut rng = Rng::new(2 * seed + u64::from(has_proxy));
    let allocator = if has_proxy { Allocator::Owned } else { pick(&mut rng, &[Allocator::Owned, Allocator::Shared]) };
    let geometry = geometry(&mut rng, allocator);
    let clients = 1 + rng.below(3);
    let [front, behind] = ["front", "behind"].map(|end| address(&format!("all-{seed}-{has_proxy}-{end}")));
    let options = TableOptions::default().geometry(geometry).waiting(waiting(&mut rng));
    let mut table = Table::create(if has_proxy { &behind } else { &front }, options).unwrap();
    let proxy_options = ProxyOptions::default().waiting(waiting(&mut rng));
    println!("{clients} clients, {geometry:?}");
    thread::scope(|scope| {
        let server_rng = Rng::new(rng.next());
        scope.spawn(move || serve(&mut table, server_rng, clients, geometry.request_room_bytes()));
        let mut ask = || {
            thread::scope(|scope| {
                for _ in 0..clients {
                    let (options, rng) =
                        (ClientOptions::default().waiting(waiting(&mut rng)).limit(LONG), Rng::new(rng.next()));
                    let front = &front;
                    scope.spawn(move || {
                        let client = Client::connect(front, options).unwrap();
                        let mut asking =
                            Asking { client, rng, under_way: Vec::new(), views: VecDeque::new(), posts: 0 };
                        for _ in 0..150 {
                            asking.act();
                            if asking.rng.below(3) == 0 {
                                asking.take();
                            }
                        }
                        asking.end();
                    });
                }
            });
        };
        if has_proxy { with_proxy([&front, &behind], proxy_options, |_| Ok(()), ask) } else { ask() }
    });
}

/// Each with other numbers and other ways of waiting.
fn runs(has_proxy: bool) {
    let runs = if Effort::chosen() < Effort::Full { 2 } else { 40 };
    (0..runs).for_each(|seed| run(seed, has_proxy));
}

#[test]
fn all_that_clients_ask_for_at_once_is_answered() {
    runs(false);
}

#[test]
fn all_that_clients_ask_for_at_once_is_answered_through_a_proxy() {
    runs(true);
}

//! A proxy forwards what its rule allows, and nothing else; what is read and written in place passes through it without a
//! copy; and a name cannot change after the rule has seen it.

mod hostile;
mod newcomers;

use crate::programs::{Over, compare, next_job, serve};
use memcpy_select::transport::connect::{JoinOptions, join};
use memcpy_select::transport::memory::{Load, Store};
use memcpy_select::transport::session::QueueLayout;
use memcpy_select::transport::{
    Access, Address, Answer, Asked, Blocks, Client, ClientError, ClientOptions, Copier, ErrorCode, Event, Flags,
    Geometry, Handle, JobId, Kind, Memory, Object, Operation, PageRange, Proxy, ProxyOptions, Region, RegionOptions,
    Request, Slice, Table, TableOptions, Value, Waiting,
};
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

const SOON: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(5);

pub fn address(name: &str) -> Address {
    Address::Abstract(format!("memcpy-select-proxy-{name}-{}", std::process::id()))
}

fn geometry() -> Geometry {
    let blocks = Blocks { block_bytes: 4096, count: 128 };
    // Short payloads too are in blocks.
    Geometry::symmetric(16, 16, blocks)
}

fn options() -> TableOptions {
    TableOptions::default().geometry(geometry())
}

/// With entries of that stride.
fn options_with(stride_bytes: u16) -> TableOptions {
    let geometry = Geometry { request_stride_bytes: stride_bytes, response_stride_bytes: stride_bytes, ..geometry() };
    TableOptions::default().geometry(geometry)
}

/// Runs `body` with a proxy between the two addresses, and ends the proxy after it.
pub fn with_proxy<T>(
    names: [&Address; 2],
    options: ProxyOptions,
    rule: impl FnMut(&Asked<'_>) -> Result<(), ErrorCode> + Send,
    body: impl FnOnce() -> T,
) -> T {
    let mut proxy = Proxy::create(names[0], names[1].clone(), options, rule).unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                proxy.serve(SOON).unwrap();
            }
        });
        let _over = Over(&is_over);
        body()
    })
}

#[test]
fn a_client_sees_the_files_through_two_proxies_as_they_are() {
    for (waiting, stride_bytes) in
        [(Waiting::Adaptive, 16), (Waiting::Sleep, 16), (Waiting::Adaptive, 64), (Waiting::Sleep, 512)]
    {
        let [front, middle, behind] =
            ["front", "middle", "behind"].map(|name| address(&format!("{name}-{waiting:?}-{stride_bytes}")));
        let table = Table::create(&behind, options_with(stride_bytes)).unwrap();
        let is_over = AtomicBool::new(false);
        let proxy_options = || ProxyOptions::default().waiting(waiting);
        thread::scope(|scope| {
            let server = scope.spawn(|| serve(table, &is_over));
            let _over = Over(&is_over);
            with_proxy(
                [&middle, &behind],
                proxy_options(),
                |_| Ok(()),
                || {
                    with_proxy(
                        [&front, &middle],
                        proxy_options(),
                        |_| Ok(()),
                        || {
                            thread::scope(|scope| {
                                for seed in 0..2 {
                                    let front = &front;
                                    scope.spawn(move || {
                                        let options = ClientOptions::default().waiting(waiting);
                                        compare(&mut Client::connect(front, options).unwrap(), seed, 200, 3900);
                                    });
                                }
                            });
                            thread::sleep(3 * SOON);
                        },
                    );
                },
            );
            is_over.store(true, Ordering::Relaxed);
            assert_eq!(server.join().unwrap(), 2, "those behind are seen to leave");
        });
    }
}

#[test]
fn what_the_rule_refuses_does_not_get_through_and_the_session_goes_on() {
    let (front, behind) = (address("rule"), address("rule-behind"));
    let mut table = Table::create(&behind, options()).unwrap();
    let rule = |asked: &Asked<'_>| match asked.operation {
        Operation::Open if asked.name == b"allowed" => Ok(()),
        Operation::Read { handle: 1, .. } => Ok(()),
        _ => Err(ErrorCode::DENIED),
    };
    let is_over = AtomicBool::new(false);
    let seen = thread::scope(|scope| {
        let is_over = &is_over;
        let server = scope.spawn(move || {
            let mut seen = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                if let Some(Event::Job(job)) = table.next(SOON).unwrap() {
                    seen.push(job.operation());
                    let answer =
                        if job.operation() == Operation::Open { Answer::Handle(1) } else { Answer::Bytes(b"through") };
                    table.answer(job, answer);
                }
            }
            seen
        });
        let _over = Over(is_over);
        with_proxy([&front, &behind], ProxyOptions::default(), rule, || {
            let mut client = Client::connect(&front, ClientOptions::default()).unwrap();
            let is_denied = |got: Result<(), ClientError>| matches!(got, Err(ClientError::Refused(ErrorCode::DENIED)));
            for _ in 0..20 {
                assert!(is_denied(client.open("forbidden").map(drop)));
                assert!(is_denied(client.create("allowed").map(drop)));
                assert!(is_denied(client.write(Handle(1), b"bytes").map(drop)));
                assert!(is_denied(client.read(Handle(2), &mut [0; 8]).map(drop)));
                let file = client.open("allowed").unwrap();
                assert_eq!(client.read_in_place(file, 100).unwrap().to_vec(), b"through");
                // A name longer than a proxy takes is none.
                let got = client.open(vec![b'x'; 4097]);
                assert!(matches!(got, Err(ClientError::Refused(ErrorCode::BAD_NAME))));
            }
        });
        is_over.store(true, Ordering::Relaxed);
        server.join().unwrap()
    });
    assert_eq!(seen.len(), 40);
    assert!(seen.iter().all(|operation| matches!(operation, Operation::Open | Operation::Read { handle: 1, .. })));
}

fn inode(descriptor: Option<BorrowedFd<'_>>) -> u64 {
    rustix::fs::fstat(descriptor.unwrap()).unwrap().st_ino
}

/// The blocks that the table reads are the client's own, and those that the client reads are the table's.
#[test]
fn bytes_in_place_are_not_copied_on_the_way() {
    let (front, behind) = (address("place"), address("place-behind"));
    let mut table = Table::create(&behind, options()).unwrap();
    thread::scope(|scope| {
        let (at_front, at_behind) = (front.clone(), behind.clone());
        let client = scope.spawn(move || {
            with_proxy(
                [&at_front, &at_behind],
                ProxyOptions::default(),
                |_| Ok(()),
                || {
                    let joined = join(&at_front, JoinOptions::default()).unwrap();
                    let own = inode(joined.own_data.as_ref().map(Region::descriptor));
                    let mut client = Client::new(joined, LONG, Waiting::Adaptive).unwrap();
                    let mut lease = client.lease(50_000).unwrap();
                    lease.write_at(49_990, b"the end...");
                    client.write_in_place(Handle(1), lease).unwrap();
                    let view = client.read_in_place(Handle(1), 5).unwrap();
                    let before = view.to_vec();
                    // The table writes over its own blocks, and tells when it has.
                    client.seek(Handle(1), std::io::SeekFrom::Start(0)).unwrap();
                    (own, inode(view.region_file()), before, view.to_vec())
                },
            )
        });
        assert!(matches!(table.next(LONG).unwrap(), Some(Event::Joined(_))));
        let job = next_job(&mut table);
        let payload = table.payload(&job);
        let seen = inode(payload.region_file());
        let mut end = [0; 10];
        payload.read_at(49_990, &mut end);
        assert_eq!((payload.len(), &end), (50_000, b"the end..."));
        table.answer(job, Answer::Amount(50_000));
        let job = next_job(&mut table);
        let mut lease = table.lease(&job, 5).unwrap();
        lease.write_at(0, b"first");
        let (place, _) = lease.parts().next().unwrap();
        table.answer(job, Answer::Lease(lease));
        let job = next_job(&mut table);
        // SAFETY: the region stays mapped as long as the table; nobody in this process has a reference to it.
        unsafe { place.as_ptr().cast::<[u8; 5]>().write_volatile(*b"again") };
        table.answer(job, Answer::Position(0));
        table.flush();
        let left = table.next(LONG).unwrap();
        assert!(matches!(left, Some(Event::Left { .. })), "{left:?}");
        let (own, _, before, after) = client.join().unwrap();
        assert_eq!(seen, own, "the table reads the client's region itself");
        assert_eq!((&before[..], &after[..]), (&b"first"[..], &b"again"[..]), "and the client the table's");
    });
}

/// The client changes the name as soon as it is sent, again and again: what gets through is what was judged.
#[test]
fn a_name_cannot_change_after_it_was_judged() {
    // In a block, and in the entry.
    for stride_bytes in [16, 64] {
        change_a_name(stride_bytes);
    }
}

fn change_a_name(stride_bytes: u16) {
    let (front, behind) = (address("swap"), address("swap-behind"));
    let mut table = Table::create(&behind, options_with(stride_bytes)).unwrap();
    let is_over = AtomicBool::new(false);
    let rule = |asked: &Asked<'_>| if asked.name.starts_with(b"good") { Ok(()) } else { Err(ErrorCode::DENIED) };
    thread::scope(|scope| {
        let is_over = &is_over;
        let server = scope.spawn(move || {
            let mut opened = 0;
            while !is_over.load(Ordering::Relaxed) {
                if let Some(Event::Job(job)) = table.next(SOON).unwrap() {
                    let name = table.payload(&job).to_vec();
                    assert!(name.starts_with(b"good"), "{name:?} got through");
                    opened += 1;
                    table.answer(job, Answer::Handle(1));
                }
            }
            opened
        });
        let _over = Over(is_over);
        let answered = with_proxy([&front, &behind], ProxyOptions::default(), rule, || {
            let joined = join(&front, JoinOptions::default()).unwrap();
            let layout = QueueLayout::of(&joined.geometry).unwrap();
            let (queue, own) = (joined.queue.memory().clone(), joined.own_data.as_ref().unwrap().memory().clone());
            let mut requests = memcpy_select::transport::ring::Producer::<_, 4>::new(queue.clone(), layout.requests);
            let mut responses = memcpy_select::transport::ring::Consumer::<_, 3>::new(queue.clone(), layout.responses);
            let bell = memcpy_select::transport::semaphore::Doorbell::new(queue, layout.server_doorbell_at);
            let (good, evil) = (u32::from_le_bytes(*b"good"), u32::from_le_bytes(*b"evil"));
            let mut answered = 0;
            let is_inline = stride_bytes > 16;
            let entries_at = layout.requests.end_at() - 16 * usize::from(stride_bytes);
            for round in 1..2000 {
                // Where the name is that this client changes.
                let (own, at) = match is_inline {
                    true => (joined.queue.memory(), entries_at + (round - 1) % 16 * 64 + 16),
                    false => (&own, 0),
                };
                own.store32(at, good, Store::Relaxed);
                own.store32(at + 4, 0, Store::Relaxed);
                let block = if is_inline { Slice::INLINE } else { 0 };
                let args = Value::slice(Slice { block, length: 8 });
                let id = JobId(round as u32);
                let request = Request { kind: Kind::Open, flags: Flags::NONE, id, handle: 0, args };
                requests.push(request.to_entry()).unwrap();
                requests.publish();
                if bell.ring() {
                    joined.channel.wake().unwrap();
                }
                let mut word = evil;
                while responses.pop().is_none() {
                    own.store32(at, word, Store::Relaxed);
                    word ^= good ^ evil;
                    assert_eq!(own.load32(at + 4, Load::Relaxed), 0);
                }
                responses.release();
                answered += 1;
            }
            answered
        });
        is_over.store(true, Ordering::Relaxed);
        let opened = server.join().unwrap();
        assert!(answered == 1999 && opened > 0, "{opened} of {answered}");
    });
}

#[test]
fn objects_pass_through_a_proxy() {
    let (front, behind) = (address("object"), address("object-behind"));
    let mut table = Table::create(&behind, options()).unwrap();
    let region = Region::create(4096, RegionOptions::default()).unwrap();
    region.memory().write(0, b"shared", Copier::AUTO);
    region.seal_writing().unwrap();
    thread::scope(|scope| {
        let (at_front, at_behind) = (front.clone(), behind.clone());
        let client = scope.spawn(move || {
            with_proxy(
                [&at_front, &at_behind],
                ProxyOptions::default(),
                |_| Ok(()),
                || {
                    let mut client = Client::connect(&at_front, ClientOptions::default()).unwrap();
                    let shared = client.share(Handle(1), PageRange::WHOLE).unwrap().map().unwrap();
                    let (handle, with) = client.open_shared("name").unwrap();
                    assert_eq!((handle.0, with.unwrap().parcel.len_bytes), (3, 4096));
                    let mut bytes = [0; 6];
                    shared.memory().read(0, &mut bytes, Copier::AUTO);
                    bytes
                },
            )
        });
        assert!(matches!(table.next(LONG).unwrap(), Some(Event::Joined(_))));
        let job = next_job(&mut table);
        let Operation::Share { part, .. } = job.operation() else { panic!("{job:?}") };
        table.answer(job, Answer::Object(Object::of(&region, part).unwrap()));
        let job = next_job(&mut table);
        let all = PageRange::of_bytes(0, 0, Access::Read).unwrap();
        table.answer(job, Answer::HandleAndObject(3, Object::of(&region, all).unwrap()));
        table.flush();
        assert_eq!(&client.join().unwrap(), b"shared");
    });
}

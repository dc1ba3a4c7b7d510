//! A table and its clients, as programs use them: over sockets and sealed regions, in one process with threads and in two
//! real ones.

use crate::cases::Effort;
use crate::programs::{Over, compare, next_job, serve};
use crate::rng::Rng;
use memcpy_select::transport::{
    Access, Address, Allocator, Answer, Answered, Blocks, Client, ClientError, ClientKey, ClientOptions, Completion,
    ConnectError, Copier, ErrorCode, Event, Geometry, Job, Memory, Object, Operation, PageRange, Region, RegionOptions,
    Table, TableError, TableOptions, Waiting,
};
use std::collections::HashMap;
use std::io::SeekFrom;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

pub const SOON: Duration = Duration::from_millis(20);
/// Long enough for any machine, for what is to come.
pub const LONG: Duration = Duration::from_secs(20);

pub fn geometry(allocator: Allocator) -> Geometry {
    let blocks = Blocks { block_bytes: 4096, count: 128 };
    // Short payloads too are in blocks.
    Geometry { allocator, ..Geometry::symmetric(16, 16, blocks) }
}

pub fn address(name: &str) -> Address {
    Address::Abstract(format!("memcpy-select-test-{name}-{}", std::process::id()))
}

fn client_options(waiting: Waiting) -> ClientOptions {
    ClientOptions::default().waiting(waiting)
}

#[test]
fn clients_of_every_kind_see_the_files_as_they_are() {
    let kinds = [Waiting::Adaptive, Waiting::Sleep, Waiting::Poll];
    let rounds = if Effort::chosen() < Effort::Full { 100 } else { 300 };
    for (number, waiting) in kinds.into_iter().enumerate() {
        for allocator in [Allocator::Owned, Allocator::Shared] {
            let at = address(&format!("kinds-{number}-{allocator:?}"));
            let mut geometry = geometry(allocator);
            if number > 0 {
                (geometry.request_stride_bytes, geometry.response_stride_bytes) = (64 * number as u16, 192);
            }
            let options = TableOptions::default().geometry(geometry).waiting(waiting);
            let table = Table::create(&at, options).unwrap();
            let is_over = AtomicBool::new(false);
            thread::scope(|scope| {
                let server = scope.spawn(|| serve(table, &is_over));
                let _over = Over(&is_over);
                let clients: Vec<_> = (0..3)
                    .map(|seed| {
                        let at = at.clone();
                        scope.spawn(move || {
                            let mut client = Client::connect(&at, client_options(waiting)).unwrap();
                            compare(&mut client, seed, rounds, 5000);
                        })
                    })
                    .collect();
                for client in clients {
                    client.join().unwrap();
                }
                // All three are seen to have left.
                thread::sleep(3 * SOON);
                is_over.store(true, Ordering::Relaxed);
                assert_eq!(server.join().unwrap(), 3);
            });
        }
    }
}

/// Many in flight: the answers of all come, whatever the order they are waited for in.
#[test]
fn many_requests_are_under_way_at_once() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut table = Table::without_address(TableOptions::default().geometry(geometry(Allocator::Owned))).unwrap();
    table.adopt(theirs).unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| serve(table, &is_over));
        let _over = Over(&is_over);
        let mut client = Client::over(ours, ClientOptions::default()).unwrap();
        let file = client.create("f").unwrap();
        client.write(file, &[1, 2, 3, 4, 5, 6, 7, 8]).unwrap();
        client.seek(file, SeekFrom::Start(0)).unwrap();
        let tickets: Vec<_> = (0..16).map(|_| client.submit_read(file, 1).unwrap()).collect();
        assert!(matches!(client.submit_read(file, 1), Err(ClientError::Full)));
        // The last first: the others are kept.
        let last = client.finish(tickets[15]).unwrap();
        assert!(matches!(last, Completion::Read(view) if view.is_empty()));
        assert!(matches!(client.finish(tickets[15]), Err(ClientError::NotOfThisSession)), "twice");
        let mut got = HashMap::new();
        while client.in_flight() > 0 {
            let (ticket, completion) = client.wait().unwrap();
            let Completion::Read(view) = completion else { panic!("{completion:?}") };
            got.insert(ticket, view.to_vec());
        }
        for (at, ticket) in tickets[..15].iter().enumerate() {
            let wanted: &[u8] = if at < 8 { &[at as u8 + 1] } else { &[] };
            assert_eq!(got[ticket], wanted);
        }
        assert!(client.poll().unwrap().is_none());
        assert!(matches!(client.wait(), Err(ClientError::NotOfThisSession)), "nothing is under way");
        is_over.store(true, Ordering::Relaxed);
    });
}

/// A table and a client of this thread: the table is driven by hand.
pub fn by_hand(options: TableOptions) -> (Table, Client) {
    by_hand_as(options, Waiting::default())
}

/// The same, with a client that waits so.
pub fn by_hand_as(options: TableOptions, waiting: Waiting) -> (Table, Client) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut table = Table::without_address(options).unwrap();
    table.adopt(theirs).unwrap();
    let client = thread::scope(|scope| {
        let client = scope.spawn(|| Client::over(ours, ClientOptions::default().waiting(waiting)).unwrap());
        assert!(matches!(table.next(Duration::from_secs(5)).unwrap(), Some(Event::Joined(_))));
        client.join().unwrap()
    });
    (table, client)
}

/// A region is whole pages, and its blocks need not be.
#[test]
fn blocks_that_do_not_fill_a_page_make_a_session() {
    for allocator in [Allocator::Owned, Allocator::Shared] {
        for (block_bytes, count) in [(64, 1), (64, 4), (64, 16), (128, 33), (2048, 3)] {
            let geometry = Geometry::symmetric(16, 16, Blocks { block_bytes, count });
            let options = TableOptions::default().geometry(Geometry { allocator, ..geometry });
            let (mut table, mut client) = by_hand(options);
            let ticket = client.submit_read(memcpy_select::transport::Handle(1), block_bytes).unwrap();
            client.flush().unwrap();
            let job = next_job(&mut table);
            let bytes = vec![7; block_bytes as usize];
            assert_eq!(table.answer(job, Answer::Bytes(&bytes)), Answered::Sent);
            table.flush();
            let Completion::Read(view) = client.finish(ticket).unwrap() else { panic!("{allocator:?}") };
            assert_eq!(view.to_vec(), bytes, "{allocator:?} {count} of {block_bytes}");
        }
    }
}

#[test]
fn jobs_are_answered_later_and_in_any_order() {
    let (mut table, mut client) = by_hand(TableOptions::default());
    let file = memcpy_select::transport::Handle(1);
    let tickets: Vec<_> = (0..5).map(|_| client.submit_seek(file, SeekFrom::Start(0)).unwrap()).collect();
    client.flush().unwrap();
    let jobs: Vec<_> = (0..5).map(|_| next_job(&mut table)).collect();
    for (number, job) in jobs.into_iter().enumerate().rev() {
        assert_eq!(table.answer(job, Answer::Position(number as u64)), Answered::Sent);
    }
    table.flush();
    for (number, ticket) in tickets.into_iter().enumerate() {
        assert!(matches!(client.finish(ticket).unwrap(), Completion::Position(at) if at == number as u64));
    }
}

#[test]
fn what_cannot_be_sent_is_refused_to_the_client_and_the_session_goes_on() {
    let (mut table, mut client) =
        by_hand(TableOptions::default().max_held_blocks(2).geometry(geometry(Allocator::Owned)));
    let file = memcpy_select::transport::Handle(1);
    let mut read = |table: &mut Table, answer: &dyn Fn(&mut Table, Job) -> Answered| {
        let ticket = client.submit_read(file, 5).unwrap();
        client.flush().unwrap();
        let job = next_job(table);
        let answered = answer(table, job);
        table.flush();
        (answered, client.finish(ticket))
    };
    let is_refused = |(answered, got): (Answered, Result<Completion, ClientError>), code: ErrorCode| {
        answered == Answered::Instead(code) && matches!(got, Err(ClientError::Refused(refused)) if refused == code)
    };
    // More than it asked for.
    let longer = read(&mut table, &|table, job| table.answer(job, Answer::Bytes(b"longer")));
    assert!(is_refused(longer, ErrorCode::TOO_LARGE));
    // As many as it may hold, and then one more.
    let held: Vec<_> =
        (0..2).map(|_| read(&mut table, &|table, job| table.answer(job, Answer::Bytes(b"hello")))).collect();
    let more = read(&mut table, &|table, job| {
        assert!(matches!(table.lease(&job, 1), Err(TableError::OutOfBlocks { len_bytes: 1 })));
        assert!(matches!(table.lease(&job, 6), Err(TableError::TooLarge { len_bytes: 6, max_bytes: 5 })));
        table.answer(job, Answer::Bytes(b"hello"))
    });
    assert!(is_refused(more, ErrorCode::OUT_OF_BLOCKS));
    for (_, got) in &held {
        assert!(matches!(got, Ok(Completion::Read(view)) if view.to_vec() == b"hello"));
    }
    drop(held);
    // And after it has given them back, in place.
    let (_, again) = read(&mut table, &|table, job| {
        let mut lease = table.lease(&job, 5).unwrap();
        for slice in lease.slices_mut().unwrap() {
            slice.copy_from_slice(b"place");
        }
        table.answer(job, Answer::Lease(lease))
    });
    assert!(matches!(again, Ok(Completion::Read(view)) if view.to_vec() == b"place"));
}

#[test]
fn a_client_without_blocks_says_so_and_goes_on() {
    let (mut table, mut client) = by_hand(TableOptions::default().geometry(geometry(Allocator::Owned)));
    let max_bytes = client.max_write_bytes();
    assert!(
        matches!(client.lease(max_bytes + 1), Err(ClientError::TooLarge { max_bytes: max, .. }) if max == max_bytes)
    );
    let all = client.lease(max_bytes).unwrap();
    let file = memcpy_select::transport::Handle(1);
    assert!(matches!(client.write(file, b"more"), Err(ClientError::OutOfBlocks { len_bytes: 4 })));
    drop(all);
    let ticket = client.submit_write(file, b"more", Copier::AUTO).unwrap();
    client.flush().unwrap();
    let job = next_job(&mut table);
    assert_eq!(table.payload(&job).to_vec(), b"more");
    table.answer(job, Answer::Amount(4));
    table.flush();
    assert!(matches!(client.finish(ticket), Ok(Completion::Amount(4))));
    // A lease of one session is none of another.
    let (_other_table, mut other) = by_hand(TableOptions::default());
    let lease = other.lease(4).unwrap();
    assert!(matches!(client.write_in_place(file, lease), Err(ClientError::NotOfThisSession)));
}

/// As often as there are blocks, and once more: dropped or released, the blocks of views come back.
#[test]
fn views_give_their_blocks_back_dropped_or_released() {
    for (allocator, is_released) in [(Allocator::Owned, true), (Allocator::Owned, false), (Allocator::Shared, true)] {
        let (mut table, mut client) = by_hand(TableOptions::default().geometry(geometry(allocator)));
        let file = memcpy_select::transport::Handle(1);
        for round in 0..3 * client.geometry().server_blocks.count {
            let ticket = client.submit_read(file, 4).unwrap();
            client.flush().unwrap();
            let job = next_job(&mut table);
            let word = round.to_le_bytes();
            assert_eq!(table.answer(job, Answer::Bytes(&word)), Answered::Sent, "{allocator:?}, {round}");
            table.flush();
            let Ok(Completion::Read(view)) = client.finish(ticket) else { panic!("no bytes") };
            assert_eq!(view.to_vec(), word);
            if is_released { client.release(view).unwrap() } else { drop(view) }
        }
    }
    // A view of one session is none of another, and not lost.
    let (mut table, mut client) = by_hand(TableOptions::default());
    let (_other_table, mut other) = by_hand(TableOptions::default());
    let ticket = client.submit_read(memcpy_select::transport::Handle(1), 4).unwrap();
    client.flush().unwrap();
    let job = next_job(&mut table);
    table.answer(job, Answer::Bytes(b"view"));
    table.flush();
    let Ok(Completion::Read(view)) = client.finish(ticket) else { panic!("no bytes") };
    assert!(matches!(other.release(view), Err(ClientError::NotOfThisSession)));
    assert!(client.flush().is_ok());
}

/// Answers to others that come before the limit make no wait longer.
#[test]
fn one_limit_holds_for_all_that_comes_during_a_wait() {
    const OTHERS: usize = 120;
    const LIMIT: Duration = Duration::from_millis(100);
    let (mut table, mut client) = by_hand(TableOptions::default());
    client.set_limit(LIMIT);
    let tickets = [(); 1 + OTHERS].map(|()| client.submit_read(memcpy_select::transport::Handle(1), 8).unwrap());
    client.flush().unwrap();
    let is_over = AtomicBool::new(false);
    let answered = thread::scope(|scope| {
        let answering = scope.spawn(|| {
            let _unanswered = next_job(&mut table);
            let answers = (0..OTHERS).take_while(|_| {
                thread::sleep(LIMIT / 20);
                let job = next_job(&mut table);
                assert_eq!(table.answer(job, Answer::Bytes(b"another")), Answered::Sent);
                table.flush();
                !is_over.load(Ordering::Relaxed)
            });
            answers.count()
        });
        assert!(matches!(client.finish(tickets[0]), Err(ClientError::Timeout { limit: LIMIT })));
        is_over.store(true, Ordering::Relaxed);
        answering.join().unwrap()
    });
    assert!(answered < OTHERS, "the limit was over long before");
}

#[test]
fn a_table_that_does_not_answer_is_a_timeout_and_the_late_answer_is_dropped() {
    let (mut table, mut client) = by_hand(TableOptions::default());
    client.set_limit(SOON);
    let file = memcpy_select::transport::Handle(1);
    assert!(matches!(client.read(file, &mut [0; 8]), Err(ClientError::Timeout { limit }) if limit == SOON));
    assert_eq!(client.in_flight(), 1);
    let late = next_job(&mut table);
    assert_eq!(table.answer(late, Answer::Bytes(b"late")), Answered::Sent);
    table.flush();
    assert!(client.poll().unwrap().is_none(), "nobody waits for it");
    assert_eq!(client.in_flight(), 0);
    let ticket = client.submit_read(file, 8).unwrap();
    client.flush().unwrap();
    let job = next_job(&mut table);
    table.answer(job, Answer::Bytes(b"in time"));
    table.flush();
    assert!(matches!(client.finish(ticket), Ok(Completion::Read(view)) if view.to_vec() == b"in time"));
}

#[test]
fn memory_objects_are_handed_out_whole_or_in_pages_with_an_open_or_later() {
    let (mut table, mut client) = by_hand(TableOptions::default());
    let sealed = Region::create(4 * 4096, RegionOptions::default()).unwrap();
    let open = Region::create(4 * 4096, RegionOptions::default()).unwrap();
    for region in [&sealed, &open] {
        for page in 0..4_u8 {
            region.memory().write(usize::from(page) * 4096, &[page; 4096], Copier::AUTO);
        }
    }
    sealed.seal_writing().unwrap();
    let file = memcpy_select::transport::Handle(1);
    let mut share = |region: &Region, start_bytes, len_bytes, access| {
        let ticket = client.submit_share(file, PageRange::of_bytes(start_bytes, len_bytes, access).unwrap()).unwrap();
        client.flush().unwrap();
        let job = next_job(&mut table);
        let Operation::Share { handle: 1, part } = job.operation() else { panic!("{job:?}") };
        match Object::of(region, part) {
            Ok(object) => table.answer(job, Answer::Object(object)),
            Err(TableError::ReadOnly) => table.answer(job, Answer::Error(ErrorCode::DENIED)),
            Err(TableError::Unaligned { .. }) => table.answer(job, Answer::Error(ErrorCode::UNALIGNED)),
            Err(other) => panic!("{other}"),
        };
        table.flush();
        client.finish(ticket).map(|completion| match completion {
            Completion::Shared(shared) => shared,
            other => panic!("{other:?}"),
        })
    };
    for region in [&sealed, &open] {
        let whole = share(region, 0, 0, Access::Read).unwrap();
        // Unless its seals keep the client from writing, the descriptor does.
        let is_writable = rustix::fs::fcntl_getfl(&whole.descriptor).unwrap().contains(rustix::fs::OFlags::RDWR);
        assert_eq!(is_writable, std::ptr::eq(region, &sealed));
        let whole = whole.map().unwrap();
        assert_eq!((whole.len_bytes(), whole.memory().access()), (4 * 4096, Access::Read));
        let mut byte = [9];
        whole.memory().read(2 * 4096, &mut byte, Copier::AUTO);
        assert_eq!(byte, [2]);
        let part = share(region, 4096, 2 * 4096, Access::Read).unwrap();
        let said = &part.parcel;
        assert_eq!((said.start_bytes, said.len_bytes, said.access), (4096, 2 * 4096, Access::Read));
        let part = part.map().unwrap();
        part.memory().read(0, &mut byte, Copier::AUTO);
        assert_eq!((part.len_bytes(), byte), (2 * 4096, [1]));
    }
    let written = share(&open, 3 * 4096, 4096, Access::ReadWrite).unwrap().map().unwrap();
    written.memory().write(0, b"written by the client", Copier::AUTO);
    let mut bytes = [0; 21];
    open.memory().read(3 * 4096, &mut bytes, Copier::AUTO);
    assert_eq!(&bytes, b"written by the client");
    let refused = |got: Result<memcpy_select::transport::Shared, ClientError>| match got {
        Err(ClientError::Refused(code)) => code,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(share(&sealed, 0, 0, Access::ReadWrite)), ErrorCode::DENIED);
    assert_eq!(refused(share(&sealed, 0, 5 * 4096, Access::Read)), ErrorCode::UNALIGNED);
    assert_eq!(refused(share(&sealed, 4 * 4096, 0, Access::Read)), ErrorCode::UNALIGNED);
    for (start_bytes, len_bytes) in [(1, 4096), (0, 4095), (1 << 50, 4096)] {
        let part = PageRange::of_bytes(start_bytes, len_bytes, Access::Read);
        assert!(matches!(part, Err(ClientError::Unaligned { .. })));
    }
    // With an open.
    let ticket = client.submit_named(memcpy_select::transport::Kind::Open, b"name").unwrap();
    client.flush().unwrap();
    let job = next_job(&mut table);
    let all = PageRange::of_bytes(0, 0, Access::Read).unwrap();
    table.answer(job, Answer::HandleAndObject(5, Object::of(&sealed, all).unwrap()));
    table.flush();
    let Ok(Completion::Opened(handle, Some(shared))) = client.finish(ticket) else { panic!("no object") };
    assert_eq!((handle.0, shared.map().unwrap().len_bytes()), (5, 4 * 4096));
}

/// A client that the table takes from the other end of a pair.
fn join(table: &mut Table) -> (Client, ClientKey) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    table.adopt(theirs).unwrap();
    thread::scope(|scope| {
        let client = scope.spawn(|| Client::over(ours, ClientOptions::default()).unwrap());
        match table.next(LONG).unwrap() {
            Some(Event::Joined(key)) => (client.join().unwrap(), key),
            other => panic!("{other:?}"),
        }
    })
}

/// What a client held that has gone comes back when the last one has gone, not before; those that have regions of their own have
/// all of it.
#[test]
fn blocks_of_one_region_come_back_when_all_clients_have_left() {
    let shared = TableOptions::default().geometry(geometry(Allocator::Shared));
    let mut table = Table::without_address(TableOptions::default().geometry(shared.geometry).one_region(true)).unwrap();
    let leave = |table: &mut Table, client: Client, key: ClientKey| {
        drop(client);
        let left = table.next(LONG).unwrap();
        assert!(matches!(left, Some(Event::Left { client, .. }) if client == key), "{left:?}");
        // What is left of it is given up in the rounds that follow.
        for _ in 0..3 {
            assert!(table.next(SOON).unwrap().is_none());
        }
    };
    for _ in 0..2 {
        let (mut one, one_key) = join(&mut table);
        let (mut other, other_key) = join(&mut table);
        let held = one.lease(100 * 4096).expect("all blocks are free");
        let more = other.lease(100 * 4096);
        assert!(matches!(more, Err(ClientError::OutOfBlocks { .. })), "they have one region: {more:?}");
        // As if its process had been killed.
        leave(&mut table, one, one_key);
        drop(held);
        let more = other.lease(100 * 4096);
        assert!(matches!(more, Err(ClientError::OutOfBlocks { .. })), "nobody gave them back: {more:?}");
        leave(&mut table, other, other_key);
    }
    let mut table = Table::without_address(shared).unwrap();
    let mut clients = [(); 2].map(|()| join(&mut table));
    let _held = clients.each_mut().map(|(client, _)| client.lease(100 * 4096).expect("they have one each"));
}

/// Those that say nothing, or no more, are given up when their time is over, however they came.
#[test]
fn a_newcomer_has_as_long_as_the_options_say() {
    let mut table = Table::without_address(TableOptions::default().connect_limit(SOON)).unwrap();
    let (silent, theirs) = UnixStream::pair().unwrap();
    table.adopt(theirs).unwrap();
    let start = Instant::now();
    let event = table.next(LONG).unwrap();
    assert!(start.elapsed() < LONG, "nothing but the end of the program's own limit had the table look");
    let Some(Event::Refused { why: ConnectError::Timeout { limit: SOON }, count: 1 }) = event else {
        panic!("{event:?}")
    };
    let mut told = Vec::new();
    std::io::Read::read_to_end(&mut &silent, &mut told).unwrap();
    // Kind 5, reason 6: too late.
    assert_eq!((told.len(), told[12], told[16]), (64, 5, 6));
}

/// Nothing is heard of a client after it has left, not even what it had asked for before.
#[test]
fn of_a_client_that_has_left_nothing_more_is_heard() {
    let mut table = Table::without_address(TableOptions::default()).unwrap();
    let (mut one, key) = join(&mut table);
    let file = memcpy_select::transport::Handle(1);
    for _ in 0..5 {
        one.submit_seek(file, SeekFrom::Start(0)).unwrap();
        one.close(file).unwrap();
    }
    let first = next_job(&mut table);
    assert_eq!(first.client(), key);
    table.disconnect(key).unwrap();
    let left = table.next(LONG).unwrap();
    assert!(matches!(left, Some(Event::Left { client, .. }) if client == key), "{left:?}");
    assert!(table.next(SOON).unwrap().is_none());
    assert_eq!(table.answer(first, Answer::Position(0)), Answered::Left);
    assert!(matches!(one.open("x"), Err(ClientError::Session(_))));
}

#[test]
fn what_is_longer_than_a_transfer_is_cut() {
    let (mut table, mut client) = by_hand(TableOptions::default().geometry(geometry(Allocator::Owned)));
    let file = memcpy_select::transport::Handle(1);
    let (most_read, most_written) = (client.max_read_bytes(), client.max_write_bytes());
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut bytes = vec![7; most_read.max(most_written) + 1];
            (client.write(file, &bytes).unwrap(), client.read(file, &mut bytes).unwrap())
        });
        let job = next_job(&mut table);
        let written = table.payload(&job).len();
        table.answer(job, Answer::Amount(written as u32));
        let job = next_job(&mut table);
        let Operation::Read { amount, .. } = job.operation() else { panic!("{job:?}") };
        table.answer(job, Answer::Bytes(&vec![8; amount as usize]));
        table.flush();
        assert_eq!((written, amount as usize), (most_written, most_read));
        assert_eq!(client.join().unwrap(), (most_written, most_read));
    });
}

/// An answer that came while another one was waited for, and is not wanted any more, is not taken for one that is.
#[test]
fn an_answer_that_was_kept_can_be_given_up() {
    let (mut table, mut client) = by_hand(TableOptions::default());
    let file = memcpy_select::transport::Handle(1);
    let tickets = [(); 3].map(|()| client.submit_seek(file, SeekFrom::Start(0)).unwrap());
    client.flush().unwrap();
    for position in 0..3 {
        let job = next_job(&mut table);
        table.answer(job, Answer::Position(position));
    }
    table.flush();
    assert!(matches!(client.finish(tickets[2]), Ok(Completion::Position(2))));
    client.abandon(tickets[0]).unwrap();
    let next = client.poll().unwrap();
    assert!(matches!(next, Some((ticket, Completion::Position(1))) if ticket == tickets[1]), "{next:?}");
    assert!(client.poll().unwrap().is_none());
    assert_eq!(client.in_flight(), 0);
}

/// Where both sides write, nobody has a slice of it.
#[test]
fn there_are_slices_of_what_one_side_alone_writes() {
    for allocator in [Allocator::Owned, Allocator::Shared] {
        let (mut table, mut client) = by_hand(TableOptions::default().geometry(geometry(allocator)));
        let is_owned = allocator == Allocator::Owned;
        assert_eq!(client.lease(100).unwrap().slices_mut().is_some(), is_owned);
        client.submit_read(memcpy_select::transport::Handle(1), 100).unwrap();
        client.flush().unwrap();
        let job = next_job(&mut table);
        assert_eq!(table.lease(&job, 100).unwrap().slices_mut().is_some(), is_owned);
    }
}

/// The copying form goes by the length of the whole transfer, with the kernel that is asked for.
#[test]
fn every_kernel_copies_through_a_table() {
    let (mut table, mut client) = by_hand(TableOptions::default().geometry(geometry(Allocator::Owned)));
    let file = memcpy_select::transport::Handle(1);
    let mut rng = Rng::new(5);
    for kernel in memcpy_select::kernels().iter().filter_map(|kernel| kernel.ready()) {
        for length in [1, 63, 64, 65, 4096, 4097, 100_000] {
            let mut bytes = vec![0; length];
            rng.fill(&mut bytes);
            let ticket = client.submit_write(file, &bytes, Copier::with(kernel)).unwrap();
            client.flush().unwrap();
            let job = next_job(&mut table);
            let mut got = vec![0; length];
            assert_eq!(table.payload(&job).read_with(0, &mut got, Copier::with(kernel)), length);
            assert_eq!(got, bytes);
            table.answer(job, Answer::Amount(length as u32));
            table.flush();
            assert!(client.finish(ticket).is_ok());
        }
    }
}

//! Promise: objects come to those that asked for them, as many as there are requests, in any order; over a proxy too.

use crate::proxy::{address, with_proxy};
use crate::sides::geometry;
use crate::table::{LONG, by_hand};
use memcpy_select::transport::chain::Chain;
use memcpy_select::transport::connect::{JoinOptions, Joined, join};
use memcpy_select::transport::session::{ClientSide, Outcome};
use memcpy_select::transport::{
    Access, Allocator, Answer, Answered, Client, ClientOptions, Completion, ErrorCode, Event, Flags, Handle, Kind,
    Object, Operation, PageRange, ProxyOptions, Region, RegionOptions, Request, Table, TableOptions, Value, Waiting,
};
use std::thread;

const OBJECT: Handle = Handle(1);
/// More than are kept of those that were not asked for.
const MANY: u64 = 150;
const CAPACITY: u32 = 256;

fn options() -> TableOptions {
    TableOptions::default().geometry(geometry(Allocator::Owned, CAPACITY, 4096))
}

/// An object of many pages.
fn object() -> Region {
    let region = Region::create(MANY as usize * 4096, RegionOptions::default()).unwrap();
    region.seal_writing().unwrap();
    region
}

/// Answers so many requests.
fn answer(table: &mut Table, region: &Region, mut count: u64) {
    while count > 0 {
        if let Event::Job(job) = table.next(LONG).unwrap().expect("too late") {
            let Operation::Share { part, .. } = job.operation() else { panic!("{job:?}") };
            assert_eq!(table.answer(job, Answer::Object(Object::of(region, part).unwrap())), Answered::Sent);
            count -= 1;
        }
    }
    table.flush();
}

/// Asks for a page after the other, and takes the answers from the last to the first.
fn share_all(client: &mut Client, answer: impl FnOnce()) {
    let page = |page: u64| (page * 4096, 4096);
    let part = |number| PageRange::of_bytes(page(number).0, page(number).1, Access::Read).unwrap();
    let asked: Vec<_> = (0..MANY).map(|number| client.submit_share(OBJECT, part(number)).unwrap()).collect();
    client.flush().unwrap();
    answer();
    for (ticket, number) in asked.into_iter().rev().zip((0..MANY).rev()) {
        let Completion::Shared(shared) = client.finish(ticket).unwrap() else { panic!("no object") };
        assert_eq!((shared.parcel.start_bytes, shared.parcel.len_bytes), page(number));
    }
}

#[test]
fn as_many_objects_come_as_were_asked_for() {
    let (mut table, mut client) = by_hand(options());
    let region = object();
    for _ in 0..2 {
        share_all(&mut client, || answer(&mut table, &region, MANY));
    }
}

#[test]
fn as_many_objects_come_through_a_proxy() {
    let (front, behind) = (address("objects"), address("objects-behind"));
    let mut table = Table::create(&behind, options()).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| answer(&mut table, &object(), MANY));
        with_proxy(
            [&front, &behind],
            ProxyOptions::default(),
            |_| Ok(()),
            || {
                share_all(&mut Client::connect(&front, ClientOptions::default()).unwrap(), || {});
            },
        );
    });
}

/// A client that does not read its socket gets no more objects than that holds, and an error for each other one; it has the rest.
#[test]
fn an_object_that_does_not_pass_a_proxy_is_refused_and_the_session_goes_on() {
    let (front, behind) = (address("unread"), address("unread-behind"));
    let mut table = Table::create(&behind, options()).unwrap();
    let (region, whole) = (object(), PageRange::WHOLE);
    // The client rings for nothing.
    let polling = ProxyOptions::default().waiting(Waiting::Poll);
    with_proxy(
        [&front, &behind],
        polling,
        |_| Ok(()),
        || {
            let joining = thread::scope(|scope| {
                let joining = scope.spawn(|| join(&front, JoinOptions::default()).unwrap());
                assert!(matches!(table.next(LONG).unwrap(), Some(Event::Joined(_))));
                joining.join().unwrap()
            });
            let Joined { channel: _unread, geometry, queue, own_data, data } = joining;
            let own = own_data.unwrap().into_memory();
            let mut client = ClientSide::new(&geometry, queue.into_memory(), own, data.into_memory()).unwrap();
            let mut passed = 0;
            let refused = loop {
                let ticket =
                    client.submit(Request::new(Kind::Share, Flags::NONE, 1, Value(whole.0)), Chain::EMPTY).unwrap();
                client.flush().unwrap();
                answer(&mut table, &region, 1);
                while client.poll().unwrap().is_none() {
                    thread::yield_now();
                }
                match client.take(ticket).unwrap() {
                    Outcome::Shared(_) => passed += 1,
                    refused => break refused,
                }
                assert!(passed < 100_000, "nothing bounds them");
            };
            assert_eq!(refused, Outcome::Refused(ErrorCode::IO));
            assert!(passed > 0 && table.clients() == 1);
        },
    );
}

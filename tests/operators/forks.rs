//! Processes that fork.

use crate::roles::{Other, address, ask, seek};
use crate::{LONG, serve_until, suite::sys, turn};
use memcpy_select::transport::memory::{Load, Memory, Store};
use memcpy_select::transport::semaphore::{Notifier, SEMAPHORE_BYTES, Semaphore, SemaphoreSet};
use memcpy_select::transport::{Answer, ErrorCode, Handle, Region, RegionOptions, Table, TableOptions};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

#[test]
fn a_forked_child_that_drops_its_handles_changes_nothing() {
    let _turn = turn();
    let at = address("forked");
    let mut table = Table::create(&at, TableOptions::default()).unwrap();
    let client = {
        let at = at.clone();
        thread::spawn(move || ask(&at))
    };
    let nothing = || Answer::Error(ErrorCode::UNSUPPORTED);
    serve_until(&mut table, || client.is_finished(), nothing);
    let mut client = client.join().unwrap().unwrap();
    let reads = thread::spawn(move || {
        let view = client.read_in_place(Handle::of(1), 100).unwrap();
        (client, view)
    });
    serve_until(&mut table, || reads.is_finished(), nothing);
    let (mut client, view) = reads.join().unwrap();
    let lease = client.lease(100).unwrap();
    let region = Region::create(4096, RegionOptions::default()).unwrap();
    let marks = Region::create(4096, RegionOptions::default()).unwrap();
    let notifier = Arc::new(Notifier::new(marks.memory().clone(), 0).unwrap());
    let semaphore =
        |at| Arc::new(Semaphore::new(region.memory().clone(), at).unwrap().with_notifier(Arc::clone(&notifier)));
    let (one, other) = (semaphore(0), semaphore(SEMAPHORE_BYTES));
    let mut set = SemaphoreSet::create().unwrap();
    let member = set.add(Arc::clone(&one)).unwrap();
    set.add(other).unwrap();
    assert_eq!(set.wait_set_any(Duration::from_millis(1)).unwrap(), None);
    drop(notifier);
    // The copy of this process takes its own copy of all of them, and drops it.
    let mut all = Some((set, one, region, lease, view, client));
    let end = sys::in_child(|| {
        drop(all.take());
        0
    });
    assert_eq!(end, sys::End::Exit(0));
    let (mut set, one, region, mut lease, view, mut client) = all.take().unwrap();
    // The semaphores and their set.
    one.post().unwrap();
    assert_eq!(set.wait_set_any(LONG).unwrap(), Some(member));
    assert!(!one.try_wait(), "taken once");
    // The region.
    region.memory().store32(2048, 7, Store::Release);
    assert_eq!(region.memory().load32(2048, Load::Acquire), 7);
    // The client, and the blocks that it has and has lent.
    assert_eq!(view.to_vec(), [7; 100]);
    let goes_on = thread::spawn(move || {
        lease.write_at(0, &[8; 100]);
        assert_eq!(client.write_in_place(Handle::of(1), lease).unwrap(), 100);
        client.release(view).unwrap();
        seek(&mut client).unwrap();
    });
    serve_until(&mut table, || goes_on.is_finished(), nothing);
    goes_on.join().unwrap();
}

#[test]
fn the_death_of_a_client_is_noticed_while_its_forked_child_holds_the_socket() {
    let _turn = turn();
    let at = address("orphan");
    let mut server = Other::start(&[], &format!("serve {at}"));
    server.says("serves");
    let mut orphan = Other::start(&[], &format!("orphan {at}"));
    orphan.says("joined");
    // The child lives until the test lets it go.
    assert!(server.says("left").contains("is gone"));
    assert!(ask(&at).is_ok());
    orphan.go_on();
}

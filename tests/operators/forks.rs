//! Processes that fork.

use crate::roles::{Other, address, ask, seek};
use crate::{LONG, serve_until, suite::sys, turn};
use memcpy_select::transport::memory::{Load, Memory, Store};
use memcpy_select::transport::semaphore::{Notifier, SEMAPHORE_BYTES, Semaphore, SemaphoreSet};
use memcpy_select::transport::{
    Allocator, Answer, Blocks, Client, ClientError, ClientOptions, ErrorCode, Geometry, Handle, Lease, Region,
    RegionOptions, Table, TableOptions,
};
use std::os::unix::net::UnixStream;
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
        let view = client.read_in_place(Handle(1), 100).unwrap();
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
        assert_eq!(client.write_in_place(Handle(1), lease).unwrap(), 100);
        client.release(view).unwrap();
        seek(&mut client).unwrap();
    });
    serve_until(&mut table, || goes_on.is_finished(), nothing);
    goes_on.join().unwrap();
}

/// Free blocks that a side keeps of a shared list are the parent's, which has them still: none is on the list, too.
#[test]
fn a_forked_child_that_drops_its_sides_gives_no_block_of_the_parent_away() {
    let _turn = turn();
    for allocator in [Allocator::Shared, Allocator::Owned] {
        let blocks = Blocks { block_bytes: 4096, count: 64 };
        let geometry = Geometry { response_stride_bytes: 12, allocator, ..Geometry::symmetric(8, 16, blocks) };
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut table = Table::without_address(TableOptions::default().geometry(geometry)).unwrap();
        table.adopt(ours).unwrap();
        let nothing = || Answer::Error(ErrorCode::UNSUPPORTED);
        // Each side takes some blocks, and keeps those that it does not use.
        let uses = thread::spawn(move || {
            let mut client = Client::over(theirs, ClientOptions::default().limit(LONG)).unwrap();
            assert_eq!(client.write(Handle(1), &[1; 100]).unwrap(), 100);
            assert_eq!(client.read(Handle(1), &mut [0; 100]).unwrap(), 100);
            client
        });
        serve_until(&mut table, || uses.is_finished(), nothing);
        let mut both = Some((table, uses.join().unwrap()));
        let end = sys::in_child(|| {
            drop(both.take());
            0
        });
        assert_eq!(end, sys::End::Exit(0));
        let (mut table, mut client) = both.take().unwrap();
        let goes_on = thread::spawn(move || {
            let mut leases: Vec<Lease> = Vec::new();
            let error = loop {
                match client.lease(100) {
                    Ok(lease) => leases.push(lease),
                    Err(error) => break error,
                }
            };
            assert!(matches!(error, ClientError::OutOfBlocks { .. }), "{error}");
            // What the table answers with is what it has kept.
            assert_eq!(client.read(Handle(1), &mut [0; 100]).unwrap(), 100, "{allocator:?}");
            let mut places: Vec<_> = leases.iter_mut().map(|lease| lease.parts().next().unwrap().0).collect();
            places.sort_unstable();
            places.dedup();
            assert_eq!(places.len(), leases.len());
            let most = if allocator == Allocator::Owned { 64..=64 } else { 50..=63 };
            assert!(most.contains(&leases.len()), "{}", leases.len());
        });
        serve_until(&mut table, || goes_on.is_finished(), nothing);
        goes_on.join().unwrap();
    }
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

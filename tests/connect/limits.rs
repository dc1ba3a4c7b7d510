//! What one side has too little of, or may not do, is named on both, and costs neither the server nor its other clients.

use super::roles::{Other, address, ask, can_run};
use super::*;
use memcpy_select::transport::{Client, ClientOptions, Event, Table, TableOptions};

/// What the server and the client say of a connection that the server's side cannot make.
fn refused(before: &[&str], limits: &str) -> (String, ConnectError) {
    let at = address("limits");
    let mut server = Other::start(before, format!("serve {at} {limits}").trim_end());
    server.says("serves");
    let error = ask(&at).map(drop).unwrap_err();
    (server.says("refused"), error)
}

#[test]
fn a_server_without_room_says_so_to_its_program_and_to_the_client() {
    let _turn = turn();
    let told = |error: &ConnectError| matches!(error, ConnectError::Refused { reason: Refusal::Resources });
    // Descriptors for the socket, and not for the regions; none at all; files shorter than a region; no room to map one.
    for (limits, expected) in [
        ("files=1", "EMFILE"),
        ("files=2", "EMFILE"),
        ("files=0", "EMFILE"),
        ("size=4096", "FBIG"),
        ("space=1000000", "NOMEM"),
    ] {
        let (why, error) = refused(&[], limits);
        assert!(told(&error), "{limits}: {error}");
        let codes = [("EMFILE", "24"), ("FBIG", "27"), ("NOMEM", "12")];
        let code = codes.iter().find(|(name, _)| *name == expected).unwrap().1;
        assert!(why.contains(&format!("code: {code},")), "{limits}: {why}");
    }
}

#[test]
fn a_server_that_may_not_share_memory_says_so() {
    let _turn = turn();
    for (call, cause) in [("memfd_create", "EPERM"), ("memfd_create", "ENOSYS"), ("ftruncate", "ENOSPC")] {
        let inject = format!("inject={call}:error={cause}");
        let strace = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", inject.as_str()];
        if !can_run(&strace) {
            return;
        }
        let (why, error) = refused(&strace, "");
        assert!(why.starts_with("Region(Create"), "{call} {cause}: {why}");
        assert!(error.to_string().contains("may not share memory"), "{call} {cause}: {error}");
    }
}

/// How a client in a process with limits fails; `None` if it does not.
fn failure(at: &Address, limits: &str) -> Option<String> {
    match Other::start(&[], &format!("join {at} {limits}")).next_word(&["joined", "failed"]) {
        ("joined", _) => None,
        (_, why) => Some(why),
    }
}

#[test]
fn a_client_without_room_names_its_own_limit() {
    let _turn = turn();
    let at = address("poor");
    let mut server = Other::start(&[], &format!("serve {at}"));
    server.says("serves");
    for files in 0..8 {
        if let Some(why) = failure(&at, &format!("files={files}")) {
            assert!(why.contains("Too many open files") && !why.contains("protocol"), "{files}: {why}");
        } else {
            assert!(files > 2, "{files}");
        }
    }
    let why = failure(&at, "size=4096").expect("its region is longer");
    assert!(why.contains("File too large") && why.contains("limits"), "{why}");
    assert!(server.says("refused").contains("Resources"));
    let why = failure(&at, "space=1000000").expect("the server's region is longer");
    assert!(why.contains("address space"), "{why}");
    assert!(ask(&at).is_ok(), "the server goes on");
}

/// The calls in a log of `strace`.
fn count(log: &std::path::Path, call: &str) -> usize {
    let text = std::fs::read_to_string(log).unwrap();
    text.lines().filter(|line| line.contains(&format!("{call}("))).count()
}

#[test]
fn a_listener_that_the_system_refuses_rests() {
    let _turn = turn();
    let log = std::env::temp_dir().join(format!("memcpy-select-rests-{}", std::process::id()));
    for cause in ["ENOBUFS", "EPERM", "ENFILE"] {
        let inject = format!("inject=accept4:error={cause}");
        let strace =
            ["strace", "-D", "-f", "-qq", "-o", log.to_str().unwrap(), "-e", "trace=accept4", "-e", inject.as_str()];
        if !can_run(&strace) {
            return;
        }
        let at = address("rests");
        let mut server = Other::start(&strace, &format!("serve {at}"));
        server.says("serves");
        let client = silent(&at);
        assert!(server.says("refused").starts_with("Socket"), "{cause}");
        thread::sleep(Duration::from_millis(500));
        server.kill();
        drop(client);
        // Ten milliseconds, then twice as long each time: some six in that time, and thousands without a rest.
        let calls = count(&log, "accept4");
        assert!((1..100).contains(&calls), "{cause}: {calls}");
    }
    let _ = std::fs::remove_file(&log);
}

/// A connection that says nothing.
fn silent(at: &Address) -> UnixStream {
    use std::os::linux::net::SocketAddrExt;
    let Address::Abstract(name) = at else { panic!("{at}") };
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap();
    UnixStream::connect_addr(&address).unwrap()
}

#[test]
fn a_connection_that_is_gone_costs_a_few_calls() {
    let _turn = turn();
    let log = std::env::temp_dir().join(format!("memcpy-select-dead-{}", std::process::id()));
    let strace = ["strace", "-D", "-f", "-qq", "-o", log.to_str().unwrap()];
    if !can_run(&strace) {
        return;
    }
    for hello in [false, true] {
        let at = address("dead");
        let mut server = Other::start(&strace, &format!("serve {at}"));
        server.says("serves");
        // The first one makes what is made once.
        drop(ask(&at).unwrap());
        server.says("left");
        let before = [count(&log, ""), count(&log, "memfd_create")];
        for _ in 0..300 {
            let stream = silent(&at);
            if hello {
                send(&stream, &message(HELLO, &[]), &[]);
            }
        }
        // By its turn all of them were attended to.
        drop(ask(&at).unwrap());
        server.says("left");
        let calls = count(&log, "") - before[0];
        let regions = count(&log, "memfd_create") - before[1];
        server.kill();
        // Two regions of the last one; a few more of those that were not gone yet when it was looked.
        assert!(regions < 50, "{regions} regions for 300 clients that are gone");
        assert!(calls < 300 * 12, "{calls} calls for 300 clients that are gone");
    }
    let _ = std::fs::remove_file(&log);
}

#[test]
fn no_memory_is_taken_before_the_handshake_is_over() {
    let _turn = turn();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let regions = RegionOptions::default().prefault(true);
    // Blocks that each side has of its own are in no region of all, whatever is asked for.
    let mut table = Table::without_address(TableOptions::default().regions(regions).one_region(true)).unwrap();
    table.adopt(ours).unwrap();
    send(&theirs, &message(HELLO, &[]), &[]);
    assert!(table.next(Duration::from_millis(20)).unwrap().is_none());
    let offered = receive_objects(&theirs);
    let blocks = |region: &OwnedFd| rustix::fs::fstat(region).unwrap().st_blocks;
    assert_eq!(offered.iter().map(blocks).collect::<Vec<_>>(), [0, 0], "in units of 512 bytes");
    // Nor is the list of blocks that both sides use laid out before.
    let shared = Geometry { allocator: Allocator::Shared, ..TableOptions::GEOMETRY };
    let (ours, other) = UnixStream::pair().unwrap();
    let mut trusting = Table::without_address(TableOptions::default().regions(regions).geometry(shared)).unwrap();
    trusting.adopt(ours).unwrap();
    send(&other, &message(HELLO, &[]), &[]);
    assert!(trusting.next(Duration::from_millis(20)).unwrap().is_none());
    assert_eq!(receive_objects(&other).iter().map(blocks).collect::<Vec<_>>(), [0, 0], "of a shared session");
    send(&other, &message(READY, &[]), &[]);
    assert!(matches!(trusting.next(LONG).unwrap(), Some(Event::Joined(_))));
    // Once it is over, all of it is there, bit by bit.
    let data_bytes = 64 * (64 << 10);
    let own = memfd(data_bytes, WRITING);
    send(&theirs, &message(READY, &[(56, data_bytes as u32)]), &[own.as_fd()]);
    assert!(matches!(table.next(LONG).unwrap(), Some(Event::Joined(_))));
    let start = std::time::Instant::now();
    while blocks(&offered[1]) * 512 < data_bytes as i64 || blocks(&own) * 512 < data_bytes as i64 {
        assert!(start.elapsed() < LONG, "some of it does not come");
        assert!(table.next(Duration::from_millis(1)).unwrap().is_none());
    }
    assert!(blocks(&offered[0]) > 0);
}

#[test]
fn a_newcomer_is_told_why_there_is_no_place() {
    let _turn = turn();
    let at = address("full");
    let options = TableOptions::default().max_clients(1).connect_limit(SHORT);
    let mut table = Table::create(&at, options).unwrap();
    let mut serve_while = |client: &dyn Fn() -> bool| {
        let mut refused = Vec::new();
        let start = std::time::Instant::now();
        while !client() {
            assert!(start.elapsed() < LONG, "it is not told");
            if let Some(Event::Refused { why, count: 1 }) = table.next(Duration::from_millis(1)).unwrap() {
                refused.push(why);
            }
        }
        refused
    };
    let connect = || {
        let at = at.clone();
        thread::spawn(move || Client::connect(&at, ClientOptions::default().limit(LONG)))
    };
    let first = connect();
    assert!(serve_while(&|| first.is_finished()).is_empty());
    let _first = first.join().unwrap().unwrap();
    let second = connect();
    let why = serve_while(&|| second.is_finished());
    let error = second.join().unwrap().unwrap_err();
    assert!(matches!(error, ConnectError::Refused { reason: Refusal::Full }), "{error}");
    assert!(matches!(why[..], [ConnectError::Full]), "{why:?}");
    // One that says nothing is told that it took too long.
    let connection = silent(&at);
    let told = thread::spawn(move || receive_all(&connection));
    let why = serve_while(&|| told.is_finished());
    assert_eq!(told.join().unwrap(), message(REFUSED, &[(16, 6)]));
    assert!(matches!(why[..], [ConnectError::Timeout { limit: SHORT }]), "{why:?}");
}

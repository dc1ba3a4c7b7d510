//! Promise: a proxy takes in newcomers without keeping its clients waiting, says who was not taken in, and ends the sessions of a
//! table that is gone.

use super::*;
use memcpy_select::transport::connect::Refusal;
use memcpy_select::transport::{Allocator, ConnectError, SessionError};

/// Runs `body` with the address of a proxy that lets everything through, before a table of these options.
fn before_a_table(name: &str, options: TableOptions, body: impl FnOnce(&Address)) {
    let (front, behind) = (address(name), address(&format!("{name}-behind")));
    let table = Table::create(&behind, options).unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| serve(table, &is_over));
        let _over = Over(&is_over);
        with_proxy([&front, &behind], ProxyOptions::default(), |_| Ok(()), || body(&front));
    });
}

#[test]
fn a_table_that_goes_ends_its_clients_sessions_and_one_without_room_has_none() {
    let (front, behind) = (address("gone"), address("gone-behind"));
    let table = Table::create(&behind, options()).unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let server = scope.spawn(|| serve(table, &is_over));
        let _over = Over(&is_over);
        with_proxy(
            [&front, &behind],
            ProxyOptions::default().max_clients(1),
            |_| Ok(()),
            || {
                let mut client = Client::connect(&front, ClientOptions::default()).unwrap();
                client.create("file").unwrap();
                assert!(Client::connect(&front, ClientOptions::default()).is_err(), "one client is allowed");
                is_over.store(true, Ordering::Relaxed);
                server.join().unwrap();
                assert!(matches!(client.create("more"), Err(ClientError::Session(SessionError::PeerGone))));
                assert!(Client::connect(&front, ClientOptions::default()).is_err(), "nobody is behind");
            },
        );
    });
    // A region that both sides write cannot be guarded.
    let geometry = Geometry { allocator: Allocator::Shared, ..geometry() };
    before_a_table("shared", TableOptions::default().geometry(geometry), |front| {
        assert!(Client::connect(front, ClientOptions::default()).is_err());
    });
    // Blocks that do not fill whole pages leave none to a proxy.
    let client_blocks = Blocks { block_bytes: 64, count: 100 };
    before_a_table("odd", TableOptions::default().geometry(Geometry { client_blocks, ..super::geometry() }), |front| {
        assert!(Client::connect(front, ClientOptions::default()).is_err());
    });
    // Whom the table refuses, the proxy does, for that reason.
    before_a_table("full", options().max_clients(1), |front| {
        let first = Client::connect(front, ClientOptions::default()).unwrap();
        let second = Client::connect(front, ClientOptions::default()).unwrap_err();
        assert!(matches!(second, ConnectError::Refused { reason: Refusal::Full }), "{second}");
        drop(first);
    });
}

/// The table is asked for a session while the others are served: one that never answers keeps nobody but the newcomer waiting.
#[test]
fn a_table_that_says_nothing_to_a_newcomer_does_not_keep_the_others_waiting() {
    let folder = std::env::temp_dir().join(format!("memcpy-select-proxy-silent-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (front, path) = (address("silent"), folder.join("table"));
    let table = Table::create(&Address::Path(path.clone()), options()).unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let server = scope.spawn(|| serve(table, &is_over));
        let _over = Over(&is_over);
        let names = [&front, &Address::Path(path.clone())];
        let options = ProxyOptions::default().connect_limit(Duration::from_secs(1));
        with_proxy(
            names,
            options,
            |_| Ok(()),
            || {
                let mut client = Client::connect(&front, ClientOptions::default()).unwrap();
                // From now on somebody is at that address who takes connections and says nothing.
                std::fs::remove_file(&path).unwrap();
                let _silent = std::os::unix::net::UnixListener::bind(&path).unwrap();
                let newcomer = thread::spawn({
                    let front = front.clone();
                    move || Client::connect(&front, ClientOptions::default()).map(drop)
                });
                let mut rounds = 0;
                while !newcomer.is_finished() {
                    assert!(matches!(client.open("nobody has it"), Err(ClientError::Refused(_))));
                    rounds += 1;
                }
                let refused = newcomer.join().unwrap();
                assert!(refused.is_err(), "{refused:?}");
                assert!(rounds > 20, "{rounds} rounds while a newcomer waited for a second");
            },
        );
        is_over.store(true, Ordering::Relaxed);
        server.join().unwrap();
    });
    std::fs::remove_dir_all(&folder).unwrap();
}

/// However many come at once, and however few may: each of those who wait has his turn.
#[test]
fn a_crowd_before_a_proxy_comes_in_after_all() {
    let (front, behind) = (address("crowd"), address("crowd-behind"));
    let table = Table::create(&behind, options()).unwrap();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let server = scope.spawn(|| serve(table, &is_over));
        let _over = Over(&is_over);
        let options = ProxyOptions::default().max_clients(2);
        let mut proxy = Proxy::create(&front, behind.clone(), options, |_: &Asked<'_>| Ok(())).unwrap();
        let Address::Abstract(name) = &front else { panic!("{front}") };
        let at =
            <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name).unwrap();
        let last = thread::spawn({
            let front = front.clone();
            move || {
                let connect = |_| std::os::unix::net::UnixStream::connect_addr(&at).unwrap();
                let _silent: Vec<_> = (0..60).map(connect).collect();
                Client::connect(&front, ClientOptions::default()).map(drop)
            }
        });
        while !last.is_finished() {
            proxy.serve(SOON).unwrap();
        }
        last.join().unwrap().unwrap();
        is_over.store(true, Ordering::Relaxed);
        server.join().unwrap();
    });
}

#[test]
fn a_proxy_tells_its_program_who_was_not_taken_in() {
    let (front, behind) = (address("told"), address("told-behind"));
    let options = ProxyOptions::default().max_clients(0);
    let mut proxy = Proxy::create(&front, behind.clone(), options, |_: &Asked<'_>| Ok(())).unwrap();
    let join = |proxy: &mut Proxy<_>| {
        let front = front.clone();
        let client = thread::spawn(move || Client::connect(&front, ClientOptions::default()).map(drop));
        while !client.is_finished() {
            proxy.serve(SOON).unwrap();
        }
        client.join().unwrap().unwrap_err()
    };
    let error = join(&mut proxy);
    assert!(matches!(error, ConnectError::Refused { reason: Refusal::Full }), "{error}");
    assert!(matches!(proxy.next_event(), Some(Event::Refused { why: ConnectError::Full, count: 1 })));
    assert!(proxy.next_event().is_none());
    join(&mut proxy);
    assert!(proxy.next_event().is_none(), "of one kind one a second");
}

/// Those that come again and again have their moments and then a pause while a client is served, and the program is told.
#[test]
fn newcomers_of_a_busy_proxy_wait_for_its_clients() {
    let (front, behind) = (address("busy"), address("busy-behind"));
    let table = Table::create(&behind, options()).unwrap();
    let (is_over, is_told) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let server = scope.spawn(|| serve(table, &is_over));
        let _over = Over(&is_over);
        let _told = Over(&is_told);
        let rule = |_: &Asked<'_>| Ok(());
        let mut proxy = Proxy::create(&front, behind.clone(), ProxyOptions::default(), rule).unwrap();
        let client = scope.spawn(|| {
            let mut client = Client::connect(&front, ClientOptions::default()).unwrap();
            while !is_told.load(Ordering::Relaxed) {
                assert!(matches!(client.open("no such file"), Err(ClientError::Refused(_))));
            }
        });
        let crowd = [(); 2].map(|()| {
            scope.spawn(|| {
                while !is_told.load(Ordering::Relaxed) {
                    drop(Client::connect(&front, ClientOptions::default()));
                }
            })
        });
        let start = std::time::Instant::now();
        while !is_told.load(Ordering::Relaxed) {
            proxy.serve(SOON).unwrap();
            while let Some(event) = proxy.next_event() {
                is_told.fetch_or(matches!(event, Event::Throttled { .. }), Ordering::Relaxed);
            }
            assert!(start.elapsed() < 2 * LONG, "no newcomer ever waited");
        }
        while !client.is_finished() || !crowd.iter().all(|one| one.is_finished()) {
            proxy.serve(SOON).unwrap();
        }
        is_over.store(true, Ordering::Relaxed);
        server.join().unwrap();
    });
}

//! Who is slow, dies, floods or has no descriptors left is noticed, and leaves nothing behind.

use super::*;

#[test]
fn a_slow_peer_is_given_up() {
    let _turn = turn();
    let silent = |socket: UnixStream| drop(receive_all(&socket));
    let error = client_of(silent, SHORT);
    assert!(matches!(error, ConnectError::Timeout { limit: SHORT }), "{error}");
    let half = |socket: UnixStream| {
        send(&socket, &welcome(&[])[..63], &[]);
        receive_all(&socket);
    };
    assert!(matches!(client_of(half, SHORT), ConnectError::Timeout { .. }));
    let no_go = |socket: UnixStream| {
        receive(&socket);
        let (queue, data) = (memfd(PAGE_BYTES, SIZE), memfd(4 * PAGE_BYTES, WRITING));
        send(&socket, &welcome(&[]), &[queue.as_fd(), data.as_fd()]);
        receive_all(&socket);
    };
    assert!(matches!(client_of(no_go, SHORT), ConnectError::Timeout { .. }));
    for sent in [0, 1, 63] {
        let stops = move |socket: UnixStream| {
            send(&socket, &message(HELLO, &[])[..sent], &[]);
            receive_all(&socket);
        };
        assert!(matches!(server_of(stops, SHORT), ConnectError::Timeout { .. }), "{sent}");
    }
    let no_ready = |socket: UnixStream| {
        send(&socket, &message(HELLO, &[]), &[]);
        receive_all(&socket);
    };
    assert!(matches!(server_of(no_ready, SHORT), ConnectError::Timeout { .. }));
    // Byte by byte is slow, but it is in time.
    let drips = |socket: UnixStream| {
        for byte in message(HELLO, &[]) {
            send(&socket, &[byte], &[]);
        }
        receive(&socket);
        let own = memfd(4 * PAGE_BYTES, WRITING);
        let ready = message(READY, &[(56, 4 * 4096)]);
        send(&socket, &ready[..1], &[own.as_fd()]);
        for byte in &ready[1..] {
            send(&socket, &[*byte], &[]);
        }
        assert_eq!(receive(&socket), message(GO, &[]));
    };
    let (ours, theirs) = UnixStream::pair().unwrap();
    let client = thread::spawn(move || drips(theirs));
    serve(Greeting::over(ours, LONG), Allocator::Owned).unwrap();
    client.join().unwrap();
}

#[test]
fn a_listener_without_an_accept_is_given_up_too() {
    let _turn = turn();
    let name = format!("@memcpy-select-backlog-{}", std::process::id());
    let address = name.parse::<Address>().unwrap();
    let _listener = Listener::bind(&address, Peers::SameUser).unwrap();
    let error = join(&address, options(SHORT)).unwrap_err();
    assert!(matches!(error, ConnectError::Timeout { .. }), "{error}");
}

#[test]
fn a_peer_that_dies_in_the_middle_is_noticed() {
    let _turn = turn();
    for sent in [0, 1, 64] {
        let dies = move |socket: UnixStream| {
            receive(&socket);
            let (queue, data) = (memfd(PAGE_BYTES, SIZE), memfd(4 * PAGE_BYTES, WRITING));
            if sent > 0 {
                send(&socket, &welcome(&[])[..sent], &[queue.as_fd(), data.as_fd()]);
            }
        };
        let error = client_of(dies, LONG);
        assert!(matches!(error, ConnectError::PeerGone), "{sent}: {error}");
        let dies = move |socket: UnixStream| send(&socket, &message(HELLO, &[])[..sent], &[]);
        let error = server_of(dies, LONG);
        assert!(matches!(error, ConnectError::PeerGone), "{sent}: {error}");
    }
    let dies = |socket: UnixStream| {
        send(&socket, &message(HELLO, &[]), &[]);
        receive(&socket);
        let own = memfd(4 * PAGE_BYTES, WRITING);
        send(&socket, &message(READY, &[(56, 4 * 4096)])[..40], &[own.as_fd()]);
    };
    assert!(matches!(server_of(dies, LONG), ConnectError::PeerGone));
}

#[test]
fn a_wake_is_received_and_never_waits() {
    let _turn = turn();
    let (server, mut client) = session(Allocator::Owned);
    assert_eq!(server.channel.drain().unwrap(), 0);
    assert!(!client.channel.wait(SHORT).unwrap());
    client.channel.wake().unwrap();
    server.channel.wake().unwrap();
    assert_eq!([(); 2].map(|()| server.channel.drain().unwrap()), [1, 0]);
    assert!(client.channel.wait(LONG).unwrap());
    assert!(!client.channel.wait(Duration::ZERO).unwrap());
    // Nobody reads: a wake that does not fit is not needed.
    for _ in 0..10_000 {
        client.channel.wake().unwrap();
        server.channel.wake().unwrap();
    }
    assert_eq!(server.channel.drain().unwrap(), Channel::ALL, "a few reads at once");
    assert!(client.channel.wait(LONG).unwrap());
    // Whoever clears the flag of a descriptor for all its copies cannot make the other side wait.
    let flags = rustix::fs::fcntl_getfl(&client.channel).unwrap();
    rustix::fs::fcntl_setfl(&client.channel, flags.difference(rustix::fs::OFlags::NONBLOCK)).unwrap();
    for _ in 0..10_000 {
        client.channel.wake().unwrap();
    }
    drop(server);
    assert!(matches!(client.channel.wake(), Err(ConnectError::PeerGone)));
    assert!(matches!(drained(&mut client.channel), ConnectError::PeerGone));
}

fn drained(channel: &mut Channel) -> ConnectError {
    for _ in 0..10_000 {
        match channel.wait(LONG) {
            Ok(has_come) => assert!(has_come),
            Err(error) => return error,
        }
    }
    panic!("the hang-up is not seen");
}

fn parcel(id: u64) -> Parcel {
    let bytes = PAGE_BYTES as u64;
    Parcel {
        id,
        start_bytes: 0,
        len_bytes: bytes,
        whole_bytes: bytes,
        access: Access::Read,
        sealing: Some(Sealing::Size),
    }
}

#[test]
fn objects_arrive_by_name() {
    let _turn = turn();
    let (server, mut client) = session(Allocator::Owned);
    let objects: Vec<Region> = (0..3).map(|_| region(PAGE_BYTES)).collect();
    for (id, object) in (0..).zip(&objects) {
        object.memory().store32(0, id + 70, Store::Release);
        server.channel.pass(parcel(id.into()), object.descriptor()).unwrap();
        server.channel.wake().unwrap();
    }
    for id in [2, 0, 1] {
        let (named, descriptor) = client.channel.accept_parcel(id, 0, LONG).unwrap();
        assert_eq!(named, parcel(id));
        assert_eq!(rustix::io::fcntl_getfd(&descriptor).unwrap(), rustix::io::FdFlags::CLOEXEC);
        let promise = Promise { len_bytes: named.whole_bytes as usize, sealing: named.sealing.unwrap() };
        let object = Region::open(descriptor, promise, named.access).unwrap();
        assert_eq!(u64::from(object.memory().load32(0, Load::Acquire)), id + 70);
    }
    assert!(matches!(client.channel.accept_parcel(3, 0, SHORT), Err(ConnectError::Timeout { .. })));
    drop(server);
    assert!(matches!(client.channel.accept_parcel(3, 0, LONG), Err(ConnectError::PeerGone)));
}

#[test]
fn a_flood_of_objects_ends_the_session_and_leaves_none_open() {
    let _turn = turn();
    let (server, mut client) = session(Allocator::Owned);
    let object = region(PAGE_BYTES);
    let before = descriptors();
    let mut passed = 0;
    // No more are taken in than the socket holds, and 64.
    loop {
        match server.channel.pass(parcel(passed), object.descriptor()) {
            Ok(()) => passed += 1,
            Err(ConnectError::Congested) => break,
            Err(error) => panic!("{error}"),
        }
        assert!(client.channel.wait(Duration::ZERO).unwrap() && passed < 10_000);
    }
    assert_eq!(descriptors() - before, 64);
    // One of those that are there is found, and one that is not where so many were asked for ends it.
    client.channel.accept_parcel(63, 0, LONG).unwrap();
    client.channel.accept_parcel(99, 100, LONG).unwrap();
    let error = client.channel.accept_parcel(100_000, 120, LONG).unwrap_err();
    assert!(matches!(error, ConnectError::Message { kind: PARCEL }), "{error}");
    assert_eq!(descriptors() - before, 120);
    // What a client sends a server is never taken in.
    while client.channel.pass(parcel(0), object.descriptor()).is_ok() {}
    assert_eq!(server.channel.drain().unwrap(), Channel::ALL, "it counts as more than any number of wakes");
    drop(client);
    assert!(descriptors() < before);
}

#[test]
fn a_process_that_dies_is_noticed_even_if_its_child_holds_the_socket() {
    let _turn = turn();
    let name = format!("@memcpy-select-orphan-{}", std::process::id());
    let address = name.parse::<Address>().unwrap();
    let mut listener = Listener::bind(&address, Peers::SameUser).unwrap();
    let (told, tell) = rustix::pipe::pipe().unwrap();
    let client = thread::spawn(move || {
        suite::sys::in_child(move || {
            let Ok(_joined) = join(&address, options(LONG)) else { return 1 };
            // The grandchild keeps a copy of the socket until it is told to end; nobody waits for it.
            suite::sys::Child::start(|| {
                let _ = rustix::io::read(&told, &mut [0; 1]);
                0
            });
            0
        })
    });
    let greeting = loop {
        match listener.accept(LONG).unwrap() {
            Some(greeting) => break greeting,
            None => thread::sleep(Duration::from_millis(1)),
        }
    };
    let mut server = serve(greeting, Allocator::Owned).unwrap();
    assert!(server.channel.process().is_some());
    let error = drained(&mut server.channel);
    assert!(matches!(error, ConnectError::PeerGone), "{error}");
    assert_eq!(client.join().unwrap(), suite::sys::End::Exit(0));
    rustix::io::write(&tell, &[1]).unwrap();
}

#[test]
fn a_server_that_dies_is_noticed_even_if_its_child_holds_the_socket() {
    use memcpy_select::transport::{Client, ClientError, ClientOptions, Event, SessionError, Table, TableOptions};
    let _turn = turn();
    let at = roles::address("orphaned");
    let (started, start) = rustix::pipe::pipe().unwrap();
    let (told, tell) = rustix::pipe::pipe().unwrap();
    let server = suite::sys::Child::start(|| {
        let Ok(mut table) = Table::create(&at, TableOptions::default()) else { return 1 };
        let _ = rustix::io::write(&start, &[1]);
        if !matches!(table.next(LONG), Ok(Some(Event::Joined(_)))) {
            return 2;
        }
        // The grandchild keeps all that there is until it is told to end, or nobody is left to tell; nobody waits for it.
        suite::sys::Child::start(|| {
            let mut one = [rustix::event::PollFd::new(&told, rustix::event::PollFlags::IN)];
            let _ = rustix::event::poll(&mut one, Some(&(2 * LONG).try_into().unwrap()));
            0
        });
        0
    });
    rustix::io::read(&started, &mut [0; 1]).unwrap();
    let mut client = Client::connect(&at, ClientOptions::default().limit(LONG)).unwrap();
    let start = std::time::Instant::now();
    let error = client.open("name").unwrap_err();
    assert!(matches!(error, ClientError::Session(SessionError::PeerGone)), "{error}");
    assert!(start.elapsed() < LONG, "it was looked only when the limit was over");
    assert_eq!(server.end(), suite::sys::End::Exit(0));
    rustix::io::write(&tell, &[1]).unwrap();
}

#[test]
fn without_descriptors_left_clients_are_hung_up_on_and_the_listener_goes_on() {
    let _turn = turn();
    let name = format!("@memcpy-select-full-{}", std::process::id());
    let address = name.parse::<Address>().unwrap();
    let mut listener = Listener::bind(&address, Peers::SameUser).unwrap();
    let clients = [(); 3].map(|()| {
        use std::os::linux::net::SocketAddrExt;
        let at = std::os::unix::net::SocketAddr::from_abstract_name(&name[1..]).unwrap();
        let client = UnixStream::connect_addr(&at).unwrap();
        client.set_read_timeout(Some(LONG)).unwrap();
        client
    });
    // Take every descriptor there is.
    let usual = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let few = rustix::process::Rlimit { current: Some(descriptors() as u64 + 8), ..usual };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, few).unwrap();
    let mut taken = Vec::new();
    while let Ok(copy) = listener.as_fd().try_clone_to_owned() {
        taken.push(copy);
    }
    // One descriptor is kept back to refuse each of them with.
    let errors = [(); 3].map(|()| listener.accept(LONG).unwrap_err());
    let again = listener.accept(LONG);
    drop(taken);
    rustix::process::setrlimit(rustix::process::Resource::Nofile, usual).unwrap();
    assert!(matches!(again, Ok(None)), "nobody is left waiting: {again:?}");
    for (client, error) in clients.iter().zip(errors) {
        assert!(matches!(error, ConnectError::Socket { .. }), "{error}");
        assert_eq!(receive_all(client), message(REFUSED, &[(16, 4)]), "told why, and hung up on");
    }
}

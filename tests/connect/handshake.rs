//! Both sides come to have the same session, or both hear why not.

use super::*;

#[test]
fn both_sides_share_what_they_should_and_no_more() {
    let _turn = turn();
    let (server, client) = session(Allocator::Owned);
    assert_eq!((server.geometry, client.geometry), (geometry(Allocator::Owned), geometry(Allocator::Owned)));
    client.queue.memory().store32(64, 7, Store::Release);
    assert_eq!(server.queue.memory().load32(64, Load::Acquire), 7);
    server.queue.memory().store32(64, 8, Store::Release);
    assert_eq!(client.queue.memory().load32(64, Load::Acquire), 8);

    let (own, seen) = (client.own_data.unwrap(), server.client_data.unwrap());
    own.memory().store32(4096, 9, Store::Release);
    assert_eq!(seen.memory().load32(4096, Load::Acquire), 9);
    assert_eq!((seen.memory().access(), client.data.memory().access()), (Access::Read, Access::Read));
    // Neither side can take pages away from under the other, nor make the other's memory writable.
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    for descriptor in [client.queue.descriptor(), client.data.descriptor(), seen.descriptor(), own.descriptor()] {
        assert_eq!(rustix::fs::fallocate(descriptor, punch, 0, 4096), Err(Errno::PERM));
        let again = Region::open(
            descriptor.try_clone_to_owned().unwrap(),
            Promise { len_bytes: rustix::fs::fstat(descriptor).unwrap().st_size as usize, sealing: Sealing::Size },
            Access::ReadWrite,
        );
        assert!(matches!(again, Err(RegionError::Map { .. })));
    }
}

#[test]
fn a_shared_region_is_written_by_both() {
    let _turn = turn();
    let (server, client) = session(Allocator::Shared);
    assert!(server.client_data.is_none() && client.own_data.is_none());
    assert_eq!(client.data.memory().access(), Access::ReadWrite);
}

#[test]
fn addresses_lead_to_their_listener_and_leave_no_file() {
    let _turn = turn();
    let folder = crate::suite::folder::Folder::new("connect");
    let path = folder.0.join("table");
    let name = format!("@memcpy-select-connect-{}", std::process::id());
    for text in [name.as_str(), path.to_str().unwrap()] {
        let address = text.parse::<Address>().unwrap();
        assert_eq!(address.to_string(), text);
        let mut listener = Listener::bind(&address, Peers::SameUser).unwrap();
        assert!(listener.accept(LONG).unwrap().is_none());
        assert!(Listener::bind(&address, Peers::SameUser).is_err(), "one listener an address");
        let client = {
            let address = address.clone();
            thread::spawn(move || join(&address, options(LONG)))
        };
        let server = loop {
            match listener.accept(LONG) {
                Ok(Some(greeting)) => break serve(greeting, Allocator::Owned).unwrap(),
                // The second of them looked whether a server listens here.
                Ok(None) | Err(ConnectError::PeerGone) => thread::sleep(Duration::from_millis(1)),
                Err(error) => panic!("{error}"),
            }
        };
        let client = client.join().unwrap().unwrap();
        assert!(!client.channel.is_gone());
        drop((server, listener));
        assert!(client.channel.is_gone());
        assert!(matches!(join(&address, options(LONG)), Err(ConnectError::Socket { .. })));
    }
    // What a killed server leaves: a file that nobody listens at.
    drop(UnixListener::bind(&path).unwrap());
    let listener = Listener::bind(&Address::Path(path.clone()), Peers::SameUser).unwrap();
    // A file that came to stand there meanwhile is not this listener's to remove.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "kept").unwrap();
    drop(listener);
    assert!(Listener::bind(&Address::Path(path.clone()), Peers::SameUser).is_err(), "not a socket");
    assert_eq!(std::fs::read(&path).unwrap(), b"kept");
    for text in ["", "@", "table"] {
        assert!(text.parse::<Address>().unwrap_err().to_string().contains("write @name"));
    }
}

#[test]
fn what_is_not_a_table_is_named_so() {
    let _turn = turn();
    let greets = |socket: UnixStream| {
        receive(&socket);
        send(&socket, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", &[]);
    };
    assert!(matches!(client_of(greets, LONG), ConnectError::NotATable));
    let asks = |socket: UnixStream| {
        send(&socket, b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/html, */*\r\n\r\n\r\n\r\n", &[]);
    };
    let error = server_of(asks, LONG);
    assert!(matches!(error, ConnectError::NotATable));
    assert!(error.to_string().starts_with("not a table socket"));
}

#[test]
fn versions_must_match_and_both_sides_hear_of_it() {
    let _turn = turn();
    let newer = |socket: UnixStream| {
        receive(&socket);
        send(&socket, &welcome(&[(8, 5)]), &[]);
    };
    assert!(matches!(client_of(newer, LONG), ConnectError::Version { ours: 4, theirs: 5 }));
    // A server of another version refuses, and says which it speaks.
    let refuses = |socket: UnixStream| {
        receive(&socket);
        send(&socket, &message(5, &[(8, 9), (16, 1)]), &[]);
    };
    assert!(matches!(client_of(refuses, LONG), ConnectError::Version { ours: 4, theirs: 9 }));
    let older = |socket: UnixStream| {
        send(&socket, &message(HELLO, &[(8, 2)]), &[]);
        assert_eq!(receive(&socket), message(5, &[(16, 1)]));
    };
    assert!(matches!(server_of(older, LONG), ConnectError::Version { ours: 4, theirs: 2 }));
}

#[test]
fn a_server_that_is_full_says_so() {
    let _turn = turn();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let client = thread::spawn(move || join_over(theirs, options(LONG)));
    let mut greeting = Greeting::over(ours, LONG);
    while greeting.step().unwrap() != Step::Asked {
        thread::yield_now();
    }
    greeting.refuse(Refusal::Full);
    assert!(matches!(client.join().unwrap(), Err(ConnectError::Refused { reason: Refusal::Full })));
    assert!(greeting.step().is_err() && greeting.finish().is_err());
}

#[test]
fn a_supplied_region_serves_as_the_clients_own() {
    let _turn = turn();
    let own = region(4 * PAGE_BYTES);
    own.seal_writing().unwrap();
    own.memory().store32(8, 5, Store::Release);
    let (ours, theirs) = UnixStream::pair().unwrap();
    let server = thread::spawn(move || serve(Greeting::over(ours, LONG), Allocator::Owned).unwrap());
    let supplied = options(LONG).own_region(OwnRegion::Supplied(own));
    let _client = join_over(theirs, supplied).unwrap();
    let seen = server.join().unwrap().client_data.unwrap();
    assert_eq!(seen.memory().load32(8, Load::Acquire), 5);
    for (len_bytes, is_sealed) in [(4 * PAGE_BYTES, false), (PAGE_BYTES, true)] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = thread::spawn(move || serve(Greeting::over(ours, LONG), Allocator::Owned));
        let own = region(len_bytes);
        if is_sealed {
            own.seal_writing().unwrap();
        }
        let supplied = options(LONG).own_region(OwnRegion::Supplied(own));
        let error = join_over(theirs, supplied).unwrap_err();
        assert!(matches!(error, ConnectError::Geometry(_) | ConnectError::Region(_)), "{error}");
        assert!(server.join().unwrap().is_err());
    }
}

/// A device's memory, or a file, cannot be sealed: it is mapped if the client's program vouches for it, and not else. The queue
/// region has its seals all the same.
#[test]
fn a_data_region_without_seals_is_taken_on_the_programs_word() {
    let _turn = turn();
    let join = |is_vouched: bool, queue_seals: SealFlags| {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = thread::spawn(move || {
            receive(&ours);
            let (queue, data) = (memfd(PAGE_BYTES, queue_seals), memfd(4 * PAGE_BYTES, SealFlags::empty()));
            send(&ours, &welcome(&[]), &[queue.as_fd(), data.as_fd()]);
            receive(&ours);
            let _ = rustix::fs::fcntl_add_seals(&queue, SealFlags::FUTURE_WRITE | SealFlags::SEAL);
            let _ = (&ours).write_all(&message(GO, &[]));
            rustix::io::pwrite(&data, b"written", 4096).unwrap();
        });
        let options = options(LONG);
        // SAFETY: the server above neither truncates the region nor makes it inaccessible.
        let options = if is_vouched { unsafe { options.unsealed() } } else { options };
        let joined = join_over(theirs, options);
        server.join().unwrap();
        joined
    };
    let joined = join(true, SIZE).unwrap();
    assert_eq!((joined.data.len_bytes(), joined.data.memory().access()), (4 * PAGE_BYTES, Access::Read));
    assert_eq!(joined.data.memory().load32(4096, Load::Acquire), u32::from_le_bytes(*b"writ"));
    for (is_vouched, queue_seals) in [(false, SIZE), (true, SealFlags::empty())] {
        let error = join(is_vouched, queue_seals).unwrap_err();
        assert!(matches!(error, ConnectError::Region(RegionError::NotSealed { .. })), "{error}");
    }
}

#[test]
fn what_a_client_is_to_have_at_once_is_there() {
    let _turn = turn();
    for prefault in [false, true] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let own = OwnRegion::New(RegionOptions::default().prefault(prefault));
        let options = options(LONG).prefault(prefault).own_region(own);
        let client = thread::spawn(move || join_over(theirs, options).unwrap());
        let server = serve(Greeting::over(ours, LONG), Allocator::Owned).unwrap();
        let joined = client.join().unwrap();
        let pages = |region: &Region| rustix::fs::fstat(region.descriptor()).unwrap().st_blocks / 8;
        let expected = if prefault { 4 } else { 0 };
        assert_eq!((pages(&joined.data), pages(joined.own_data.as_ref().unwrap())), (expected, expected));
        assert_eq!(pages(&server.queue), 1, "always: it is used at once");
    }
}

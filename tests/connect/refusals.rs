//! What is said out of turn, with wrong numbers or over memory that is not what was promised, is refused.

use super::*;

#[test]
fn messages_out_of_place_are_refused() {
    let _turn = turn();
    for kind in [0, WELCOME, GO, WAKE, 8, u32::MAX] {
        let sends = move |socket: UnixStream| send(&socket, &message(kind, &[]), &[]);
        let error = server_of(sends, LONG);
        let is_named = matches!(error, ConnectError::Message { kind: found } if found == kind);
        assert!(is_named || matches!(error, ConnectError::Descriptors { expected: 2, found: 0 }), "{kind}: {error}");
        if kind != WELCOME {
            let sends = move |socket: UnixStream| {
                receive(&socket);
                send(&socket, &message(kind, &[]), &[]);
            };
            let error = client_of(sends, LONG);
            assert!(matches!(error, ConnectError::Message { kind: found } if found == kind), "{kind}: {error}");
        }
    }
    let twice = |socket: UnixStream| {
        send(&socket, &message(HELLO, &[]), &[]);
        send(&socket, &message(HELLO, &[]), &[]);
        receive_all(&socket);
    };
    assert!(matches!(server_of(twice, LONG), ConnectError::Message { kind: HELLO }));
    let too_soon = |socket: UnixStream| send(&socket, &message(READY, &[]), &[]);
    assert!(matches!(server_of(too_soon, LONG), ConnectError::Message { kind: READY }));
}

#[test]
fn too_few_and_too_many_descriptors_are_refused_and_closed() {
    let _turn = turn();
    for count in [0, 1, 3, 64] {
        let sends = move |socket: UnixStream| {
            receive(&socket);
            let object = memfd(PAGE_BYTES, SIZE);
            send(&socket, &welcome(&[]), &vec![object.as_fd(); count]);
        };
        let error = client_of(sends, LONG);
        let ConnectError::Descriptors { expected: 2, found } = error else { panic!("{count}: {error}") };
        assert!(found == count || (2..count).contains(&found), "{count}: {found}");
    }
    for count in [1, 2, 64] {
        let sends = move |socket: UnixStream| {
            let object = memfd(PAGE_BYTES, WRITING);
            send(&socket, &message(HELLO, &[]), &vec![object.as_fd(); count]);
        };
        let error = server_of(sends, LONG);
        assert!(matches!(error, ConnectError::Descriptors { .. }), "{count}: {error}");
    }
    // One with each byte.
    let sends = |socket: UnixStream| {
        let object = memfd(PAGE_BYTES, WRITING);
        for byte in message(HELLO, &[]) {
            send_if_open(&socket, &[byte], object.as_fd());
        }
    };
    assert!(matches!(server_of(sends, LONG), ConnectError::Descriptors { .. }));
    for (count, named) in [(0, 0), (2, 4 * 4096), (1, 0), (64, 4 * 4096), (0, 4 * 4096)] {
        let sends = move |socket: UnixStream| {
            send(&socket, &message(HELLO, &[]), &[]);
            receive(&socket);
            let own = memfd(4 * PAGE_BYTES, WRITING);
            send(&socket, &message(READY, &[(56, named)]), &vec![own.as_fd(); count]);
        };
        let error = server_of(sends, LONG);
        assert!(matches!(error, ConnectError::Descriptors { .. }), "{count}: {error}");
    }
}

fn send_if_open(socket: &UnixStream, bytes: &[u8], descriptor: BorrowedFd<'_>) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let _ = rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL);
}

#[test]
fn absurd_numbers_are_refused() {
    let _turn = turn();
    let absurd = [
        (16, 0),
        (16, 1),
        (16, 3),
        (16, 1 << 16),
        (16, u32::MAX),
        (20, 12 << 16 | 15),
        (20, 12 << 16),
        (20, 11 << 16 | 16),
        (20, u32::MAX),
        (28, 0),
        (28, 4),
        (28, 32),
        (28, 4095),
        (28, 1 << 31),
        (32, 0),
        (32, u32::MAX),
        (36, 0),
        (36, 4097),
        (40, 0),
        (40, 5),
        (40, u32::MAX),
        (52, 1),
        (56, 0),
        (56, 4096),
        (56, 4 * 4096 + (2 << 20)),
        (60, 1),
        (24, 1),
    ];
    for change in absurd {
        let sends = move |socket: UnixStream| {
            receive(&socket);
            let (queue, data) = (memfd(PAGE_BYTES, SIZE), memfd(4 * PAGE_BYTES, WRITING));
            // The blocks of a shared region are one and the same.
            let differs = if change == (24, 1) { vec![change, (28, 8192)] } else { vec![change] };
            send(&socket, &welcome(&differs), &[queue.as_fd(), data.as_fd()]);
            assert_eq!(receive(&socket), message(5, &[(16, 3)]), "the server hears of it at once");
        };
        let error = client_of(sends, LONG);
        assert!(matches!(error, ConnectError::Geometry(_)), "{change:?}: {error}");
    }
    let unknown = [(24, 2), (24, 1 << 8), (24, 1 << 31)];
    for change in unknown {
        let sends = move |socket: UnixStream| {
            receive(&socket);
            let object = memfd(PAGE_BYTES, SIZE);
            send(&socket, &welcome(&[change]), &[object.as_fd(), object.as_fd()]);
        };
        assert!(matches!(client_of(sends, LONG), ConnectError::Message { kind: WELCOME }), "{change:?}");
    }
    // A server's own mistakes are found before anything is sent.
    let (ours, theirs) = UnixStream::pair().unwrap();
    send(&theirs, &message(HELLO, &[]), &[]);
    let mut greeting = Greeting::over(ours, LONG);
    let data = server_data(Allocator::Owned);
    assert!(greeting.offer(geometry(Allocator::Owned), &data).is_err(), "nobody asked");
    assert_eq!(greeting.step().unwrap(), Step::Asked);
    let wrong = Geometry { capacity: 3, ..geometry(Allocator::Owned) };
    let error = greeting.offer(wrong, &data).unwrap_err();
    assert!(matches!(error, ConnectError::Geometry(error) if error.found == 3));
    let error = greeting.offer(geometry(Allocator::Owned), &region(PAGE_BYTES)).unwrap_err();
    assert!(matches!(error, ConnectError::Geometry(error) if error.found == 4096));
}

/// Two regions of a client, as a proxy has them, are the first and the last of its blocks, in whole pages.
#[test]
fn two_regions_that_do_not_fit_the_blocks_are_refused() {
    let _turn = turn();
    let pages = |count: u32| count * 4096;
    for (first, last) in
        [(pages(3), pages(2)), (pages(4), pages(1)), (pages(2) + 64, pages(1)), (pages(2), 64), (!4095, pages(2))]
    {
        let sends = move |socket: UnixStream| {
            send(&socket, &message(HELLO, &[]), &[]);
            receive(&socket);
            let regions = [first, last].map(|len_bytes| memfd(len_bytes as usize, WRITING));
            send(&socket, &message(READY, &[(56, first), (48, last)]), &regions.each_ref().map(AsFd::as_fd));
            assert_eq!(receive(&socket), message(REFUSED, &[(16, 3)]));
        };
        let error = server_of(sends, LONG);
        assert!(matches!(error, ConnectError::Geometry(_)), "{first} {last}: {error}");
    }
    // Each of them is sealed.
    for seals in [[WRITING, SIZE], [SIZE, WRITING]] {
        let sends = move |socket: UnixStream| {
            send(&socket, &message(HELLO, &[]), &[]);
            receive(&socket);
            let regions = seals.map(|seals| memfd(PAGE_BYTES, seals));
            send(&socket, &message(READY, &[(56, 4096), (48, 4096)]), &regions.each_ref().map(AsFd::as_fd));
            assert_eq!(receive(&socket), message(REFUSED, &[(16, 3)]));
        };
        let error = server_of(sends, LONG);
        assert!(matches!(error, ConnectError::Region(RegionError::NotSealed { .. })), "{error}");
    }
}

#[test]
fn limits_are_the_clients_own() {
    let _turn = turn();
    // What is as long as the limit is taken.
    let (ours, theirs) = UnixStream::pair().unwrap();
    let server = thread::spawn(move || serve(Greeting::over(ours, LONG), Allocator::Owned));
    let limits = Limits { max_queue_bytes: 4096, max_data_bytes: 4 * 4096 };
    let joined = join_over(theirs, options(LONG).limits(limits));
    assert!(joined.is_ok() && server.join().unwrap().is_ok());
    for limits in [
        Limits { max_queue_bytes: 4095, ..Limits::default() },
        Limits { max_data_bytes: 4 * 4096 - 1, ..Limits::default() },
    ] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let server = thread::spawn(move || serve(Greeting::over(ours, LONG), Allocator::Owned));
        let error = join_over(theirs, options(LONG).limits(limits)).unwrap_err();
        assert!(matches!(error, ConnectError::Geometry(_)), "{error}");
        let error = server.join().unwrap().unwrap_err();
        assert!(matches!(error, ConnectError::Refused { reason: Refusal::Handshake }), "{error}");
    }
}

#[test]
fn regions_that_are_not_what_was_promised_are_refused() {
    let _turn = turn();
    let none = SealFlags::empty();
    for (queue, data) in [
        ((PAGE_BYTES, none), (4 * PAGE_BYTES, WRITING)),
        ((PAGE_BYTES, SealFlags::SHRINK), (4 * PAGE_BYTES, WRITING)),
        ((2 * PAGE_BYTES, SIZE), (4 * PAGE_BYTES, WRITING)),
        ((PAGE_BYTES, WRITING), (4 * PAGE_BYTES, WRITING)),
        ((PAGE_BYTES, SIZE), (4 * PAGE_BYTES, none)),
        ((PAGE_BYTES, SIZE), (4 * PAGE_BYTES, SIZE)),
        ((PAGE_BYTES, SIZE), (3 * PAGE_BYTES, WRITING)),
    ] {
        let sends = move |socket: UnixStream| {
            receive(&socket);
            let (queue, data) = (memfd(queue.0, queue.1), memfd(data.0, data.1));
            send(&socket, &welcome(&[]), &[queue.as_fd(), data.as_fd()]);
        };
        let error = client_of(sends, LONG);
        assert!(matches!(error, ConnectError::Region(_)), "{queue:?} {data:?}: {error}");
    }
    for (len_bytes, seals) in [(4 * PAGE_BYTES, SIZE), (4 * PAGE_BYTES, none), (5 * PAGE_BYTES, WRITING)] {
        let sends = move |socket: UnixStream| {
            send(&socket, &message(HELLO, &[]), &[]);
            receive(&socket);
            let own = memfd(len_bytes, seals);
            send(&socket, &message(READY, &[(56, 4 * 4096)]), &[own.as_fd()]);
            assert_eq!(receive(&socket), message(5, &[(16, 3)]));
        };
        let error = server_of(sends, LONG);
        assert!(matches!(error, ConnectError::Region(_)), "{len_bytes} {seals:?}: {error}");
    }
    // The server does not seal the queue region.
    let sends = |socket: UnixStream| {
        receive(&socket);
        let (queue, data) = (memfd(PAGE_BYTES, SIZE), memfd(4 * PAGE_BYTES, WRITING));
        send(&socket, &welcome(&[]), &[queue.as_fd(), data.as_fd()]);
        receive(&socket);
        send(&socket, &message(GO, &[]), &[]);
    };
    assert!(matches!(client_of(sends, LONG), ConnectError::Region(RegionError::NotSealed { .. })));
}

#[test]
fn a_client_that_seals_the_queue_itself_does_no_harm() {
    let _turn = turn();
    for (seals, is_served) in [(SealFlags::FUTURE_WRITE | SealFlags::SEAL, true), (SealFlags::SEAL, false)] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let client = thread::spawn(move || {
            send(&theirs, &message(HELLO, &[]), &[]);
            let [queue, _data] = <[OwnedFd; 2]>::try_from(receive_objects(&theirs)).unwrap();
            rustix::fs::fcntl_add_seals(queue, seals).unwrap();
            let own = memfd(4 * PAGE_BYTES, WRITING);
            send(&theirs, &message(READY, &[(56, 4 * 4096)]), &[own.as_fd()]);
            receive(&theirs)
        });
        let result = serve(Greeting::over(ours, LONG), Allocator::Owned);
        let told = client.join().unwrap();
        if is_served {
            assert!(result.unwrap().queue.is_sealed(Sealing::SizeAndWriting).unwrap());
            assert_eq!(told, message(GO, &[]));
        } else {
            assert!(matches!(result.unwrap_err(), ConnectError::Region(RegionError::NotSealed { .. })));
            assert_eq!(told, message(5, &[(16, 3)]));
        }
    }
}

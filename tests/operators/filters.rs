//! Filters of system calls: what a side that is refused a call does without it, or says.

use crate::roles::filter::{EINVAL, ENOSYS, EPERM, KILL, can_filter, install, refusing, under};
use crate::roles::{Other, address, ask, seek};
use crate::{LONG, turn};
use memcpy_select::transport::connect::Refusal;
use memcpy_select::transport::semaphore::{MAX_ANY, SEMAPHORE_BYTES, Semaphore, SemaphoreSet, wait_any};
use memcpy_select::transport::{
    Access, Address, Allocator, Client, ClientError, ClientOptions, ConnectError, Event, Geometry, Mapped, PageKind,
    Promise, Region, RegionError, RegionOptions, Sealing, SessionError, Table, TableOptions,
};
use rustix::fs::{MemfdFlags, SealFlags};
use std::fmt::Debug;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

const EACCES: u16 = 13;
const ENOMEM: u16 = 12;
const ENOPROTOOPT: u16 = 92;

/// The words of a role that is refused these.
fn words(refused: &[String]) -> String {
    refused.iter().map(|call| format!(" refuse={call}")).collect()
}

/// A table that is refused calls.
fn server_under(refused: &[String]) -> (Other, Address) {
    let at = address("filtered");
    let mut server = Other::start(&[], &format!("serve {at} prefault{}", words(refused)));
    server.says("serves");
    (server, at)
}

/// What a client that is refused calls says if it gets no session, and the server, which is not.
fn client_fails(refused: &[String]) -> (String, String) {
    let (mut server, at) = server_under(&[]);
    let said = Other::start(&[], &format!("join {at} prefault{}", words(refused))).says("failed");
    let why = server.says("refused");
    assert!(ask(&at).is_ok(), "the server goes on");
    (said, why)
}

/// What a server says that is refused calls and has no session for a client, which it tells so.
fn server_fails(refused: &[String]) -> String {
    let (mut server, at) = server_under(refused);
    let error = ask(&at).map(drop).unwrap_err();
    assert!(matches!(error, ConnectError::Refused { reason: Refusal::Resources }), "{refused:?}: {error}");
    server.says("refused")
}

/// Each side of a session can be refused these.
fn works(refused: &[String]) {
    let (_server, at) = server_under(refused);
    assert!(ask(&at).is_ok(), "a server under {refused:?}");
    let (_server, at) = server_under(&[]);
    Other::start(&[], &format!("join {at} prefault{}", words(refused))).says("joined");
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

/// An error if something is not so, in a copy of this process.
fn check(is_so: bool, what: impl Debug) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(format!("{what:?}")) }
}

#[test]
fn memfd_create_is_refused() {
    let _turn = turn();
    if !can_filter() {
        return;
    }
    for error in [EPERM, ENOSYS] {
        let refused = [refusing("memfd_create", error)];
        for said in [server_fails(&refused), client_fails(&refused).0] {
            assert!(said.contains("refuses memfd_create or ftruncate allow it"), "{said}");
        }
        assert!(client_fails(&refused).1.contains("Resources"));
    }
}

#[test]
fn mfd_noexec_seal_is_refused_or_demanded() {
    let _turn = turn();
    if !can_filter() {
        return;
    }
    let seals_under = |refused: &[String], is_kept: bool| {
        under(refused, || {
            let region = Region::create(4096, RegionOptions::default()).map_err(text)?;
            let seals = rustix::fs::fcntl_get_seals(region.descriptor()).map_err(text)?;
            check(seals.contains(SealFlags::SHRINK | SealFlags::GROW), seals)?;
            check(seals.contains(SealFlags::EXEC) == is_kept, seals)
        });
    };
    for error in [EINVAL, EPERM, ENOSYS] {
        let refused = [refusing("MFD_NOEXEC_SEAL", error)];
        seals_under(&refused, false);
        works(&refused);
    }
    // As the sysctl `vm.memfd_noexec` demands it.
    if rustix::fs::memfd_create(c"test", MemfdFlags::NOEXEC_SEAL).is_err() {
        println!("skipped in part: this kernel does not know the flag");
        return;
    }
    let demanded = [refusing("without_MFD_NOEXEC_SEAL", EACCES)];
    seals_under(&demanded, true);
    works(&demanded);
}

#[test]
fn huge_pages_are_refused() {
    let _turn = turn();
    if !can_filter() {
        return;
    }
    for error in [EPERM, ENOSYS] {
        under(&[refusing("MFD_HUGETLB", error)], || {
            let options = RegionOptions::default().huge_pages(true).prefault(true);
            let region = Region::create(3 << 20, options).map_err(text)?;
            check(region.pages() != PageKind::Huge && region.len_bytes() == 3 << 20, region)
        });
    }
}

#[test]
fn sealing_is_refused_and_nothing_is_mapped() {
    let _turn = turn();
    if !can_filter() {
        return;
    }
    for error in [EPERM, ENOSYS] {
        let refused = [refusing("F_ADD_SEALS", error)];
        for said in [server_fails(&refused), client_fails(&refused).0] {
            assert!(said.contains("it is not shared, since it could be truncated"), "{said}");
        }
        // To map shared memory would end the copy.
        under(&[refused[0].clone(), refusing("MAP_SHARED", KILL)], || {
            let result = Region::create(4096, RegionOptions::default());
            check(matches!(result, Err(RegionError::Seal { .. })), result)
        });
    }
    // Only the seal against writing, as Linux before 5.1 does.
    for error in [EINVAL, EPERM] {
        let refused = [refusing("F_SEAL_FUTURE_WRITE", error)];
        for said in [server_fails(&refused), client_fails(&refused).0] {
            assert!(said.contains("allow fcntl(F_ADD_SEALS)"), "{said}");
        }
        under(&refused, a_shared_session_is_refused);
    }
}

/// The queue region cannot be sealed when both sides have mapped it: there is no session.
fn a_shared_session_is_refused() -> Result<(), String> {
    let geometry = Geometry { allocator: Allocator::Shared, ..TableOptions::GEOMETRY };
    let mut table = Table::without_address(TableOptions::default().geometry(geometry)).map_err(text)?;
    let (ours, theirs) = UnixStream::pair().map_err(text)?;
    table.adopt(ours).map_err(text)?;
    let client = thread::spawn(move || Client::over(theirs, ClientOptions::default().limit(LONG)).map(drop));
    let event = table.next(LONG).map_err(text)?;
    let is_said = matches!(&event, Some(Event::Refused { why: ConnectError::Region(RegionError::Seal { .. }), .. }));
    check(is_said, event)?;
    let told = client.join().map_err(|_| "it panicked")?;
    check(matches!(told, Err(ConnectError::Refused { reason: Refusal::Resources })), told)
}

#[test]
fn seals_cannot_be_read_and_nothing_is_mapped() {
    let _turn = turn();
    if !can_filter() {
        return;
    }
    let foreign = Region::create(4096, RegionOptions::default()).unwrap();
    for error in [EPERM, ENOSYS] {
        let refused = [refusing("F_GET_SEALS", error)];
        for said in [server_fails(&refused), client_fails(&refused).0] {
            assert!(said.contains("it is not mapped, since it could be truncated"), "{said}");
        }
        assert!(client_fails(&refused).1.contains("Resources"));
        under(&[refused[0].clone(), refusing("MAP_SHARED", KILL)], || {
            let descriptor = foreign.descriptor().try_clone_to_owned().map_err(text)?;
            let result = Region::open(descriptor, Promise { len_bytes: 4096, sealing: Sealing::Size }, Access::Read);
            check(matches!(result, Err(RegionError::NotSealable { .. })), result)
        });
    }
}

#[test]
fn madvise_is_refused() {
    let _turn = turn();
    if !can_filter() {
        return;
    }
    for error in [EPERM, ENOSYS] {
        let refused = [refusing("madvise", error)];
        under(&refused, || {
            let options = RegionOptions::default().prefault(true).huge_pages(true);
            let region = Region::create(3 << 20, options).map_err(text)?;
            check(region.pages() != PageKind::Advised, &region)?;
            let blocks = rustix::fs::fstat(region.descriptor()).map_err(text)?.st_blocks;
            check(region.pages() == PageKind::Huge || blocks == (3 << 20) / 512, blocks)
        });
        works(&refused);
    }
}

#[test]
fn memory_is_too_short_to_pre_fault() {
    let _turn = turn();
    if !can_filter() {
        return;
    }
    let refused = [refusing("madvise", ENOMEM)];
    for said in [server_fails(&refused), client_fails(&refused).0] {
        assert!(said.contains("bytes of memory to pre-fault") && said.contains("free memory"), "{said}");
    }
    under(&[], a_session_runs_out_of_memory);
}

/// The server's blocks are pre-faulted bit by bit once there is a session, which is over then.
fn a_session_runs_out_of_memory() -> Result<(), String> {
    let regions = RegionOptions::default().prefault(true);
    let mut table = Table::without_address(TableOptions::default().regions(regions)).map_err(text)?;
    let (ours, theirs) = UnixStream::pair().map_err(text)?;
    table.adopt(ours).map_err(text)?;
    let client = thread::spawn(move || Client::over(theirs, ClientOptions::default().limit(LONG)));
    let joined = table.next(LONG).map_err(text)?;
    check(matches!(joined, Some(Event::Joined(_))), joined)?;
    let mut client = client.join().map_err(|_| "it panicked")?.map_err(text)?;
    install([refusing("madvise", ENOMEM).as_str()].into_iter());
    let left = table.next(LONG).map_err(text)?;
    check(matches!(left, Some(Event::Left { why: SessionError::OutOfMemory, .. })), left)?;
    let told = seek(&mut client);
    check(matches!(told, Err(ClientError::Session(SessionError::PeerGone))), told)
}

#[test]
fn pidfds_are_refused() {
    let _turn = turn();
    if !can_filter() {
        return;
    }
    let noticed = |refused: &[String], is_child_let_go: bool| {
        let (mut server, at) = server_under(refused);
        let mut orphan = Other::start(&[], &format!("orphan {at}"));
        orphan.says("joined");
        if is_child_let_go {
            orphan.go_on();
        }
        assert!(server.says("left").contains("is gone"), "{refused:?}");
        orphan.go_on();
    };
    // The process's number serves.
    for error in [EPERM, ENOSYS, ENOPROTOOPT] {
        noticed(&[refusing("SO_PEERPIDFD", error)], false);
    }
    // The hang-up remains, which comes when the child of the process that died lets go.
    for error in [EPERM, ENOSYS] {
        noticed(&[refusing("SO_PEERPIDFD", error), refusing("pidfd_open", error)], true);
        works(&[refusing("SO_PEERPIDFD", error), refusing("pidfd_open", error)]);
    }
}

#[test]
fn so_peercred_is_refused() {
    let _turn = turn();
    if !can_filter() {
        return;
    }
    for error in [EPERM, ENOSYS] {
        let said = server_fails(&[refusing("SO_PEERCRED", error)]);
        assert!(said.contains("the system does not let this process use the socket"), "{said}");
    }
}

#[test]
fn epoll_is_refused() {
    let _turn = turn();
    if !can_filter() {
        return;
    }
    for error in [EPERM, ENOSYS] {
        let every = ["epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2"];
        for calls in [&every[..1], &every[1..2], &every[2..]] {
            let refused: Vec<_> = calls.iter().map(|call| refusing(call, error)).collect();
            let said = Other::start(&[], &format!("serve {}{}", address("epoll"), words(&refused))).says("failed");
            assert!(said.contains("allow epoll_create1, epoll_ctl and epoll_pwait"), "{said}");
        }
        // A client needs none of them.
        let refused = every.map(|call| refusing(call, error));
        let (_server, at) = server_under(&[]);
        Other::start(&[], &format!("join {at}{}", words(&refused))).says("joined");
        under(&refused, || {
            let result = SemaphoreSet::create();
            let said = result.as_ref().map_err(ToString::to_string);
            check(said.is_err_and(|said| said.contains("have the filter of system calls allow")), "a set")
        });
    }
}

/// Two semaphores, the second of which another thread posts soon.
fn posted_soon() -> Result<[Semaphore; 2], String> {
    let all = one_posted_soon(2, 1)?;
    all.try_into().map_err(|_| "two".to_owned())
}

/// So many semaphores, one of which another thread posts soon.
fn one_posted_soon(count: usize, posted: usize) -> Result<Vec<Semaphore>, String> {
    let memory = Mapped::private(count * SEMAPHORE_BYTES).ok_or("no memory")?;
    let semaphore = |place| Semaphore::new(memory.clone(), place * SEMAPHORE_BYTES).map_err(text);
    let poster = semaphore(posted)?;
    // It is not waited for: to end a thread takes a futex that is not private.
    thread::spawn(move || {
        thread::sleep(Duration::from_millis(5));
        poster.post()
    });
    (0..count).map(semaphore).collect()
}

#[test]
fn futex_waitv_is_refused() {
    let _turn = turn();
    if !can_filter() {
        return;
    }
    for error in [EPERM, ENOSYS] {
        under(&[refusing("futex_waitv", error)], || {
            let [one, two] = posted_soon()?;
            let found = wait_any(&[&one, &two], LONG);
            check(matches!(found, Ok(Some(1))), &found)?;
            let none = wait_any(&[&one, &two], Duration::from_millis(5));
            check(matches!(none, Ok(None)), none)?;
            for posted in [0, 1, 64, MAX_ANY - 1] {
                let all = one_posted_soon(MAX_ANY, posted)?;
                let found = wait_any(&all.iter().collect::<Vec<_>>(), LONG);
                check(matches!(found, Ok(Some(index)) if index == posted), found)?;
            }
            Ok(())
        });
        let (_server, at) = server_under(&[refusing("futex_waitv", error)]);
        let mut clients = [(); 3].map(|()| ask(&at).unwrap());
        for _ in 0..20 {
            clients.iter_mut().for_each(|client| seek(client).unwrap());
        }
    }
}

#[test]
fn futexes_are_refused() {
    let _turn = turn();
    if !can_filter() {
        return;
    }
    for error in [EPERM, ENOSYS] {
        let refused = [refusing("futex", error)];
        works(&refused);
        under(&refused, || {
            let [one, two] = posted_soon()?;
            check(two.wait(LONG), "posted")?;
            check(!one.wait(Duration::from_millis(5)), "not posted")
        });
    }
}

#[test]
fn getrandom_is_refused() {
    let _turn = turn();
    if !can_filter() {
        return;
    }
    for error in [EPERM, ENOSYS] {
        works(&[refusing("getrandom", error)]);
    }
}

#[test]
fn calls_that_the_transport_does_not_make_are_refused() {
    let _turn = turn();
    if !can_filter() {
        return;
    }
    works(&["io_uring_setup", "mlock", "process_madvise", "futex_waitv"].map(|call| refusing(call, KILL)));
}

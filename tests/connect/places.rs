//! The two sides run in other namespaces, as other users, or the one that serves is not the one that listened.

use super::roles::{Other, address, ask, can_run};
use super::*;
use memcpy_select::transport::{Answer, Event, Operation, Table, TableOptions};
use std::io::SeekFrom;
use std::os::unix::process::CommandExt;

/// A user namespace where no user has a number, and one where this process's own user is root.
const UNMAPPED: &[&str] = &["unshare", "--user"];
const MAPPED: &[&str] = &["unshare", "--user", "--map-root-user"];
/// And PID namespaces, whose processes cannot see those outside.
const OTHER_PIDS: &[&str] = &["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"];

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A server run by a command, and what it says of the client that `join` runs: none if it was taken in.
fn refusal(server: &[&str], name: &str, user: Option<u32>) -> Option<String> {
    let at = address(name);
    let mut server = Other::start(server, &format!("serve {at}"));
    server.says("serves");
    let mut command = Other::command(&[], &format!("join {at}"));
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    let mut client = Other::run(command);
    let said = client.next_word(&["joined", "failed"]);
    match said {
        ("joined", _) => None,
        (_, why) => {
            assert!(why.contains("its own user only"), "{why}");
            Some(server.says("refused"))
        }
    }
}

#[test]
fn users_that_a_namespace_does_not_map_are_not_the_servers_own() {
    let _turn = turn();
    if !can_run(UNMAPPED) {
        return;
    }
    // Inside, this process's user and every other one read as the overflow user.
    let refused = refusal(UNMAPPED, "unmapped", None);
    assert!(refused.is_some_and(|why| why.starts_with("OtherUser")), "a stranger's client was taken in");
}

#[test]
fn the_own_user_is_known_in_a_namespace_that_maps_it() {
    let _turn = turn();
    if can_run(MAPPED) {
        assert_eq!(refusal(MAPPED, "mapped", None), None);
    }
}

#[test]
fn other_users_are_told_apart() {
    let _turn = turn();
    if !is_root() {
        println!("skipped: only root can start a process of another user");
        return;
    }
    let places = if can_run(MAPPED) { vec![&[][..], MAPPED] } else { vec![&[][..]] };
    for place in places {
        let refused = refusal(place, "others", Some(4242));
        assert!(refused.is_some_and(|why| why.starts_with("OtherUser")), "{place:?}");
    }
}

#[test]
fn processes_that_cannot_see_each_other_connect() {
    let _turn = turn();
    if !can_run(OTHER_PIDS) {
        return;
    }
    for (server_place, client_place) in [(OTHER_PIDS, &[][..]), (&[][..], OTHER_PIDS), (OTHER_PIDS, OTHER_PIDS)] {
        let at = address("pids");
        let mut server = Other::start(server_place, &format!("serve {at}"));
        server.says("serves");
        let mut client = Other::start(client_place, &format!("join {at}"));
        client.says("joined");
        client.kill();
        assert!(server.says("left").contains("is gone"), "the client's death is noticed");
    }
}

/// Serves one client that asks for positions, in a copy of this process.
fn serve_one(table: &mut Table) -> u8 {
    let start = std::time::Instant::now();
    while start.elapsed() < LONG {
        match table.next(Duration::from_millis(20)) {
            Ok(Some(Event::Job(job))) => {
                let Operation::Seek { to: SeekFrom::Start(to), .. } = job.operation() else { return 2 };
                let _ = table.answer(job, Answer::Position(to));
            }
            Ok(Some(Event::Left { .. })) => return 0,
            Ok(_) => {}
            Err(_) => return 3,
        }
    }
    4
}

/// Waits until a child of this process has ended, and is not waited for.
fn has_ended(child: &suite::sys::Child) {
    let state = || std::fs::read_to_string(format!("/proc/{}/stat", child.number())).unwrap();
    while !state().rsplit(") ").next().unwrap().starts_with('Z') {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Those that came before see the process that listened then as their server. The others see the one that serves.
#[test]
fn clients_of_a_child_go_on_when_the_process_that_listened_before_ends() {
    let _turn = turn();
    let at = address("parent");
    let (told, tell) = rustix::pipe::pipe().unwrap();
    let (started, start) = rustix::pipe::pipe().unwrap();
    let parent = suite::sys::Child::start(|| {
        let Ok(mut table) = Table::create(&at, TableOptions::default()) else { return 1 };
        suite::sys::Child::start(|| serve_one(&mut table));
        let _ = rustix::io::write(&start, &[1]);
        let _ = rustix::io::read(&told, &mut [0; 1]);
        0
    });
    rustix::io::read(&started, &mut [0; 1]).unwrap();
    // The one that serves listens itself when it takes in the first.
    let first = ask(&at).unwrap();
    let second = join(&at, options(LONG)).unwrap();
    rustix::io::write(&tell, &[1]).unwrap();
    has_ended(&parent);
    assert!(!second.channel.is_gone());
    drop((second, first));
    assert_eq!(parent.end(), suite::sys::End::Exit(0));
}

#[test]
fn a_child_serves_after_the_process_that_listened_has_ended() {
    let _turn = turn();
    let at = address("orphan");
    let (told, tell) = rustix::pipe::pipe().unwrap();
    // It stays a zombie, since it is waited for only in the end.
    let parent = suite::sys::Child::start(|| {
        let Ok(mut table) = Table::create(&at, TableOptions::default()) else { return 1 };
        suite::sys::Child::start(|| serve_one(&mut table));
        u8::from(rustix::io::write(&tell, &[1]).is_err())
    });
    rustix::io::read(&told, &mut [0; 1]).unwrap();
    has_ended(&parent);
    let mut client = ask(&at).unwrap();
    // Also after it was looked whether the other side lives.
    thread::sleep(Duration::from_millis(10));
    assert_eq!(client.seek(memcpy_select::transport::Handle(1), SeekFrom::Start(9)).unwrap(), 9);
    drop(client);
    assert_eq!(parent.end(), suite::sys::End::Exit(0));
}

#[test]
fn of_many_that_listen_at_one_path_one_does() {
    let _turn = turn();
    let folder = std::env::temp_dir().join(format!("memcpy-select-stale-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("table");
    for round in 0..100 {
        if round % 2 == 0 {
            // What a server leaves that was killed.
            drop(UnixListener::bind(&path).unwrap());
        }
        let start = std::sync::Barrier::new(4);
        let listeners: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        start.wait();
                        Listener::bind(&Address::Path(path.clone()), Peers::SameUser)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(listeners.iter().filter(|listener| listener.is_ok()).count(), 1, "round {round}");
        let mut listener = listeners.into_iter().find_map(Result::ok).unwrap();
        let _client = UnixStream::connect(&path).unwrap();
        while !matches!(listener.accept(LONG), Ok(Some(_))) {}
    }
    std::fs::remove_dir(&folder).unwrap();
}

/// Answers those who ask for positions.
fn serve_until(table: &mut Table, is_over: impl Fn() -> bool) {
    while !is_over() {
        if let Some(Event::Job(job)) = table.next(Duration::from_millis(1)).unwrap() {
            let Operation::Seek { to: SeekFrom::Start(to), .. } = job.operation() else { panic!("{job:?}") };
            let _ = table.answer(job, Answer::Position(to));
        }
    }
}

#[test]
fn a_forked_copy_that_drops_its_table_takes_nothing_from_the_server() {
    let _turn = turn();
    let folder = std::env::temp_dir().join(format!("memcpy-select-forked-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let at = Address::Path(folder.join("table"));
    let mut table = Table::create(&at, TableOptions::default()).unwrap();
    let client = {
        let at = at.clone();
        thread::spawn(move || ask(&at))
    };
    serve_until(&mut table, || client.is_finished());
    let mut client = client.join().unwrap().unwrap();
    // Both sides are this process, and the copy drops both.
    let pair = (&raw mut table, &raw mut client);
    let end = suite::sys::in_child(|| {
        // SAFETY: the copy has these of its own, and ends without touching them again.
        unsafe { std::ptr::drop_in_place(pair.0) };
        // SAFETY: as above.
        unsafe { std::ptr::drop_in_place(pair.1) };
        0
    });
    assert_eq!(end, suite::sys::End::Exit(0));
    assert!(folder.join("table").exists());
    let asks = thread::spawn(move || client.seek(memcpy_select::transport::Handle(1), SeekFrom::Start(9)).unwrap());
    serve_until(&mut table, || asks.is_finished());
    assert_eq!(asks.join().unwrap(), 9);
    drop(table);
    std::fs::remove_dir(&folder).unwrap();
}

//! Sides in other user and PID namespaces: which user is seen, and whose death is noticed.

use crate::roles::{Other, address, ask, can_run};
use crate::suite::folder::Folder;
use crate::turn;
use memcpy_select::transport::{Address, ConnectError};
use std::os::unix::process::CommandExt;

/// A user namespace where no user has a number, and one where this process's own user is root.
const UNMAPPED: &[&str] = &["unshare", "--user"];
const MAPPED: &[&str] = &["unshare", "--user", "--map-root-user"];
/// And a PID namespace, whose processes cannot see those outside.
const OTHER_PIDS: &[&str] = &["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"];
const OTHER_NETWORK: &[&str] = &["unshare", "--user", "--map-root-user", "--net"];

#[test]
fn a_client_in_a_user_namespace_is_the_user_that_it_is_outside() {
    let _turn = turn();
    let at = address("outside");
    let mut server = Other::start(&[], &format!("serve {at}"));
    server.says("serves");
    for place in [MAPPED, UNMAPPED] {
        if can_run(place) {
            Other::start(place, &format!("join {at}")).says("joined");
        }
    }
}

#[test]
fn a_user_that_the_servers_namespace_does_not_map_reads_as_the_overflow_user() {
    let _turn = turn();
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can start a process of another user");
        return;
    }
    let overflow = std::fs::read_to_string("/proc/sys/kernel/overflowuid").unwrap();
    for (place, seen) in [(&[][..], "4242"), (MAPPED, overflow.trim())] {
        if !can_run(place) {
            continue;
        }
        let at = address("users");
        let mut server = Other::start(place, &format!("serve {at}"));
        server.says("serves");
        let mut command = Other::command(&[], &format!("join {at}"));
        command.uid(4242).gid(4242);
        let said = Other::run(command).says("failed");
        assert!(said.contains("its own user only"), "{said}");
        let why = server.says("refused");
        assert!(why.contains(&format!("OtherUser {{ user: {seen} }}")), "{place:?}: {why}");
    }
}

#[test]
fn an_abstract_name_belongs_to_a_network_namespace_and_a_path_does_not() {
    let _turn = turn();
    if !can_run(OTHER_NETWORK) {
        return;
    }
    let at = address("network");
    let mut server = Other::start(OTHER_NETWORK, &format!("serve {at}"));
    server.says("serves");
    let error = ask(&at).map(drop).unwrap_err();
    assert!(matches!(error, ConnectError::Socket { .. }) && error.to_string().contains("check the address"), "{error}");
    let folder = Folder::new("network");
    let at = Address::Path(folder.0.join("table"));
    let mut server = Other::start(OTHER_NETWORK, &format!("serve {at}"));
    server.says("serves");
    assert!(ask(&at).is_ok());
}

/// Whether the system names the process of a socket's other end: Linux 6.5.
fn names_peers() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.trim().parse::<u32>().ok());
    let names = (numbers.next(), numbers.next()) >= (Some(6), Some(5));
    if !names {
        println!("skipped: before Linux 6.5 a process in another PID namespace is not known");
    }
    names
}

#[test]
fn a_death_in_another_pid_namespace_is_noticed_while_a_child_holds_the_socket() {
    let _turn = turn();
    if !can_run(OTHER_PIDS) || !names_peers() {
        return;
    }
    for (server_place, client_place) in [(&[][..], OTHER_PIDS), (OTHER_PIDS, &[][..]), (OTHER_PIDS, OTHER_PIDS)] {
        let at = address("pids");
        let mut server = Other::start(server_place, &format!("serve {at}"));
        server.says("serves");
        let mut orphan = Other::start(client_place, &format!("orphan {at}"));
        orphan.says("joined");
        assert!(server.says("left").contains("is gone"), "{server_place:?} {client_place:?}");
        orphan.go_on();
        if server_place.is_empty() {
            assert!(ask(&at).is_ok());
        }
    }
}

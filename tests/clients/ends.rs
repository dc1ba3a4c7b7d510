//! Servers that die, stop, or are none; and clients that come and go.

use super::built::{printed, sanitized};
use super::cases::Effort;
use super::operations::{Native, Obeys, programs};
use super::tables::Served;
use super::{Folder, Server, header};
use memcpy_select::transport::Allocator;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::process::Command;
use std::thread;
use std::time::Duration;

/// The crate's own client and the others, each connected to a server of its own, with waiting in each way: of the first one, or by
/// default each in another way.
fn each(exported: &Folder, mut tried: impl FnMut(&Server, &mut dyn Obeys)) {
    let server = Server::start(&exported.0);
    tried(&server, &mut Native::connect(&server.address));
    let all = programs();
    let is_full = Effort::chosen() >= Effort::Full;
    let further = all.first().filter(|_| is_full).into_iter().flat_map(|program| (1..4).map(move |way| (program, way)));
    let ways = (0..).map(|number| if is_full { 0 } else { number % 4 });
    for (program, waiting) in all.iter().zip(ways).chain(further) {
        let server = Server::start(&exported.0);
        let mut client = program.start(&server.address, waiting);
        tried(&server, &mut client);
        client.end();
    }
}

#[test]
fn a_server_that_is_killed_ends_the_session_of_every_client() {
    let exported = Folder::new("clients");
    fs::write(exported.join("file"), "bytes").unwrap();
    // It takes no room on the disk.
    File::create(exported.join("long")).unwrap().set_len(400 << 20).unwrap();
    let gone = "error 4362";
    each(&exported, |server, client| {
        assert_eq!(client.ask("open a file"), "ok");
        server.signal("KILL");
        assert_eq!(client.ask("read a 10"), gone, "{}", client.name());
        for line in ["open b file", "close a", "write a 10 1", "put a 10 1", "view a 1"] {
            assert_eq!(client.ask(line), gone, "{}: {line}", client.name());
        }
    });
    // In the middle of many transfers. The crate's own client does nothing while this thread does something else.
    each(&exported, |server, client| {
        assert_eq!(client.ask("open a long"), "ok");
        let is_native = client.name() == "Rust";
        let whole = format!("{}", 400 << 20);
        client.tell(&format!("view a {}", if is_native { "10" } else { &whole }));
        thread::sleep(Duration::from_millis(20));
        server.signal("KILL");
        let said = client.hear();
        assert!(said == gone || is_native || said.starts_with(&whole), "{}: {said}", client.name());
        assert_eq!(client.ask("read a 10"), gone, "{}", client.name());
    });
}

#[test]
fn a_server_that_stops_is_given_up_at_the_limit_and_the_session_goes_on() {
    let exported = Folder::new("clients");
    fs::write(exported.join("file"), "bytes").unwrap();
    each(&exported, |server, client| {
        assert_eq!(client.ask("open a file"), "ok");
        assert_eq!(client.ask("limit 100"), "ok");
        server.signal("STOP");
        assert_eq!(client.ask("read a 3"), "error 4100", "{}", client.name());
        assert_eq!(client.ask("write a 3 1"), "error 4100", "{}", client.name());
        server.signal("CONT");
        assert_eq!(client.ask("limit 30000"), "ok");
        // Both were done, and what came of them was dropped.
        assert_eq!(client.ask("seek a current 0"), "6", "{}", client.name());
        assert_eq!(client.ask("seek a start 0"), "0");
        assert!(client.ask("read a 10").starts_with("6 "));
        // A file whose making was given up has no name, and keeps none from being made.
        assert_eq!(client.ask("limit 100"), "ok");
        server.signal("STOP");
        assert_eq!(client.ask("create b new"), "error 4100", "{}", client.name());
        server.signal("CONT");
        assert_eq!(client.ask("limit 30000"), "ok");
        for _ in 0..2 {
            assert_eq!(client.ask("seek a start 0"), "0");
        }
        assert_eq!(client.ask("open b new"), "error 2", "{}", client.name());
        assert_eq!(client.ask("create b new"), "ok", "{}", client.name());
        assert_eq!(client.ask("discard b"), "ok");
        fs::write(exported.join("file"), "bytes").unwrap();
    });
}

/// A thousand, by default some dozens.
#[test]
fn many_connections_leave_nothing() {
    let (most, few) = if Effort::chosen() < Effort::Full { (40, 5) } else { (1000, 50) };
    for (allocator, most) in [(Allocator::Owned, most), (Allocator::Shared, few)] {
        let table = Served::start(super::tables::geometry(allocator, 8, (16, 12), 256));
        for program in programs() {
            let mut client = program.start(&table.address, 0);
            // What the process makes once.
            assert_eq!(client.ask("connect 10"), "ok");
            let before = client.ask("held");
            let count = if program.name == "gcc" { most } else { few };
            assert_eq!(client.ask(&format!("connect {count}")), "ok", "{}", program.name);
            assert_eq!(client.ask("held"), before, "{}, {allocator:?}: descriptors and mappings", program.name);
            client.end();
        }
    }
}

/// Every error but those that only a machine without memory has, or one that is never at rest. The two compilers do the same, and the
/// ways of waiting differ little in this: by default one compiler and two ways are enough.
#[test]
fn a_server_that_breaks_the_protocol_gets_no_further() {
    let mut wanted: BTreeSet<String> = header::errors().into_iter().map(|(name, _)| name).collect();
    wanted.retain(|name| !["STREAMTABLE_ERROR_MEMORY", "STREAMTABLE_ERROR_BAD_LIST"].contains(&name.as_str()));
    let also_provoked = ["STREAMTABLE_ERROR_UNALIGNED", "STREAMTABLE_ERROR_NOT_LENT"];
    let compilers = ["gcc", "clang"].into_iter().filter(|compiler| super::built::has(compiler));
    let (most_compilers, ways) = if Effort::chosen() < Effort::Full { (1, "2") } else { (2, "4") };
    for compiler in compilers.take(most_compilers) {
        let Some(program) = sanitized(compiler, "tests/clients/hostile.c") else { continue };
        let said = printed(Command::new(program).arg(ways));
        println!("{compiler}\n{said}");
        let mut got: BTreeSet<String> =
            said.lines().filter_map(|line| Some(line.split_once(": ")?.1.to_owned())).collect();
        got.retain(|name| name.starts_with("STREAMTABLE_"));
        got.extend(also_provoked.map(str::to_owned));
        assert_eq!(got, wanted, "{compiler}");
    }
}

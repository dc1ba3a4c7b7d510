//! Every client does the same list of operations against one file server, at the same time, and gets the same.

use super::built::{self, PREFIX, compile, printed, script, source, text, with_shared};
use super::operations::{Native, Obeys, programs};
use super::{Folder, Server};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

/// Short ones, those around a block's length, and some that take several transfers.
const LENGTHS: [usize; 12] = [0, 1, 255, 256, 4095, 4096, 65_535, 65_536, 65_537, 1 << 20, 1_100_000, 2_500_000];

/// The list, with names that begin with `prefix`.
fn list(prefix: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut add = |line: &str| lines.push(line.replace('%', prefix));
    for line in ["create a %file", "rounds a 100", "close a", "destroy %file"] {
        add(line);
    }
    for (seed, len) in LENGTHS.into_iter().enumerate() {
        let (write, read) = if seed % 2 == 0 { ("write", "view") } else { ("put", "read") };
        add("create a %file");
        add(&format!("{write} a {len} {seed}"));
        add("seek a start 0");
        add(&format!("{read} a {len}"));
        add("publish a 0");
        add("close a");
        add("open b %file");
        add("seek b end 0");
        add(&format!("seek b current -{}", len / 2));
        add("read b 3000000");
        add("seek b start 0");
        add("view b 3000000");
        add("view b 10");
        add("close b");
        add("destroy %file");
    }
    for line in [
        // Put, published in each way, and discarded.
        "create a %file",
        "write a 1000 1",
        "open b %file",
        "publish a 2",
        "create c %file",
        "replace c %file",
        "write c 2000 2",
        "open b %file",
        "read b 5000",
        "publish c 1",
        "open d %file",
        "read d 5000",
        "close d",
        "replace c %file",
        "publish c 3",
        "open d %file",
        "read d 5000",
        "create e %other",
        "write e 100 3",
        "discard e",
        "read e 10",
        "open e %other",
        "create e %other",
        "meta e published",
        "meta e publish",
        "meta e publish",
        // What cannot be.
        "open e %none",
        "open e ../%file",
        "open e /etc/passwd",
        "create e folder/%file/x",
        "open e folder",
        "destroy folder",
        "destroy %none",
        "close b",
        "read b 10",
        "write b 10 1",
        "seek b start 0",
        "seek d start -1",
        "seek d current -1",
        "seek d end 9223372036854775807",
        "destroy %file",
        "destroy %other",
        "destroy %other",
    ] {
        add(line);
    }
    // A name that takes a block, and one that no file has.
    add(&format!("open e %{}", "x".repeat(200)));
    add(&format!("open e %{}", "x".repeat(4500)));
    lines
}

#[test]
fn every_client_does_the_same_at_the_same_time_and_gets_the_same() {
    let exported = Folder::new("clients");
    fs::create_dir(exported.join("folder")).unwrap();
    let server = Server::start(&exported.0);
    let mut clients: Vec<Box<dyn Obeys>> = vec![Box::new(Native::connect(&server.address))];
    for (waiting, program) in (0..).zip(programs().iter().chain(programs().first())) {
        clients.push(Box::new(program.start(&server.address, waiting % 3)));
    }
    let results: Vec<(String, Vec<String>)> = thread::scope(|scope| {
        let running: Vec<_> = (clients.into_iter().enumerate())
            .map(|(number, mut client)| {
                scope.spawn(move || {
                    let said = list(&format!("{number}-")).iter().map(|line| client.ask(line)).collect();
                    (client.name().to_owned(), said)
                })
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (_, wanted) = &results[0];
    for (name, got) in &results {
        for ((line, wanted), got) in list("").iter().zip(wanted).zip(got) {
            assert_eq!(got, wanted, "{name}: {line}");
        }
    }
    let errors: BTreeSet<&str> = wanted.iter().filter_map(|said| said.strip_prefix("error ")).collect();
    assert_eq!(errors, ["1", "12", "2", "3", "4", "5"].into(), "of those that the list is to provoke");
    let names: Vec<_> = fs::read_dir(&exported.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["folder"], "each removed what it made");
    let said = server.said.lock().unwrap();
    assert!(said.iter().all(|line| !line.contains("disconnected")), "{said:?}");
}

/// The examples, as the README has them.
#[test]
fn the_examples_get_and_put_files() {
    let (exported, here) = (Folder::new("clients"), Folder::new("clients"));
    let server = Server::start(&exported.0);
    let bytes: Vec<u8> = (0..2_500_000_u32).map(|at| (at * 167 + (at >> 8)) as u8).collect();
    fs::write(here.join("file"), &bytes).unwrap();
    let mut commands = Vec::new();
    for compiler in ["gcc", "clang"] {
        let program = with_shared(compiler, "native/stream/examples/files.c", "-std=c99");
        commands.extend(program.map(|program| (compiler, vec![program.display().to_string()])));
    }
    if built::has("python3") && built::installed("gcc").is_some() {
        let example = source("native/stream/examples/files.py").display().to_string();
        commands.push(("python3", vec!["python3".to_owned(), example]));
    }
    for (name, words) in commands {
        let run = |rest: [&str; 3]| {
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]).arg(&server.address).args(rest).current_dir(&here.0);
            if let Some(root) = built::installed("gcc") {
                // As somebody would set it who installed elsewhere than the loader looks.
                command.env("LD_LIBRARY_PATH", root.join("lib")).env("PYTHONPATH", root.join("share/streamtable"));
            }
            command.env("PYTHONDONTWRITEBYTECODE", "1");
            command.output().unwrap()
        };
        let good = |output: std::process::Output| assert!(output.status.success(), "{name}: {}", text(&output.stderr));
        let bad = |output: std::process::Output, why: &str| {
            let said = text(&output.stderr);
            assert!(!output.status.success() && said.contains(why), "{name}: {said}");
        };
        let back = format!("back-{name}");
        good(run(["put", "file", name]));
        assert!(fs::read(exported.join(name)).unwrap() == bytes, "{name}");
        good(run(["get", name, &back]));
        assert!(fs::read(here.join(&back)).unwrap() == bytes, "{name}");
        bad(run(["put", "file", name]), "there is an object of that name already");
        bad(run(["put", "none", "none"]), "No such file");
        bad(run(["get", "none", "none"]), "there is no object of that name");
        bad(run(["get", name, &back]), "File exists");
        bad(run(["take", name, &back]), "get NAME FILE | put FILE NAME");
        assert!(!here.join("none").exists() && fs::read(here.join(&back)).unwrap() == bytes);
    }
}

/// What stands in the README in a language, with the address of a server.
fn in_readme(language: &str, address: &str) -> String {
    let readme = fs::read_to_string(source("native/stream/README.md")).unwrap();
    let block = readme.split_once(&format!("```{language}\n")).unwrap().1.split_once("```").unwrap().0;
    block.replace("@memcpy-select-files", address)
}

#[test]
fn what_the_readme_shows_runs() {
    let (exported, here) = (Folder::new("clients"), Folder::new("clients"));
    fs::write(exported.join("copy.md"), "as the README says").unwrap();
    let server = Server::start(&exported.0);
    let Some(root) = built::installed("gcc") else { return };
    fs::write(here.join("readme.c"), in_readme("c", &server.address)).unwrap();
    let library = root.join("lib/libstreamtable.a").display().to_string();
    let program = compile("gcc", "readme", &[here.join("readme.c")], &[&library, "-static"]).unwrap();
    assert_eq!(printed(&mut Command::new(program)), "as the README says");
    if built::has("python3") {
        let mut python = Command::new("python3");
        python.args(["-c", &in_readme("python", &server.address)]).env("LD_LIBRARY_PATH", root.join("lib"));
        let said = printed(python.env("PYTHONPATH", root.join("share/streamtable")));
        assert!(said.starts_with("bytearray(b'hello')\nthere is no object of that name: "), "{said}");
        assert_eq!(fs::read(exported.join("hello.txt")).unwrap(), b"hello");
    }
}

/// Every regular file and link under a folder.
fn files(root: &Path, folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.fold(BTreeSet::new(), |mut all, entry| {
        if entry.file_type().unwrap().is_dir() {
            all.extend(files(root, &entry.path()));
        } else {
            all.insert(entry.path().strip_prefix(root).unwrap().display().to_string());
        }
        all
    })
}

#[test]
fn what_is_installed_can_be_removed() {
    if !built::has("gcc") {
        return;
    }
    let place = Folder::new("clients");
    assert!(script("gcc", &place.0, &[]).status.success());
    let root = &PREFIX[1..];
    let version = super::header::version();
    let minor = version.rsplit_once('.').unwrap().0.to_owned();
    let wanted = [
        format!("{root}/include/streamtable.h"),
        format!("{root}/lib/libstreamtable.a"),
        format!("{root}/lib/libstreamtable.so"),
        format!("{root}/lib/libstreamtable.so.{minor}"),
        format!("{root}/lib/libstreamtable.so.{version}"),
        format!("{root}/lib/pkgconfig/streamtable.pc"),
        format!("{root}/share/streamtable/streamtable.py"),
    ];
    assert_eq!(files(&place.0, &place.0), wanted.iter().cloned().collect());
    assert!(wanted.iter().all(|path| place.join(path).exists()), "a link leads nowhere");
    let refused = script("gcc", &place.0, &["--remove"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("--remove is not understood: nothing was done;"), "{refused:?}");
    assert!(script("gcc", &place.0, &["--uninstall"]).status.success());
    assert!(files(&place.0, &place.0).is_empty());
}

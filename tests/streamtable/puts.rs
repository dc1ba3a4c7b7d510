//! A file that is put is there as a whole or not at all, and what it takes the place of is there until then.

use super::trouble::Leased;
use super::*;
use rustix::fs::{FlockOperation, flock};
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_file_that_is_begun_is_its_clients_own_until_it_is_published() {
    let exported = Folder::new("files");
    fs::create_dir(exported.join("folder")).unwrap();
    let server = Server::start(&exported.0, &[]);
    let (mut one, mut other) = (server.client(), server.client());
    let file = one.create("folder/file").unwrap();
    assert_eq!(one.write(file, b"0123").unwrap(), 4);
    is_refused(one.create("folder/file"), ErrorCode::EXISTS);
    is_refused(other.open("folder/file"), ErrorCode::NOT_FOUND);
    is_refused(other.destroy("folder/file"), ErrorCode::NOT_FOUND);
    assert!(names_in(&exported.join("folder")).is_empty());
    // It reads what it wrote.
    let mut bytes = [0; 4];
    assert_eq!(one.seek(file, SeekFrom::Start(1)).unwrap(), 1);
    assert_eq!((one.read(file, &mut bytes).unwrap(), &bytes[..3]), (3, &b"123"[..]));
    for text in ["", "Publish", "publish ", "publish sync replace", "discard all", &"publish".repeat(1000)] {
        is_refused(one.write_meta(file, text.as_bytes()), ErrorCode::UNSUPPORTED);
    }
    assert_eq!(one.write_meta(file, b"publish").unwrap(), 7);
    assert_eq!(fs::read(exported.join("folder/file")).unwrap(), b"0123");
    // From now on it is a file as any other.
    is_refused(one.write_meta(file, b"publish"), ErrorCode::UNSUPPORTED);
    is_refused(one.write_meta(file, b"discard"), ErrorCode::UNSUPPORTED);
    assert_eq!(one.write(file, b"45").unwrap(), 2);
    let again = other.open("folder/file").unwrap();
    is_refused(other.write_meta(again, b"publish replace"), ErrorCode::UNSUPPORTED);
    assert_eq!(fs::read(exported.join("folder/file")).unwrap(), b"012345");

    let dropped = one.create("dropped").unwrap();
    one.write_meta(dropped, b"discard").unwrap();
    is_refused(one.write(dropped, b"x"), ErrorCode::WRONG_HANDLE);
    // Who only closes has published.
    let closed = one.create("closed").unwrap();
    one.write(closed, b"whole").unwrap();
    one.close(closed).unwrap();
    let again = one.open("closed").unwrap();
    assert_eq!(one.seek(again, SeekFrom::End(0)).unwrap(), 5);
    // Who leaves has not.
    one.create("left").unwrap();
    drop(one);
    server.says("there are 1 now");
    assert_eq!(names_in(&exported.0), BTreeSet::from(["closed".to_owned(), "folder".to_owned()]));
}

#[test]
fn of_two_who_put_one_name_the_first_has_it() {
    let (exported, here) = (Folder::new("files"), Folder::new("files"));
    let server = Server::start(&exported.0, &[]);
    let (mut one, mut other) = (server.client(), server.client());
    let (first, second) = (one.create("file").unwrap(), other.create("file").unwrap());
    one.write(first, b"first").unwrap();
    other.write(second, b"the second").unwrap();
    one.write_meta(first, b"publish").unwrap();
    is_refused(other.write_meta(second, b"publish sync"), ErrorCode::EXISTS);
    assert_eq!(fs::read(exported.join("file")).unwrap(), b"first", "it stays");
    // A name taken meanwhile is not taken over by a close either.
    let third = other.create("third").unwrap();
    fs::write(exported.join("third"), "another's").unwrap();
    other.close(third).unwrap();
    server.says("third: closed, but not published");
    assert_eq!(fs::read(exported.join("third")).unwrap(), b"another's");
    other.write_meta(second, b"publish replace sync").unwrap();
    assert_eq!(fs::read(exported.join("file")).unwrap(), b"the second");
    fs::remove_file(exported.join("third")).unwrap();

    for round in 0..5 {
        let name = format!("round {round}");
        let files: Vec<_> = (1..6).map(|n| contents(500_000 + n)).collect();
        let tools: Vec<_> = (files.iter().enumerate())
            .map(|(n, file)| {
                let local = format!("{round} {n}");
                fs::write(here.join(&local), file).unwrap();
                let mut tool = server.tool(&here, &["put", &local, &name]);
                tool.stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        let outputs: Vec<_> = tools.into_iter().map(|tool| tool.wait_with_output().unwrap()).collect();
        let there = fs::read(exported.join(&name)).unwrap();
        for (output, file) in outputs.iter().zip(&files) {
            if *file == there {
                assert_ok(output);
            } else {
                assert!(failure(output).contains(&format!("{name}: nothing was put: there is an object")));
            }
        }
        assert!(files.contains(&there));
    }
    assert_eq!(names_in(&exported.0).len(), 6, "nothing else");
}

/// A file that claims a page and holds less, so that every put of it fails.
fn shorter_than_it_says() -> Option<&'static str> {
    let found =
        ["/sys/kernel/mm/transparent_hugepage/enabled", "/sys/devices/system/cpu/online"].into_iter().find(|path| {
            let claims = fs::metadata(path).map_or(0, |status| status.len());
            fs::read(path).is_ok_and(|bytes| (bytes.len() as u64) < claims)
        });
    if found.is_none() {
        println!("skipped: no file of the system's is shorter than it says");
    }
    found
}

#[test]
fn a_put_that_fails_changes_nothing() {
    let (exported, here) = (Folder::new("files"), Folder::new("files"));
    fs::write(exported.join("file"), "old").unwrap();
    let server = Server::start(&exported.0, &[]);
    let Some(shorter) = shorter_than_it_says() else { return };
    for verb in [&["put", "--replace", shorter, "file"][..], &["put", shorter, "new"]] {
        let said = failure(&server.run_tool(&here, verb));
        assert_eq!(fs::read(exported.join("file")).unwrap(), b"old");
        assert_eq!(names_in(&exported.0), BTreeSet::from(["file".to_owned()]));
        assert!(said.contains("nothing was put: the local file has become shorter"), "{said}");
    }
}

#[test]
fn a_put_that_is_killed_leaves_the_old_file_or_the_new_one() {
    let (exported, here) = (Folder::new("files"), Folder::new("files"));
    let (old, new) = (contents(700_001), contents(3_000_000));
    fs::write(here.join("new"), &new).unwrap();
    let server = Server::start(&exported.0, &[]);
    assert_ok(&server.run_tool(&here, &["put", "new", "file"]));
    let idle = server.idle();
    fs::remove_file(exported.join("file")).unwrap();
    let mut rng = Rng::new(11);
    let mut seen = [0; 3];
    for round in 0..80 {
        let is_there = round % 2 == 0;
        if is_there {
            fs::write(exported.join("file"), &old).unwrap();
        }
        let mut tool = server.tool(&here, &["put", "--replace", "new", "file"]);
        let mut process = tool.stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_micros(rng.next() % 15_000));
        process.kill().unwrap();
        process.wait().unwrap();
        match fs::read(exported.join("file")) {
            Ok(bytes) if bytes == new => seen[0] += 1,
            Ok(bytes) => {
                assert!(is_there && bytes == old, "{} bytes of neither file", bytes.len());
                seen[1] += 1;
            }
            Err(error) => {
                assert!(!is_there && error.kind() == std::io::ErrorKind::NotFound, "{error}");
                seen[2] += 1;
            }
        }
        // What was under way may still be published, whole; then all of its client is gone.
        server.settles_at(idle);
        let _ = fs::remove_file(exported.join("file"));
        assert!(names_in(&exported.0).is_empty());
    }
    println!("new, old, none: {seen:?}");
}

#[test]
fn a_file_or_a_link_is_replaced_and_its_permissions_stay() {
    let (exported, outside) = (Folder::new("files"), Folder::new("files"));
    fs::write(exported.join("private"), "old").unwrap();
    fs::set_permissions(exported.join("private"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(outside.join("kept"), "kept").unwrap();
    symlink(outside.join("kept"), exported.join("link")).unwrap();
    fs::create_dir(exported.join("folder")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, exported.join("pipe"), rustix::fs::Mode::RUSR).unwrap();
    let server = Server::start(&exported.0, &[]);
    let mut client = server.client();
    for name in ["folder", "pipe"] {
        is_refused(client.create_or_replace(name), ErrorCode::UNSUPPORTED);
    }
    for name in ["", ".", "..", "/", "private/", "folder/.", "/etc/new", "../new", "link/new"] {
        is_refused(client.create_or_replace(name), ErrorCode::BAD_NAME);
    }
    is_refused(client.create_or_replace("none/new"), ErrorCode::NOT_FOUND);
    is_refused(client.create("link"), ErrorCode::EXISTS);
    for name in ["private", "link", "new"] {
        let file = client.create_or_replace(name).unwrap();
        client.write(file, b"new").unwrap();
        client.write_meta(file, b"publish replace").unwrap();
        assert_eq!(fs::read(exported.join(name)).unwrap(), b"new");
    }
    let mode = |name| fs::symlink_metadata(exported.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("private"), 0o600);
    assert_eq!(mode("link"), mode("new"), "the link was replaced");
    assert_eq!(fs::read(outside.join("kept")).unwrap(), b"kept", "not what it led to");
    assert_eq!(names_in(&exported.0).len(), 5);
}

#[test]
fn a_folder_that_was_moved_out_is_not_written_to() {
    let (exported, outside) = (Folder::new("files"), Folder::new("files"));
    fs::create_dir(exported.join("folder")).unwrap();
    let server = Server::start(&exported.0, &[]);
    let mut client = server.client();
    let file = client.create("folder/file").unwrap();
    client.write(file, b"bytes").unwrap();
    fs::rename(exported.join("folder"), outside.join("folder")).unwrap();
    is_refused(client.write_meta(file, b"publish"), ErrorCode::NOT_FOUND);
    symlink(outside.join("folder"), exported.join("folder")).unwrap();
    is_refused(client.write_meta(file, b"publish replace"), ErrorCode::BAD_NAME);
    assert!(names_in(&outside.join("folder")).is_empty());
    // Where the name leads now.
    fs::remove_file(exported.join("folder")).unwrap();
    fs::create_dir(exported.join("folder")).unwrap();
    client.write_meta(file, b"publish").unwrap();
    assert_eq!(fs::read(exported.join("folder/file")).unwrap(), b"bytes");
}

#[test]
fn a_full_disk_keeps_the_old_file() {
    if !can_run("unshare", &["-Umr", "mount", "-t", "tmpfs", "none", "/mnt"]) {
        return;
    }
    let (exported, here) = (Folder::new("files"), Folder::new("files"));
    // A disk of 1 MiB, which only the server sees.
    let mut command = Command::new("unshare");
    command.args(["-Umr", "sh", "-c", "mount -t tmpfs -o size=1m none \"$1\" && exec \"$0\" \"$@\""]);
    command.arg(env!("CARGO_BIN_EXE_streamtable-server"));
    let server = Server::run(command, &exported.0, some_address(), &[]);
    for (name, len_bytes) in [("old", 600_000), ("too long", 1_200_000), ("fits", 300_000)] {
        fs::write(here.join(name), contents(len_bytes)).unwrap();
    }
    let there = || {
        let output = server.run_tool(&here, &["cat", "file"]);
        assert_ok(&output);
        output.stdout
    };
    assert_ok(&server.run_tool(&here, &["put", "old", "file"]));
    for verb in [&["put", "--replace", "too long", "file"][..], &["put", "too long", "other"]] {
        let said = failure(&server.run_tool(&here, verb));
        assert!(there() == contents(600_000), "the old file stays");
        assert!(said.contains("nothing was put: there is no room"), "{said}");
    }
    assert!(failure(&server.run_tool(&here, &["get", "other"])).contains("no object of that name"));
    // Nothing of what failed takes up room.
    assert_ok(&server.run_tool(&here, &["put", "--sync", "--replace", "fits", "file"]));
    assert!(there() == contents(300_000));
    // A client that only closes does not publish what lacks bytes.
    let mut client = server.client();
    let file = client.create("half").unwrap();
    let refused = (0..20).find_map(|_| client.write(file, &contents(100_000)).err()).expect("the disk is full");
    assert!(matches!(refused, ClientError::Refused(ErrorCode::NO_SPACE)), "{refused}");
    client.close(file).unwrap();
    is_refused(client.open("half"), ErrorCode::NOT_FOUND);
}

#[test]
fn file_systems_without_unnamed_files_do_as_well() {
    if !can_run("strace", &["-q", "-o", "/dev/null", "-P", ".", "-e", "inject=openat:error=EOPNOTSUPP", "true"]) {
        return;
    }
    let (exported, here) = (Folder::new("files"), Folder::new("files"));
    // The only calls with that path are those for files without names, and those that bring a folder to the disk.
    let start = || {
        let mut command = Command::new("strace");
        command.args(["-D", "-q", "-o", "/dev/null", "-P", ".", "-e", "trace=openat"]);
        command.args(["-e", "inject=openat:error=EOPNOTSUPP", env!("CARGO_BIN_EXE_streamtable-server")]);
        Server::run(command, &exported.0, some_address(), &[])
    };
    let server = start();
    let mut client = server.client();
    let file = client.create("file").unwrap();
    client.write(file, b"bytes").unwrap();
    let names = names_in(&exported.0);
    let part = names.first().expect("it has a name meanwhile");
    assert!(names.len() == 1 && part.starts_with(".streamtable-") && part.ends_with(".part"), "{names:?}");
    is_refused(client.open(part), ErrorCode::BAD_NAME);
    is_refused(client.destroy(part), ErrorCode::BAD_NAME);
    fs::write(exported.join("file"), "another's").unwrap();
    is_refused(client.write_meta(file, b"publish"), ErrorCode::EXISTS);
    assert_eq!(fs::read(exported.join("file")).unwrap(), b"another's");
    client.write_meta(file, b"publish replace").unwrap();
    assert_eq!(fs::read(exported.join("file")).unwrap(), b"bytes");
    fs::write(here.join("local"), contents(300_000)).unwrap();
    assert_ok(&server.run_tool(&here, &["put", "local", "other"]));
    assert_ok(&server.run_tool(&here, &["put", "--replace", "local", "file"]));
    for name in ["file", "other"] {
        assert!(fs::read(exported.join(name)).unwrap() == contents(300_000));
    }
    let both = BTreeSet::from(["file".to_owned(), "other".to_owned()]);
    assert_eq!(names_in(&exported.0), both);
    for end in ["discard", "leave"] {
        let file = client.create("new").unwrap();
        assert_eq!(names_in(&exported.0).len(), 3);
        match end {
            "discard" => _ = client.write_meta(file, b"discard").unwrap(),
            _ => client = server.client(),
        }
        eventually(end, || names_in(&exported.0) == both);
    }
    // What a killed server leaves goes with the next one. The one that is alive keeps its own.
    client.create("new").unwrap();
    drop(server);
    assert_eq!(names_in(&exported.0).len(), 3);
    Server::start(&exported.0, &[]).says("1 files that never got their names were removed");
    assert_eq!(names_in(&exported.0), both);
    let server = start();
    let mut client = server.client();
    client.create("new").unwrap();
    let _second = Server::start(&exported.0, &[]);
    assert_eq!(names_in(&exported.0).len(), 3);
}

#[test]
fn what_killed_servers_left_is_not_served_and_goes() {
    let exported = Folder::new("files");
    let [left, held, not_ours] = [".streamtable-1.part", ".streamtable-2.PART", ".streamtable-3.parts"];
    for name in [left, held, not_ours] {
        fs::write(exported.join(name), "half").unwrap();
    }
    let lock = File::open(exported.join(held)).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let mut client = Server::start(&exported.0, &["--read-only"]).client();
    drop(client.open(left).unwrap_err());
    assert_eq!(names_in(&exported.0).len(), 3, "nothing is changed");
    let server = Server::start(&exported.0, &[]);
    server.says("1 files that never got their names were removed");
    let mut client = server.client();
    client.open(not_ours).unwrap();
    for name in [left, held, "./.Streamtable-2.part", &format!("{held}/x")] {
        is_refused(client.open(name), ErrorCode::BAD_NAME);
        is_refused(client.create_or_replace(name), ErrorCode::BAD_NAME);
        is_refused(client.destroy(name), ErrorCode::BAD_NAME);
    }
    assert_eq!(names_in(&exported.0), BTreeSet::from([held.to_owned(), not_ours.to_owned()]));
}

#[test]
fn a_put_waits_for_nobody() {
    let (exported, here) = (Folder::new("files"), Folder::new("files"));
    let server = Server::start(&exported.0, &[]);
    rustix::fs::mkfifoat(rustix::fs::CWD, here.join("pipe"), rustix::fs::Mode::RUSR).unwrap();
    let output = run_in_time(server.tool(&here, &["put", "pipe"]));
    assert!(failure(&output).contains("pipe: not a file: nothing was put"));
    let output = run_in_time(server.tool(&here, &["put", ".", "x"]));
    assert!(failure(&output).contains("not a file"));
    let Some(_leased) = Leased::file(&here.join("leased")) else { return };
    let output = run_in_time(server.tool(&here, &["put", "leased"]));
    assert!(failure(&output).contains("leased: another program has a lease on it: nothing was put"));
    assert!(names_in(&exported.0).is_empty());
}

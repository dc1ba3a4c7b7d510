//! Files come back as they went, and nothing else is reached.

use super::*;

#[test]
fn files_of_every_length_come_back_as_they_went() {
    let (exported, here) = (Folder::new("files"), Folder::new("files"));
    let server = Server::start(&exported.0, &[]);
    for len_bytes in [0, 1, 4095, 4096, 65_535, 65_536, 65_537, 300_000, 5_000_003] {
        let sent = contents(len_bytes);
        fs::write(here.join("a file"), &sent).unwrap();
        assert_ok(&server.run_tool(&here, &["put", "a file"]));
        assert!(fs::read(exported.join("a file")).unwrap() == sent, "{len_bytes} bytes put");
        assert_ok(&server.run_tool(&here, &["get", "a file", "back"]));
        assert!(fs::read(here.join("back")).unwrap() == sent, "{len_bytes} bytes got");
        let output = server.run_tool(&here, &["cat", "a file"]);
        assert_ok(&output);
        assert!(output.stdout == sent, "{len_bytes} bytes printed");
        assert!(String::from_utf8_lossy(&output.stderr).contains(&format!("a file: {len_bytes} bytes")));
        assert_ok(&server.run_tool(&here, &["rm", "a file"]));
        assert!(names_in(&exported.0).is_empty());
        fs::remove_file(here.join("back")).unwrap();
    }
}

#[test]
fn a_slow_reader_gets_the_bytes_that_were_there() {
    let (exported, here) = (Folder::new("files"), Folder::new("files"));
    let server = Server::start(&exported.0, &[]);
    let sent = contents(6_000_000);
    fs::write(exported.join("file"), &sent).unwrap();
    let mut reader = server.tool(&here, &["cat", "file"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut pipe = reader.stdout.take().unwrap();
    let mut received = Vec::new();
    let mut part = vec![0; 1 << 20];
    loop {
        // Meanwhile the blocks behind what waits in the pipe are used again.
        thread::sleep(Duration::from_millis(3));
        match pipe.read(&mut part).unwrap() {
            0 => break,
            count => received.extend_from_slice(&part[..count]),
        }
    }
    assert!(reader.wait().unwrap().success() && received == sent);
}

#[test]
fn what_exists_is_not_overwritten_unasked() {
    let (exported, here) = (Folder::new("files"), Folder::new("files"));
    let server = Server::start(&exported.0, &[]);
    fs::write(here.join("file"), "new").unwrap();
    fs::write(exported.join("file"), "old").unwrap();
    assert!(failure(&server.run_tool(&here, &["put", "file"])).contains("file"));
    assert!(failure(&server.run_tool(&here, &["get", "file"])).contains("does not exist"));
    assert_eq!(
        (fs::read(here.join("file")).unwrap(), fs::read(exported.join("file")).unwrap()),
        (b"new".into(), b"old".into())
    );
    assert_ok(&server.run_tool(&here, &["put", "--replace", "file"]));
    assert_eq!(fs::read(exported.join("file")).unwrap(), b"new");
    for missing in [["get", "nothing"], ["rm", "nothing"], ["cat", "nothing"], ["put", "nothing"]] {
        assert!(failure(&server.run_tool(&here, &missing)).contains("nothing"));
    }
    assert_eq!(names_in(&here.0), BTreeSet::from(["file".to_owned()]), "no half file is left");
}

#[test]
fn nothing_outside_the_directory_is_reached() {
    let (outside, exported) = (Folder::new("files"), Folder::new("files"));
    fs::write(outside.join("secret"), "secret").unwrap();
    fs::create_dir(outside.join("empty")).unwrap();
    fs::create_dir(exported.join("folder")).unwrap();
    fs::write(exported.join("folder/file"), "file").unwrap();
    symlink(outside.join("secret"), exported.join("to secret")).unwrap();
    symlink(&outside.0, exported.join("to outside")).unwrap();
    symlink("/", exported.join("to root")).unwrap();
    symlink("folder/file", exported.join("to file")).unwrap();
    symlink("/proc/self/cwd", exported.join("to cwd")).unwrap();
    symlink("to itself", exported.join("to itself")).unwrap();
    let server = Server::start(&exported.0, &[]);
    let mut client = server.client();
    let up = format!("../{}/secret", outside.0.file_name().unwrap().to_str().unwrap());
    let absolute = outside.join("secret").to_str().unwrap().to_owned();
    let escapes = [
        up.as_str(),
        absolute.as_str(),
        "/etc/passwd",
        "..",
        "../..",
        "folder/../../x",
        "to secret",
        "to outside/secret",
        "to outside/new",
        "to root/etc/passwd",
        "to cwd/x",
        "to itself",
        "./../x",
        "/",
    ];
    let refused = |result: Result<_, ClientError>, name: &str| match result {
        Err(ClientError::Refused(code)) => code,
        other => panic!("{name}: {other:?}"),
    };
    for name in escapes {
        refused(client.open(name).map(drop), name);
        refused(client.create(name).map(drop), name);
        // A link lies inside, and may be removed; what it leads to stays.
        if !name.starts_with("to ") || name.contains('/') {
            refused(client.destroy(name), name);
        }
    }
    client.destroy("to secret").unwrap();
    assert_eq!(fs::read(outside.join("secret")).unwrap(), b"secret");
    assert_eq!(names_in(&outside.0), BTreeSet::from(["empty".to_owned(), "secret".to_owned()]));
    // What stays inside is served, however it is written.
    for name in ["folder/file", "to file", "folder/../folder/file", "./folder//file"] {
        let handle = client.open(name).unwrap();
        client.close(handle).unwrap();
    }
}

#[test]
fn what_is_no_file_is_refused_without_being_touched() {
    let exported = Folder::new("files");
    fs::create_dir(exported.join("folder")).unwrap();
    fs::write(exported.join("file"), "file").unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, exported.join("pipe"), rustix::fs::Mode::RUSR).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(exported.join("socket")).unwrap();
    let server = Server::start(&exported.0, &[]);
    let mut client = server.client();
    let long = "x".repeat(5000);
    for name in ["", "folder", ".", "pipe", "socket", "file/x", "a\0b", "file\0", &long, &long[..256], "none/new"] {
        assert!(matches!(client.open(name), Err(ClientError::Refused(_))), "{name:.20}");
        assert!(matches!(client.create(name), Err(ClientError::Refused(_))), "{name:.20}");
        if !["pipe", "socket"].contains(&name) {
            assert!(matches!(client.destroy(name), Err(ClientError::Refused(_))), "{name:.20}");
        }
    }
    assert!(matches!(client.destroy("folder/.."), Err(ClientError::Refused(_))));
    assert!(matches!(client.open("none"), Err(ClientError::Refused(ErrorCode::NOT_FOUND))));
    assert!(matches!(client.create("file"), Err(ClientError::Refused(ErrorCode::EXISTS))));
    assert_eq!(names_in(&exported.0).len(), 4);
}

#[test]
fn positions_are_each_handles_own_and_writes_go_where_they_are() {
    let exported = Folder::new("files");
    let server = Server::start(&exported.0, &[]);
    let (mut one, mut other) = (server.client(), server.client());
    let file = one.create("file").unwrap();
    assert_eq!(one.write(file, b"0123456789").unwrap(), 10);
    one.write_meta(file, b"publish").unwrap();
    let again = other.open("file").unwrap();
    let mut bytes = [0; 4];
    assert_eq!(other.read(again, &mut bytes).unwrap(), 4);
    assert_eq!(&bytes, b"0123");
    assert_eq!(one.seek(file, SeekFrom::Start(3)).unwrap(), 3);
    assert_eq!(one.write(file, b"XYZ").unwrap(), 3);
    assert_eq!(other.read(again, &mut bytes).unwrap(), 4);
    assert_eq!(&bytes, b"YZ67", "what was written meanwhile");
    assert_eq!(one.seek(file, SeekFrom::Current(-1)).unwrap(), 5);
    assert_eq!(one.seek(file, SeekFrom::End(-2)).unwrap(), 8);
    assert_eq!(one.read(file, &mut bytes).unwrap(), 2);
    assert_eq!(one.read(file, &mut bytes).unwrap(), 0, "the end");
    assert_eq!(one.seek(file, SeekFrom::End(90)).unwrap(), 100);
    assert_eq!(one.read(file, &mut bytes).unwrap(), 0, "beyond it");
    assert_eq!(one.write(file, b"!").unwrap(), 1);
    assert_eq!(fs::read(exported.join("file")).unwrap().len(), 101);
    for to in [SeekFrom::Current(-102), SeekFrom::End(-102), SeekFrom::Start(u64::MAX), SeekFrom::Start(1 << 63)] {
        assert!(matches!(one.seek(file, to), Err(ClientError::Refused(ErrorCode::BAD_POSITION))), "{to:?}");
    }
    assert_eq!(one.seek(file, SeekFrom::Current(0)).unwrap(), 101, "where it was");

    // A file that is made shorter, and one that is removed, while they are open.
    one.seek(file, SeekFrom::Start(0)).unwrap();
    File::options().write(true).open(exported.join("file")).unwrap().set_len(2).unwrap();
    assert_eq!(one.read(file, &mut bytes).unwrap(), 2);
    other.destroy("file").unwrap();
    assert_eq!(one.seek(file, SeekFrom::End(0)).unwrap(), 2);
    // Handles are the client's own, and end once.
    assert!(matches!(one.read(again, &mut bytes), Ok(0) | Err(ClientError::Refused(ErrorCode::WRONG_HANDLE))));
    one.close(file).unwrap();
    assert!(matches!(one.read(file, &mut bytes), Err(ClientError::Refused(ErrorCode::WRONG_HANDLE))));
    assert!(matches!(
        one.share(file, memcpy_select::transport::PageRange::WHOLE),
        Err(ClientError::Refused(ErrorCode::UNSUPPORTED))
    ));
}

#[test]
fn a_client_can_open_so_many_files_and_no_more() {
    let exported = Folder::new("files");
    fs::write(exported.join("file"), "file").unwrap();
    let server = Server::start(&exported.0, &[]);
    let mut client = server.client();
    let handles: Vec<_> = (0..64).map(|_| client.open("file").unwrap()).collect();
    assert!(matches!(client.open("file"), Err(ClientError::Refused(ErrorCode::TABLE_FULL))));
    assert!(server.client().open("file").is_ok(), "another one can");
    client.close(handles[7]).unwrap();
    client.open("file").unwrap();
}

#[test]
fn read_only_means_so() {
    let exported = Folder::new("files");
    fs::write(exported.join("file"), "file").unwrap();
    let server = Server::start(&exported.0, &["--read-only"]);
    let mut client = server.client();
    let handle = client.open("file").unwrap();
    let denied = |result: Result<_, ClientError>| matches!(result, Err(ClientError::Refused(ErrorCode::DENIED)));
    assert!(denied(client.write(handle, b"x").map(drop)));
    assert!(denied(client.create("new").map(drop)) && denied(client.destroy("file")));
    assert_eq!(fs::read(exported.join("file")).unwrap(), b"file");
    assert_eq!(names_in(&exported.0).len(), 1);
}

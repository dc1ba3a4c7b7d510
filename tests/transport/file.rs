//! Promise: bytes go between files and blocks unchanged, in place where that can be, and over a buffer where it cannot.

use memcpy_select::transport::{
    Allocator, Answer, Blocks, Client, ClientOptions, Completion, Event, Geometry, Handle, Operation, Sent, Table,
    TableOptions,
};
use rustix::fs::{MemfdFlags, OFlags};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

const LONG: Duration = Duration::from_secs(30);

/// A file without a name.
fn file(contents: &[u8]) -> File {
    let mut file = File::from(rustix::fs::memfd_create(c"test", MemfdFlags::CLOEXEC).unwrap());
    file.write_all(contents).unwrap();
    file.rewind().unwrap();
    file
}

fn contents_of(mut file: &File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

fn contents(len_bytes: usize) -> Vec<u8> {
    (0..len_bytes).map(|at| (at * 31 + (at >> 8) * 7) as u8).collect()
}

/// A table of one object, which is a file.
fn serve(mut table: Table, object: &File) {
    loop {
        match table.next(LONG).unwrap().expect("the client is there") {
            Event::Job(job) => match job.operation() {
                Operation::Write { .. } => {
                    let sent = table.payload(&job).write_to_file(object).unwrap();
                    table.answer(job, Answer::Amount(sent.len_bytes as u32));
                }
                Operation::Read { amount, .. } => {
                    let mut lease = table.lease(&job, amount as usize).unwrap();
                    assert_eq!(lease.read_from_file(object, 0).unwrap(), amount as usize);
                    table.answer(job, Answer::Lease(lease));
                }
                other => panic!("{other:?}"),
            },
            Event::Left { .. } => return,
            _ => {}
        }
    }
}

#[test]
fn files_and_blocks_exchange_bytes_of_every_length() {
    for allocator in [Allocator::Owned, Allocator::Shared] {
        let blocks = Blocks { block_bytes: 4096, count: 256 };
        // One byte too is in a block.
        let geometry = Geometry { allocator, ..Geometry::symmetric(TableOptions::GEOMETRY.capacity, 16, blocks) };
        let (ours, theirs) = UnixStream::pair().unwrap();
        let object = file(b"");
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut table = Table::without_address(TableOptions::default().geometry(geometry)).unwrap();
                table.adopt(ours).unwrap();
                serve(table, &object);
            });
            let mut client = Client::over(theirs, ClientOptions::default()).unwrap();
            let handle = Handle(1);
            let in_place = allocator == Allocator::Owned;
            for len_bytes in [0, 1, 4095, 4096, 4097, 65_536, 300_001] {
                let bytes = contents(len_bytes);
                rustix::fs::ftruncate(&object, 0).unwrap();
                rustix::fs::seek(&object, rustix::fs::SeekFrom::Start(0)).unwrap();
                let mut lease = client.lease(len_bytes).unwrap();
                assert_eq!(lease.read_from_file(file(&[b"x", &bytes[..]].concat()), 1).unwrap(), len_bytes);
                assert_eq!(client.write_in_place(handle, lease).unwrap(), len_bytes);
                assert!(contents_of(&object) == bytes, "{allocator:?}: {len_bytes} bytes written");

                let view = client.read_in_place(handle, len_bytes).unwrap();
                let mut local = file(b"before");
                local.seek(SeekFrom::End(0)).unwrap();
                let sent = view.write_to_file(&local).unwrap();
                assert_eq!(sent, Sent { len_bytes, in_place: in_place || len_bytes == 0 });
                assert!(
                    contents_of(&local) == [b"before", &bytes[..]].concat(),
                    "{allocator:?}: {len_bytes} bytes read"
                );
            }
            a_file_that_is_too_short(&mut client);
            a_file_that_cannot_be_written(&mut client, handle);
            a_pipe_holds_copies(&mut client, handle);
        });
    }
}

fn a_file_that_is_too_short(client: &mut Client) {
    let mut lease = client.lease(100_000).unwrap();
    assert_eq!(lease.read_from_file(file(&[7; 70_000]), 0).unwrap(), 70_000);
    assert_eq!(lease.read_from_file(file(&[7; 70_000]), 70_001).unwrap(), 0);
    let (_reader, writer) = rustix::pipe::pipe().unwrap();
    assert!(lease.read_from_file(&writer, 0).is_err());
}

fn a_file_that_cannot_be_written(client: &mut Client, handle: Handle) {
    let view = client.read_in_place(handle, 5000).unwrap();
    assert!(view.write_to_file(File::open("/dev/null").unwrap()).is_err());
    // What the system does not copy goes over a buffer: here because the file takes what is written at its end only.
    let local = file(b"");
    rustix::fs::fcntl_setfl(&local, OFlags::APPEND).unwrap();
    assert_eq!(view.write_to_file(&local).unwrap(), Sent { len_bytes: 5000, in_place: false });
    assert_eq!(contents_of(&local), contents(300_001)[..5000]);
}

fn a_pipe_holds_copies(client: &mut Client, handle: Handle) {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let view = client.read_in_place(handle, 5000).unwrap();
    assert_eq!(view.write_to_file(writer.as_fd()).unwrap(), Sent { len_bytes: 5000, in_place: false });
    drop((view, writer));
    // The blocks are used again before the pipe is read.
    let ticket = client.submit_read(handle, 5000).unwrap();
    assert!(matches!(client.finish(ticket).unwrap(), Completion::Read(_)));
    let mut bytes = Vec::new();
    File::from(reader).read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, contents(300_001)[..5000]);
}

//! Promise: a region is mapped only if it is what was promised, and then nobody can take it away.

#![cfg(target_os = "linux")]

use memcpy_select::transport::memory::{Access, Load, Memory, Store};
use memcpy_select::transport::region::{PAGE_BYTES, PageKind, Promise, Region, RegionOptions, Sealing};
use memcpy_select::transport::{Copier, RegionError};
use rustix::fs::{FallocateFlags, MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::{Errno, FdFlags};
use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Tests that count the process's descriptors and mappings take turns.
static TURN: Mutex<()> = Mutex::new(());

/// What the process holds at one moment; nothing of it may be left over.
#[derive(Debug, PartialEq, Eq)]
struct Held {
    descriptors: usize,
    mappings: usize,
}

fn held() -> Held {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    Held {
        descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count(),
        mappings: maps.lines().filter(|line| line.contains("memfd:")).count(),
    }
}

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn region(pages: usize) -> Region {
    Region::create(pages * PAGE_BYTES, RegionOptions::default()).unwrap()
}

fn promise(pages: usize, sealing: Sealing) -> Promise {
    Promise { len_bytes: pages * PAGE_BYTES, sealing }
}

fn copy_of(descriptor: BorrowedFd<'_>) -> OwnedFd {
    descriptor.try_clone_to_owned().unwrap()
}

fn refusal(descriptor: impl Into<OwnedFd>, promise: Promise) -> RegionError {
    let before = held();
    let descriptor = descriptor.into();
    let error = Region::open(descriptor, promise, Access::Read).unwrap_err();
    assert_eq!(held(), Held { descriptors: before.descriptors - 1, ..before }, "closed, and nothing mapped");
    error
}

/// A memfd as another process may have made it.
fn foreign(len_bytes: u64, seals: SealFlags) -> OwnedFd {
    let descriptor = rustix::fs::memfd_create(c"foreign", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    rustix::fs::ftruncate(&descriptor, len_bytes).unwrap();
    rustix::fs::fcntl_add_seals(&descriptor, seals).unwrap();
    descriptor
}

#[test]
fn both_sides_see_the_same_bytes_and_nothing_is_left() {
    let _turn = turn();
    let before = held();
    let ours = region(3);
    ours.seal_writing().unwrap();
    let theirs = Region::open(copy_of(ours.descriptor()), promise(3, Sealing::SizeAndWriting), Access::Read).unwrap();
    theirs.prefault().unwrap();
    let sent: Vec<u8> = (0..=255).cycle().take(3 * PAGE_BYTES).collect();
    ours.memory().write(0, &sent, Copier::AUTO);
    let mut received = vec![0; sent.len()];
    theirs.memory().read(0, &mut received, Copier::AUTO);
    assert_eq!(received, sent);
    let part = Region::open_part(
        copy_of(ours.descriptor()),
        promise(3, Sealing::SizeAndWriting),
        PAGE_BYTES,
        PAGE_BYTES,
        Access::Read,
    )
    .unwrap();
    assert_eq!((part.len_bytes(), part.memory().load32(4, Load::Acquire)), (PAGE_BYTES, 0x0706_0504));
    // The memory outlives the region, and is unmapped with its last copy.
    let memory = theirs.into_memory();
    drop((ours, part));
    assert_eq!(memory.load32(8, Load::Acquire), 0x0b0a_0908);
    drop(memory);
    assert_eq!(held(), before);
}

#[test]
fn a_store_to_what_is_mapped_for_reading_is_dropped() {
    let _turn = turn();
    let ours = region(1);
    let theirs = Region::open(copy_of(ours.descriptor()), promise(1, Sealing::Size), Access::Read).unwrap();
    theirs.memory().store32(0, 7, Store::Release);
    theirs.memory().write(0, &[7; 64], Copier::AUTO);
    assert_eq!(ours.memory().load32(0, Load::Acquire), 0);
}

#[test]
fn what_is_not_a_memfd_is_refused() {
    let _turn = turn();
    let wanted = promise(1, Sealing::Size);
    let (reader, _writer) = rustix::pipe::pipe().unwrap();
    let (socket, _other) = std::os::unix::net::UnixStream::pair().unwrap();
    let executable = File::open(std::env::current_exe().unwrap()).unwrap();
    let zeros = File::open("/dev/zero").unwrap();
    let path = rustix::fs::open("/proc/self", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
    for descriptor in [reader, socket.into(), executable.into(), zeros.into(), path] {
        let error = refusal(descriptor, wanted);
        let is_named = matches!(error, RegionError::NotSealable { .. } | RegionError::NotSealed { .. });
        assert!(is_named, "{error}");
    }
}

#[test]
fn a_file_that_only_lies_in_memory_is_refused() {
    let _turn = turn();
    // Without a name, so that nothing can be left behind. Its seals can be read, but none were set, nor can be.
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open("/dev/shm", flags, Mode::RUSR | Mode::WUSR) else {
        println!("skipped: no file can be made in /dev/shm");
        return;
    };
    rustix::fs::ftruncate(&file, PAGE_BYTES as u64).unwrap();
    let error = refusal(file, promise(1, Sealing::Size));
    assert!(matches!(error, RegionError::NotSealed { .. } | RegionError::NotSealable { .. }), "{error}");
}

#[test]
fn every_missing_seal_is_refused() {
    let _turn = turn();
    let (shrink, grow, future) = (SealFlags::SHRINK, SealFlags::GROW, SealFlags::FUTURE_WRITE);
    let lacking = [
        (Sealing::Size, SealFlags::empty()),
        (Sealing::Size, shrink),
        (Sealing::Size, grow),
        (Sealing::Size, SealFlags::SEAL),
        (Sealing::Size, SealFlags::WRITE | future | SealFlags::SEAL),
        (Sealing::SizeAndWriting, shrink | grow),
        (Sealing::SizeAndWriting, shrink | grow | SealFlags::SEAL),
        (Sealing::SizeAndWriting, shrink | future),
        (Sealing::SizeAndWriting, grow | future),
    ];
    for (sealing, seals) in lacking {
        let error = refusal(foreign(PAGE_BYTES as u64, seals), promise(1, sealing));
        let RegionError::NotSealed { promised, found_bits } = error else { panic!("{seals:?}: {error}") };
        assert_eq!((promised, found_bits), (sealing, seals.bits()));
    }
    for (sealing, seals) in [
        (Sealing::Size, shrink | grow),
        (Sealing::SizeAndWriting, shrink | grow | future),
        (Sealing::SizeAndWriting, shrink | grow | future | SealFlags::SEAL),
    ] {
        Region::open(foreign(PAGE_BYTES as u64, seals), promise(1, sealing), Access::Read).unwrap();
    }
}

#[test]
fn a_wrong_size_is_refused() {
    let _turn = turn();
    let size = SealFlags::SHRINK | SealFlags::GROW;
    for len_bytes in [0, 1, PAGE_BYTES as u64 - 1, PAGE_BYTES as u64 + 1, 2 * PAGE_BYTES as u64, 1 << 40] {
        let error = refusal(foreign(len_bytes, size), promise(1, Sealing::Size));
        let RegionError::WrongSize { promised_bytes, found_bytes } = error else { panic!("{len_bytes}: {error}") };
        assert_eq!((promised_bytes, found_bytes), (PAGE_BYTES, len_bytes));
    }
}

#[test]
fn absurd_lengths_and_parts_are_refused() {
    let _turn = turn();
    let before = held();
    for len_bytes in [0, usize::MAX, usize::MAX / 2 + 1] {
        let error = Region::create(len_bytes, RegionOptions::default()).unwrap_err();
        assert!(matches!(error, RegionError::Length { .. }), "{error}");
        let promise = Promise { len_bytes, sealing: Sealing::Size };
        let error = Region::open(copy_of(region(1).descriptor()), promise, Access::Read).unwrap_err();
        assert!(matches!(error, RegionError::Part { .. }), "{error}");
    }
    let error = Region::create(1 << 62, RegionOptions::default()).unwrap_err();
    assert!(matches!(error, RegionError::Create { .. } | RegionError::Map { .. }), "{error}");
    let ours = region(2);
    let parts = [
        (0, 0),
        (1, PAGE_BYTES),
        (0, 1),
        (0, 3 * PAGE_BYTES),
        (2 * PAGE_BYTES, PAGE_BYTES),
        (PAGE_BYTES, 2 * PAGE_BYTES),
        (usize::MAX - PAGE_BYTES + 1, PAGE_BYTES),
        (PAGE_BYTES, usize::MAX - PAGE_BYTES + 1),
    ];
    for (start, len) in parts {
        let descriptor = copy_of(ours.descriptor());
        let error = Region::open_part(descriptor, promise(2, Sealing::Size), start, len, Access::Read).unwrap_err();
        assert!(matches!(error, RegionError::Part { .. }), "{start} {len}: {error}");
    }
    drop(ours);
    assert_eq!(held(), before);
}

#[test]
fn nobody_can_truncate_a_region() {
    let _turn = turn();
    let ours = region(2);
    for len_bytes in [0, PAGE_BYTES as u64, 3 * PAGE_BYTES as u64] {
        assert_eq!(rustix::fs::ftruncate(ours.descriptor(), len_bytes), Err(Errno::PERM));
    }
    let error = rustix::fs::fallocate(ours.descriptor(), FallocateFlags::empty(), 0, 3 * PAGE_BYTES as u64);
    assert_eq!(error, Err(Errno::PERM));
    ours.memory().store32(PAGE_BYTES, 7, Store::Release);
    assert_eq!(ours.memory().load32(PAGE_BYTES, Load::Acquire), 7);
}

#[test]
fn nobody_can_punch_holes_or_write_once_writing_is_sealed() {
    let _turn = turn();
    let ours = region(2);
    // What a peer may have mapped before: it may write there, and can do nothing else.
    let mapped = Region::open(copy_of(ours.descriptor()), promise(2, Sealing::Size), Access::ReadWrite).unwrap();
    ours.memory().store32(0, 7, Store::Release);
    ours.seal_writing().unwrap();
    assert!(ours.is_sealed(Sealing::SizeAndWriting).unwrap());

    let descriptor = copy_of(ours.descriptor());
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    assert_eq!(rustix::fs::fallocate(&descriptor, punch, 0, PAGE_BYTES as u64), Err(Errno::PERM));
    let at = mapped.memory().pointer(0, PAGE_BYTES).unwrap().as_ptr();
    // SAFETY: the range is mapped; the call is to be refused.
    let removed = unsafe { rustix::mm::madvise(at.cast(), PAGE_BYTES, Advice::LinuxRemove) };
    assert_eq!(removed, Err(Errno::PERM));
    assert_eq!(rustix::io::pwrite(&descriptor, &[1; 4], 0), Err(Errno::PERM));
    let late = Region::open(copy_of(ours.descriptor()), promise(2, Sealing::Size), Access::ReadWrite);
    assert!(matches!(late.unwrap_err(), RegionError::Map { access: Access::ReadWrite, .. }));
    // Opening it anew makes no new object.
    let again = File::options().read(true).write(true).open(format!("/proc/self/fd/{}", fd_number(&descriptor)));
    if let Ok(again) = again {
        let late = Region::open(again.into(), promise(2, Sealing::Size), Access::ReadWrite);
        assert!(matches!(late.unwrap_err(), RegionError::Map { access: Access::ReadWrite, .. }));
    }
    // Nor does a mapping for reading become one for writing.
    let reader = Region::open(descriptor, promise(2, Sealing::SizeAndWriting), Access::Read).unwrap();
    let at = reader.memory().pointer(0, PAGE_BYTES).unwrap().as_ptr();
    let writable = MprotectFlags::READ | MprotectFlags::WRITE;
    // SAFETY: the range is mapped; the call is to be refused.
    assert_eq!(unsafe { rustix::mm::mprotect(at.cast(), PAGE_BYTES, writable) }, Err(Errno::ACCESS));
    // Sealing goes no further, so that nobody can make it unwritable for its owner's future either.
    assert_eq!(rustix::fs::fcntl_add_seals(ours.descriptor(), SealFlags::EXEC), Err(Errno::PERM));

    assert_eq!(reader.memory().load32(0, Load::Acquire), 7, "still there");
    mapped.memory().store32(0, 8, Store::Release);
    assert_eq!(reader.memory().load32(0, Load::Acquire), 8, "who had mapped it may still write");
}

#[test]
fn before_that_a_hole_reads_as_zeros_and_ends_nobody() {
    let _turn = turn();
    let ours = region(1);
    ours.memory().store32(0, 7, Store::Release);
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    rustix::fs::fallocate(ours.descriptor(), punch, 0, PAGE_BYTES as u64).unwrap();
    assert_eq!(ours.memory().load32(0, Load::Acquire), 0);
}

#[test]
fn descriptors_are_closed_on_exec() {
    let _turn = turn();
    let ours = region(1);
    assert_eq!(rustix::io::fcntl_getfd(ours.descriptor()).unwrap(), FdFlags::CLOEXEC);
}

#[test]
fn huge_pages_are_used_where_there_are_some_and_what_was_had_is_said() {
    let _turn = turn();
    let options = RegionOptions::default().huge_pages(true).prefault(true);
    let ours = Region::create(3 << 20, options).unwrap();
    println!("{:?}", ours.pages());
    let is_rounded = ours.len_bytes() == 4 << 20;
    assert_eq!(is_rounded, ours.pages() == PageKind::Huge, "{} bytes in {:?}", ours.len_bytes(), ours.pages());
    ours.memory().store32(ours.len_bytes() - 4, 7, Store::Release);
    // Too short for one: ordinary pages, unless reserved ones are there.
    let short = Region::create(PAGE_BYTES, options).unwrap();
    assert_ne!(short.pages(), PageKind::Advised);
    let plain = Region::create(3 << 20, RegionOptions::default()).unwrap();
    assert_eq!((plain.pages(), plain.len_bytes()), (PageKind::Ordinary, 3 << 20));
}

#[test]
fn prefaulted_means_that_every_page_is_there() {
    let _turn = turn();
    let has = |region: &Region| rustix::fs::fstat(region.descriptor()).unwrap().st_blocks * 512;
    let lazy = region(5);
    assert_eq!(has(&lazy), 0);
    let eager = Region::create(5 * PAGE_BYTES, RegionOptions::default().prefault(true)).unwrap();
    assert_eq!(has(&eager), 5 * PAGE_BYTES as i64);
    // The one who opens a region can have its pages there too, also for reading only.
    Region::open(copy_of(lazy.descriptor()), promise(5, Sealing::Size), Access::Read).unwrap().prefault().unwrap();
    assert_eq!(has(&lazy), 5 * PAGE_BYTES as i64);
}

#[test]
fn other_memory_is_mapped_on_the_callers_word() {
    let _turn = turn();
    let (pages, before) = (2, held());
    let plain = foreign((pages * PAGE_BYTES) as u64, SealFlags::empty());
    let write = copy_of(plain.as_fd());
    // SAFETY: nobody else has the memfd, and it is not truncated below.
    let ours = unsafe { Region::map_unsealed(plain, PAGE_BYTES, PAGE_BYTES, Access::ReadWrite) }.unwrap();
    rustix::io::pwrite(&write, &[1, 0, 0, 0], PAGE_BYTES as u64).unwrap();
    assert_eq!(ours.memory().load32(0, Load::Acquire), 1);
    let refused = |start, len| {
        // SAFETY: as above.
        unsafe { Region::map_unsealed(copy_of(write.as_fd()), start, len, Access::Read) }.unwrap_err()
    };
    assert!(matches!(refused(0, 0), RegionError::Length { len_bytes: 0 }));
    assert!(matches!(refused(1, PAGE_BYTES), RegionError::Map { .. }));
    drop((ours, write));
    assert_eq!(held(), before);
}

#[test]
fn messages_name_cause_effect_and_fix() {
    let _turn = turn();
    let error = refusal(foreign(PAGE_BYTES as u64, SealFlags::SHRINK), promise(1, Sealing::Size)).to_string();
    assert!(error.contains("0x2") && error.contains("not mapped") && error.contains("seal it before"), "{error}");
    let error = refusal(foreign(1, SealFlags::SHRINK | SealFlags::GROW), promise(1, Sealing::Size)).to_string();
    assert!(error.contains("1 bytes and 4096 were promised"), "{error}");
}

#[test]
fn other_mappings_stay_as_they_are() {
    let _turn = turn();
    let flags = MapFlags::PRIVATE;
    // SAFETY: a new mapping at an address of the system's choice.
    let other = unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), PAGE_BYTES, ProtFlags::READ, flags) };
    let other = other.unwrap().cast::<u8>();
    for _ in 0..100 {
        drop(region(1));
    }
    // SAFETY: mapped just above, and not unmapped yet.
    assert_eq!(unsafe { other.read() }, 0);
    // SAFETY: mapped above, and nothing refers to it.
    unsafe { rustix::mm::munmap(other.cast(), PAGE_BYTES) }.unwrap();
}

fn fd_number(descriptor: &OwnedFd) -> i32 {
    use std::os::fd::AsRawFd;
    descriptor.as_raw_fd()
}

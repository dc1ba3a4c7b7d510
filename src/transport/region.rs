//! Memory to share: a sealed memfd, which has no name in any file system and goes away with its last user.
//!
//! An access beyond the end of a file is a SIGBUS: size and seals of a foreign descriptor are compared with what was
//! [promised](Promise), and only then is it mapped.
//!
//! | seal | keeps the others from |
//! |---|---|
//! | `F_SEAL_SHRINK`, `F_SEAL_GROW` | changing the size |
//! | `F_SEAL_FUTURE_WRITE` | new writable mappings, `write`, and punching holes (also with `MADV_REMOVE`) |
//! | `F_SEAL_SEAL` | adding seals |
//!
//! A region that one side only may write gets the second row as soon as that side has mapped it; one that both write, as
//! soon as both have.

pub use super::memory::PAGE_BYTES;
use super::memory::{Access, Mapped, Memory};
use super::options::options;
use super::region_error::RegionError;
pub use super::region_error::Sealing;
use rustix::fs::{FileType, MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A huge page of x86-64.
const HUGE_PAGE_BYTES: usize = 2 << 20;

options! {
    /// How to make a region; usually in ordinary pages, which are there when they are used.
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub struct RegionOptions {
        /// Huge pages, where the system has some: reserved ones first, else the advice to use transparent ones. The length is
        /// rounded up to 2 MiB if reserved ones are used.
        pub huge_pages: bool = false,
        /// Have every page there before the first use.
        pub prefault: bool = false,
    }
}

/// What a region lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageKind {
    /// Pages of the usual size.
    Ordinary,
    /// The system was advised to use huge pages, and its settings follow such advice.
    Advised,
    /// Reserved huge pages.
    Huge,
}

/// What the other side says about the region it passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    /// Its length.
    pub len_bytes: usize,
    /// Its seals.
    pub sealing: Sealing,
}

/// Memory that several processes map.
///
/// ```
/// use memcpy_select::transport::memory::{Access, Load, Memory, Store};
/// use memcpy_select::transport::region::{Promise, Region, RegionOptions, Sealing};
///
/// let ours = Region::create(4096, RegionOptions::default())?;
/// ours.seal_writing()?;
/// // What another process does with the descriptor that it was sent:
/// let promise = Promise { len_bytes: 4096, sealing: Sealing::SizeAndWriting };
/// let theirs = Region::open(ours.descriptor().try_clone_to_owned()?, promise, Access::Read)?;
/// ours.memory().store32(0, 7, Store::Release);
/// assert_eq!(theirs.memory().load32(0, Load::Acquire), 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Region {
    memory: Mapped,
    descriptor: OwnedFd,
    pages: PageKind,
}

impl Region {
    /// Makes a region of at least `len_bytes` zeros, sealed against a change of size, and maps it for reading and writing.
    ///
    /// Where `options` ask for huge pages and the system has none, it lies in others: [`pages`](Self::pages) says in which.
    ///
    /// # Errors
    ///
    /// [`RegionError`] for a length of 0 or one that nothing has, and for what the system refuses. Too little memory to
    /// pre-fault is an error: to go on would end in a SIGBUS later.
    pub fn create(len_bytes: usize, options: RegionOptions) -> Result<Self, RegionError> {
        if options.huge_pages
            && let Ok(region) = Self::create_in(len_bytes, HUGE_PAGE_BYTES, options)
        {
            return Ok(region);
        }
        Self::create_in(len_bytes, PAGE_BYTES, options)
    }

    fn create_in(len_bytes: usize, page_bytes: usize, options: RegionOptions) -> Result<Self, RegionError> {
        let len_bytes = len_bytes
            .checked_next_multiple_of(page_bytes)
            .filter(|bytes| *bytes > 0 && isize::try_from(*bytes).is_ok())
            .ok_or(RegionError::Length { len_bytes })?;
        let is_huge = page_bytes == HUGE_PAGE_BYTES;
        let descriptor =
            new_memfd(len_bytes, is_huge).map_err(|cause| RegionError::Create { len_bytes, cause: cause.into() })?;
        seal(&descriptor, SealFlags::SHRINK | SealFlags::GROW)?;
        let mut region = Self::map(descriptor, 0, len_bytes, Access::ReadWrite)?;
        if is_huge {
            region.pages = PageKind::Huge;
        } else if options.huge_pages && len_bytes >= HUGE_PAGE_BYTES && region.memory.advise_huge() {
            region.pages = PageKind::Advised;
        }
        if options.prefault {
            region.prefault()?;
        }
        Ok(region)
    }

    /// Maps a region that another process made, after it has been found to be what was promised.
    ///
    /// # Errors
    ///
    /// [`RegionError`] if it is not a memfd, is not sealed or is not as long as promised (nothing is mapped then), and for
    /// what the system refuses. The descriptor is closed.
    pub fn open(descriptor: OwnedFd, promise: Promise, access: Access) -> Result<Self, RegionError> {
        Self::open_part(descriptor, promise, 0, promise.len_bytes, access)
    }

    /// As [`open`](Self::open), but maps `len_bytes` from the offset `start_bytes` on: an error, too, if that is empty, not in
    /// whole pages, or not inside the region.
    pub fn open_part(
        descriptor: OwnedFd,
        promise: Promise,
        start_bytes: usize,
        len_bytes: usize,
        access: Access,
    ) -> Result<Self, RegionError> {
        let is_inside = start_bytes.checked_add(len_bytes).is_some_and(|end| end <= promise.len_bytes);
        let in_pages = start_bytes.is_multiple_of(PAGE_BYTES) && len_bytes.is_multiple_of(PAGE_BYTES);
        if !is_inside || !in_pages || len_bytes == 0 || isize::try_from(len_bytes).is_err() {
            return Err(RegionError::Part { start_bytes, len_bytes, whole_bytes: promise.len_bytes });
        }
        verify(descriptor.as_fd(), promise)?;
        Self::map(descriptor, start_bytes, len_bytes, access)
    }

    /// Maps two regions that other processes made, to be read as one of `whole_bytes`: the first at its start, the second at
    /// its end, and zeros in between. Each is verified first: sealed against writing, and so long. All lengths are
    /// whole pages, and both fit; errors as of [`open`](Self::open). The descriptor that is kept is the first one's.
    pub(crate) fn open_two(parts: [(OwnedFd, usize); 2], whole_bytes: usize) -> Result<Self, RegionError> {
        for (descriptor, len_bytes) in &parts {
            verify(descriptor.as_fd(), Promise { len_bytes: *len_bytes, sealing: Sealing::SizeAndWriting })?;
        }
        let memory = Mapped::of_two(&parts, whole_bytes).map_err(not_mapped(whole_bytes, Access::Read))?;
        let [(descriptor, _), _] = parts;
        Ok(Self { memory, descriptor, pages: PageKind::Ordinary })
    }

    /// Has every page there.
    ///
    /// # Errors
    ///
    /// [`RegionError::Prefault`] if there is too little memory.
    pub fn prefault(&self) -> Result<(), RegionError> {
        let len_bytes = self.len_bytes();
        self.memory.prefault(0, len_bytes).map_err(|cause| RegionError::Prefault { len_bytes, cause: cause.into() })
    }

    /// Maps whatever can be mapped: a file, a device, a memfd without seals. `start_bytes` is a multiple of the page.
    ///
    /// # Errors
    ///
    /// [`RegionError`] for an empty length and for what the system refuses.
    ///
    /// # Safety
    ///
    /// Nothing is verified. As long as the region lives, no process truncates what the descriptor refers to, takes pages away or
    /// makes them inaccessible; on a device, reading and writing have no effect besides.
    pub unsafe fn map_unsealed(
        descriptor: OwnedFd,
        start_bytes: usize,
        len_bytes: usize,
        access: Access,
    ) -> Result<Self, RegionError> {
        if len_bytes == 0 {
            return Err(RegionError::Length { len_bytes });
        }
        Self::map(descriptor, start_bytes, len_bytes, access)
    }

    /// Maps what cannot be truncated, because of its seals or because somebody has vouched for that.
    fn map(descriptor: OwnedFd, start: usize, len_bytes: usize, access: Access) -> Result<Self, RegionError> {
        let memory = Mapped::of_file(&descriptor, start, len_bytes, access).map_err(not_mapped(len_bytes, access))?;
        Ok(Self { memory, descriptor, pages: PageKind::Ordinary })
    }

    /// Keeps processes that have not mapped the region yet from writing it, and all from punching holes or sealing it
    /// further. Mappings that exist stay writable.
    ///
    /// # Errors
    ///
    /// [`RegionError::Seal`] if the system refuses.
    pub fn seal_writing(&self) -> Result<(), RegionError> {
        seal(&self.descriptor, SealFlags::FUTURE_WRITE | SealFlags::SEAL)
    }

    /// Whether the region is sealed so at this moment. Seals are only ever added.
    ///
    /// # Errors
    ///
    /// [`RegionError::NotSealable`] if it is not a memfd.
    pub fn is_sealed(&self, sealing: Sealing) -> Result<bool, RegionError> {
        Ok(sealing.is_in(seals_of(self.descriptor.as_fd())?))
    }

    /// An error if the region is not sealed against writing at this moment, or not as long as what is mapped.
    pub(super) fn verify_sealed(&self) -> Result<(), RegionError> {
        verify(self.descriptor.as_fd(), Promise { len_bytes: self.len_bytes(), sealing: Sealing::SizeAndWriting })
    }

    /// The mapped bytes. They stay mapped as long as a copy of this value lives, also without the region.
    pub fn memory(&self) -> &Mapped {
        &self.memory
    }

    /// The mapped bytes alone; the descriptor is closed.
    pub fn into_memory(self) -> Mapped {
        self.memory
    }

    /// The mapped bytes, and the descriptor.
    pub fn into_parts(self) -> (Mapped, OwnedFd) {
        (self.memory, self.descriptor)
    }

    /// The descriptor, to be passed on.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// How much is mapped.
    pub fn len_bytes(&self) -> usize {
        self.memory.len_bytes()
    }

    /// What a region that was created here lies in. Of a foreign one nothing is known: [`PageKind::Ordinary`].
    pub fn pages(&self) -> PageKind {
        self.pages
    }
}

/// Compares a foreign descriptor with the promise. The seals come first: once they hold, the size cannot change any more.
fn verify(descriptor: BorrowedFd<'_>, promise: Promise) -> Result<(), RegionError> {
    let seals = seals_of(descriptor)?;
    if !promise.sealing.is_in(seals) {
        return Err(RegionError::NotSealed { promised: promise.sealing, found_bits: seals.bits() });
    }
    let found_bytes = file_bytes(descriptor)?;
    if found_bytes != promise.len_bytes as u64 {
        return Err(RegionError::WrongSize { promised_bytes: promise.len_bytes, found_bytes });
    }
    Ok(())
}

/// The length of what a descriptor refers to: more than is mapped of a region's part, less of two regions that are mapped as one.
pub(super) fn file_bytes(descriptor: BorrowedFd<'_>) -> Result<u64, RegionError> {
    let not_a_memfd = |cause: Errno| RegionError::NotSealable { cause: cause.into() };
    let status = rustix::fs::fstat(descriptor).map_err(not_a_memfd)?;
    match FileType::from_raw_mode(status.st_mode) {
        FileType::RegularFile => Ok(u64::try_from(status.st_size).unwrap_or_default()),
        _ => Err(not_a_memfd(Errno::INVAL)),
    }
}

fn seals_of(descriptor: BorrowedFd<'_>) -> Result<SealFlags, RegionError> {
    rustix::fs::fcntl_get_seals(descriptor).map_err(|cause| RegionError::NotSealable { cause: cause.into() })
}

fn seal(descriptor: &OwnedFd, seals: SealFlags) -> Result<(), RegionError> {
    rustix::fs::fcntl_add_seals(descriptor, seals).map_err(|cause| RegionError::Seal { cause: cause.into() })
}

fn not_mapped(len_bytes: usize, access: Access) -> impl Fn(Errno) -> RegionError {
    move |cause| RegionError::Map { len_bytes, access, cause: cause.into() }
}

fn new_memfd(len_bytes: usize, is_huge: bool) -> Result<OwnedFd, Errno> {
    let mut flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    if is_huge {
        flags |= MemfdFlags::HUGETLB | MemfdFlags::HUGE_2MB;
    }
    // Linux before 6.3 does not know the flag that keeps the memory from being executed as a program, nor do some filters of
    // system calls. Where the sysctl `vm.memfd_noexec` is 2, there is no memory without it.
    let descriptor = match rustix::fs::memfd_create(c"memcpy-select", flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL | Errno::PERM | Errno::NOSYS) => rustix::fs::memfd_create(c"memcpy-select", flags),
        result => result,
    }?;
    // The system would end this process (`SIGXFSZ`) for making a longer one.
    if getrlimit(Resource::Fsize).current.is_some_and(|limit| len_bytes as u64 > limit) {
        return Err(Errno::FBIG);
    }
    rustix::fs::ftruncate(&descriptor, len_bytes as u64)?;
    Ok(descriptor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_each_page_is_the_fallback_for_populating() {
        let region = Region::create(3 * PAGE_BYTES, RegionOptions::default()).unwrap();
        let blocks = || rustix::fs::fstat(region.descriptor()).unwrap().st_blocks;
        assert_eq!(blocks(), 0);
        region.memory().touch(0, 3 * PAGE_BYTES);
        assert_eq!(blocks(), 3 * 8, "in units of 512 bytes");
    }
}

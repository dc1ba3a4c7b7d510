//! Which slot a thread counts in.
//!
//! The table is private to the process, and a child that is forked finds it empty (`MADV_WIPEONFORK`): it claims slots of
//! its own in the mapping that it shares with its parent. Entries are never removed: a thread that gets the thread
//! pointer of one that ended goes on in its slot.

use crate::clock;
use crate::rarely::Process;
use crate::turns::Turns;
use core::arch::asm;
use core::mem::MaybeUninit;
use core::ptr;
use core::sync::atomic::{
    AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};
use memcpy_select::recording::{Recording, SLOTS, Slot};
use rustix::fs::stat;
use rustix::io::Errno;
use rustix::process::{Pid, getpid, test_kill_process};
use rustix::thread::gettid;

/// The process's own memory, once it is recorded; null before. It is the first word that each call looks at, at an
/// address relative to the code: before relocation it is null, too.
pub(crate) static READY: AtomicPtr<Private> = AtomicPtr::new(ptr::null_mut());

/// What a process keeps for itself. All zero is empty.
#[repr(C)]
pub(crate) struct Private {
    pub(crate) table: Table,
    pub(crate) process: Process,
    pub(crate) turns: Turns,
    pub(crate) watch: crate::watch::Watch,
}

/// Slots by thread pointer: open addressing.
pub(crate) type Table = [Entry; ENTRIES];

impl Private {
    /// Enters a slot for this thread, which has none yet, until the entry's key is 0 again.
    pub(crate) fn lend(&self, slot: &Slot) -> &Entry {
        let entry = &self.table[home(thread_pointer())];
        entry.slot.store(ptr::from_ref(slot).cast_mut(), Relaxed);
        entry.key.store(thread_pointer(), Release);
        entry
    }
}

/// One thread's.
#[repr(C)]
pub(crate) struct Entry {
    /// The thread pointer; 0: free; [`TAKEN`]: about to be written.
    pub(crate) key: AtomicU64,
    pub(crate) slot: AtomicPtr<Slot>,
}

const ENTRIES: usize = 1024;
pub(crate) const ENTRY_BYTES: usize = size_of::<Entry>();
pub(crate) const TABLE_BYTES: usize = size_of::<Table>();
/// A slot that nothing reads, for calls that are not the program's.
pub(crate) fn scratch() -> &'static Slot {
    struct Scratch(MaybeUninit<Slot>);
    // SAFETY: a slot are atomic numbers.
    unsafe impl Sync for Scratch {}
    static SCRATCH: Scratch = Scratch(MaybeUninit::zeroed());
    // SAFETY: a slot are atomic numbers, for which zeros are valid.
    let slot = unsafe { SCRATCH.0.assume_init_ref() };
    slot.countdown.store(i32::MAX, Relaxed);
    slot
}

/// As many are used at most: a search ends with a free one, and soon.
const MAX_ENTRIES: u32 = 900;
/// No thread pointer: those are multiples of eight.
const TAKEN: u64 = 1;

/// An odd number of 31 bits, which an instruction can hold: Fibonacci hashing.
pub(crate) const HASH_MULTIPLIER: u32 = 0x4F1B_BCDD;
pub(crate) const HASH_SHIFT: u32 = u64::BITS - ENTRIES.ilog2();

fn home(thread_pointer: u64) -> usize {
    (thread_pointer.wrapping_mul(u64::from(HASH_MULTIPLIER)) >> HASH_SHIFT) as usize
}

/// Where the recording is, once there is one.
static RECORDING: AtomicPtr<Recording> = AtomicPtr::new(ptr::null_mut());

/// The recording, where there is one.
pub(crate) fn recording() -> Option<&'static Recording> {
    // SAFETY: null, or the address of a mapping that stays as long as the process.
    unsafe { RECORDING.load(Acquire).as_ref() }
}

/// The process's own memory, where there is some.
pub(crate) fn private() -> Option<&'static Private> {
    // SAFETY: null, or the address of a mapping that stays as long as the process.
    unsafe { READY.load(Acquire).as_ref() }
}

/// From now on calls are counted.
pub(crate) fn begin(recording: &'static Recording, private: &'static Private) {
    NAMESPACE.store(this_namespace(), Relaxed);
    let shared = shared_slot(recording);
    shared.owner.store(u64::MAX, Relaxed);
    shared.shared_countdown.store(1, Relaxed);
    RECORDING.store(ptr::from_ref(recording).cast_mut(), Release);
    READY.store(ptr::from_ref(private).cast_mut(), Release);
}

/// The slot of all threads that found no free one. Its countdown is never above 0, so that each call takes the way of a
/// sampled one, where atomic additions wait.
pub(crate) fn shared_slot(recording: &Recording) -> &Slot {
    &recording.slots[SLOTS]
}

/// The value of the thread's pointer register.
pub(crate) fn thread_pointer() -> u64 {
    let pointer;
    // SAFETY: the System V ABI for x86-64 has the thread pointer's own address there.
    unsafe { asm!("mov {}, qword ptr fs:[0]", out(reg) pointer, options(nostack, readonly, preserves_flags)) };
    pointer
}

/// A slot for a thread that has no entry in the table, and an entry for it.
pub(crate) extern "sysv64" fn claim() -> *const Slot {
    let (Some(recording), Some(private)) = (recording(), private()) else {
        // A recording comes before the word that led here.
        return ptr::null();
    };
    private.process.notice(recording);
    let slots = &recording.slots[..SLOTS];
    let owner = (getpid().as_raw_nonzero().get() as u64) << 32 | gettid().as_raw_nonzero().get() as u64;
    let is_looked_up = private.process.entries.load(Relaxed) < MAX_ENTRIES;
    let slot = slots
        .iter()
        .find(|slot| slot.take(0, owner))
        // A server that forks for each connection has used all slots soon. Each thread looks for one of these once.
        .or_else(|| if is_looked_up { slots.iter().find(|slot| slot.take_of_dead(owner)) } else { None })
        .unwrap_or(shared_slot(recording));
    if ptr::eq(slot, shared_slot(recording)) {
        recording.header.shared_slot_uses.fetch_add(1, Relaxed);
    } else {
        slot.random.store(clock::ticks() ^ owner.rotate_left(32), Relaxed);
        arm(slot, &slot.countdown, recording.header.period.load(Relaxed));
    }
    enter(&private.table, &private.process.entries, slot);
    slot
}

/// Who owns a slot.
trait Owned {
    /// Takes the slot if it has that owner.
    fn take(&self, from: u64, owner: u64) -> bool;

    /// Takes the slot if its owner was a process that is no more. Its counts stay.
    fn take_of_dead(&self, owner: u64) -> bool;
}

impl Owned for Slot {
    fn take(&self, from: u64, owner: u64) -> bool {
        self.owner.load(Relaxed) == from && self.owner.compare_exchange(from, owner, Acquire, Relaxed).is_ok()
    }

    fn take_of_dead(&self, owner: u64) -> bool {
        let from = self.owner.load(Acquire);
        is_dead((from >> 32) as u32) && self.take(from, owner)
    }
}

/// Whether a process of the recording is no more.
pub(crate) fn is_dead(pid: u32) -> bool {
    let pid = Pid::from_raw(pid.cast_signed()).filter(|pid| pid.as_raw_nonzero().get() > 0);
    pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH)) && is_same_namespace()
}

/// Whether numbers of processes mean the same here as where the recording was started; not if that cannot be told.
fn is_same_namespace() -> bool {
    let namespace = NAMESPACE.load(Relaxed);
    namespace != 0 && namespace == this_namespace()
}

/// The namespace of process numbers in which the recording was started. Forked children have it, too.
static NAMESPACE: AtomicU64 = AtomicU64::new(0);

fn this_namespace() -> u64 {
    stat(c"/proc/self/ns/pid").map_or(0, |namespace| namespace.st_ino)
}

/// Enters the thread's slot. The key is written last: a signal handler that calls in between makes an entry of its own.
fn enter(table: &Table, used: &AtomicU32, slot: &Slot) {
    if used.fetch_add(1, Relaxed) >= MAX_ENTRIES {
        used.fetch_sub(1, Relaxed);
        return;
    }
    let key = thread_pointer();
    let home = home(key);
    let free = (0..ENTRIES)
        .map(|step| &table[(home + step) % ENTRIES])
        .find(|entry| entry.key.compare_exchange(0, TAKEN, Relaxed, Relaxed).is_ok());
    if let Some(entry) = free {
        entry.slot.store(ptr::from_ref(slot).cast_mut(), Relaxed);
        entry.key.store(key, Release);
    }
}

/// The slot's next random number: a Weyl sequence through the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast
/// splittable pseudorandom number generators").
pub(crate) fn random(slot: &Slot) -> u64 {
    let state = slot.random.load(Relaxed).wrapping_add(0x9E37_79B9_7F4A_7C15);
    slot.random.store(state, Relaxed);
    let mixed = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ mixed >> 31
}

/// Sets a countdown anew: 1 to twice the period less one calls, the period on average.
pub(crate) fn arm(slot: &Slot, countdown: &AtomicI32, period: u32) {
    let choices = u64::from(period) * 2 - 1;
    let calls = 1 + (((random(slot) >> 32) * choices) >> 32);
    countdown.store(calls as i32, Relaxed);
}

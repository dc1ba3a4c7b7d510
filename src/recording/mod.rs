//! The memory that a recorded program leaves: how often it copied, how much, and what a sample of these copies was like.
//!
//! The recorder (`native/recorder`) is loaded into a program in place of its `memcpy`, `memmove`, `mempcpy` and `memset`. It
//! writes into a file that it maps shared: what was counted is there, however the program ends. This module is what the
//! recorder and the reader of the file agree on: the [layout](Recording), the [bins](LengthBin) of lengths, what a
//! [sample](Sample) adds, and what makes a file [no recording](RecordingError).
//!
//! # What is exact
//!
//! Calls and bytes by length and [`Kind`], in one [`Slot`] for each thread, which its thread alone writes; threads that
//! found no free slot share the last one, with atomic additions. Lost is only what a thread without thread pointer of its own
//! (raw `clone` without `CLONE_SETTLS`) counts at the same time as its parent.
//!
//! # What is sampled
//!
//! One call in [`Header::period`], at random distances: everything in [`Samples`] and the [`Site`]s. A sampled copy is
//! carried out by one of two [`Arm`]s, chosen at random, between two readings of the time-stamp counter.
//!
//! How soon a copy is read again ([`Reuse`]) is sampled more rarely: a hardware breakpoint of eight bytes inside the first
//! or the last line of the destination, armed after the copy, which counts the copying thread's own reads and writes
//! in user mode. Accesses by the kernel (`write` from the buffer) and by other threads are not seen. The time is the
//! thread's own running time.
//!
//! # Processes
//!
//! A child that forks and does not execute another program goes on in its parent's recording, in slots of its own
//! ([`Header::processes`]). A program that is executed starts a recording of its own.
//!
//! Whatever a file holds, reading it is safe: each counter is a number and nothing else, and sums wrap.

#![forbid(unsafe_op_in_unsafe_fn)]

mod bins;
mod kinds;
mod layout;
mod read;
mod sample;

pub use bins::{LENGTH_BINS, LengthBin, SITE_LENGTHS, outlier_ticks, site_length, site_length_range, square_shift};
pub use kinds::{Arm, Function, Group, Kind, Line, TURN_SAMPLES, Under};
pub use layout::{
    Counts, ENDED, Header, MAPS_BYTES, Maps, Moment, PROCESSES, PathText, ProcessTime, Recording, Reuse, SITES, SLOTS,
    Samples, Site, Slot, Tally, Timing, flags, reuse,
};
pub use read::RecordingError;
pub use sample::Sample;

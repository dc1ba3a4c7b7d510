//! What a program is started with.

#![forbid(unsafe_code)]

use crate::lab::instruments::preload::{LD_PRELOAD, PLAN_VARIABLE};
use std::ffi::OsString;
use std::path::Path;

/// glibc's settings that keep it from `rep movsb`, and from non-temporal stores below 24 MiB: as in the records of a tuned libc.
pub const TUNABLES: &str =
    "glibc.cpu.x86_rep_movsb_threshold=1152921504606846975:glibc.cpu.x86_non_temporal_threshold=25165824";

/// What a program is started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arm {
    /// The installed libc.
    Libc,
    /// The same with other settings of its own.
    Tuned,
    /// The drop-in library before it.
    DropIn,
    /// The installed libc a second time: how far it differs from itself.
    LibcAgain,
}

impl Arm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Libc, Self::Tuned, Self::DropIn, Self::LibcAgain];

    /// As a record names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Libc => "libc",
            Self::Tuned => "tuned",
            Self::DropIn => "drop_in",
            Self::LibcAgain => "libc_again",
        }
    }

    /// The environment of the programs that are measured.
    pub fn variables(self, tunables: &str, library: &Path, plan: &Path) -> Vec<(OsString, OsString)> {
        match self {
            Self::Libc | Self::LibcAgain => Vec::new(),
            Self::Tuned => vec![("GLIBC_TUNABLES".into(), tunables.into())],
            Self::DropIn => vec![(LD_PRELOAD.into(), library.into()), (PLAN_VARIABLE.into(), plan.into())],
        }
    }
}

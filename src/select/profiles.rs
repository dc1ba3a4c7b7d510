//! Plans of measured CPUs. Generated from `results/` by `cargo run --release --features cli -- profiles`: not to be
//! edited.

use super::cpu_name::CpuName;
use super::recorded::{Profile, plan};
use super::{Policy, Small};
use crate::cpu::Vendor;

#[rustfmt::skip]
pub(super) static PROFILES: &[Profile] = &[
    Profile {
        records: &[
            "amd-25-1-1-kvm/2026-11-23.1",
        ],
        cpu: CpuName::new(Vendor::Amd, 25, 1, 1),
        policy: Policy::User,
        plan: plan(&[
            (5931584, "avx_aligned", &[]),
            (11863232, "rep_movsb_aligned", &[]),
            (usize::MAX, "avx_nt", &[]),
        ], Small::Pieces),
    },
    Profile {
        records: &[
            "amd-25-1-1-kvm/2026-11-23.1",
        ],
        cpu: CpuName::new(Vendor::Amd, 25, 1, 1),
        policy: Policy::NoSimd,
        plan: plan(&[
            (704, "gpr", &[]),
            (usize::MAX, "rep_movsb", &[]),
        ], Small::Pieces),
    },
    Profile {
        records: &[
            "intel-6-106-6-kvm/2026-11-29.5",
        ],
        cpu: CpuName::new(Vendor::Intel, 6, 106, 6),
        policy: Policy::NoSimd,
        plan: plan(&[
            (64, "rep_movsb_aligned", &[]),
            (usize::MAX, "rep_movsb", &[]),
        ], Small::Pieces),
    },
    Profile {
        records: &[
            "intel-6-167-1-masked-kvm/2026-11-24.1",
        ],
        cpu: CpuName::new(Vendor::Intel, 6, 167, 1).masked(),
        policy: Policy::User,
        plan: plan(&[
            (26624, "avx512_aligned", &[]),
            (usize::MAX, "rep_movsb", &[]),
        ], Small::Pieces),
    },
];

//! Plans of measured CPUs. Generated from `results/` by `cargo run --release --features cli -- profiles`: not to be
//! edited.

/// The plan of a CPU model, and the records that it was made from.
pub(super) struct Profile {
    /// `<machine>/<date>.<n>` under `results/`, oldest first.
    pub(super) records: &'static [&'static str],
    /// The plan as [`PlanText`](super::PlanText) reads it.
    pub(super) text: &'static str,
}

#[rustfmt::skip]
pub(super) static PROFILES: &[Profile] = &[
    Profile {
        records: &[
            "amd-25-1-1-kvm/2026-11-23.1",
        ],
        text: "\
memcpy-select plan 1
cpu amd-25-1-1
policy user
5931584 avx_aligned
11863232 rep_movsb_aligned
above avx_nt
",
    },
    Profile {
        records: &[
            "amd-25-1-1-kvm/2026-11-23.1",
        ],
        text: "\
memcpy-select plan 1
cpu amd-25-1-1
policy no-simd
704 gpr
above rep_movsb
",
    },
    Profile {
        records: &[
            "intel-6-106-6-kvm/2026-11-29.5",
        ],
        text: "\
memcpy-select plan 1
cpu intel-6-106-6
policy no-simd
64 rep_movsb_aligned
above rep_movsb
",
    },
    Profile {
        records: &[
            "intel-6-167-1-masked-kvm/2026-11-24.1",
        ],
        text: "\
memcpy-select plan 1
cpu intel-6-167-1-masked
policy user
26624 avx512_aligned
above rep_movsb
",
    },
];

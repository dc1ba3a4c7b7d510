//! Plans of measured CPUs. Generated from `results/` by `cargo run --release --features cli -- profiles`: not to be
//! edited.

pub(super) static PROFILES: &[&str] = &[
    // amd-25-1-1-kvm/2026-11-23.1
    "\
memcpy-select plan 1
cpu amd-25-1-1
policy user
5931584 avx_aligned
above avx_nt
",
    // amd-25-1-1-kvm/2026-11-23.1
    "\
memcpy-select plan 1
cpu amd-25-1-1
policy no-simd
704 gpr
2965760 rep_movsb
23726528 rep_movsb dst-aligned=rep_movsb_aligned equal=rep_movsb_aligned dst-aligned+dst-after=rep_movsb_aligned equal+dst-after=rep_movsb_aligned dst-aligned+src-after=rep_movsb_aligned equal+src-after=rep_movsb_aligned
above rep_movsb dst-aligned=rep_movsq dst-aligned+dst-after=rep_movsq dst-aligned+src-after=rep_movsq
",
    // amd-26-2-1-kvm/2026-11-23.6
    "\
memcpy-select plan 1
cpu amd-26-2-1
policy user
small masked
23168 avx512_aligned
2965760 rep_movsb
23726528 rep_movsb_aligned dst-aligned=rep_movsb equal=rep_movsb equal+dst-after=rep_movsq_aligned unequal+dst-after=rep_movsq_aligned both-aligned+src-after=rep_movsb dst-aligned+src-after=rep_movsb equal+src-after=rep_movsb unequal+src-after=rep_movsb
above rep_movsb dst-aligned=avx512_nt equal+dst-after=avx512_nt unequal+dst-after=avx512_nt both-aligned+src-after=avx512_nt dst-aligned+src-after=avx512_nt equal+src-after=avx512_nt unequal+src-after=avx512_nt
",
    // amd-26-2-1-kvm/2026-11-23.6
    "\
memcpy-select plan 1
cpu amd-26-2-1
policy no-simd
320 gpr
704 rep_movsb dst-aligned=gpr equal=gpr unequal=rep_movsb_aligned equal+dst-after=gpr unequal+dst-after=gpr both-aligned+src-after=gpr dst-aligned+src-after=gpr equal+src-after=gpr unequal+src-after=gpr
11584 rep_movsb equal=rep_movsb_aligned unequal=rep_movsb_aligned equal+dst-after=rep_movsq_aligned unequal+dst-after=rep_movsq_aligned equal+src-after=rep_movsb_aligned unequal+src-after=rep_movsb_aligned
2965760 rep_movsb
23726528 rep_movsb_aligned dst-aligned=rep_movsb equal=rep_movsb equal+dst-after=rep_movsq_aligned unequal+dst-after=rep_movsq_aligned both-aligned+src-after=rep_movsb dst-aligned+src-after=rep_movsb equal+src-after=rep_movsb unequal+src-after=rep_movsb
above rep_movsb
",
];

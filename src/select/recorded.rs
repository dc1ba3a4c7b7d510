//! What the generated [profiles](super::profiles) consist of: constants, so that no call has to read a text.

#![forbid(unsafe_code)]

use super::Policy;
use super::band::Band;
use super::class::Class;
use super::cpu_name::CpuName;
use super::inline::Small;
use super::plan::{MAX_BANDS, Origin, Plan};
use crate::kernel::Kernel;

/// The plan of a CPU model, and the records that it was made from.
pub(super) struct Profile {
    /// `<machine>/<date>.<n>` under `results/`, oldest first.
    pub(super) records: &'static [&'static str],
    pub(super) cpu: CpuName,
    pub(super) policy: Policy,
    /// Nothing where this build has not all of its kernels.
    pub(super) plan: Option<Plan>,
}

/// The longest length of a band, its kernel, and the kernels of classes that have others: all by name.
type NamedBand<'a> = (usize, &'a str, &'a [(&'a str, &'a str)]);

/// The plan of these bands.
pub(super) const fn plan(named: &[NamedBand<'_>], small: Small) -> Option<Plan> {
    const UNUSED: Band = Band::new(usize::MAX, Kernel::named("portable").unwrap());
    let mut bands = [UNUSED; MAX_BANDS];
    let mut at = 0;
    while at < named.len() {
        let (up_to_bytes, kernel, others) = named[at];
        let Some(kernel) = Kernel::named(kernel) else { return None };
        bands[at] = Band::new(up_to_bytes, kernel);
        let mut other = 0;
        while other < others.len() {
            let (class, kernel) = others[other];
            let (Some(class), Some(kernel)) = (Class::named(class), Kernel::named(kernel)) else { return None };
            bands[at] = bands[at].with(class, kernel);
            other += 1;
        }
        at += 1;
    }
    match Plan::new(bands.split_at(named.len()).0) {
        Ok(plan) => Some(plan.with_small(small).with_origin(Origin::Profile)),
        Err(_) => None,
    }
}

//! A plan: which kernel for which length and alignment. Pure data; what it means for a CPU is decided elsewhere.

#![forbid(unsafe_code)]

use super::Policy;
use super::band::Band;
use super::class::{CLASSES, Class};
use super::inline::Small;
use crate::cpu::Features;
use crate::kernel::{CopyFn, Kernel};
use core::{fmt, ptr};

/// The most bands that a plan may have.
pub const MAX_BANDS: usize = 12;

/// Where a plan comes from. It is no part of the plan: two plans of different origins can be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// What serves before the CPU is known.
    Start,
    /// The [formulas](super::formula): knowledge of the design, its features and its caches.
    Formulas,
    /// The profile of this CPU model, made from records.
    Profile,
    /// Measured on this machine by [`calibrate`](super::calibrate).
    Calibrated,
    /// The text of a plan, as a file keeps it.
    Saved,
    /// Made by the program.
    Program,
}

impl Origin {
    /// One word, as reports write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Formulas => "formulas",
            Self::Profile => "profile",
            Self::Calibrated => "calibrated",
            Self::Saved => "saved",
            Self::Program => "program",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Start => "the plan of the start, before the CPU is known",
            Self::Formulas => "the formulas: this CPU model has no profile",
            Self::Profile => "the profile of this CPU model",
            Self::Calibrated => "a calibration on this machine",
            Self::Saved => "a saved plan",
            Self::Program => "a plan that the program made",
        })
    }
}

/// Bands in ascending order that cover every length.
///
/// Lengths up to [`INLINE_MAX_BYTES`](super::INLINE_MAX_BYTES) never reach a band under [`Policy::User`](super::Policy):
/// of the plan they only see [`small`](Self::small).
///
/// ```
/// use memcpy_select::{Kernel, select::{Band, Class, Plan}};
///
/// const PORTABLE: &Kernel = Kernel::named("portable").unwrap();
/// static PLAN: Plan = match Plan::new(&[Band::new(usize::MAX, PORTABLE)]) {
///     Ok(plan) => plan,
///     Err(_) => panic!("the bands above cover every length"),
/// };
/// assert_eq!(PLAN.kernel(4096, Class::of(0x1000, 0x2801)).name(), "portable");
/// ```
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Plan {
    // What the calls read, first.
    pub(super) limits: [usize; MAX_BANDS],
    /// In the order of [`Class::ALL`].
    pub(super) entries: [[CopyFn; CLASSES]; MAX_BANDS],
    bands: [Band; MAX_BANDS],
    band_count: usize,
    small: Small,
    origin: Origin,
}

impl Plan {
    /// A plan of these bands.
    ///
    /// # Errors
    ///
    /// [`PlanError`] if there is no band or more than [`MAX_BANDS`], if the limits do not rise, or if the last one is
    /// not [`usize::MAX`].
    pub const fn new(bands: &[Band]) -> Result<Self, PlanError> {
        if bands.is_empty() || bands.len() > MAX_BANDS {
            return Err(PlanError::BandCount { bands: bands.len() });
        }
        let last = bands[bands.len() - 1];
        if last.up_to_bytes != usize::MAX {
            return Err(PlanError::NotCovered { above_bytes: last.up_to_bytes });
        }
        // Unused places repeat the last band, so that the search needs no count.
        let mut plan = Self::from_entry(last, last.kernels[0].entry());
        plan.band_count = bands.len();
        let mut at = 0;
        while at < MAX_BANDS {
            let band = if at < bands.len() { bands[at] } else { last };
            if at > 0 && at < bands.len() && band.up_to_bytes <= bands[at - 1].up_to_bytes {
                return Err(PlanError::NotAscending {
                    band: at,
                    limit_bytes: band.up_to_bytes,
                    previous_bytes: bands[at - 1].up_to_bytes,
                });
            }
            plan.bands[at] = band;
            plan.limits[at] = band.up_to_bytes;
            let mut class = 0;
            while class < CLASSES {
                plan.entries[at][class] = band.kernels[class].entry();
                class += 1;
            }
            at += 1;
        }
        Ok(plan)
    }

    /// A plan that sends every length to one entry point.
    pub(super) const fn from_entry(band: Band, entry: CopyFn) -> Self {
        Self {
            limits: [usize::MAX; MAX_BANDS],
            entries: [[entry; CLASSES]; MAX_BANDS],
            bands: [band; MAX_BANDS],
            band_count: 1,
            small: Small::Pieces,
            origin: Origin::Program,
        }
    }

    /// The same plan with another way to copy lengths up to [`INLINE_MAX_BYTES`](super::INLINE_MAX_BYTES).
    #[must_use]
    pub const fn with_small(mut self, small: Small) -> Self {
        self.small = small;
        self
    }

    /// How lengths up to [`INLINE_MAX_BYTES`](super::INLINE_MAX_BYTES) are copied.
    pub const fn small(&self) -> Small {
        self.small
    }

    /// The same plan, said to come from elsewhere.
    #[must_use]
    pub(super) const fn with_origin(mut self, origin: Origin) -> Self {
        self.origin = origin;
        self
    }

    /// Where the plan comes from.
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    /// The entry point for a copy.
    #[inline(always)]
    pub(super) fn entry(&self, len_bytes: usize, dst_address: usize, src_address: usize) -> CopyFn {
        let mut band = 0;
        while band < MAX_BANDS - 1 && len_bytes > self.limits[band] {
            band += 1;
        }
        self.entries[band][Class::number(dst_address, src_address)]
    }

    /// The entry point of every copy of these lengths, where neither length nor class makes a difference.
    pub(super) fn only_entry(&self, from_bytes: usize, up_to_bytes: usize) -> Option<CopyFn> {
        let band = |len_bytes| self.limits.iter().position(|limit| len_bytes <= *limit);
        let (first, last) = band(from_bytes).zip(band(up_to_bytes))?;
        let mut entries = self.entries[first..=last].iter().flatten();
        let only = *entries.next()?;
        entries.all(|entry| ptr::fn_addr_eq(*entry, only)).then_some(only)
    }

    /// The entry point of `rep_movsb_aligned`, if copies of these lengths go to it or to `rep_movsb` by their class, but for the
    /// shortest of them, which may all go to `gpr`.
    pub(super) fn string_entry(&self, from_bytes: usize, up_to_bytes: usize) -> Option<CopyFn> {
        let [gpr, string, aligned] = ["gpr", "rep_movsb", "rep_movsb_aligned"].map(Kernel::named);
        let (gpr, string, aligned) = (gpr?, string?, aligned?);
        let first = self.bands().iter().position(|band| from_bytes <= band.up_to_bytes)?;
        let last = self.bands().iter().position(|band| up_to_bytes <= band.up_to_bytes)?;
        let all = |band: &Band, kernels: &[&Kernel]| band.kernels.iter().all(|kernel| kernels.contains(kernel));
        let bands = &self.bands()[first..=last];
        let strings = bands.iter().position(|band| !all(band, &[gpr])).map_or(&[][..], |start| &bands[start..]);
        let is_string = !strings.is_empty() && strings.iter().all(|band| all(band, &[string, aligned]));
        is_string.then_some(aligned.entry())
    }

    /// The bands, shortest lengths first.
    pub fn bands(&self) -> &[Band] {
        &self.bands[..self.band_count]
    }

    /// The kernel for a length and a class.
    pub fn kernel(&self, len_bytes: usize, class: Class) -> &'static Kernel {
        let band = self.bands().iter().find(|band| len_bytes <= band.up_to_bytes);
        band.unwrap_or(&self.bands[MAX_BANDS - 1]).kernel(class)
    }

    /// Every kernel that the plan names, once for each band and class.
    pub fn kernels(&self) -> impl Iterator<Item = &'static Kernel> + '_ {
        self.bands().iter().flat_map(|band| band.kernels)
    }

    /// Whether callers under a policy can follow the plan on a CPU with these features. Pure.
    ///
    /// # Errors
    ///
    /// [`PlanError::Unavailable`] if it names a kernel or a [`Small`] that needs more, [`PlanError::TouchesVectorState`] if the policy
    /// is [`Policy::NoSimd`] and a kernel writes vector registers.
    pub fn check(&self, policy: Policy, features: Features) -> Result<(), PlanError> {
        if !features.contains(self.small.needs()) {
            return Err(PlanError::Unavailable { kernel: self.small.name() });
        }
        if policy == Policy::NoSimd && self.small != Small::Pieces {
            return Err(PlanError::TouchesVectorState { kernel: self.small.name() });
        }
        for kernel in self.kernels() {
            if !features.contains(kernel.needs()) {
                return Err(PlanError::Unavailable { kernel: kernel.name() });
            }
            // Where nothing was assembled, the platform's copy is all there is, and serves every policy.
            let is_barred = policy == Policy::NoSimd && cfg!(memcpy_select_asm) && !kernel.writes().is_empty();
            if is_barred {
                return Err(PlanError::TouchesVectorState { kernel: kernel.name() });
            }
        }
        Ok(())
    }
}

impl PartialEq for Plan {
    fn eq(&self, other: &Self) -> bool {
        self.bands() == other.bands() && self.small == other.small
    }
}

impl Eq for Plan {}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").field("small", &self.small).field("bands", &self.bands()).finish()
    }
}

/// Why a plan was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanError {
    /// No band, or more than [`MAX_BANDS`].
    BandCount {
        /// How many there were.
        bands: usize,
    },
    /// A limit that is not above the one before it.
    NotAscending {
        /// The position of the band, from 0.
        band: usize,
        /// Its limit in bytes.
        limit_bytes: usize,
        /// The limit before it in bytes.
        previous_bytes: usize,
    },
    /// The last band does not go up to [`usize::MAX`].
    NotCovered {
        /// The largest length that has a band, in bytes.
        above_bytes: usize,
    },
    /// A kernel whose features this CPU or its operating system lacks.
    Unavailable {
        /// The kernel's name.
        kernel: &'static str,
    },
    /// A kernel that writes vector registers, in a plan for callers that must not.
    TouchesVectorState {
        /// The kernel's name.
        kernel: &'static str,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BandCount { bands } => {
                write!(f, "the plan has {bands} bands: it is refused; give it 1 to {MAX_BANDS}")
            }
            Self::NotAscending { band, limit_bytes, previous_bytes } => write!(
                f,
                "band {band} ends at {limit_bytes} bytes, the one before it at {previous_bytes}: the plan is refused; \
                 list bands by rising limits"
            ),
            Self::NotCovered { above_bytes } => write!(
                f,
                "no band covers lengths above {above_bytes} bytes: the plan is refused; let the last band end at \
                 usize::MAX"
            ),
            Self::Unavailable { kernel } => write!(
                f,
                "the plan names the kernel {kernel}, which this CPU or its operating system cannot run: the plan is \
                 refused and the previous one stays; use a plan made for this CPU"
            ),
            Self::TouchesVectorState { kernel } => write!(
                f,
                "the plan names the kernel {kernel}, which writes vector registers: it is refused for callers that \
                 must not and the previous plan stays; use gpr or a rep_* kernel"
            ),
        }
    }
}

impl core::error::Error for PlanError {}

#[cfg(test)]
mod tests {
    use super::*;

    const PORTABLE: &Kernel = Kernel::named("portable").unwrap();

    #[test]
    fn bands_end_where_they_say() {
        let all = crate::kernels();
        let (first, last) = (&all[0], &all[all.len() - 1]);
        let plan = Plan::new(&[Band::new(1000, first), Band::new(usize::MAX, last)]).unwrap();
        for (len_bytes, kernel) in [(0, first), (999, first), (1000, first), (1001, last), (usize::MAX, last)] {
            for class in Class::ALL {
                assert_eq!(plan.kernel(len_bytes, class), kernel);
            }
            assert!(core::ptr::fn_addr_eq(plan.entry(len_bytes, 0x1000, 0x2800), kernel.entry()));
        }
    }

    #[test]
    fn a_class_can_have_its_own_kernel() {
        let other = &crate::kernels()[0];
        for own in Class::ALL {
            let band = Band::new(usize::MAX, other).with(own, PORTABLE);
            let aligned = Band::new(usize::MAX, other).with_alignment(own.alignment, PORTABLE);
            let aliased = Band::new(usize::MAX, other).with_aliasing(own.aliasing, PORTABLE);
            for class in Class::ALL {
                let wanted = |is_portable| if is_portable { PORTABLE } else { other };
                assert_eq!(band.kernel(class), wanted(class == own));
                assert_eq!(aligned.kernel(class), wanted(class.alignment == own.alignment));
                assert_eq!(aliased.kernel(class), wanted(class.aliasing == own.aliasing));
            }
            assert!(!band.is_uniform() && band.with(own, other).is_uniform());
        }
    }

    /// What the calls read is what [`Plan::kernel`] says, at every distance modulo 4096 and in all places of the table.
    #[test]
    fn every_class_of_every_band_reaches_its_entry_point() {
        let kernel = |number: usize| &crate::kernels()[number % crate::kernels().len()];
        let bands: [Band; MAX_BANDS] = core::array::from_fn(|at| {
            let limit_bytes = if at == MAX_BANDS - 1 { usize::MAX } else { 100 * (at + 1) };
            let each = Class::ALL.into_iter();
            each.fold(Band::new(limit_bytes, PORTABLE), |band, class| band.with(class, kernel(at + class.index())))
        });
        let plan = Plan::new(&bands).unwrap();
        for len_bytes in
            bands.iter().map(Band::up_to_bytes).flat_map(|limit| [limit - 1, limit, limit.saturating_add(1)])
        {
            for distance in 0..4096 {
                for src in [0x10000, 0x10001] {
                    let dst = src + distance;
                    let wanted = plan.kernel(len_bytes, Class::of(dst, src));
                    assert!(core::ptr::fn_addr_eq(plan.entry(len_bytes, dst, src), wanted.entry()), "{len_bytes}");
                }
            }
        }
    }

    #[test]
    fn wrong_plans_are_refused_with_their_figures() {
        let band = |up_to_bytes| Band::new(up_to_bytes, PORTABLE);
        assert_eq!(Plan::new(&[]), Err(PlanError::BandCount { bands: 0 }));
        assert_eq!(Plan::new(&[band(1); MAX_BANDS + 1]), Err(PlanError::BandCount { bands: MAX_BANDS + 1 }));
        assert_eq!(Plan::new(&[band(7)]), Err(PlanError::NotCovered { above_bytes: 7 }));
        assert_eq!(
            Plan::new(&[band(9), band(9), band(usize::MAX)]),
            Err(PlanError::NotAscending { band: 1, limit_bytes: 9, previous_bytes: 9 })
        );
    }
}

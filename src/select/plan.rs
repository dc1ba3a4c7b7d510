//! A plan: which kernel for which length and alignment. Pure data; what it means for a CPU is decided elsewhere.

#![forbid(unsafe_code)]

use crate::kernel::{CopyFn, Kernel};
use core::fmt;

/// The most bands that a plan may have.
pub const MAX_BANDS: usize = 8;

/// How source and destination lie to each other and to cache lines, as far as kernels care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// The destination starts on a cache line.
    Aligned = 0,
    /// The destination starts inside a cache line.
    Misaligned = 1,
    /// As [`Aligned`](Self::Aligned), and the destination follows the source by less than 256 bytes modulo 4096: loads
    /// look as if they depended on the stores just before them.
    AlignedAliased = 2,
    /// As [`Misaligned`](Self::Misaligned), and aliased as above.
    MisalignedAliased = 3,
}

impl Class {
    /// All classes, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Aligned, Self::Misaligned, Self::AlignedAliased, Self::MisalignedAliased];

    /// The class of a copy, from its two addresses.
    #[inline]
    pub const fn of(dst_address: usize, src_address: usize) -> Self {
        Self::ALL[Self::number(dst_address, src_address)]
    }

    /// The number of the class, without a branch.
    #[inline(always)]
    pub(super) const fn number(dst_address: usize, src_address: usize) -> usize {
        let misaligned = (dst_address & 63 != 0) as usize;
        let aliased = (dst_address.wrapping_sub(src_address) & 0xF00 == 0) as usize;
        misaligned | aliased << 1
    }

    /// The name, as plans print it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aligned => "aligned",
            Self::Misaligned => "misaligned",
            Self::AlignedAliased => "aligned-aliased",
            Self::MisalignedAliased => "misaligned-aliased",
        }
    }
}

/// A range of lengths, up to and including a limit, and its kernel for each class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    up_to_bytes: usize,
    kernels: [&'static Kernel; Class::ALL.len()],
}

impl Band {
    /// One kernel for every class. The last band of a plan goes up to [`usize::MAX`].
    pub const fn new(up_to_bytes: usize, kernel: &'static Kernel) -> Self {
        Self { up_to_bytes, kernels: [kernel; Class::ALL.len()] }
    }

    /// The same band with another kernel for one class.
    #[must_use]
    pub const fn with(mut self, class: Class, kernel: &'static Kernel) -> Self {
        self.kernels[class as usize] = kernel;
        self
    }

    /// The largest length of the band, in bytes.
    pub const fn up_to_bytes(&self) -> usize {
        self.up_to_bytes
    }

    /// The kernel for a class.
    pub const fn kernel(&self, class: Class) -> &'static Kernel {
        self.kernels[class as usize]
    }

    /// Whether every class has the same kernel.
    const fn is_uniform(&self) -> bool {
        let mut class = 1;
        while class < Class::ALL.len() {
            if !self.kernels[class].is(self.kernels[0]) {
                return false;
            }
            class += 1;
        }
        true
    }
}

/// Bands in ascending order that cover every length.
///
/// Lengths up to [`INLINE_MAX_BYTES`](super::INLINE_MAX_BYTES) never reach a plan under [`Policy::User`](super::Policy).
///
/// ```
/// use memcpy_select::{Kernel, select::{Band, Class, Plan}};
///
/// const PORTABLE: &Kernel = Kernel::named("portable").unwrap();
/// static PLAN: Plan = match Plan::new(&[Band::new(usize::MAX, PORTABLE)]) {
///     Ok(plan) => plan,
///     Err(_) => panic!("the bands above cover every length"),
/// };
/// assert_eq!(PLAN.kernel(4096, Class::Aligned).name(), "portable");
/// ```
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub struct Plan {
    // What the calls read, first.
    limits: [usize; MAX_BANDS],
    entries: [[CopyFn; Class::ALL.len()]; MAX_BANDS],
    bands: [Band; MAX_BANDS],
    band_count: usize,
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
            while class < Class::ALL.len() {
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
            entries: [[entry; Class::ALL.len()]; MAX_BANDS],
            bands: [band; MAX_BANDS],
            band_count: 1,
        }
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

    /// Limit and entry point of the first band, where no class makes a difference.
    pub(super) fn short(&self) -> Option<(usize, CopyFn)> {
        self.bands[0].is_uniform().then_some((self.limits[0], self.entries[0][0]))
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

    /// Every kernel that the plan names, repeated as often as it does.
    pub fn kernels(&self) -> impl Iterator<Item = &'static Kernel> + '_ {
        self.bands().iter().flat_map(|band| band.kernels)
    }
}

impl PartialEq for Plan {
    fn eq(&self, other: &Self) -> bool {
        self.bands() == other.bands()
    }
}

impl Eq for Plan {}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Plan").field(&self.bands()).finish()
    }
}

/// One line a band: its limit, its kernel, and the classes that have another one.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for band in self.bands() {
            if band.up_to_bytes == usize::MAX {
                write!(f, "{:>12}", "above")?;
            } else {
                write!(f, "{:>12}", band.up_to_bytes)?;
            }
            write!(f, "  {}", band.kernels[0].name())?;
            if !band.is_uniform() {
                for class in &Class::ALL[1..] {
                    write!(f, "  {}={}", class.name(), band.kernel(*class).name())?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
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
    fn classes_follow_the_addresses() {
        assert_eq!(Class::of(0x1000, 0x2800), Class::Aligned);
        assert_eq!(Class::of(0x1001, 0x2800), Class::Misaligned);
        assert_eq!(Class::of(0x1000, 0x2000), Class::AlignedAliased);
        assert_eq!(Class::of(0x10ff, 0x2000), Class::MisalignedAliased);
        assert_eq!(Class::of(0x1100, 0x2000), Class::Aligned);
        assert_eq!(Class::of(0x2fff, 0x2000 + 0x1000), Class::Misaligned);
    }

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
        let all = crate::kernels();
        let band = Band::new(usize::MAX, &all[0]).with(Class::Misaligned, PORTABLE);
        let plan = Plan::new(&[band]).unwrap();
        assert_eq!(plan.kernel(1, Class::Misaligned), PORTABLE);
        assert_eq!(plan.kernel(1, Class::Aligned), &all[0]);
        assert!(core::ptr::fn_addr_eq(plan.entry(1, 0x1001, 0x2800), PORTABLE.entry()));
    }

    #[test]
    fn wrong_plans_are_refused_with_their_figures() {
        let band = |up_to_bytes| Band::new(up_to_bytes, PORTABLE);
        assert_eq!(Plan::new(&[]), Err(PlanError::BandCount { bands: 0 }));
        assert_eq!(Plan::new(&[band(1); 9]), Err(PlanError::BandCount { bands: 9 }));
        assert_eq!(Plan::new(&[band(7)]), Err(PlanError::NotCovered { above_bytes: 7 }));
        assert_eq!(
            Plan::new(&[band(9), band(9), band(usize::MAX)]),
            Err(PlanError::NotAscending { band: 1, limit_bytes: 9, previous_bytes: 9 })
        );
    }
}

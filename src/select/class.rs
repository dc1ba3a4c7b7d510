//! Alignment classes: how source and destination lie, as far as kernels care.

#![forbid(unsafe_code)]

use crate::kernel::same;

/// How destination and source lie to cache lines of 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Alignment {
    /// Both start on a line.
    BothAligned = 0,
    /// The destination starts on a line, the source inside one.
    DstAligned = 1,
    /// Both start inside a line, at the same offset: once the destination is aligned, the source is too.
    Equal = 2,
    /// The destination starts inside a line, the source at another offset.
    Unequal = 3,
}

impl Alignment {
    /// All four, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::BothAligned, Self::DstAligned, Self::Equal, Self::Unequal];
}

/// How destination and source lie to each other modulo 4096, which is as far as CPUs compare the addresses of loads and
/// stores at first (Intel Optimization Reference Manual, "4-KByte aliasing").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Aliasing {
    /// Neither follows the other closely.
    Apart = 0,
    /// The destination follows the source by less than 256 bytes, 0 included: to a copy that goes forward, loads look as
    /// if they depended on the stores just before them.
    DstAfterSrc = 1,
    /// The source follows the destination by 1 to 255 bytes: the same to a copy that goes backward.
    SrcAfterDst = 2,
}

impl Aliasing {
    /// All three, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Apart, Self::DstAfterSrc, Self::SrcAfterDst];
}

/// How source and destination lie to each other and to cache lines, as far as kernels care.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Class {
    /// How they lie to cache lines.
    pub alignment: Alignment,
    /// How they lie to each other.
    pub aliasing: Aliasing,
}

/// How many classes there are.
pub(super) const CLASSES: usize = Alignment::ALL.len() * Aliasing::ALL.len();

impl Class {
    /// All classes: the four alignments [apart](Aliasing::Apart), then the four where the destination follows the
    /// source, then the four where the source follows the destination.
    pub const ALL: [Self; CLASSES] = {
        let mut all = [Self::new(Alignment::BothAligned, Aliasing::Apart); CLASSES];
        let mut at = 0;
        while at < CLASSES {
            all[at] = Self::new(Alignment::ALL[at % Alignment::ALL.len()], Aliasing::ALL[at / Alignment::ALL.len()]);
            at += 1;
        }
        all
    };

    /// The names in the order of [`ALL`](Self::ALL).
    const NAMES: [&'static str; CLASSES] = [
        "both-aligned",
        "dst-aligned",
        "equal",
        "unequal",
        "both-aligned+dst-after",
        "dst-aligned+dst-after",
        "equal+dst-after",
        "unequal+dst-after",
        "both-aligned+src-after",
        "dst-aligned+src-after",
        "equal+src-after",
        "unequal+src-after",
    ];

    /// The class of this alignment and this aliasing.
    pub const fn new(alignment: Alignment, aliasing: Aliasing) -> Self {
        Self { alignment, aliasing }
    }

    /// The class of a copy, from its two addresses.
    #[inline]
    pub const fn of(dst_address: usize, src_address: usize) -> Self {
        Self::ALL[Self::number(dst_address, src_address)]
    }

    /// The class of that name, if there is one.
    pub const fn named(name: &str) -> Option<Self> {
        let mut at = 0;
        while at < CLASSES {
            if same(Self::NAMES[at], name) {
                return Some(Self::ALL[at]);
            }
            at += 1;
        }
        None
    }

    /// The name, as plans write it: that of the alignment, with `+dst-after` or `+src-after` where they are aliased.
    pub const fn name(self) -> &'static str {
        Self::NAMES[self.index()]
    }

    /// The place of the class in [`ALL`](Self::ALL).
    pub(super) const fn index(self) -> usize {
        self.alignment as usize + Alignment::ALL.len() * self.aliasing as usize
    }

    /// The place in [`ALL`](Self::ALL) of the class of a copy, from its two addresses, without a branch.
    #[inline(always)]
    pub(crate) const fn number(dst_address: usize, src_address: usize) -> usize {
        let offsets_differ = ((dst_address ^ src_address) & 63 != 0) as usize;
        let dst_misaligned = (dst_address & 63 != 0) as usize;
        // From 0 on the source follows by 255 to 1 bytes, from 255 on the destination by 0 to 255, from 511 on neither.
        let shifted_bytes = dst_address.wrapping_sub(src_address).wrapping_add(255) & 0xFFF;
        let aliasing = (shifted_bytes < 511) as usize + (shifted_bytes < 255) as usize;
        offsets_differ + 2 * dst_misaligned + Alignment::ALL.len() * aliasing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_follow_the_addresses() {
        for (dst, src, name) in [
            (0x1000, 0x2800, "both-aligned"),
            (0x1000, 0x2801, "dst-aligned"),
            (0x1001, 0x2841, "equal"),
            (0x1001, 0x2800, "unequal"),
            (0x1001, 0x2802, "unequal"),
            (0x1000, 0x2000, "both-aligned+dst-after"),
            (0x10c0, 0x2000, "both-aligned+dst-after"),
            (0x1100, 0x2000, "both-aligned"),
            (0x10c0, 0x2001, "dst-aligned+dst-after"),
            (0x1001, 0x2001, "equal+dst-after"),
            (0x10ff, 0x2000, "unequal+dst-after"),
            (0x1000, 0x20c0, "both-aligned+src-after"),
            (0x1000, 0x2100, "both-aligned"),
            (0x1000, 0x20ff, "dst-aligned+src-after"),
            (0x1001, 0x20c1, "equal+src-after"),
            (0x2fff, 0x2000, "unequal+src-after"),
            (0x0000, usize::MAX, "dst-aligned+dst-after"),
            (usize::MAX, 0x0000, "unequal+src-after"),
        ] {
            assert_eq!(Class::of(dst, src).name(), name, "{dst:#x} from {src:#x}");
        }
    }

    /// The definition in words, against the arithmetic without branches, at every pair of offsets that could differ.
    #[test]
    fn classes_are_what_they_are_said_to_be() {
        for dst in (0x5000..0x6000).step_by(61).chain(0x5000..0x5082) {
            for src in 0x9000..0xA000 {
                let alignment = match (dst % 64, src % 64) {
                    (0, 0) => Alignment::BothAligned,
                    (0, _) => Alignment::DstAligned,
                    (to, from) if to == from => Alignment::Equal,
                    _ => Alignment::Unequal,
                };
                let aliasing = match (dst + 0x10000 - src) % 4096 {
                    0..256 => Aliasing::DstAfterSrc,
                    3841.. => Aliasing::SrcAfterDst,
                    _ => Aliasing::Apart,
                };
                assert_eq!(Class::of(dst, src), Class { alignment, aliasing }, "{dst:#x} from {src:#x}");
            }
        }
    }

    #[test]
    fn classes_have_their_places_and_their_names() {
        const SUFFIXES: [&str; 3] = ["", "+dst-after", "+src-after"];
        for (at, class) in Class::ALL.into_iter().enumerate() {
            let plain = Class::new(class.alignment, Aliasing::Apart).name();
            assert_eq!(class.index(), at);
            assert_eq!(class.name(), format!("{plain}{}", SUFFIXES[class.aliasing as usize]));
            assert_eq!(Class::named(class.name()), Some(class));
        }
        assert_eq!(Class::named("aligned"), None);
    }
}

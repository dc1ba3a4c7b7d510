//! Which design a CPU is, by vendor, family and model. Never by feature bits: a hypervisor may hide those, and a CPU
//! does not become another design by it.

#![forbid(unsafe_code)]

use super::Vendor;
use core::fmt;

/// The kind of core in a hybrid CPU. CPUID leaf 1AH EAX\[31:24\] (Intel SDM vol. 2A, CPUID).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CoreKind {
    /// The large cores (40H).
    Performance,
    /// The small cores (20H).
    Efficient,
    /// Not said: the CPU has one kind of core, or a hypervisor hides the leaf.
    #[default]
    Unknown,
}

/// Defines the enum and its names in one list.
macro_rules! microarchitectures {
    ($($(#[$doc:meta])* $variant:ident $name:literal,)*) => {
        /// A design of CPU: the product's name where one design is one product (servers), the core's name where a
        /// product mixes two kinds of core.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[allow(missing_docs)] // A name is all that there is to say.
        pub enum Microarch {
            $($(#[$doc])* $variant,)*
            /// A family and model that this version does not know.
            #[default]
            Unknown,
        }

        impl Microarch {
            /// The name, such as `Zen 3` or `Sapphire Rapids`; `unknown` if it has none here.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Unknown => "unknown",
                }
            }
        }
    };
}

microarchitectures! {
    NetBurst "NetBurst", Merom "Merom", Penryn "Penryn", Nehalem "Nehalem", Westmere "Westmere",
    SandyBridge "Sandy Bridge", IvyBridge "Ivy Bridge", Haswell "Haswell", Broadwell "Broadwell",
    Skylake "Skylake", SkylakeX "Skylake-X", CascadeLake "Cascade Lake", CooperLake "Cooper Lake",
    CannonLake "Cannon Lake", IceLake "Ice Lake", IceLakeSp "Ice Lake-SP", TigerLake "Tiger Lake",
    RocketLake "Rocket Lake", GoldenCove "Golden Cove", SapphireRapids "Sapphire Rapids",
    RaptorCove "Raptor Cove", EmeraldRapids "Emerald Rapids", RedwoodCove "Redwood Cove",
    GraniteRapids "Granite Rapids", LionCove "Lion Cove", CougarCove "Cougar Cove",
    NovaLake "Nova Lake", DiamondRapids "Diamond Rapids",
    Bonnell "Bonnell", Silvermont "Silvermont", Airmont "Airmont", Goldmont "Goldmont",
    GoldmontPlus "Goldmont Plus", Tremont "Tremont", Gracemont "Gracemont", Crestmont "Crestmont",
    Skymont "Skymont", Darkmont "Darkmont", KnightsLanding "Knights Landing", KnightsMill "Knights Mill",
    K8 "K8", K10 "K10", Bobcat "Bobcat", Jaguar "Jaguar", Bulldozer "Bulldozer", Piledriver "Piledriver",
    Steamroller "Steamroller", Excavator "Excavator", Zen1 "Zen 1", ZenPlus "Zen+", Zen2 "Zen 2",
    Zen3 "Zen 3", Zen4 "Zen 4", Zen5 "Zen 5", Zen6 "Zen 6", Dhyana "Dhyana",
    Isaiah "Isaiah", Cns "CNS", Zhangjiang "Zhangjiang", Wudaokou "WuDaoKou", Lujiazui "LuJiaZui",
    Yongfeng "YongFeng",
}

impl fmt::Display for Microarch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Microarch {
    /// Whether a CPU of this design may have tile registers (AMX): those known to have them, and any that is not known.
    pub(super) const fn may_have_tiles(self) -> bool {
        matches!(
            self,
            Self::SapphireRapids | Self::EmeraldRapids | Self::GraniteRapids | Self::DiamondRapids | Self::Unknown
        )
    }

    /// The design with this family and model (extended fields included). `kind` tells the cores of a hybrid CPU apart;
    /// where it is unknown, the large one is meant. `stepping` tells the server generations of Skylake apart.
    pub const fn of(vendor: Vendor, family: u16, model: u8, stepping: u8, kind: CoreKind) -> Self {
        match vendor {
            Vendor::Intel => intel(family, model, stepping, kind),
            Vendor::Amd => amd(family, model),
            // The first models of family 18h are made under licence and close to Zen 1.
            Vendor::Hygon if family == 0x18 && model < 4 => Self::Dhyana,
            Vendor::Zhaoxin => zhaoxin(family, model),
            Vendor::Hygon | Vendor::Other => Self::Unknown,
        }
    }
}

/// Intel SDM vol. 4, table 2-1, and Linux `arch/x86/include/asm/intel-family.h`.
const fn intel(family: u16, model: u8, stepping: u8, kind: CoreKind) -> Microarch {
    use Microarch as M;
    let efficient = matches!(kind, CoreKind::Efficient);
    match (family, model) {
        (6, 0x0F | 0x16) => M::Merom,
        (6, 0x17 | 0x1D) => M::Penryn,
        (6, 0x1A | 0x1E | 0x1F | 0x2E) => M::Nehalem,
        (6, 0x25 | 0x2C | 0x2F) => M::Westmere,
        (6, 0x2A | 0x2D) => M::SandyBridge,
        (6, 0x3A | 0x3E) => M::IvyBridge,
        (6, 0x3C | 0x3F | 0x45 | 0x46) => M::Haswell,
        (6, 0x3D | 0x47 | 0x4F | 0x56) => M::Broadwell,
        // Skylake with the client's caches, Kaby, Coffee and Comet Lake included: the core did not change.
        (6, 0x4E | 0x5E | 0x8E | 0x9E | 0xA5 | 0xA6) => M::Skylake,
        (6, 0x55) => match stepping {
            0..=4 => M::SkylakeX,
            5..=9 => M::CascadeLake,
            _ => M::CooperLake,
        },
        (6, 0x66) => M::CannonLake,
        (6, 0x7D | 0x7E | 0x9D) => M::IceLake,
        (6, 0x8A) => {
            if efficient {
                M::Tremont
            } else {
                M::IceLake
            }
        }
        (6, 0x6A | 0x6C) => M::IceLakeSp,
        (6, 0x8C | 0x8D) => M::TigerLake,
        (6, 0xA7) => M::RocketLake,
        (6, 0x97 | 0x9A) => {
            if efficient {
                M::Gracemont
            } else {
                M::GoldenCove
            }
        }
        (6, 0xB7 | 0xBA | 0xBF) => {
            if efficient {
                M::Gracemont
            } else {
                M::RaptorCove
            }
        }
        (6, 0xAA | 0xAC | 0xB5) => {
            if efficient {
                M::Crestmont
            } else {
                M::RedwoodCove
            }
        }
        (6, 0xBD | 0xC5 | 0xC6) => {
            if efficient {
                M::Skymont
            } else {
                M::LionCove
            }
        }
        (6, 0xCC) => {
            if efficient {
                M::Darkmont
            } else {
                M::CougarCove
            }
        }
        (6, 0x8F) => M::SapphireRapids,
        (6, 0xCF) => M::EmeraldRapids,
        (6, 0xAD | 0xAE) => M::GraniteRapids,
        (6, 0x1C | 0x26 | 0x27 | 0x35 | 0x36) => M::Bonnell,
        (6, 0x37 | 0x4A | 0x4D | 0x5A | 0x5D) => M::Silvermont,
        (6, 0x4C | 0x75) => M::Airmont,
        (6, 0x5C | 0x5F) => M::Goldmont,
        (6, 0x7A) => M::GoldmontPlus,
        (6, 0x86 | 0x96 | 0x9C) => M::Tremont,
        (6, 0xBE) => M::Gracemont,
        (6, 0xAF | 0xB6) => M::Crestmont,
        (6, 0xDD) => M::Darkmont,
        (6, 0x57) => M::KnightsLanding,
        (6, 0x85) => M::KnightsMill,
        (15, _) => M::NetBurst,
        (18, 0x01 | 0x03) => M::NovaLake,
        (19, 0x01) => M::DiamondRapids,
        _ => M::Unknown,
    }
}

/// AMD's revision guides by family, and Linux `arch/x86/kernel/cpu/amd.c` for the ranges of models from Zen on.
const fn amd(family: u16, model: u8) -> Microarch {
    use Microarch as M;
    match (family, model) {
        (0x0F | 0x11, _) => M::K8,
        (0x10 | 0x12, _) => M::K10,
        (0x14, _) => M::Bobcat,
        (0x15, 0x00..=0x01) => M::Bulldozer,
        (0x15, 0x02..=0x1F) => M::Piledriver,
        (0x15, 0x30..=0x3F) => M::Steamroller,
        (0x15, 0x60..=0x7F) => M::Excavator,
        (0x16, _) => M::Jaguar,
        (0x17, 0x08 | 0x18) => M::ZenPlus,
        (0x17, 0x00..=0x2F | 0x50..=0x5F) => M::Zen1,
        (0x17, 0x30..=0x4F | 0x60..=0x7F | 0x84 | 0x90..=0x91 | 0xA0..=0xAF) => M::Zen2,
        (0x19, 0x00..=0x0F | 0x20..=0x5F) => M::Zen3,
        (0x19, 0x10..=0x1F | 0x60..=0xAF) => M::Zen4,
        (0x1A, 0x00..=0x2F | 0x40..=0x4F | 0x60..=0x7F) => M::Zen5,
        (0x1A, 0x50..=0x5F | 0x80..=0xAF | 0xC0..=0xCF) => M::Zen6,
        _ => M::Unknown,
    }
}

/// Linux `arch/x86/kernel/cpu/centaur.c` and `zhaoxin.c`, and the makers' product pages.
const fn zhaoxin(family: u16, model: u8) -> Microarch {
    use Microarch as M;
    match (family, model) {
        (6, 0x0F) => M::Isaiah,
        (6, 0x19) => M::Zhangjiang,
        (6, 0x47) => M::Cns,
        (7, 0x1B) => M::Wudaokou,
        (7, 0x3B) => M::Lujiazui,
        (7, 0x5B) => M::Yongfeng,
        _ => M::Unknown,
    }
}

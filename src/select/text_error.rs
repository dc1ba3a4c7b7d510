//! Why a text is no plan, or none for this CPU.

#![forbid(unsafe_code)]

use super::class::Class;
use super::cpu_name::CpuName;
use super::plan::PlanError;
use core::fmt;

/// The longest text that is read, in bytes: over twice what the longest plan takes.
pub const MAX_TEXT_BYTES: usize = 16 << 10;

/// The version of the format in the first line.
pub(super) const VERSION: &str = "1";

/// A word as errors quote it: its first 40 bytes, with `?` for each that is not printable ASCII.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Excerpt {
    bytes: [u8; 40],
    len: u8,
}

impl Excerpt {
    pub(super) fn new(word: &str) -> Self {
        let mut excerpt = Self { bytes: [0; 40], len: 0 };
        for (to, from) in excerpt.bytes.iter_mut().zip(word.bytes()) {
            *to = if from.is_ascii_graphic() { from } else { b'?' };
            excerpt.len += 1;
        }
        excerpt
    }

    /// The excerpt.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.as_str())
    }
}

/// A text that is not a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextError {
    /// The line, counted from 1. What is missing at the end is missing on the line after the last.
    pub line: usize,
    /// What is wrong with it.
    pub kind: TextErrorKind,
}

/// What is wrong with a line, mostly with the word that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TextErrorKind {
    /// The text, of this many bytes, goes on beyond [`MAX_TEXT_BYTES`].
    TooLong(usize),
    /// The first line is not `memcpy-select plan 1`.
    NotAPlan,
    /// A plan in a version of the format that this build does not know.
    UnknownVersion(Excerpt),
    /// The second line is not `cpu` and a name.
    MissingCpu,
    /// Not the name of a CPU.
    UnknownCpu(Excerpt),
    /// The third line is not `policy` and a name.
    MissingPolicy,
    /// Neither `user` nor `no-simd`.
    UnknownPolicy(Excerpt),
    /// One of the first three lines goes on with this word.
    ExtraWord(Excerpt),
    /// A band starts neither with a plain decimal number nor with `above`.
    UnknownLimit(Excerpt),
    /// Not a way to copy small lengths.
    UnknownSmall(Excerpt),
    /// A limit that is not below [`usize::MAX`].
    LimitTooLarge(Excerpt),
    /// A band without a kernel.
    MissingKernel,
    /// This build has no kernel of that name.
    UnknownKernel(Excerpt),
    /// A word after the kernel that is not `class=kernel`.
    NotAnOverride(Excerpt),
    /// There is no class of that name.
    UnknownClass(Excerpt),
    /// The line has named the class before.
    DuplicateClass(Class),
    /// The bands up to this one make no plan.
    Refused(PlanError),
    /// The last band does not start with `above`.
    MissingAbove,
    /// Something follows the band that starts with `above`.
    AfterAbove(Excerpt),
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.kind)
    }
}

impl fmt::Display for TextErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use TextErrorKind as Kind;
        match *self {
            Kind::TooLong(bytes) => write!(
                f,
                "the text goes on to {bytes} bytes: it is refused; keep it within {MAX_TEXT_BYTES}, of which no plan \
                 takes half"
            ),
            Kind::NotAPlan => write!(
                f,
                "no plan begins here: the text is refused; begin it with `memcpy-select plan {VERSION}`"
            ),
            Kind::UnknownVersion(found) => write!(
                f,
                "this build reads version {VERSION} of the format and this is version {found}: the plan is refused; \
                 make it again with this build"
            ),
            Kind::MissingCpu => f.write_str(
                "it does not say which CPU the plan is for: the plan is refused; write `cpu` and its signature, such as \
                 `cpu amd-26-2-1`",
            ),
            Kind::UnknownCpu(found) => write!(
                f,
                "{found} is not the signature of a CPU: the plan is refused; write it as \
                 `vendor-family-model-stepping`, such as `amd-26-2-1`"
            ),
            Kind::MissingPolicy => f.write_str(
                "it does not say which policy the plan is for: the plan is refused; write `policy user`, \
                 `policy no-simd` or `policy section`",
            ),
            Kind::UnknownPolicy(found) => {
                write!(f, "{found} is not a policy: the plan is refused; write `user`, `no-simd` or `section`")
            }
            Kind::ExtraWord(found) => {
                write!(f, "{found} follows where the line should end: the plan is refused; remove it or put `#` before")
            }
            Kind::UnknownLimit(found) => write!(
                f,
                "{found} is not a limit: the plan is refused; begin the line with the largest length in decimal bytes, \
                 or with `above` in the last line"
            ),
            Kind::UnknownSmall(found) => {
                write!(f, "{found} is not a way to copy small lengths: the plan is refused; write `pieces` or `masked`")
            }
            Kind::LimitTooLarge(found) => write!(
                f,
                "the limit {found} is more than a length on this system can be: the plan is refused; write `above` for \
                 all that is left"
            ),
            Kind::MissingKernel => {
                f.write_str("the limit has no kernel: the plan is refused; write the kernel's name after it")
            }
            Kind::UnknownKernel(found) => write!(
                f,
                "this build has no kernel {found}: the plan is refused; use the names that `kernels()` lists"
            ),
            Kind::NotAnOverride(found) => write!(
                f,
                "{found} does not say which class it is for: the plan is refused; write `class=kernel`, such as \
                 `dst-aligned=gpr`"
            ),
            Kind::UnknownClass(found) => {
                write!(f, "there is no class {found}: the plan is refused; use the names of `Class::ALL`:")?;
                Class::ALL.iter().try_for_each(|class| write!(f, " {}", class.name()))
            }
            Kind::DuplicateClass(class) => write!(
                f,
                "the class `{}` stands here twice: the plan is refused; keep one of the two",
                class.name()
            ),
            Kind::Refused(error) => error.fmt(f),
            Kind::MissingAbove => f.write_str(
                "no band covers the lengths that are left: the plan is refused; let the last line begin with `above`",
            ),
            Kind::AfterAbove(found) => write!(
                f,
                "{found} follows the band that covers all that is left: the plan is refused; let the line with `above` \
                 be the last"
            ),
        }
    }
}

impl core::error::Error for TextError {}

impl core::error::Error for TextErrorKind {}

/// Why a text gives no plan for this CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadError {
    /// It is not a plan.
    Text(TextError),
    /// It is a plan for another CPU.
    OtherCpu {
        /// The CPU that it names.
        made_for: CpuName,
        /// The CPU that it was to be loaded for.
        here: CpuName,
    },
    /// It names a kernel that this CPU cannot run, or one that the policy bars.
    Plan(PlanError),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(error) => error.fmt(f),
            Self::OtherCpu { made_for, here } => write!(
                f,
                "the plan was made for the CPU {made_for} and this is {here}: it is refused; use a plan made for this \
                 CPU"
            ),
            Self::Plan(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for LoadError {}

//! A plan as text that a person can read, keep in a file and edit: what writes it and what reads it back.
//!
//! ```text
//! memcpy-select plan 1
//! cpu amd-26-2-1          # whose plan it is: a CPU signature
//! policy user             # or no-simd
//! small masked            # or pieces, which is what a plan without this line has
//! 26623 avx512_aligned
//! 16777215 rep_movsb dst-aligned=avx512_aligned unequal+dst-after=avx512_aligned
//! above avx512_nt
//! ```
//!
//! The first lines come in this order. Then a band a line, by rising limits: the largest length in decimal bytes
//! or, for the last band, `above`; its kernel; and `class=kernel` for each class that has another one. Spaces part the
//! words, `#` starts a comment, empty lines do not count.

#![forbid(unsafe_code)]

use super::Policy;
use super::band::Band;
use super::class::Class;
use super::cpu_name::{CpuName, is_decimal};
use super::inline::Small;
use super::plan::{MAX_BANDS, Origin, Plan, PlanError};
use super::text_error::{Excerpt, LoadError, MAX_TEXT_BYTES, TextError, TextErrorKind, VERSION};
use crate::cpu::Cpu;
use crate::kernel::Kernel;
use core::str::{FromStr, SplitAsciiWhitespace};
use core::{fmt, mem};

const POLICIES: [Policy; 3] = [Policy::User, Policy::NoSimd, Policy::Section];

pub(super) const fn policy_name(policy: Policy) -> &'static str {
    match policy {
        Policy::User => "user",
        Policy::NoSimd => "no-simd",
        Policy::Section => "section",
    }
}

/// Reads a plan for this CPU from its text. It is not put in force: that is [`install`](super::install). With `std`,
/// [`install_file`](super::install_file) does both from a file.
///
/// ```
/// use memcpy_select::{cpu::Cpu, select::{LoadError, load}};
///
/// let text = "memcpy-select plan 1\ncpu amd-26-2-1\npolicy no-simd\nabove rep_movsb\n";
/// match load(text, &Cpu::detect()) {
///     Ok((_, plan)) => assert_eq!(plan.bands().len(), 1),
///     Err(LoadError::OtherCpu { made_for, here }) => assert_ne!(made_for, here),
///     Err(error) => println!("{error}"),
/// }
/// ```
///
/// # Errors
///
/// [`LoadError::Text`] if the text is not a plan, [`LoadError::OtherCpu`] if it is for another CPU signature,
/// [`LoadError::Plan`] if it names a kernel that `cpu` lacks a feature for, or for [`Policy::NoSimd`] one that writes
/// vector registers.
pub fn load(text: &str, cpu: &Cpu) -> Result<(Policy, Plan), LoadError> {
    let PlanText { cpu: made_for, policy, plan } = PlanText::parse(text).map_err(LoadError::Text)?;
    let here = CpuName::of(&cpu.signature);
    if made_for != here {
        return Err(LoadError::OtherCpu { made_for, here });
    }
    plan.check(policy, cpu.features).map_err(LoadError::Plan)?;
    Ok((policy, plan))
}

/// A plan, and whose it is. Its [`Display`](fmt::Display) writes the text that [`parse`](Self::parse) reads.
///
/// ```
/// use memcpy_select::{cpu::Cpu, select::{CpuName, PlanText, Policy, plan_in_force}};
///
/// let cpu = CpuName::of(&Cpu::detect().signature);
/// let text = PlanText { cpu, policy: Policy::User, plan: *plan_in_force(Policy::User) };
/// assert_eq!(PlanText::parse(&text.to_string()), Ok(text));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanText {
    /// The CPU that it was made for.
    pub cpu: CpuName,
    /// The policy that it was made for.
    pub policy: Policy,
    /// The plan.
    pub plan: Plan,
}

impl PlanText {
    /// Reads a text. Every kernel in it is one of this build; whether this CPU can run it, [`load`] asks.
    ///
    /// # Errors
    ///
    /// [`TextError`] with the first line that is wrong, or if there are more than [`MAX_TEXT_BYTES`].
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if text.len() > MAX_TEXT_BYTES {
            let ends = text.as_bytes()[..MAX_TEXT_BYTES].iter().filter(|byte| **byte == b'\n').count();
            return Err(TextError { line: ends + 1, kind: TextErrorKind::TooLong(text.len()) });
        }
        let mut lines = Lines { lines: text.lines(), number: 0 };
        let parsed = Self::parse_lines(&mut lines);
        parsed.map_err(|kind| TextError { line: lines.number, kind })
    }

    /// [`parse`](Self::parse); what is wrong is on the line read last.
    fn parse_lines(lines: &mut Lines<'_>) -> Result<Self, TextErrorKind> {
        header(lines.words().ok_or(TextErrorKind::NotAPlan)?)?;
        let word = setting(lines, "cpu").ok_or(TextErrorKind::MissingCpu)??;
        let cpu = word.parse()?;
        let word = setting(lines, "policy").ok_or(TextErrorKind::MissingPolicy)??;
        Ok(Self { cpu, policy: word.parse()?, plan: plan(lines)? })
    }
}

impl FromStr for PlanText {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        Self::parse(text)
    }
}

/// What a word of a plan stands for, as plans spell it.
macro_rules! from_word {
    ($what:ty, $unknown:ident, $named:expr) => {
        impl FromStr for $what {
            type Err = TextErrorKind;

            fn from_str(word: &str) -> Result<Self, TextErrorKind> {
                $named(word).ok_or(TextErrorKind::$unknown(Excerpt::new(word)))
            }
        }
    };
}

from_word!(CpuName, UnknownCpu, CpuName::named);
from_word!(Policy, UnknownPolicy, |word| POLICIES.into_iter().find(|policy| policy_name(*policy) == word));
from_word!(Class, UnknownClass, Class::named);
from_word!(Small, UnknownSmall, Small::named);

impl fmt::Display for PlanText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, policy, plan } = self;
        write!(f, "memcpy-select plan {VERSION}\ncpu {cpu}\npolicy {}\n{plan}", policy_name(*policy))
    }
}

/// The line `small` where it is not `pieces`, and the lines of the bands, each with its end.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.small() != Small::default() {
            writeln!(f, "small {}", self.small().name())?;
        }
        self.bands().iter().try_for_each(|band| writeln!(f, "{band}"))
    }
}

/// The line of the band, without its end: the limit, the kernel of the first class, and the classes with another one.
impl fmt::Display for Band {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = self.kernel(Class::ALL[0]);
        match self.up_to_bytes() {
            usize::MAX => write!(f, "above {}", most.name())?,
            limit_bytes => write!(f, "{limit_bytes} {}", most.name())?,
        }
        let mut others = Class::ALL.into_iter().filter(|class| self.kernel(*class) != most);
        others.try_for_each(|class| write!(f, " {}={}", class.name(), self.kernel(class).name()))
    }
}

impl fmt::Debug for Band {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Band({self})")
    }
}

/// The lines of a text, and the number of the one read last; at the end that of the one after the last.
struct Lines<'a> {
    lines: core::str::Lines<'a>,
    number: usize,
}

impl<'a> Lines<'a> {
    /// The words of the next line that has some.
    fn words(&mut self) -> Option<SplitAsciiWhitespace<'a>> {
        loop {
            self.number += 1;
            let line = self.lines.next()?;
            let content = line.split_once('#').map_or(line, |(content, _)| content);
            if content.bytes().any(|byte| !byte.is_ascii_whitespace()) {
                return Some(content.split_ascii_whitespace());
            }
        }
    }
}

fn header(mut words: SplitAsciiWhitespace<'_>) -> Result<(), TextErrorKind> {
    match (words.next(), words.next(), words.next()) {
        (Some("memcpy-select"), Some("plan"), Some(VERSION)) => nothing_more(words),
        (Some("memcpy-select"), Some("plan"), Some(version)) => {
            Err(TextErrorKind::UnknownVersion(Excerpt::new(version)))
        }
        _ => Err(TextErrorKind::NotAPlan),
    }
}

/// The value of the next line, if it says `key value`; an error inside if it says more.
fn setting<'a>(lines: &mut Lines<'a>, key: &str) -> Option<Result<&'a str, TextErrorKind>> {
    let mut words = lines.words()?;
    words.next().filter(|word| *word == key)?;
    let value = words.next()?;
    Some(nothing_more(words).map(|()| value))
}

fn nothing_more(mut words: SplitAsciiWhitespace<'_>) -> Result<(), TextErrorKind> {
    words.next().map_or(Ok(()), |word| Err(TextErrorKind::ExtraWord(Excerpt::new(word))))
}

/// The bands: all lines that are left, with `above` as the last.
fn plan(lines: &mut Lines<'_>) -> Result<Plan, TextErrorKind> {
    const NO_BAND: Band = Band::new(usize::MAX, Kernel::named("portable").unwrap());
    let mut bands = [NO_BAND; MAX_BANDS];
    let mut count = 0;
    let mut next = lines.words();
    let mut small = Small::default();
    if let Some(mut words) = next.clone().filter(|words| words.clone().next() == Some("small")) {
        let name = words.nth(1).unwrap_or_default();
        small = name.parse()?;
        nothing_more(words)?;
        next = lines.words();
    }
    loop {
        let band = band(next.ok_or(TextErrorKind::MissingAbove)?)?;
        let limit_bytes = band.up_to_bytes();
        let previous_bytes = bands[..count].last().map(Band::up_to_bytes);
        if let Some(previous_bytes) = previous_bytes.filter(|previous_bytes| limit_bytes <= *previous_bytes) {
            let error = PlanError::NotAscending { band: count, limit_bytes, previous_bytes };
            return Err(TextErrorKind::Refused(error));
        }
        let too_many = TextErrorKind::Refused(PlanError::BandCount { bands: count + 1 });
        *bands.get_mut(count).ok_or(too_many)? = band;
        count += 1;
        if limit_bytes == usize::MAX {
            break;
        }
        next = lines.words();
    }
    let plan = Plan::new(&bands[..count]).map_err(TextErrorKind::Refused)?;
    let plan = plan.with_small(small).with_origin(Origin::Saved);
    match lines.words().and_then(|mut words| words.next()) {
        Some(word) => Err(TextErrorKind::AfterAbove(Excerpt::new(word))),
        None => Ok(plan),
    }
}

fn band(mut words: SplitAsciiWhitespace<'_>) -> Result<Band, TextErrorKind> {
    let kernel = |name| Kernel::named(name).ok_or(TextErrorKind::UnknownKernel(Excerpt::new(name)));
    let limit_bytes = limit_bytes(words.next().unwrap_or_default())?;
    let mut band = Band::new(limit_bytes, kernel(words.next().ok_or(TextErrorKind::MissingKernel)?)?);
    let mut is_given = [false; Class::ALL.len()];
    for word in words {
        let (name, other) = word.split_once('=').ok_or(TextErrorKind::NotAnOverride(Excerpt::new(word)))?;
        let class: Class = name.parse()?;
        if mem::replace(&mut is_given[class.index()], true) {
            return Err(TextErrorKind::DuplicateClass(class));
        }
        band = band.with(class, kernel(other)?);
    }
    Ok(band)
}

fn limit_bytes(word: &str) -> Result<usize, TextErrorKind> {
    if word == "above" {
        return Ok(usize::MAX);
    }
    if !is_decimal(word) {
        return Err(TextErrorKind::UnknownLimit(Excerpt::new(word)));
    }
    // The largest number of all is what `above` means, and has no other spelling.
    let limit_bytes = word.parse().ok().filter(|limit_bytes| *limit_bytes < usize::MAX);
    limit_bytes.ok_or(TextErrorKind::LimitTooLarge(Excerpt::new(word)))
}

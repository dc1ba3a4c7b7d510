//! What a caller may use, as an option names it.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use memcpy_select::select::Policy;

/// Takes one of these policies.
pub fn policy(words: &'static [&'static str]) -> impl TypedValueParser<Value = Policy> {
    PossibleValuesParser::new(words).try_map(|word| word.parse::<Policy>())
}

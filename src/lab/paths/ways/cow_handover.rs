//! Copy-on-write hand-over at every length: see [`handover`](crate::lab::paths::ways::handover).

use crate::lab::paths::ways::tiered::{Tier, TieredEnd};
use crate::lab::paths::ways::{Config, End, Limits, Opening, Path, PathError, Tiers, Token};

/// The hand-over at every length.
const ALWAYS: Tiers = Tiers { inline_max_bytes: 0, direct_max_bytes: 0 };
#[derive(Debug)]
pub(crate) struct CowHandover;

impl Path for CowHandover {
    fn name(&self) -> &str {
        "cow_handover"
    }

    fn about(&self) -> &str {
        "sealed memory of its own for each payload, handed over"
    }

    fn limits(&self) -> Limits {
        Limits::from(0)
    }

    fn copies(&self, len_bytes: usize, _config: &Config) -> u32 {
        Tier::of(len_bytes, ALWAYS).copies()
    }

    fn keeps_offset(&self) -> bool {
        true
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        TieredEnd::open(config, ALWAYS)
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        TieredEnd::join(config, ALWAYS, token)
    }
}

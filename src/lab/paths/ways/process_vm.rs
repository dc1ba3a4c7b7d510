//! `process_vm_readv` at every length: the consumer [reads](crate::lab::paths::ways::remote_read) the producer's memory. A line in shared memory says
//! where the payload is.

use crate::lab::paths::ways::tiered::{Tier, TieredEnd};
use crate::lab::paths::ways::{Config, End, Limits, Opening, Path, PathError, Tiers, Token};

/// The direct copy at every length.
const ALWAYS: Tiers = Tiers { inline_max_bytes: 0, direct_max_bytes: usize::MAX };

#[derive(Debug)]
pub(crate) struct ProcessVm;

impl Path for ProcessVm {
    fn name(&self) -> &str {
        "process_vm_readv"
    }

    fn about(&self) -> &str {
        "the kernel copies once, from process to process"
    }

    fn limits(&self) -> Limits {
        Limits::from(0)
    }

    fn copies(&self, len_bytes: usize, _config: &Config) -> u32 {
        Tier::of(len_bytes, ALWAYS).copies()
    }

    fn open(&self, config: &Config) -> Result<Opening, PathError> {
        TieredEnd::open(config, ALWAYS)
    }

    fn join(&self, config: &Config, token: Token) -> Result<Box<dyn End>, PathError> {
        TieredEnd::join(config, ALWAYS, token)
    }
}

//! What a length costs in sections, by the newest record that tells. There are sections on x86-64 alone.

#[cfg(target_arch = "x86_64")]
pub use memcpy_select::report::xsave::AtLength;

/// What a copy costs in a section, and without: where there are none, there is no such thing.
#[cfg(not(target_arch = "x86_64"))]
pub struct AtLength {
    pub copies: u32,
    pub section_cycles: f64,
    pub plain_cycles: f64,
    pub verdict: memcpy_select::xsave::Verdict,
}

/// The figures for a length on the CPU with this signature; none if no record tells.
#[cfg(target_arch = "x86_64")]
pub fn at_length(signature: &str, len_bytes: usize) -> Result<Vec<AtLength>, String> {
    use memcpy_select::record::newest_of_bench;
    use memcpy_select::record::xsave::BENCH;
    use memcpy_select::report::xsave::{Parameters, at_length};
    let found = newest_of_bench("results".as_ref(), signature, BENCH).unwrap_or_default();
    let Some((_, record)) = found else { return Ok(Vec::new()) };
    at_length(&record, &Parameters::default(), len_bytes).map_err(|error| error.to_string())
}

/// None.
#[cfg(not(target_arch = "x86_64"))]
pub fn at_length(_signature: &str, _len_bytes: usize) -> Result<Vec<AtLength>, String> {
    Ok(Vec::new())
}

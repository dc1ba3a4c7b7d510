//! The words of `tests/data/cpuid`, as a CPU that can be asked and changed.

use memcpy_select::cpu::{Cpu, Word};
use raw_cpuid::{CpuIdReader, CpuIdResult};
use std::fs;
use std::path::PathBuf;

/// x87, SSE and AVX enabled.
pub const XCR0_AVX: Option<u64> = Some(0b111);
/// AVX-512's three components too.
pub const XCR0_AVX512: Option<u64> = Some(0b1110_0111);

/// One CPU's words. What is not there answers zero.
#[derive(Clone, Debug, Default)]
pub struct Words(Vec<Word>);

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/cpuid")
}

/// The names of all files of words, sorted.
pub fn files() -> Vec<String> {
    let entries = fs::read_dir(folder()).expect("tests/data/cpuid is part of the package");
    let names = entries.map(|entry| entry.expect("readable").file_name().into_string().expect("plain names"));
    let mut names: Vec<_> = names.filter(|name| name.ends_with(".txt")).collect();
    names.sort_unstable();
    names
}

impl Words {
    /// The CPU of that name.
    pub fn of(name: &str) -> Self {
        let path = folder().join(format!("{name}.txt"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.parse::<Word>().unwrap_or_else(|error| panic!("{name}: {line}: {error}"))).collect()
    }

    /// The same CPU with one answer changed.
    pub fn with(mut self, leaf: u32, subleaf: u32, change: impl FnOnce(&mut Word)) -> Self {
        let at = self.0.iter().position(|word| (word.leaf, word.subleaf) == (leaf, subleaf));
        let at = at.unwrap_or_else(|| {
            self.0.push(Word { leaf, subleaf, eax: 0, ebx: 0, ecx: 0, edx: 0 });
            self.0.len() - 1
        });
        change(&mut self.0[at]);
        self
    }

    /// The same CPU without a leaf.
    pub fn without(mut self, leaf: u32) -> Self {
        self.0.retain(|word| word.leaf != leaf);
        self
    }

    /// What the crate makes of it.
    pub fn decode(&self, xcr0: Option<u64>) -> Cpu {
        Cpu::decode(self, xcr0)
    }
}

impl FromIterator<Word> for Words {
    fn from_iter<I: IntoIterator<Item = Word>>(words: I) -> Self {
        Self(words.into_iter().collect())
    }
}

impl CpuIdReader for &Words {
    fn cpuid2(&self, leaf: u32, subleaf: u32) -> CpuIdResult {
        let word = self.0.iter().find(|word| (word.leaf, word.subleaf) == (leaf, subleaf));
        word.map_or(CpuIdResult { eax: 0, ebx: 0, ecx: 0, edx: 0 }, |word| CpuIdResult {
            eax: word.eax,
            ebx: word.ebx,
            ecx: word.ecx,
            edx: word.edx,
        })
    }
}

//! A linked image: what is in its file.

use object::{Object, ObjectSection, ObjectSymbol, RelocationFlags, SectionFlags, elf, elf::RelocationType};
use std::collections::BTreeMap;
use std::path::Path;

/// A symbol that stands for some bytes.
#[derive(Clone, Debug)]
pub struct Symbol {
    pub name: String,
    pub address: u64,
    pub bytes: u64,
}

/// A part of the image that is in memory when it runs.
pub struct Section {
    pub name: String,
    pub address: u64,
    pub bytes: Vec<u8>,
    pub is_code: bool,
}

pub struct Image {
    pub symbols: Vec<Symbol>,
    pub sections: Vec<Section>,
    /// Of each symbol that nothing defines, the name.
    pub undefined: Vec<String>,
    /// Of each relocation that the linker has made in memory, its kind and the symbol it lies in, if any.
    pub made: Vec<(RelocationType, Option<String>)>,
    /// Of each that is left to a loader, its kind.
    pub left: Vec<RelocationType>,
}

impl Image {
    pub fn read(path: &Path) -> Self {
        let file = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let file = object::File::parse(&*file).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let in_memory = |section: &object::Section<'_, '_>| match section.flags() {
            SectionFlags::Elf { sh_flags, .. } => sh_flags.0 & elf::SHF_ALLOC.0 != 0,
            _ => false,
        };
        let named = file.symbols().filter(|symbol| symbol.name().is_ok_and(|name| !name.is_empty()));
        let (undefined, defined): (Vec<_>, Vec<_>) = named.partition(|symbol| symbol.is_undefined());
        let name = |symbol: &object::Symbol<'_, '_>| symbol.name().unwrap_or_default().to_owned();
        let defined = defined.iter().filter(|symbol| symbol.size() > 0);
        let defined =
            defined.map(|symbol| Symbol { name: name(symbol), address: symbol.address(), bytes: symbol.size() });
        let mut image = Self {
            symbols: defined.collect(),
            sections: Vec::new(),
            undefined: undefined.iter().map(name).collect(),
            made: Vec::new(),
            left: file.dynamic_relocations().into_iter().flatten().map(|(_, relocation)| kind(&relocation)).collect(),
        };
        for section in file.sections().filter(in_memory) {
            for (address, relocation) in section.relocations() {
                let place = image.at(address).map(|symbol| symbol.name.clone());
                image.made.push((kind(&relocation), place));
            }
            image.sections.push(Section {
                name: section.name().unwrap_or_default().to_owned(),
                address: section.address(),
                bytes: section.data().unwrap_or_default().to_owned(),
                is_code: section.kind() == object::SectionKind::Text,
            });
        }
        image
    }

    /// The symbol whose bytes an address is among.
    pub fn at(&self, address: u64) -> Option<&Symbol> {
        self.symbols.iter().find(|symbol| (symbol.address..symbol.address + symbol.bytes).contains(&address))
    }

    /// The symbol of that name.
    pub fn named(&self, name: &str) -> Option<&Symbol> {
        self.symbols.iter().find(|symbol| symbol.name == name)
    }

    /// The only symbol whose name has this part of a path in it, as compilers write one.
    pub fn with(&self, path: &str) -> &Symbol {
        let mut found = self.symbols.iter().filter(|symbol| symbol.name.contains(path));
        let first = found.next().unwrap_or_else(|| panic!("no symbol of {path}"));
        assert!(found.all(|other| other.address == first.address), "{path} names several");
        first
    }

    /// The section whose bytes an address is among, and where in them.
    pub fn bytes_at(&mut self, address: u64) -> Option<(&mut Section, usize)> {
        let section = self
            .sections
            .iter_mut()
            .find(|section| (section.address..section.address + section.bytes.len() as u64).contains(&address))?;
        let at = (address - section.address) as usize;
        Some((section, at))
    }

    /// How often each kind of relocation was made, by name.
    pub fn kinds(&self) -> BTreeMap<&'static str, usize> {
        let mut kinds = BTreeMap::new();
        self.made.iter().for_each(|(kind, _)| *kinds.entry(kind_name(*kind)).or_default() += 1);
        kinds
    }
}

fn kind(relocation: &object::Relocation) -> RelocationType {
    match relocation.flags() {
        RelocationFlags::Elf { r_type } => r_type,
        other => panic!("no relocation of an ELF file: {other:?}"),
    }
}

/// System V ABI, AMD64 supplement, table 4.9, without its `R_X86_64_`.
pub fn kind_name(kind: RelocationType) -> &'static str {
    match kind {
        elf::R_X86_64_NONE => "NONE",
        elf::R_X86_64_64 => "64",
        elf::R_X86_64_PC32 => "PC32",
        elf::R_X86_64_PLT32 => "PLT32",
        elf::R_X86_64_RELATIVE => "RELATIVE",
        elf::R_X86_64_GOTPCREL => "GOTPCREL",
        elf::R_X86_64_32 => "32",
        elf::R_X86_64_32S => "32S",
        elf::R_X86_64_PC64 => "PC64",
        elf::R_X86_64_GOTOFF64 => "GOTOFF64",
        elf::R_X86_64_GOTPC32 => "GOTPC32",
        elf::R_X86_64_GOTPC64 => "GOTPC64",
        elf::R_X86_64_GOT64 => "GOT64",
        elf::R_X86_64_GOTPCRELX => "GOTPCRELX",
        elf::R_X86_64_REX_GOTPCRELX => "REX_GOTPCRELX",
        other => panic!("relocation {other:?} is not expected of code for kernels"),
    }
}

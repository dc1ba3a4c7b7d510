//! Names of the functions at places in programs and libraries: from the table of symbols that is there for debuggers, else from
//! the one for the loader.

#![forbid(unsafe_code)]

use object::elf::PT_INTERP;
use object::read::ReadCache;
use object::read::elf::{FileHeader, ProgramHeader};
use object::{Object, ObjectSegment, ObjectSymbol, ObjectSymbolTable, SymbolKind};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The function at a place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// The place, as the file's symbols count.
    pub address: u64,
    /// The function's name, as its language writes it; empty where it is not known.
    pub symbol: String,
    /// How far the place is in it, in bytes.
    pub offset: u64,
}

/// No name is shown longer, in characters.
const MOST_CHARACTERS: usize = 160;

/// The functions at these places of a file, each the offset of the byte behind a call. The names are not known where the file is not
/// the one of that inode, or not to be read.
pub fn functions(path: &str, inode: u64, places: &[u64]) -> Vec<Named> {
    let unknown = |place: &u64| Named { address: *place, ..Named::default() };
    read(Path::new(path), inode, places).unwrap_or_else(|| places.iter().map(unknown).collect())
}

fn read(path: &Path, inode: u64, places: &[u64]) -> Option<Vec<Named>> {
    let file = regular(path).filter(|file| file.metadata().is_ok_and(|found| found.ino() == inode))?;
    let cache = ReadCache::new(file);
    let object = object::File::parse(&cache).ok()?;
    let segments: Vec<(u64, u64, u64)> =
        object.segments().map(|segment| (segment.file_range().0, segment.file_range().1, segment.address())).collect();
    let address_of = |place: u64| {
        let here = segments.iter().find(|(start, bytes, _)| place.wrapping_sub(*start) < *bytes);
        here.map_or(place, |(start, _, address)| address.wrapping_add(place - start))
    };
    let tables = [object.symbol_table(), object.dynamic_symbol_table()];
    let mut symbols: Vec<(u64, u64, &str)> = tables
        .iter()
        .flatten()
        .flat_map(|table| table.symbols())
        .filter(|symbol| symbol.is_definition() && symbol.kind() == SymbolKind::Text && symbol.size() > 0)
        .filter_map(|symbol| Some((symbol.address(), symbol.size(), symbol.name().ok()?)))
        .collect();
    // Of several names for one place, the first in the table for debuggers: the sort keeps their order.
    symbols.sort_by_key(|(start, _, _)| *start);
    let named = |place: &u64| {
        // The call itself ends before the place: the next function may begin there.
        let address = address_of(place.saturating_sub(1)).wrapping_add(1);
        let call = address.wrapping_sub(1);
        let behind = symbols.partition_point(|(start, _, _)| *start <= call);
        let around = symbols[..behind].iter().rev().take(8).rev();
        let mut around = around.filter(|(start, bytes, _)| call - start < *bytes);
        match around.next() {
            Some((start, _, name)) => Named { address, symbol: plain(name), offset: address - start },
            None => Named { address, ..Named::default() },
        }
    };
    Some(places.iter().map(named).collect())
}

/// A regular file that can be read. What else is there might wait for something that never comes.
fn regular(path: &Path) -> Option<File> {
    std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    File::open(path).ok()
}

/// A name as its language writes it.
fn plain(name: &str) -> String {
    let name = name.split('@').next().unwrap_or(name);
    let whole = match rustc_demangle::try_demangle(name) {
        Ok(rust) => format!("{rust:#}"),
        Err(_) => {
            let options = cpp_demangle::DemangleOptions::new().no_params().no_return_type();
            let cpp = cpp_demangle::Symbol::new(name).ok().filter(|_| name.starts_with("_Z"));
            cpp.and_then(|symbol| symbol.demangle_with_options(&options).ok()).unwrap_or_else(|| name.to_owned())
        }
    };
    match whole.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}…", &whole[..end]),
        None => whole,
    }
}

/// Why no recorder can be put into a program, if its file shows that.
pub fn unfit(program: &Path) -> Option<&'static str> {
    let file = regular(program)?;
    let mode = file.metadata().ok()?.mode();
    if mode & 0o6000 != 0 && !rustix::process::geteuid().is_root() {
        return Some("it runs with the rights of another user, so that the system keeps libraries out of it");
    }
    let cache = ReadCache::new(file);
    match object::FileKind::parse(&cache).ok() {
        None => None,
        Some(object::FileKind::Elf64) => {
            let header = object::elf::FileHeader64::<object::Endianness>::parse(&cache).ok()?;
            let endian = header.endian().ok()?;
            if header.e_machine(endian) != object::elf::EM_X86_64 {
                return Some("it is for another kind of CPU");
            }
            let segments = header.program_headers(endian, &cache).ok()?;
            let is_dynamic = segments.iter().any(|segment| segment.p_type(endian) == PT_INTERP);
            (!is_dynamic).then_some("it is linked statically, and loads no library")
        }
        Some(_) => Some("it is no program for x86-64 with 64 bits"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::calls::mappings::Mappings;

    #[test]
    fn a_function_of_this_program_is_named() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let at = (a_function_of_this_program_is_named as *const ()).addr() as u64 + 1;
        let code = Mappings::of(&maps).find(at);
        let Named { symbol, offset, .. } = functions(&code.path, code.inode, &[code.offset]).remove(0);
        assert!(symbol.ends_with("a_function_of_this_program_is_named") && offset == 1, "{symbol} + {offset}");
        let other = functions(&code.path, code.inode + 1, &[code.offset]);
        assert_eq!(other, [Named { address: code.offset, ..Named::default() }], "another file has its name now");
        for path in ["/", "/dev/zero", "/proc/self/maps", "/nowhere"] {
            assert_eq!(functions(path, 0, &[7]), [Named { address: 7, ..Named::default() }]);
        }
    }

    #[test]
    fn names_are_as_their_languages_write_them() {
        let pairs = [
            ("memcpy@@GLIBC_2.14", "memcpy"),
            ("_ZNSt6vectorIiSaIiEE9push_backEOi", "std::vector<int, std::allocator<int> >::push_back"),
            ("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", "core::fmt::Write::write_fmt"),
            ("_Zqq", "_Zqq"),
        ];
        for (name, plain_name) in pairs {
            assert_eq!(plain(name), plain_name);
        }
        assert_eq!(plain(&"x".repeat(500)).chars().count(), MOST_CHARACTERS + 1);
    }
}

//! The promise: the matrix catches what it is for. Kernels with one defect each, made from the crate's own source by
//! changing one place of it, go through the same checks; each has to be caught, and the source as it is passes.

use crate::matrix::{Extent, Subject, start};
use crate::suite::sys::{Child, End};
use core::ffi::{CStr, c_char, c_int, c_void};
use memcpy_select::fallible::{Exception, TryCopyFn};
use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A change of `fallible.h`, and the kernel whose copy it spoils.
struct Mutant {
    name: &'static str,
    kernel: &'static str,
    /// What is there once.
    from: &'static str,
    to: &'static str,
    is_right: bool,
}

const fn mutant(name: &'static str, kernel: &'static str, from: &'static str, to: &'static str) -> Mutant {
    Mutant { name, kernel, from, to, is_right: false }
}

const GPR: &str = "fallible_gpr";
const STRING: &str = "fallible_rep_movsb";

const MUTANTS: &[Mutant] = &[
    Mutant { is_right: true, ..mutant("as_it_is", GPR, "", "") },
    Mutant { is_right: true, ..mutant("string_as_it_is", STRING, "", "") },
    Mutant { is_right: true, ..mutant("smap_as_it_is", "fallible_gpr_smap", "", "") },
    // An entry that is missing
    mutant("no_entry_three", GPR, "EXCEPTION .Lthree, .Lnone, .Lfault", ""),
    mutant("no_entry_four", GPR, "EXCEPTION .Lfour, .Lfour_end, .Lfault", ""),
    mutant("no_entry_eight", GPR, "EXCEPTION .Leight, .Leight_end, .Lfault", ""),
    mutant("no_entry_thirtytwo", GPR, "EXCEPTION .Lthirtytwo, .Lthirtytwo_end, .Lfault", ""),
    mutant("no_entry_medium", GPR, "EXCEPTION .Lmedium, .Lmedium_end, .Lfault", ""),
    mutant("no_entry_words", GPR, "EXCEPTION .Lwords, .Lwords_end, .Lwords_fault", ""),
    mutant("no_entry_byte", GPR, "EXCEPTION .Lbyte_\\@, .Lstep_\\@, .Lfault_\\@", ""),
    mutant("no_entry_string", STRING, "EXCEPTION .Lstring, .Lstring_end, .Lstring_fault", ""),
    // One that ends too early
    mutant(
        "entry_without_tail",
        GPR,
        "    xor     edx, edx\n    GPR_COPY_32 rsi, rdi, 0\n    GPR_COPY_32 rsi, rdi, 32\n.Lwords_end:",
        "    xor     edx, edx\n.Lwords_end:\n    GPR_COPY_32 rsi, rdi, 0\n    GPR_COPY_32 rsi, rdi, 32",
    ),
    mutant("entry_without_last", GPR, "EXCEPTION .Lmedium, .Lmedium_end", "EXCEPTION .Lmedium, .Llast"),
    mutant("entry_without_head", GPR, "EXCEPTION .Lwords, .Lwords_end", "EXCEPTION .Lbody, .Lwords_end"),
    mutant(
        "entry_without_last_store",
        GPR,
        "    mov     qword ptr [rdi + rdx - 8], rcx\n.Leight_end:",
        ".Leight_end:\n    mov     qword ptr [rdi + rdx - 8], rcx",
    ),
    // A fix-up that loses a byte, or finds one
    mutant("words_lose_a_byte", GPR, "add     rdx, 64\n", "add     rdx, 63\n"),
    mutant("words_find_a_byte", GPR, "add     rdx, 64\n", "add     rdx, 65\n"),
    mutant(
        "small_goes_to_words",
        GPR,
        "EXCEPTION .Lmedium, .Lmedium_end, .Lfault",
        "EXCEPTION .Lmedium, .Lmedium_end, .Lwords_fault",
    ),
    mutant(
        "words_go_to_small",
        GPR,
        "EXCEPTION .Lwords, .Lwords_end, .Lwords_fault",
        "EXCEPTION .Lwords, .Lwords_end, .Lfault",
    ),
    mutant("string_loses_a_byte", STRING, "mov     rdx, rcx\n    COPY", "lea     rdx, [rcx - 1]\n    COPY"),
    mutant("result_loses_a_byte", GPR, "mov     rax, rdx\n    CLOSE", "lea     rax, [rdx - 1]\n    CLOSE"),
    mutant("result_finds_a_byte", STRING, "mov     rax, rdx\n    CLOSE", "lea     rax, [rdx + 1]\n    CLOSE"),
    mutant(
        "no_bytes_after_a_fault",
        GPR,
        ".Lfault:\n    COPY_BYTES",
        ".Lfault:\n    mov rax, rdx\n    ret\n    COPY_BYTES",
    ),
    // Bytes beyond the fault, and registers that say too much
    mutant(
        "last_store_first",
        GPR,
        "    mov     qword ptr [rdi], rax\n    mov     qword ptr [rdi + 8], r8\n    mov     qword ptr [rdi + rdx - 16], r9\n    mov     \
         qword ptr [rdi + rdx - 8], r10\n.Lthirtytwo_end:",
        "    mov     qword ptr [rdi + rdx - 8], r10\n    mov     qword ptr [rdi], rax\n    mov     qword ptr [rdi + 8], r8\n    mov     \
         qword ptr [rdi + rdx - 16], r9\n.Lthirtytwo_end:",
    ),
    mutant("last_before_first", GPR, ".Lmedium:\n", ".Lmedium:\n    GPR_COPY_32 \"rsi + rdx\", \"rdi + rdx\", -32\n"),
    mutant(
        "last_word_first",
        GPR,
        ".Lwords:\n",
        ".Lwords:\n    mov     rax, qword ptr [rsi + rdx + 56]\n    mov     qword ptr [rdi + rdx + 56], rax\n",
    ),
    mutant(
        "source_steps_early",
        GPR,
        "    GPR_COPY_32 rsi, rdi, 32\n    sub     rsi, -64\n",
        "    sub     rsi, -64\n    GPR_COPY_32 \"rsi - 64\", rdi, 32\n",
    ),
    mutant(
        "count_steps_early",
        GPR,
        "    GPR_COPY_32 rsi, rdi, 0\n    GPR_COPY_32 rsi, rdi, 32\n    sub     rsi, -64\n    sub     rdi, -64\n    sub     rdx, 64\n",
        "    sub     rdx, 64\n    GPR_COPY_32 rsi, rdi, 0\n    GPR_COPY_32 rsi, rdi, 32\n    lea     rsi, [rsi + 64]\n    lea     rdi, [rdi + 64]\n",
    ),
    mutant("tail_where_it_is", GPR, "    xor     edx, edx\n    GPR_COPY_32", "    GPR_COPY_32"),
    // Lengths that no memory has
    mutant("signed_length", GPR, "cmp     rdx, 128\n    ja      .Llarge", "cmp     rdx, 128\n    jg      .Llarge"),
    mutant("signed_loop", GPR, "ja      .Lbody", "jg      .Lbody"),
    mutant("short_length", GPR, "cmp     rdx, 128\n    ja", "cmp     edx, 128\n    ja"),
    // User pages that stay open, or never are
    mutant("open_after_a_fault", "fallible_gpr_smap", "mov     rax, rdx\n    CLOSE   \\smap", "mov     rax, rdx"),
    mutant(
        "open_after_a_string_fault",
        "fallible_rep_movsb_smap",
        "mov     rax, rdx\n    CLOSE   \\smap",
        "mov     rax, rdx",
    ),
    mutant(
        "open_after_a_copy",
        "fallible_gpr_smap",
        "    CLOSE   \\smap\n    xor     eax, eax",
        "    xor     eax, eax",
    ),
    mutant("never_opened", "fallible_rep_movsb_smap", "    OPEN    \\smap\n    mov     rcx", "    mov     rcx"),
];

unsafe extern "C" {
    fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlerror() -> *const c_char;
}

/// The mutants, assembled and loaded: the bounds of their table, and their entry points.
struct Library(&'static [*const c_void; 2 + MUTANTS.len()]);

impl Library {
    fn build(folder: &Path) -> Self {
        // The kernels' symbols are hidden: what has their addresses is not.
        let mut entries = String::from(
            ".section .note.GNU-stack, \"\", @progbits\n.data\n.p2align 3\n.globl mutants\nmutants:\n    \
             .quad __start_memcpy_select_exceptions, __stop_memcpy_select_exceptions\n",
        );
        for Mutant { name, kernel, .. } in MUTANTS {
            entries += &format!("    .quad mutant_{name}_{kernel}\n");
        }
        let asm = Path::new(env!("CARGO_MANIFEST_DIR")).join("asm");
        let read = |name: &str| std::fs::read_to_string(asm.join(name)).expect("a file of asm/");
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            std::fs::write(&path, text).expect("a file can be written");
            path
        };
        std::fs::create_dir_all(folder).expect("a folder can be made");
        let header = read("fallible.h");
        let sources = MUTANTS.iter().map(|mutant| {
            let Mutant { name, kernel, from, to, .. } = mutant;
            assert!(from.is_empty() || header.matches(from).count() == 1, "{name}: there is no such place, or several");
            write(&format!("{name}.h"), &if from.is_empty() { header.clone() } else { header.replace(from, to) });
            let source = read(&format!("{kernel}.S")).replace("fallible.h", &format!("{name}.h"));
            write(&format!("{name}.S"), &format!("#define MEMCPY_SELECT_PREFIX mutant_{name}_\n{source}"))
        });
        let sources: Vec<PathBuf> =
            sources.collect::<Vec<_>>().into_iter().chain([write("entries.S", &entries)]).collect();
        let library = folder.join("mutants.so");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
        let mut command = Command::new(compiler);
        command.args(["-shared", "-nostdlib", "-I"]).arg(&asm).arg("-I").arg(folder).args(&sources);
        let output = command.arg("-o").arg(&library).output().expect("the compiler that assembled the kernels starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let path = CString::new(library.to_str().expect("a path in UTF-8")).expect("without NUL");
        const RTLD_NOW: c_int = 2;
        // SAFETY: the path is a C string, and the library has no constructors.
        let library = unsafe { dlopen(path.as_ptr(), RTLD_NOW) };
        // SAFETY: only after a failure, of which it has the message.
        assert!(!library.is_null(), "{:?}", unsafe { CStr::from_ptr(dlerror()) });
        // SAFETY: the library is loaded, and the name a C string.
        let addresses = unsafe { dlsym(library, c"mutants".as_ptr()) };
        assert!(!addresses.is_null(), "the library has no such symbol");
        // SAFETY: `entries.S` puts so many addresses there; the library is never unloaded.
        Self(unsafe { &*addresses.cast() })
    }

    fn table(&self) -> &'static [Exception] {
        let (start, stop) = (self.0[0].cast::<Exception>(), self.0[1].cast::<Exception>());
        // SAFETY: the linker defines them as the bounds of the section, which consists of such rows.
        unsafe { core::slice::from_raw_parts(start, (stop.addr() - start.addr()) / size_of::<Exception>()) }
    }

    fn entries(&self) -> impl Iterator<Item = TryCopyFn> {
        // SAFETY: the addresses are those of code with that calling convention.
        self.0[2..].iter().map(|entry| unsafe { core::mem::transmute::<*const c_void, TryCopyFn>(*entry) })
    }
}

#[test]
#[cfg_attr(not(memcpy_select_repository), ignore = "assembles files in a folder that only the repository's tests use")]
fn every_mutant_is_caught() {
    let library = Library::build(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("fallible-mutants"));
    let start = |(mutant, entry): (&'static Mutant, TryCopyFn)| {
        let is_for_smap = mutant.kernel.ends_with("_smap");
        let subject = Subject { name: mutant.name, entry, is_for_smap };
        (mutant, start(subject, Extent::Some, library.table(), mutant.is_right))
    };
    let started: Vec<(&Mutant, Child)> = MUTANTS.iter().zip(library.entries()).map(start).collect();
    for (mutant, child) in started {
        let end = child.end();
        let caught = match end {
            End::Exit(0) => "passes",
            End::Exit(1) => "a wrong copy, a wrong count or an open page",
            End::Signal(_) => "a fault that no entry answers, or outside of the ranges",
            End::Exit(_) => panic!("{}: the checks themselves failed", mutant.name),
        };
        println!("  {:<28} -> {caught}", mutant.name);
        assert_eq!(end == End::Exit(0), mutant.is_right, "{}: {end:?}", mutant.name);
    }
}

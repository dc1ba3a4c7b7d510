//! Links without the C library and its start-up code, each program in another way. Those at fixed addresses keep their
//! relocations, so that tests can look at them; in the other one that would keep calls from being made direct, which have to work
//! before it is relocated.

/// The images that only a kernel could be: where they start.
const IMAGES: [(&str, &str); 2] = [("top-2gib", "0xffffffff80000000"), ("high-half", "0xffff800000100000")];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=high.ld");
    // Where there is no operating system the linker is called itself, elsewhere by the C compiler.
    let is_bare = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "none");
    let script = format!("{}/high.ld", std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let argument = |bin: &str, argument: &str| println!("cargo::rustc-link-arg-bin={bin}={argument}");
    let to_linker = |bin: &str, words: &[&str]| match is_bare {
        true => words.iter().for_each(|word| argument(bin, word)),
        false => argument(bin, &format!("-Wl,{}", words.join(","))),
    };
    let common = |bin: &str| {
        if !is_bare {
            ["-nostartfiles", "-nostdlib"].into_iter().for_each(|word| argument(bin, word));
        }
    };
    let fixed = |bin: &str| {
        common(bin);
        ["-static", "-no-pie"].into_iter().for_each(|word| argument(bin, word));
        to_linker(bin, &["--emit-relocs"]);
    };
    fixed("static");
    common("static-pie");
    match is_bare {
        true => to_linker("static-pie", &["-pie", "--no-dynamic-linker", "-ztext"]),
        false => argument("static-pie", "-static-pie"),
    }
    for (bin, base) in IMAGES {
        fixed(bin);
        to_linker(bin, &[&format!("--defsym=BASE={base}")]);
        to_linker(bin, &["-T", &script]);
    }
}

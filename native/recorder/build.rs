//! Links the library against nothing at all: it is loaded into programs of any libc.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    for argument in [
        // Neither libc nor the compiler's own start files.
        "-nostdlib",
        "-nostartfiles",
        // Its own functions are bound when it is linked: a call among them never goes through a table that is relocated later.
        "-Wl,-Bsymbolic",
        // Whatever it needs of others, it says so weakly.
        "-Wl,-z,defs",
        "-Wl,-z,now",
        "-Wl,-z,noexecstack",
        "-Wl,-soname,libmemcpy_select_recorder.so",
    ] {
        println!("cargo::rustc-link-arg-cdylib={argument}");
    }
}

//! What to use on this CPU: `select.rs`. A build without the feature `cli`, as that of the published package, says what to type.

#[cfg(feature = "cli")]
mod select;

#[cfg(feature = "cli")]
fn main() -> std::process::ExitCode {
    select::main()
}

#[cfg(not(feature = "cli"))]
fn main() {
    println!("Nothing was measured: what measures is behind a feature. Type: cargo bench --features cli");
}

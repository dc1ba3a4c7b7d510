//! What does an honest client notice of a hostile one, and what does its safety cost?
//!
//! A server and an honest client, a process each, and beside them one neighbour after the other: none that does anything, an
//! honest one that is as busy as can be, a process that has nothing to do with the server and uses all time it gets, and
//! every kind of hostile one. The honest client checks what it reads, and times each request.
//!
//! The server has a logical CPU of its own, and the neighbour shares the client's. Where there are only two it must share
//! one of them, and whoever uses a CPU costs the others on it; what the *server* lets a hostile neighbour do to them is what
//! it costs beyond the honest busy one.

#[path = "../support/mod.rs"]
mod support;

#[cfg(target_os = "linux")]
#[path = "../../../tests/hostile_peer/enemy.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod enemy;
#[cfg(target_os = "linux")]
mod latency;
#[cfg(target_os = "linux")]
#[path = "../../../tests/neighbours/mod.rs"]
mod neighbours;
#[cfg(target_os = "linux")]
mod newcomers;
#[cfg(target_os = "linux")]
mod roles;
#[cfg(target_os = "linux")]
mod safety;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    // This bench runs as the server and as the neighbours, too.
    if roles::serve_if_asked() {
        return std::process::ExitCode::SUCCESS;
    }
    let question = "What does an honest client notice of a hostile one, and what does its safety cost?";
    support::harness::main_with("neighbour", question, latency::test, latency::measure)
}

#[cfg(not(target_os = "linux"))]
fn main() {
    support::print("neighbour: there is no transport on this system\n");
}

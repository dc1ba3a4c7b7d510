//! A proxy before a table, in a thread of its own: it forwards requests and answers, and lets payloads pass where they lie.

use crate::lab::paths::ways::PathError;
use crate::lab::paths::ways::table::table_error;
use crate::transport::{Address, Asked, Proxy, ProxyOptions, Waiting};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// How long the proxy waits before it sees whether it is to end: long, since it wakes for that beside what is measured.
const LOOK: Duration = Duration::from_millis(200);

/// A thread with a proxy. Once this is dropped, it ends with its next poll; that is not waited for.
#[derive(Debug)]
pub(crate) struct Forwarder {
    is_over: Arc<AtomicBool>,
}

impl Forwarder {
    /// Starts a proxy that lets everything through, between a client's socket and the table at that address.
    pub(crate) fn start(client: UnixStream, table: Address, waiting: Waiting) -> Result<Self, PathError> {
        let is_over = Arc::new(AtomicBool::new(false));
        let options = ProxyOptions { waiting, ..ProxyOptions::default() };
        let mut proxy = Proxy::without_address(table, options, |_: &Asked<'_>| Ok(())).map_err(table_error)?;
        let ends = Arc::clone(&is_over);
        let forward = move || {
            if proxy.adopt(client).is_err() {
                return;
            }
            while !ends.load(Ordering::Relaxed) && proxy.serve(LOOK).is_ok() {}
        };
        std::thread::Builder::new()
            .spawn(forward)
            .map_err(|error| PathError::protocol(format!("a thread for the proxy: {error}")))?;
        Ok(Self { is_over })
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// An address that no other table has.
pub(crate) fn address() -> Address {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    Address::Abstract(format!("memcpy-select-path-{}-{number}", std::process::id()))
}
